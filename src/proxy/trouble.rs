//! Trouble that is not the client's: where a failure becomes a refusal.

use crate::quarantine::StoreError;
use crate::session::stage::{Reason, Refusal, Said, Source};
use crate::smtp::reply::{Code, EnhancedCode, Reply};
use crate::upstream::{Failure, Fault, FaultKind, Refused};

/// Ran out of the time that the client has for its command.
pub(super) fn out_of_time() -> Refusal {
    Refusal {
        reply: Reply::new(
            Code::literal::<451>(),
            Some(EnhancedCode::new(4, 4, 1)),
            "this took too long: try again later",
        ),
        reason: Reason::new(Source::Internal, "out-of-time"),
    }
}

/// What is heard of a login that could not be brought before the upstream (RFC 4954 6).
fn no_login(reason: Reason) -> Refusal {
    let enhanced = EnhancedCode::new(4, 7, 0);
    let text = "the login cannot be checked now: try again later";
    Refusal { reply: Reply::new(Code::literal::<454>(), Some(enhanced), text), reason }
}

/// Why the upstream gave no answer to AUTH.
pub(super) fn login(failure: Failure) -> Refusal {
    match failure {
        refused @ Failure::Refused(_) => refusal(refused),
        ours => no_login(refusal(ours).reason),
    }
}

/// AUTH ran out of the time that the client has for it.
pub(super) fn login_out_of_time() -> Refusal {
    no_login(out_of_time().reason)
}

/// The upstream does not have the recipients whom the client was told that it has.
pub(super) fn other_recipients() -> Refusal {
    refusal(Fault::new(FaultKind::Replay, "its recipients are not those that were accepted").into())
}

/// A policy wants mail kept, and there is no place for it. What is loaded together is checked together, so that this is seen
/// only when a policy is reloaded under a configuration that was not.
pub(super) fn no_quarantine() -> Refusal {
    let text = "the message cannot be handled as configured: try again later";
    let reply = Reply::new(Code::literal::<451>(), Some(EnhancedCode::new(4, 3, 5)), text);
    Refusal { reply, reason: Reason::new(Source::Internal, "no-quarantine") }
}

/// The quarantine cannot take a message.
pub(super) fn quarantine(error: &StoreError) -> Refusal {
    let (code, detail, text, rule) = match error {
        StoreError::NoSpace(_) => {
            (Code::literal::<452>(), 1, "no space for the message: try again later", "quarantine-full")
        }
        _ => (Code::literal::<451>(), 0, "cannot keep the message: try again later", "quarantine-error"),
    };
    let reply = Reply::new(code, Some(EnhancedCode::new(4, 3, detail)), text);
    Refusal { reply, reason: Reason::new(Source::Internal, rule).with_detail(error.to_string()) }
}

/// The recipients that a policy ordered cannot all have the message: nobody gets it.
pub(super) fn changed_recipients(failure: &Failure) -> Refusal {
    changed("changed-recipients", failure.to_string())
}

/// The recipients that a policy ordered belong to several upstreams, and one reply would have to speak for all.
pub(super) fn changed_route() -> Refusal {
    changed("changed-route", "a policy's changes spread the message over several upstreams".to_owned())
}

fn changed(rule: &str, detail: String) -> Refusal {
    let text = "the message cannot be delivered as ordered here: try again later";
    let reply = Reply::new(Code::literal::<451>(), Some(EnhancedCode::new(4, 3, 5)), text);
    Refusal { reply, reason: Reason::new(Source::Internal, rule).with_detail(detail) }
}

/// `refusal` as the end of the session. What the upstream said stays as it is but for the code.
pub(super) fn closing(refusal: Refusal) -> Refusal {
    let enhanced = refusal.reply.enhanced().filter(|enhanced| enhanced.class == 4);
    let enhanced = enhanced.or(Some(EnhancedCode::new(4, 4, 2)));
    let reply = Reply::new(Code::literal::<421>(), enhanced, &refusal.reply.lines().join("\n"));
    let Refusal { reply: said, mut reason } = refusal;
    if reason.source == Source::Upstream && reason.said.is_none() {
        reason.said = Some(Box::new(Said::Upstream(said)));
    }
    Refusal { reply, reason }
}

/// What the client hears when the upstream said no, or could not say anything.
pub(super) fn refusal(failure: Failure) -> Refusal {
    let reply = failure.reply();
    let reason = match failure {
        Failure::Refused(Refused { step, said, .. }) => {
            let said = said.map(|said| Box::new(Said::Upstream(*said)));
            Reason { said, ..Reason::new(Source::Upstream, step) }
        }
        Failure::Withdrawn(need) => {
            Reason::new(Source::Internal, need.rule()).with_detail("the upstream offered it before")
        }
        Failure::Fault(fault) => Reason::new(Source::Internal, fault.kind.name()).with_detail(fault.detail),
    };
    Refusal { reply, reason }
}
