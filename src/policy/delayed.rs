//! Refusals of `connect`, `helo` and `mail` that wait for a recipient (`policies.refuse_at: rcpt`), as Postfix's
//! `smtpd_delay_reject` does it: sender and recipient are in the log, and exceptions for recipients hold.
//!
//! A refusal that nothing about a recipient could soften is final: nobody is asked any more until it is said. One that an exception
//! or a domain's wish could soften is kept, and the policies behind it are asked as if it were in shadow. At each RCPT the oldest
//! that is not softened for this recipient speaks, before the policies of that stage.

use std::sync::Arc;

use super::judgement::{Action, Mode, RuleEvent, ScriptFault};
use super::memory::Kept;
use super::policies::{Policies, Policy};
use super::rulings;
use super::scene::{Moment, Scene};
use super::turn::{Ruling, Turn};
use crate::session::stage::{Refusal, Stage, Verdict};

/// A refusal that waits.
#[derive(Clone, Debug)]
pub(super) struct Delayed {
    /// The policy that refuses.
    policy: Arc<str>,
    /// What its rule does; `None` where it failed.
    action: Option<Action>,
    /// What the client will hear.
    verdict: Verdict,
    /// Nothing about a recipient can soften it.
    is_final: bool,
}

impl Delayed {
    /// A rule's refusal at `stage`.
    pub(super) fn of_rule(stage: Stage, policy: &Policy, ruling: Ruling, is_final: bool) -> Self {
        let action = Some(ruling.action);
        let verdict = said_later(stage, rulings::verdict(Stage::Rcpt, ruling));
        Self { policy: Arc::clone(&policy.name), action, verdict, is_final }
    }

    /// The refusal of a policy that failed at `stage`.
    pub(super) fn of_failure(stage: Stage, policy: &Policy, fault: &ScriptFault, is_final: bool) -> Self {
        let verdict = said_later(stage, rulings::failure(Stage::Rcpt, fault));
        Self { policy: Arc::clone(&policy.name), action: None, verdict, is_final }
    }

    /// The rule that refuses, or the policy that failed.
    pub(super) fn by(&self) -> &Arc<str> {
        self.rule().unwrap_or(&self.policy)
    }

    /// Whether both are one rule's, or one policy's.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.rule() == other.rule()
    }

    /// The mode that it has for the recipient of `turn`.
    fn mode(&self, turn: &Turn) -> Mode {
        match (self.is_final, self.action, self.rule()) {
            (true, _, _) => Mode::Enforce,
            (false, Some(_), Some(rule)) => turn.mode_now(&self.policy, rule),
            (false, _, _) => turn.mode_of_failure(&self.policy),
        }
    }

    fn refusal(&self) -> Option<&Refusal> {
        match &self.verdict {
            Verdict::Refuse(refusal) | Verdict::Disconnect(refusal) => Some(refusal),
            Verdict::Pass | Verdict::Discard(_) | Verdict::Quarantine(_) => None,
        }
    }

    fn rule(&self) -> Option<&Arc<str>> {
        self.refusal().map(|refusal| &refusal.reason.rule)
    }

    /// That its rule fired, in the mode that it has for the recipient.
    fn event(&self, mode: Mode) -> Option<RuleEvent> {
        let reason = &self.refusal()?.reason;
        let place = reason.place.clone().unwrap_or_default();
        Some(RuleEvent { rule: Arc::clone(&reason.rule), action: self.action?, mode, place, after: None })
    }
}

/// The verdict with a word for the log about the stage that it comes from.
fn said_later(stage: Stage, mut verdict: Verdict) -> Verdict {
    if let Verdict::Refuse(refusal) | Verdict::Disconnect(refusal) = &mut verdict {
        let detail = &mut refusal.reason.detail;
        let before = std::mem::take(detail);
        *detail = if before.is_empty() {
            format!("found at {stage}")
        } else {
            format!("found at {stage}: {before}")
        };
    }
    verdict
}

/// The policies to ask about `scene`: none where what was refused before is only to be said yet.
pub(super) fn plan(policies: &Policies, scene: &Scene, kept: &Kept) -> Arc<[usize]> {
    let is_before = matches!(scene.moment, Moment::Helo | Moment::Mail(_));
    if is_before && kept.delayed().any(|delayed| delayed.is_final) {
        return Arc::default();
    }
    policies.plan(&scene.session.listener).at(&scene.moment)
}

/// What was refused before and speaks about the recipient of this turn. What is softened for it leaves its trace.
pub(super) fn recall(turn: &Turn) -> Option<Verdict> {
    if turn.0.stage != Stage::Rcpt {
        return None;
    }
    for delayed in turn.0.kept.delayed() {
        let mode = delayed.mode(turn);
        if mode != Mode::Off {
            turn.state().done.events.extend(delayed.event(mode));
        }
        if mode == Mode::Enforce {
            return Some(delayed.verdict.clone());
        }
    }
    None
}
