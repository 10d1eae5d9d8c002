//! Why a script failed, and where, out of what Rhai says.

use rhai::{Dynamic, EvalAltResult, Position};

use super::engine::Size;
use super::judgement::{FaultKind, ScriptFault};
use super::policies::Policy;
use super::turn::{Fault, Stop};
use crate::session::stage::Stage;

/// The longest message, in characters: it may hold text of the client's.
const MAX_MESSAGE: usize = 400;

/// The fault behind an error of Rhai's.
pub(super) fn of_error(policy: &Policy, error: EvalAltResult) -> ScriptFault {
    let mut file = policy.file.to_string();
    let mut error = error;
    let mut position = error.position();
    while let EvalAltResult::ErrorInFunctionCall(_, source, inner, _) = error {
        error = *inner;
        if !error.position().is_none() {
            position = error.position();
            file = if source.is_empty() { file } else { source };
        }
    }
    let kind = kind(&error);
    fault(policy, kind, place(&file, position), &message(&mut error))
}

/// A budget of Rhai's is used up, and nothing says where the script was but at which stage.
pub(super) fn spent(policy: &Policy, stage: Stage, kind: FaultKind) -> ScriptFault {
    exhausted(policy, stage, kind, used_up(kind))
}

/// A budget is used up. The place is that of the stage's function.
pub(super) fn exhausted(policy: &Policy, stage: Stage, kind: FaultKind, message: &str) -> ScriptFault {
    fault(policy, kind, place(&policy.file, policy.compiled.begin(stage)), message)
}

/// A function of the host's panicked. The place is that of the stage's function.
pub(super) fn panicked(policy: &Policy, stage: Stage) -> ScriptFault {
    let message = "a function of Gatepost's own panicked; please report it";
    exhausted(policy, stage, FaultKind::Panic, message)
}

fn fault(policy: &Policy, kind: FaultKind, place: String, message: &str) -> ScriptFault {
    let message = message.chars().take(MAX_MESSAGE).collect();
    ScriptFault { policy: policy.name.clone(), kind, place, message }
}

fn kind(error: &EvalAltResult) -> FaultKind {
    match error {
        EvalAltResult::ErrorTerminated(stop, _) => budget(stop).unwrap_or(FaultKind::Time),
        EvalAltResult::ErrorTooManyOperations(_) => FaultKind::Operations,
        EvalAltResult::ErrorDataTooLarge(..) | EvalAltResult::ErrorTooManyVariables(_) => FaultKind::Size,
        EvalAltResult::ErrorStackOverflow(_) => FaultKind::Depth,
        EvalAltResult::ErrorRuntime(thrown, _) => match thrown.read_lock::<Fault>() {
            Some(fault) => fault.kind,
            None if Size::of(thrown).is_too_large() => FaultKind::Size,
            None => FaultKind::Thrown,
        },
        _ => FaultKind::Script,
    }
}

/// The budget that a stopped script has used up.
fn budget(stop: &Dynamic) -> Option<FaultKind> {
    match *stop.read_lock::<Stop>()? {
        Stop::Spent(kind) => Some(kind),
        _ => None,
    }
}

const fn used_up(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Operations => "the operations are used up",
        FaultKind::Size => "an array or a map is too large",
        _ => "the time budget is used up",
    }
}

/// The error in words, without its place.
fn message(error: &mut EvalAltResult) -> String {
    _ = error.take_position();
    match error {
        EvalAltResult::ErrorRuntime(thrown, _) => match thrown.read_lock::<Fault>() {
            Some(fault) => fault.message.clone(),
            None if Size::of(thrown).is_too_large() => used_up(FaultKind::Size).to_owned(),
            None => thrown.to_string(),
        },
        EvalAltResult::ErrorTooManyOperations(_) => used_up(FaultKind::Operations).to_owned(),
        EvalAltResult::ErrorTerminated(stop, _) if budget(stop).is_some() => used_up(kind(error)).to_owned(),
        other => other.to_string(),
    }
}

fn place(file: &str, position: Position) -> String {
    match (position.line(), position.position()) {
        (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
        (Some(line), None) => format!("{file}:{line}"),
        _ => file.to_owned(),
    }
}
