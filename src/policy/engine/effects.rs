//! `note`, `tag`, `skip`, `score`, `limit_size`, `tarpit`, `override_dmarc` and header edits: what is ordered and ends nothing.

use std::any::TypeId;
use std::sync::Arc;

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::judgement::{Action, Applied, HeaderEdit, Mode, RuleEvent, Withheld};
use super::super::memory::{Note, NoteValue, Score, SizeLimit};
use super::super::turn::{State, Turn, fault, too_large};
use super::super::words;
use super::message::Message;
use super::verdicts::note_event;
use crate::message::edit::{FieldError, NewField};
use crate::units;

type Said = Result<(), Box<EvalAltResult>>;

/// The longest value of a note, in octets.
const MAX_NOTE: usize = 1_024;
/// The longest name and value of a tag together, in octets.
const MAX_TAG: usize = 256;
/// Names in one `skip`.
const MAX_SKIPS: usize = 8;
/// Header edits of one turn.
const MAX_EDITS: usize = 256;
/// The most points that a rule may give or take.
const MAX_SCORE: f64 = 1e6;

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
    for_numbers(engine);
    engine.register_fn("tarpit", |call: NativeCallContext<'_>, time: ImmutableString| tarpit(&call, &time));
    engine.register_fn("override_dmarc", |call: NativeCallContext<'_>, reason: ImmutableString| {
        override_dmarc(&call, &reason)
    });
    register_skip(engine);
    register_header_edits(engine);
}

/// `score` takes a whole number or another.
fn for_numbers(engine: &mut Engine) {
    engine.register_fn("score", |call: NativeCallContext<'_>, rule: ImmutableString, points: i64| {
        score(&call, &rule, points as f64)
    });
    engine.register_fn("score", |call: NativeCallContext<'_>, rule: ImmutableString, points: f64| {
        score(&call, &rule, points)
    });
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
        Mode::Enforce => {
            apply(&mut state)?;
            state.draft.order(&policy.name, effect());
            Ok(())
        }
        Mode::Off => Ok(()),
        Mode::Shadow => {
            withhold(&mut state, &policy.name, effect(), None);
            Ok(())
        }
    }
}

/// The same for an effect that is counted, and found in the journal.
pub(super) fn order_counted(
    call: &NativeCallContext<'_>,
    action: Action,
    effect: impl FnOnce() -> String,
    apply: impl FnOnce(&mut State) -> Said,
) -> Said {
    let turn = Turn::of(call)?;
    let Some(policy) = turn.policy() else { return Ok(()) };
    let place = turn.place(call);
    let mut state = turn.state();
    match policy.mode {
        Mode::Enforce => {
            apply(&mut state)?;
            let effect = effect();
            state.draft.order(&policy.name, effect.clone());
            let applied = Applied { by: Arc::clone(&policy.name), action, effect, place };
            if !state.draft.applied.contains(&applied) && state.draft.applied.len() < MAX_EDITS {
                state.draft.applied.push(applied);
            }
        }
        Mode::Off => {}
        Mode::Shadow => withhold(&mut state, &policy.name, effect(), Some(action)),
    }
    Ok(())
}

/// An effect in the name of a rule: notes down that it fired, and gives its full name if it is enforced.
pub(super) fn rule_speaks(
    call: &NativeCallContext<'_>,
    rule: &str,
    action: Action,
) -> Result<Option<(Turn, Arc<str>)>, Box<EvalAltResult>> {
    let turn = Turn::of(call)?;
    let Some((rule, mode)) = turn.rule(rule) else {
        return Err(fault(call, format!("no rule `{rule}` is known here")));
    };
    if mode != Mode::Off {
        let place = turn.place(call);
        note_event(&turn, RuleEvent { rule: Arc::clone(&rule), action, mode, place, after: None });
    }
    Ok((mode == Mode::Enforce).then_some((turn, rule)))
}

/// Notes down what a policy or rule in shadow would have ordered, once.
pub(super) fn withhold(state: &mut State, by: &Arc<str>, effect: String, action: Option<Action>) {
    let withheld = Withheld { by: Arc::clone(by), effect, action };
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
    if !words::is_tag(name) || value.chars().any(char::is_control) {
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
        Mode::Enforce => {
            let mut state = turn.state();
            state.draft.order(&rule, format!("limit_size {octets}"));
            state.draft.scope.put_limit(SizeLimit { octets, rule, place });
        }
        Mode::Shadow => {
            let mut state = turn.state();
            withhold(&mut state, &rule, format!("limit_size {octets}"), None);
            state.draft.scope.put_shadow_limit(SizeLimit { octets, rule, place });
        }
    }
    Ok(())
}

/// Scores in shadow are real, but only policies in shadow see them: an experiment is not to feed an enforced rule.
fn score(call: &NativeCallContext<'_>, rule: &str, points: f64) -> Said {
    if !(-MAX_SCORE..=MAX_SCORE).contains(&points) {
        return Err(fault(call, "a score is a number from -1000000 to 1000000"));
    }
    let turn = Turn::of(call)?;
    let Some((id, mode)) = turn.rule(rule).filter(|(_, mode)| *mode != Mode::Off) else {
        return Ok(());
    };
    rule_speaks(call, rule, Action::Score)?;
    let mut state = turn.state();
    if mode == Mode::Enforce {
        state.draft.order(&id, format!("score {points}"));
    }
    state.draft.scope.put_score(Score { rule: id, points, shadow: mode == Mode::Shadow });
    Ok(())
}

/// How long it is bounded to where it is done; here only what is no time at all is refused.
fn tarpit(call: &NativeCallContext<'_>, time: &str) -> Said {
    let time = units::parse_duration(time)
        .map_err(|_| fault(call, format!("`{}` is no duration such as 5s", time.escape_debug())))?;
    order_counted(
        call,
        Action::Tarpit,
        || format!("tarpit {}", units::duration_text(time)),
        |state| {
            let tarpit = &mut state.draft.effects.tarpit;
            *tarpit = (*tarpit).max(Some(time));
            Ok(())
        },
    )
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
