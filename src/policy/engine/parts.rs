//! `message.parts`, `message.attachments` and `message.urls`.

use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::question::{Answer, Question};
use super::super::turn::{Turn, fault};
use super::message::Message;
use super::session::{count, text};
use crate::message::mime::{self, Contents, Url};

/// A part, by its index.
#[derive(Clone, Debug)]
struct Part(Arc<Contents>, usize);

/// A file in an archive.
#[derive(Clone, Debug)]
struct Entry(Arc<Contents>, usize, usize);

/// The address of a page.
#[derive(Clone, Debug)]
pub(super) struct Link(pub(super) Url);

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_get("parts", |call: NativeCallContext<'_>, _: &mut Message| parts(&call, |_| true))
        .register_get("attachments", |call: NativeCallContext<'_>, _: &mut Message| {
            parts(&call, |part| part.attached)
        })
        .register_get("urls", |call: NativeCallContext<'_>, _: &mut Message| urls(&call))
        .register_get("contents_result", |call: NativeCallContext<'_>, _: &mut Message| {
            result(&call, |contents| contents.truncated)
        })
        .register_get("urls_result", |call: NativeCallContext<'_>, _: &mut Message| {
            result(&call, |contents| contents.urls_truncated)
        });
    register_part(engine);
    engine
        .register_type_with_name::<Entry>("Entry")
        .register_get("name", |e: &mut Entry| e.text(|entry| &entry.name))
        .register_get("extension", |e: &mut Entry| e.text(|entry| &entry.extension))
        .register_get("size", |e: &mut Entry| count(e.get().map_or(0, |entry| entry.size)));
    engine
        .register_type_with_name::<Link>("Url")
        .register_get("url", |l: &mut Link| text(&l.0.url))
        .register_get("host", |l: &mut Link| text(&l.0.host));
}

fn register_part(engine: &mut Engine) {
    engine
        .register_type_with_name::<Part>("Part")
        .register_get("name", |p: &mut Part| p.text(|part| &part.name))
        .register_get("names", |p: &mut Part| p.texts(|part| part.names().map(text).collect()))
        .register_get("extension", |p: &mut Part| p.text(|part| &part.extension))
        .register_get("extensions", |p: &mut Part| p.texts(extensions))
        .register_get("content_type", |p: &mut Part| p.text(|part| &part.content_type))
        .register_get("real_type", |p: &mut Part| p.text(|part| &part.real_type))
        .register_get("size", |p: &mut Part| count(p.get().map_or(0, |part| part.size)))
        .register_get("encrypted", |p: &mut Part| p.get().is_some_and(|part| part.encrypted))
        .register_get("has_macros", |p: &mut Part| p.get().is_some_and(|part| part.has_macros))
        .register_get("entries", |p: &mut Part| p.entries())
        .register_get("entries_result", |p: &mut Part| p.text(|part| part.entries_result.name()));
}

impl Part {
    fn get(&self) -> Option<&mime::Part> {
        self.0.parts.get(self.1)
    }

    fn text(&self, of: impl Fn(&mime::Part) -> &str) -> ImmutableString {
        self.get().map_or_else(ImmutableString::new, |part| text(of(part)))
    }

    fn texts(&self, of: impl Fn(&mime::Part) -> Vec<ImmutableString>) -> Array {
        self.get().map(of).unwrap_or_default().into_iter().map(Dynamic::from).collect()
    }

    fn entries(&self) -> Array {
        let entries = 0..self.get().map_or(0, |part| part.entries.len());
        entries.map(|entry| Dynamic::from(Entry(Arc::clone(&self.0), self.1, entry))).collect()
    }
}

fn extensions(part: &mime::Part) -> Vec<ImmutableString> {
    // Of nearly every part the one that is known already.
    if part.other_names.is_empty() {
        let own = Some(&part.extension).filter(|extension| !extension.is_empty());
        return own.map(|extension| text(extension)).into_iter().collect();
    }
    part.extensions().map(|extension| text(&extension)).collect()
}

impl Entry {
    fn get(&self) -> Option<&mime::Entry> {
        self.0.parts.get(self.1).and_then(|part| part.entries.get(self.2))
    }

    fn text(&self, of: impl Fn(&mime::Entry) -> &str) -> ImmutableString {
        self.get().map_or_else(ImmutableString::new, |entry| text(of(entry)))
    }
}

/// What the message holds, which is read when a script first asks.
fn contents(call: &NativeCallContext<'_>) -> Result<Arc<Contents>, Box<EvalAltResult>> {
    match Turn::of(call)?.fact(call, Question::Contents)? {
        Answer::Contents(Some(contents)) => Ok(contents),
        // Never a silent "nothing in it".
        _ => Err(fault(call, "the message could not be read in time")),
    }
}

fn parts(
    call: &NativeCallContext<'_>,
    wanted: impl Fn(&mime::Part) -> bool,
) -> Result<Array, Box<EvalAltResult>> {
    let contents = contents(call)?;
    let indices = contents.parts.iter().enumerate().filter(|(_, part)| wanted(part)).map(|(index, _)| index);
    Ok(indices.map(|index| Dynamic::from(Part(Arc::clone(&contents), index))).collect())
}

fn urls(call: &NativeCallContext<'_>) -> Result<Array, Box<EvalAltResult>> {
    let contents = contents(call)?;
    Ok(contents.urls.iter().map(|url| Dynamic::from(Link(url.clone()))).collect())
}

fn result(
    call: &NativeCallContext<'_>,
    is_truncated: impl Fn(&Contents) -> bool,
) -> Result<ImmutableString, Box<EvalAltResult>> {
    Ok(text(if is_truncated(&*contents(call)?) { "truncated" } else { "complete" }))
}
