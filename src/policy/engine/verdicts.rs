//! `reject`, `defer`, `disconnect`, `discard`, `quarantine`: what ends a script.

use std::sync::Arc;

use rhai::{Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::delayed::Delayed;
use super::super::judgement::{Action, Mode, RuleEvent};
use super::super::policies::{Policy, Rule};
use super::super::turn::{Ruling, Stop, Turn, fault};
use super::super::words;
use crate::smtp::reply::EnhancedCode;

type Said = Result<(), Box<EvalAltResult>>;

pub(super) fn register(engine: &mut Engine) {
    for action in [Action::Reject, Action::Defer, Action::Disconnect] {
        engine.register_fn(
            action.name(),
            move |call: NativeCallContext<'_>, rule: ImmutableString, text: ImmutableString| {
                say(&call, action, &rule, Codes::default(), &text)
            },
        );
        engine.register_fn(
            action.name(),
            move |call: NativeCallContext<'_>,
                  rule: ImmutableString,
                  enhanced: ImmutableString,
                  text: ImmutableString| {
                say(&call, action, &rule, Codes { code: None, enhanced: Some(&enhanced) }, &text)
            },
        );
        engine.register_fn(
            action.name(),
            move |call: NativeCallContext<'_>,
                  rule: ImmutableString,
                  code: i64,
                  enhanced: ImmutableString,
                  text: ImmutableString| {
                say(&call, action, &rule, Codes { code: Some(code), enhanced: Some(&enhanced) }, &text)
            },
        );
    }
    for action in [Action::Discard, Action::Quarantine] {
        engine.register_fn(
            action.name(),
            move |call: NativeCallContext<'_>, rule: ImmutableString, reason: ImmutableString| {
                say(&call, action, &rule, Codes::default(), &reason)
            },
        );
    }
}

/// The codes as the script gave them.
#[derive(Clone, Copy, Default)]
struct Codes<'a> {
    code: Option<i64>,
    enhanced: Option<&'a str>,
}

/// A rule fires: enforced it ends the script, in shadow it is noted down and the script goes on.
fn say(call: &NativeCallContext<'_>, action: Action, rule: &str, codes: Codes<'_>, text: &str) -> Said {
    let turn = Turn::of(call)?;
    let Some((rule, mode)) = turn.rule(rule) else {
        return Err(fault(call, format!("no rule `{rule}` is known here")));
    };
    match mode {
        Mode::Off => Ok(()),
        Mode::Shadow => {
            note_event(&turn, RuleEvent { rule, action, mode, place: turn.place(call), after: None });
            Ok(())
        }
        Mode::Enforce => {
            let ruling = ruling(call, &turn, rule, action, codes, text)?;
            match kept_for_recipient(&turn, ruling) {
                None => Ok(()),
                Some(ruling) => Err(turn.stop(call, Stop::Ruled(ruling))),
            }
        }
    }
}

/// Keeps a refusal that the recipient may soften, and lets the script go on; any other ruling is given back.
fn kept_for_recipient(turn: &Turn, ruling: Ruling) -> Option<Ruling> {
    match turn.policy().filter(|_| turn.delays(ruling.action)) {
        Some(policy) if turn.awaits_recipient(policy, rule_of(policy, &ruling)) => {
            let delayed = Delayed::of_rule(turn.0.stage, policy, ruling, false);
            turn.state().draft.delay(delayed);
            None
        }
        _ => Some(ruling),
    }
}

fn rule_of<'p>(policy: &'p Policy, ruling: &Ruling) -> Option<&'p Rule> {
    policy.rules.values().find(|rule| rule.id == ruling.rule)
}

/// Notes down that a rule fired, once in a run. Behind a verdict in shadow, it would not have had a turn if that were enforced.
pub(super) fn note_event(turn: &Turn, mut event: RuleEvent) {
    let mut state = turn.state();
    let events = &mut state.draft.events;
    if events.iter().any(|old| old.rule == event.rule && old.action == event.action) {
        return;
    }
    event.after = events.iter().find(|old| old.action.is_verdict()).map(|first| first.rule.clone());
    events.push(event);
}

fn ruling(
    call: &NativeCallContext<'_>,
    turn: &Turn,
    rule: Arc<str>,
    action: Action,
    codes: Codes<'_>,
    text: &str,
) -> Result<Ruling, Box<EvalAltResult>> {
    // A CR LF of the client's in a reply would be another reply.
    if text.chars().any(char::is_control) {
        return Err(fault(call, "the text of a reply must not have control characters"));
    }
    let (default_code, default_enhanced) = words::default_codes(action);
    let code = codes.code.map_or(Some(default_code), |code| u16::try_from(code).ok());
    let enhanced = codes.enhanced.map_or(Some(default_enhanced), EnhancedCode::parse);
    let (Some(code), Some(enhanced)) = (code, enhanced) else {
        return Err(fault(call, "this is no reply code or no enhanced code"));
    };
    Ok(Ruling { rule, action, code, enhanced, text: text.to_owned(), place: turn.place(call) })
}
