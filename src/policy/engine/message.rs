//! `message`: the header as scripts read it, and the results of DKIM and DMARC.

use std::sync::{Arc, OnceLock};

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::question::{Answer, Question};
use super::super::scene::{self, MessageScene};
use super::super::turn::{Stop, Turn, fault};
use super::addresses::Address;
use super::mail::{lookups, spf};
use super::session::{count, text};
use crate::checks::results;
use crate::message::from::{Addresses, MAX_ADDRESSES, NoAuthor};

/// `message`. Address fields are parsed when they are first read, once for all policies.
#[derive(Clone, Debug)]
pub(in super::super) struct Message(Arc<View>);

#[derive(Debug)]
struct View {
    scene: Arc<MessageScene>,
    from: OnceLock<From>,
}

/// What the From fields say.
#[derive(Debug)]
struct From {
    addresses: Array,
    grouped: bool,
    ambiguous: bool,
}

/// An entry of `message.dkim`.
#[derive(Clone, Debug)]
struct Dkim(Arc<Vec<results::Dkim>>, usize);

/// `message.dmarc`.
#[derive(Clone, Debug)]
struct Dmarc(Arc<results::Dmarc>);

/// `message.arc`.
#[derive(Clone, Debug)]
struct Chain(Arc<results::ArcChain>);

impl Message {
    pub(in super::super) fn new(scene: &Arc<MessageScene>) -> Self {
        Self(Arc::new(View { scene: Arc::clone(scene), from: OnceLock::new() }))
    }

    /// The same for two handles of one message, while there is one of them.
    pub(in super::super) fn mark(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    fn from(&self) -> &From {
        self.0.from.get_or_init(|| {
            let (found, author) = self.0.scene.header.from_addresses_and_author();
            let ambiguous = author == Err(NoAuthor::Ambiguous);
            From { grouped: found.grouped, ambiguous, addresses: array(found) }
        })
    }

    fn addresses(&self, name: &str) -> Array {
        array(self.0.scene.header.addresses(name, MAX_ADDRESSES))
    }
}

pub(super) fn register(engine: &mut Engine) {
    register_fields(engine);
    register_any_field(engine);
    register_results(engine);
}

type Seen<T> = Result<T, Box<EvalAltResult>>;

/// Reads the fields of one name. Of a recorded message it may not be known what they said.
fn see<T>(
    call: &NativeCallContext<'_>,
    message: &Message,
    name: &str,
    read: impl FnOnce(&Message) -> T,
) -> Seen<T> {
    if message.0.scene.read(name) {
        return Ok(read(message));
    }
    Err(Turn::of(call)?.stop(call, Stop::Unknown(format!("the field `{name}` of the header"))))
}

fn register_fields(engine: &mut Engine) {
    engine
        .register_type_with_name::<Message>("Message")
        .register_get("size", |m: &mut Message| count(m.0.scene.size));
    register_authors(engine);
    for (property, field) in [("to", "to"), ("cc", "cc"), ("reply_to", "reply-to")] {
        engine.register_get(property, move |call: NativeCallContext<'_>, m: &mut Message| {
            see(&call, m, field, |m| m.addresses(field))
        });
    }
    engine
        .register_get("subject", |call: NativeCallContext<'_>, m: &mut Message| {
            see(&call, m, "subject", |m| ImmutableString::from(m.0.scene.header.subject()))
        })
        .register_get("date", |call: NativeCallContext<'_>, m: &mut Message| {
            let date = |m: &Message| m.0.scene.header.date().map(|date| date.to_string()).unwrap_or_default();
            see(&call, m, "date", |m| ImmutableString::from(date(m)))
        })
        .register_get("date_seconds", |call: NativeCallContext<'_>, m: &mut Message| {
            see(&call, m, "date", |m| m.0.scene.header.date().map_or(0, |date| date.as_second()))
        })
        .register_get("message_id", |call: NativeCallContext<'_>, m: &mut Message| {
            see(&call, m, "message-id", |m| {
                m.0.scene.header.message_id().map_or_else(ImmutableString::new, ImmutableString::from)
            })
        });
}

