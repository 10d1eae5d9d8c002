//! The functions that a policy may have, one for each stage.

use super::{Parameter, Type, object, p, words};
use crate::session::stage::{Stage, Violation};

const SESSION: Parameter = p("session", object("Session"));
const MAIL: Parameter = p("mail", object("Mail"));
const RCPT: Parameter = p("rcpt", object("Rcpt"));
const MESSAGE: Parameter = p("message", object("Message"));
const EVENTS: &[&str] = &[
    Violation::Pregreet.name(),
    Violation::Pipelining.name(),
    Violation::EarlyCommands.name(),
    Violation::ForeignCommand.name(),
    Violation::TooManyErrors.name(),
    Violation::JunkCommands.name(),
    Violation::AuthFailed.name(),
];

/// What `violation(session, event)` may be told.
pub(super) const EVENT: Type = words(EVENTS);

/// The parameters of a stage's function.
pub(in super::super) const fn parameters(stage: Stage) -> &'static [Parameter] {
    match stage {
        Stage::Connect | Stage::Helo | Stage::Auth | Stage::Close => const { &[SESSION] },
        Stage::Mail | Stage::Data => const { &[SESSION, MAIL] },
        Stage::Rcpt => const { &[SESSION, MAIL, RCPT] },
        Stage::Message => const { &[SESSION, MAIL, MESSAGE] },
        Stage::Violation => const { &[SESSION, p("event", EVENT)] },
    }
}

/// When the stage's function is asked.
pub(super) const fn doc(stage: Stage) -> &'static str {
    match stage {
        Stage::Connect => "Before the banner.",
        Stage::Helo => "At HELO and EHLO, again after STARTTLS.",
        Stage::Auth => "When the upstream has accepted a login; a refusal takes it back.",
        Stage::Mail => "At MAIL FROM.",
        Stage::Rcpt => "At each RCPT TO.",
        Stage::Data => "At DATA or the first BDAT, before the body.",
        Stage::Message => "When the whole message is there.",
        Stage::Violation => "When the client broke the protocol, or a login of its was refused.",
        Stage::Close => "At the end of the session; nothing can be refused any more.",
    }
}
