//! Everything that the session says of its own accord, on one page.
//!
//! What policy or the upstream says passes through here untouched. The texts tell a human at the other end what to do; the
//! rule names tell the operator which sentence it was, and label the metrics.

use super::stage::{Reason, Refusal, Source, Violation};
use crate::smtp::reply::{Code, EnhancedCode, Reply};

/// The code after which the connection closes.
pub(super) const CLOSING: Code = known(421);

/// A refusal whose words never change.
#[derive(Debug)]
pub(super) struct Fixed {
    code: Code,
    enhanced: EnhancedCode,
    text: &'static str,
    source: Source,
    rule: &'static str,
}

impl Fixed {
    const fn protocol(code: u16, detail: u16, rule: &'static str, text: &'static str) -> Self {
        Self::new(code, (5, detail), Source::Protocol, rule, text)
    }

    const fn new(
        code: u16,
        (subject, detail): (u16, u16),
        source: Source,
        rule: &'static str,
        text: &'static str,
    ) -> Self {
        let enhanced = EnhancedCode::new((code / 100) as u8, subject, detail);
        Self { code: known(code), enhanced, text, source, rule }
    }

    pub(super) fn refusal(&self) -> Refusal {
        Refusal {
            reply: Reply::new(self.code, Some(self.enhanced), self.text),
            reason: Reason::new(self.source, self.rule),
        }
    }
}

pub(super) const NEED_HELO: Fixed = Fixed::protocol(503, 1, "need-helo", "say HELO or EHLO first");
pub(super) const NEED_MAIL: Fixed = Fixed::protocol(503, 1, "need-mail", "say MAIL first");
pub(super) const NEED_RCPT: Fixed = Fixed::protocol(503, 1, "need-rcpt", "say RCPT first");
pub(super) const NO_VALID_RCPT: Fixed =
    Fixed::protocol(554, 1, "no-valid-rcpt", "no valid recipients: every one of them was refused");
pub(super) const NESTED_MAIL: Fixed =
    Fixed::protocol(503, 1, "nested-mail", "a transaction is open: say DATA or RSET first");
pub(super) const ALREADY_TLS: Fixed = Fixed::protocol(503, 1, "already-tls", "TLS is active already");
pub(super) const NO_TLS: Fixed = Fixed::protocol(502, 1, "no-tls", "STARTTLS is not offered here");
pub(super) const NO_BODY_TYPE: Fixed =
    Fixed::protocol(555, 4, "body-not-offered", "BODY=8BITMIME is not offered here");

pub(super) const TLS_REQUIRED: Fixed =
    Fixed::new(530, (7, 0), Source::Limit, "tls_required", "say STARTTLS first");
pub(super) const MESSAGE_SIZE: Fixed =
    Fixed::new(552, (3, 4), Source::Limit, "message_size", "the message is larger than we take");
pub(super) const RECIPIENTS: Fixed =
    Fixed::new(452, (5, 3), Source::Limit, "recipients", "too many recipients: send the rest separately");
pub(super) const TRANSACTIONS: Fixed =
    Fixed::new(421, (7, 0), Source::Limit, "transactions", "enough for one session: come again");
pub(super) const COMMAND_TIMEOUT: Fixed =
    Fixed::new(421, (4, 2), Source::Limit, "command_timeout", "waited too long for a command: closing");
pub(super) const DATA_TIMEOUT: Fixed =
    Fixed::new(421, (4, 2), Source::Limit, "data_timeout", "waited too long for the message: closing");
pub(super) const MIN_DATA_RATE: Fixed =
    Fixed::new(421, (4, 2), Source::Limit, "min_data_rate", "the message comes too slowly: closing");
pub(super) const LINE_LENGTH: Fixed = Fixed::new(
    554,
    (6, 0),
    Source::Limit,
    "line_length",
    "a line of the message has more than 998 octets (RFC 5322 2.1.1)",
);
pub(super) const SESSION_TIMEOUT: Fixed =
    Fixed::new(421, (4, 2), Source::Limit, "session_timeout", "the session took too long: closing");
pub(super) const SHUTTING_DOWN: Fixed =
    Fixed::new(421, (3, 2), Source::Internal, "shutdown", "shutting down: try again in a moment");

/// What the session itself says to a violation that no policy spoke about. `None`: it may go on.
pub(super) const fn violation(event: Violation) -> Option<Fixed> {
    match event {
        Violation::Pregreet => None,
        Violation::Pipelining => {
            Some(Fixed::protocol(554, 0, "pipelining", "wait for the 354 before you send the message"))
        }
        Violation::ForeignCommand => {
            Some(Fixed::protocol(554, 1, "foreign-command", "this is an SMTP server"))
        }
        Violation::TooManyErrors => {
            Some(Fixed::new(421, (7, 0), Source::Limit, "errors", "too many errors: closing"))
        }
        Violation::JunkCommands => Some(Fixed::new(
            421,
            (7, 0),
            Source::Limit,
            "junk_commands",
            "too much talk and no mail: closing",
        )),
    }
}

pub(super) fn banner(hostname: &str) -> Reply {
    plain(220, None, &format!("{hostname} ESMTP Gatepost"))
}

pub(super) fn hello(lines: &[String]) -> Reply {
    plain(250, None, &lines.join("\n"))
}

pub(super) fn go_ahead_tls() -> Reply {
    plain(220, Some((0, 0)), "go ahead with TLS")
}

pub(super) fn sender_ok() -> Reply {
    plain(250, Some((1, 0)), "sender ok")
}

pub(super) fn recipient_ok() -> Reply {
    plain(250, Some((1, 5)), "recipient ok")
}

pub(super) fn go_ahead_data() -> Reply {
    plain(354, None, "go ahead, end with <CRLF>.<CRLF>")
}

pub(super) fn ok() -> Reply {
    plain(250, Some((0, 0)), "ok")
}

pub(super) fn help() -> Reply {
    plain(214, Some((0, 0)), "HELO EHLO STARTTLS MAIL RCPT DATA RSET NOOP VRFY HELP QUIT: see RFC 5321")
}

pub(super) fn cannot_verify() -> Reply {
    plain(252, Some((1, 5)), "cannot verify, but will take a message and try")
}

pub(super) fn bye() -> Reply {
    plain(221, Some((0, 0)), "bye")
}

/// The reply to a message that policy ordered to vanish: the one 250 of our own (the first invariant of the crate).
pub(super) fn discarded() -> Reply {
    plain(250, Some((0, 0)), "ok")
}

fn plain(code: u16, detail: Option<(u16, u16)>, text: &str) -> Reply {
    let enhanced = detail.map(|(subject, detail)| EnhancedCode::new((code / 100) as u8, subject, detail));
    Reply::new(known(code), enhanced, text)
}

/// A refusal at connect is 554 or 421, and nothing else (RFC 5321 3.1).
pub(super) fn at_connect(refusal: Refusal) -> Refusal {
    let code = if refusal.reply.code().get() >= 500 { known(554) } else { known(421) };
    let reply = Reply::new(code, refusal.reply.enhanced(), &refusal.reply.lines().join("\n"));
    Refusal { reply, reason: refusal.reason }
}

const fn known(code: u16) -> Code {
    match Code::new(code) {
        Some(code) => code,
        None => unreachable!(),
    }
}