fn register_authors(engine: &mut Engine) {
    engine
        .register_get("from", |call: NativeCallContext<'_>, m: &mut Message| {
            see(&call, m, "from", |m| m.from().addresses.clone())
        })
        .register_get("from_is_group", |call: NativeCallContext<'_>, m: &mut Message| {
            see(&call, m, "from", |m| m.from().grouped)
        })
        .register_get("from_is_ambiguous", |call: NativeCallContext<'_>, m: &mut Message| {
            see(&call, m, "from", |m| m.from().ambiguous)
        });
}

fn register_any_field(engine: &mut Engine) {
    engine
        .register_get("header_size", |m: &mut Message| {
            let scene = &m.0.scene;
            count(scene.partial.as_ref().map_or(scene.header.len() as u64, |partial| partial.size))
        })
        .register_get("received_count", |m: &mut Message| {
            let scene = &m.0.scene;
            let received = || scene.header.count("received") as u64;
            count(scene.partial.as_ref().map_or_else(received, |partial| partial.received))
        })
        .register_get("header_names", |call: NativeCallContext<'_>, m: &mut Message| header_names(&call, m))
        .register_fn("header", |call: NativeCallContext<'_>, m: &mut Message, name: ImmutableString| {
            see(&call, m, &name, |m| {
                let first = m.0.scene.header.named(&name).next();
                first.map_or_else(ImmutableString::new, |field| field.decoded().into())
            })
        })
        .register_fn("headers", |call: NativeCallContext<'_>, m: &mut Message, name: ImmutableString| {
            let decoded = |m: &Message| -> Array {
                m.0.scene.header.named(&name).map(|field| Dynamic::from(field.decoded())).collect()
            };
            see(&call, m, &name, decoded)
        })
        .register_fn("raw_headers", |call: NativeCallContext<'_>, m: &mut Message, name: ImmutableString| {
            let raw = |m: &Message| -> Array {
                let fields = m.0.scene.header.named(&name);
                fields.map(|field| String::from_utf8_lossy(field.raw_value()).into_owned().into()).collect()
            };
            see(&call, m, &name, raw)
        })
        .register_fn("header_count", |call: NativeCallContext<'_>, m: &mut Message, name: ImmutableString| {
            see(&call, m, &name, |m| count(m.0.scene.header.count(&name) as u64))
        })
        .register_fn("repeated_headers", |call: NativeCallContext<'_>, m: &mut Message, names: Array| {
            repeated(&call, m, names)
        });
}

/// Those of the names of which there is more than one field.
fn repeated(call: &NativeCallContext<'_>, message: &Message, names: Array) -> Seen<Array> {
    let mut repeated = Array::new();
    for name in names {
        let Ok(text) = name.clone().into_immutable_string() else {
            return Err(fault(call, format!("a {} is no name of a field", name.type_name())));
        };
        if see(call, message, &text, |message| message.0.scene.header.count(&text) > 1)? {
            repeated.push(name);
        }
    }
    Ok(repeated)
}

