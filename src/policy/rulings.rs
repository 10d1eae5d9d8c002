//! What follows from a ruling or a failure: the verdict with its reply and its reason.

use super::judgement::{Action, ScriptFault};
use super::turn::Ruling;
use super::words;
use crate::session::stage::{Reason, Refusal, Source, Stage, Verdict};
use crate::smtp::reply::{Code, EnhancedCode, Reply};

/// What an enforced rule says at `stage`.
pub(super) fn verdict(stage: Stage, ruling: Ruling) -> Verdict {
    let reason = Reason {
        source: Source::Policy,
        rule: ruling.rule,
        place: Some(ruling.place),
        detail: match ruling.action {
            Action::Discard | Action::Quarantine => ruling.text.clone(),
            _ => String::new(),
        },
        said: None,
    };
    let refusal =
        |reason| Refusal { reply: reply(stage, ruling.code, ruling.enhanced, &ruling.text), reason };
    match ruling.action {
        Action::Discard => Verdict::Discard(reason),
        Action::Quarantine => Verdict::Quarantine(reason),
        Action::Disconnect => Verdict::Disconnect(refusal(reason)),
        // Whatever else there is is no verdict.
        _ => Verdict::Refuse(refusal(reason)),
    }
}

/// What the client hears when a policy failed: try again later.
pub(super) fn failure(stage: Stage, fault: &ScriptFault) -> Verdict {
    let reason = Reason {
        source: Source::Policy,
        rule: format!("{}.{}", fault.policy, words::ERROR_RULE).into(),
        place: Some(fault.place.as_str().into()),
        detail: format!("{}: {}", fault.kind.name(), fault.message),
        said: None,
    };
    let text = "a policy could not be evaluated, try again later";
    Verdict::Refuse(Refusal { reply: reply(stage, 451, EnhancedCode::new(4, 7, 0), text), reason })
}

fn reply(stage: Stage, code: u16, enhanced: EnhancedCode, text: &str) -> Reply {
    const FALLBACK: Code = match Code::new(451) {
        Some(code) => code,
        None => unreachable!(),
    };
    let code = Code::new(words::code_at(stage, code)).unwrap_or(FALLBACK);
    Reply::new(code, Some(words::enhanced_at(stage, enhanced)), text)
}
