//! `note`, `tag`, `skip`, `limit_size`, `override_dmarc` and header edits: what is ordered and ends nothing.

use std::any::TypeId;
use std::sync::Arc;

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::judgement::{HeaderEdit, Mode, Withheld};
use super::super::memory::{Note, NoteValue, SizeLimit};
use super::super::turn::{State, Turn, fault, too_large};
use super::message::Message;
use crate::message::edit::{FieldError, NewField};

type Said = Result<(), Box<EvalAltResult>>;

/// The longest value of a note, in octets.
const MAX_NOTE: usize = 1_024;
/// The longest name and value of a tag together, in octets.
const MAX_TAG: usize = 256;
/// Names in one `skip`.
const MAX_SKIPS: usize = 8;
/// Header edits of one turn.
const MAX_EDITS: usize = 256;

pub(super) fn register(engine: &mut Engine) {
    engine.register_fn("note", |call: NativeCallContext<'_>, key: ImmutableString, value: Dynamic| {
        note(&call, &key, &value)
    });
    engine.register_fn(
        "tag",
        |call: NativeCallContext<'_>, name: ImmutableString, value: ImmutableString| {
            tag(&call, &name, &value)
        },
    );
    engine.register_fn("limit_size", |call: NativeCallContext<'_>, rule: ImmutableString, octets: i64| {
        limit_size(&call, &rule, octets)
    });
    engine.register_fn("override_dmarc", |call: NativeCallContext<'_>, reason: ImmutableString| {
        override_dmarc(&call, &reason)
    });
    register_skip(engine);
    register_header_edits(engine);
}

/// `skip` takes one to eight names.
fn register_skip(engine: &mut Engine) {
    for count in 1..=MAX_SKIPS {
        let types = vec![TypeId::of::<ImmutableString>(); count];
        engine.register_raw_fn("skip", types, |call, names| {
            let names: Vec<ImmutableString> = names
                .iter()
                .filter_map(|name| name.as_immutable_string_ref().ok().map(|name| name.clone()))
                .collect();
            skip(&call, &names)
        });
    }
}

fn register_header_edits(engine: &mut Engine) {
    engine.register_fn(
        "prepend_header",
        |call: NativeCallContext<'_>, _: &mut Message, name: ImmutableString, text: ImmutableString| {
            edit_header(&call, "prepend_header", &name, NewField::text(&name, &text).map(HeaderEdit::Prepend))
        },
    );
    engine.register_fn(
        "append_header",
        |call: NativeCallContext<'_>, _: &mut Message, name: ImmutableString, text: ImmutableString| {
            edit_header(&call, "append_header", &name, NewField::text(&name, &text).map(HeaderEdit::Append))
        },
    );
    engine.register_fn(
        "remove_header",
        |call: NativeCallContext<'_>, _: &mut Message, name: ImmutableString| {
            edit_header(&call, "remove_header", &name, Ok(HeaderEdit::Remove(name.to_lowercase())))
        },
    );
}

/// Applies an effect without a rule as the policy's mode says: now, not at all, or in words only.
fn order(
    call: &NativeCallContext<'_>,
    effect: impl FnOnce() -> String,
    apply: impl FnOnce(&mut State) -> Said,
) -> Said {
    let turn = Turn::of(call)?;
    let mode = turn.mode();
    let Some(policy) = turn.policy() else { return Ok(()) };
    let mut state = turn.state();
    match mode {
        Mode::Enforce => apply(&mut state),
        Mode::Off => Ok(()),
        Mode::Shadow => {
            withhold(&mut state, &policy.name, effect());
            Ok(())
        }
    }
}

/// Notes down what a policy or rule in shadow would have ordered, once.
fn withhold(state: &mut State, by: &Arc<str>, effect: String) {
    let withheld = Withheld { by: Arc::clone(by), effect };
    let all = &mut state.draft.withheld;
    if !all.contains(&withheld) && all.len() < MAX_EDITS {
        all.push(withheld);
    }
}

/// Notes of a policy in shadow are real, but only policies in shadow see them.
fn note(call: &NativeCallContext<'_>, key: &str, value: &Dynamic) -> Said {
    let turn = Turn::of(call)?;
    let mode = turn.mode();
    let Some(policy) = turn.policy().filter(|_| mode != Mode::Off) else { return Ok(()) };
    let Some(value) = note_value(value) else {
        return Err(fault(call, "a note is a text, a number, or true or false"));
    };
    if key.len() > MAX_NOTE || matches!(&value, NoteValue::Text(text) if text.len() > MAX_NOTE) {
        return Err(too_large(call, "note"));
    }
    let note = Note { key: format!("{}.{key}", policy.name), value, shadow: mode == Mode::Shadow };
    if turn.state().draft.scope.put_note(note) { Ok(()) } else { Err(too_large(call, "notes")) }
}

fn note_value(value: &Dynamic) -> Option<NoteValue> {
    if let Ok(text) = value.as_immutable_string_ref() {
        return Some(NoteValue::Text(text.to_string()));
    }
    let number = value.as_int().map(NoteValue::Integer).or_else(|_| value.as_float().map(NoteValue::Float));
    number.or_else(|_| value.as_bool().map(NoteValue::Bool)).ok()
}

fn tag(call: &NativeCallContext<'_>, name: &str, value: &str) -> Said {
    let is_token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !is_token || value.chars().any(char::is_control) {
        return Err(fault(
            call,
            "a tag's name has letters, digits, `-`, `_`, `.`; its value no control characters",
        ));
    }
    if name.len() + value.len() > MAX_TAG {
        return Err(too_large(call, "tag"));
    }
    order(
        call,
        || format!("tag {name}={value}"),
        |state| {
            let kept = state.draft.scope.put_tag(name.to_owned(), value.to_owned());
            if kept { Ok(()) } else { Err(too_large(call, "tags")) }
        },
    )
}

fn skip(call: &NativeCallContext<'_>, names: &[ImmutableString]) -> Said {
    order(
        call,
        || format!("skip {}", names.join(", ")),
        |state| {
            for name in names {
                state.draft.scope.put_skip(name.as_str().into());
            }
            Ok(())
        },
    )
}

fn limit_size(call: &NativeCallContext<'_>, rule: &str, octets: i64) -> Said {
    let turn = Turn::of(call)?;
    let Some((rule, mode)) = turn.rule(rule) else {
        return Err(fault(call, format!("no rule `{rule}` is known here")));
    };
    let octets = u64::try_from(octets).map_err(|_| fault(call, "a size is not negative"))?;
    let place = turn.place(call);
    match mode {
        Mode::Off => {}
        Mode::Enforce => turn.state().draft.scope.put_limit(SizeLimit { octets, rule, place }),
        Mode::Shadow => withhold(&mut turn.state(), &rule, format!("limit_size {octets}")),
    }
    Ok(())
}

fn override_dmarc(call: &NativeCallContext<'_>, reason: &str) -> Said {
    order(
        call,
        || format!("override_dmarc {reason}"),
        |state| {
            state.draft.effects.dmarc_override = Some(reason.to_owned());
            Ok(())
        },
    )
}

fn edit_header(
    call: &NativeCallContext<'_>,
    word: &str,
    name: &str,
    edit: Result<HeaderEdit, FieldError>,
) -> Said {
    let edit = edit.map_err(|error| fault(call, error.to_string()))?;
    order(
        call,
        || format!("{word} {name}"),
        |state| {
            if state.draft.effects.headers.len() >= MAX_EDITS {
                return Err(too_large(call, "header edits"));
            }
            state.draft.effects.headers.push(edit);
            Ok(())
        },
    )
}