fn register_results(engine: &mut Engine) {
    engine
        .register_get("spf", |call: NativeCallContext<'_>, _: &mut Message| spf(&call, Question::Spf))
        .register_get("dkim", |call: NativeCallContext<'_>, _: &mut Message| dkim(&call))
        .register_get("dmarc", |call: NativeCallContext<'_>, _: &mut Message| dmarc(&call))
        .register_get("arc", |call: NativeCallContext<'_>, _: &mut Message| arc(&call));
    engine
        .register_type_with_name::<Dkim>("Dkim")
        .register_get("result", |d: &mut Dkim| d.part(|dkim| dkim.result.name()))
        .register_get("domain", |d: &mut Dkim| d.part(|dkim| &dkim.domain))
        .register_get("selector", |d: &mut Dkim| d.part(|dkim| &dkim.selector))
        .register_get("algorithm", |d: &mut Dkim| d.part(|dkim| dkim.algorithm))
        .register_get("bits", |d: &mut Dkim| d.bits())
        .register_get("identity", |d: &mut Dkim| d.part(|dkim| &dkim.identity))
        .register_get("canonicalization", |d: &mut Dkim| d.part(|dkim| &dkim.canonicalization))
        .register_get("fields", |d: &mut Dkim| d.fields())
        .register_get("signature", |d: &mut Dkim| d.part(|dkim| &dkim.signature))
        .register_get("signed_at", |d: &mut Dkim| d.time(|dkim| dkim.signed_at))
        .register_get("expires_at", |d: &mut Dkim| d.time(|dkim| dkim.expires_at))
        .register_get("lookups", |d: &mut Dkim| d.lookups())
        .register_get("reason", |d: &mut Dkim| d.part(|dkim| dkim.reason));
    engine
        .register_type_with_name::<Dmarc>("Dmarc")
        .register_get("result", |d: &mut Dmarc| text(d.0.result.name()))
        .register_get("policy", |d: &mut Dmarc| text(d.0.policy.name()))
        .register_get("domain", |d: &mut Dmarc| text(&d.0.domain))
        .register_get("testing", |d: &mut Dmarc| d.0.testing)
        .register_get("record", |d: &mut Dmarc| text(&d.0.record))
        .register_get("lookups", |d: &mut Dmarc| lookups(&d.0.lookups))
        .register_get("reason", |d: &mut Dmarc| text(d.0.reason));
    engine
        .register_type_with_name::<Chain>("Arc")
        .register_get("result", |c: &mut Chain| text(c.0.result.name()))
        .register_get("reason", |c: &mut Chain| text(c.0.reason))
        .register_get("sealers", |c: &mut Chain| -> Array {
            c.0.sealers.iter().map(|sealer| Dynamic::from(text(sealer))).collect()
        })
        .register_get("trusted", |c: &mut Chain| c.0.trusted)
        .register_get("lookups", |c: &mut Chain| lookups(&c.0.lookups))
        .register_get("original_dmarc", |c: &mut Chain| text(&c.0.original_dmarc));
}

impl Dkim {
    fn bits(&self) -> i64 {
        self.0.get(self.1).map_or(0, |dkim| i64::from(dkim.bits))
    }

    fn time(&self, of: impl Fn(&results::Dkim) -> u64) -> i64 {
        self.0.get(self.1).map_or(0, |dkim| count(of(dkim)))
    }

    fn fields(&self) -> Array {
        let names = self.0.get(self.1).map(|dkim| dkim.fields.as_slice()).unwrap_or_default();
        names.iter().map(|name| Dynamic::from(text(name))).collect()
    }

    fn lookups(&self) -> Array {
        self.0.get(self.1).map(|dkim| lookups(&dkim.lookups)).unwrap_or_default()
    }

    fn part(&self, of: impl Fn(&results::Dkim) -> &str) -> ImmutableString {
        self.0.get(self.1).map_or_else(ImmutableString::new, |dkim| text(of(dkim)))
    }
}

fn dkim(call: &NativeCallContext<'_>) -> Result<Array, Box<EvalAltResult>> {
    let Answer::Dkim(all) = Turn::of(call)?.fact(call, Question::Dkim)? else { return Ok(Array::new()) };
    Ok((0..all.len()).map(|index| Dynamic::from(Dkim(Arc::clone(&all), index))).collect())
}

fn dmarc(call: &NativeCallContext<'_>) -> Result<Dmarc, Box<EvalAltResult>> {
    let known = Turn::of(call)?.fact(call, Question::Dmarc)?;
    Ok(Dmarc(if let Answer::Dmarc(dmarc) = known { dmarc } else { Arc::new(broken_dmarc()) }))
}

fn arc(call: &NativeCallContext<'_>) -> Result<Chain, Box<EvalAltResult>> {
    let known = Turn::of(call)?.fact(call, Question::Arc)?;
    Ok(Chain(if let Answer::Arc(chain) = known { chain } else { Arc::default() }))
}

/// An answer of another kind than the question: nothing is known.
fn broken_dmarc() -> results::Dmarc {
    results::Dmarc { result: results::CheckResult::TempError, ..results::Dmarc::default() }
}

fn array(found: Addresses) -> Array {
    let addresses = found.list.into_iter();
    addresses
        .map(|one| scene::Address::of_header(&one.local_part, &one.domain, &one.display))
        .map(|address| Dynamic::from(Address::new(address)))
        .collect()
}

/// Every name once, in lower case, in the order of the header.
fn header_names(call: &NativeCallContext<'_>, message: &Message) -> Seen<Array> {
    if message.0.scene.partial.is_some() {
        return Err(
            Turn::of(call)?.stop(call, Stop::Unknown("the names of all fields of the header".to_owned()))
        );
    }
    let mut seen = std::collections::HashSet::new();
    let names = message.0.scene.header.fields().map(|field| field.name());
    Ok(names.filter(|name| seen.insert(*name)).map(|name| Dynamic::from(text(name))).collect())
}
