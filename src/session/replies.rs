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

    /// With the figures that the operator reads.
    pub(super) fn because(&self, detail: String) -> Refusal {
        let Refusal { reply, reason } = self.refusal();
        Refusal { reply, reason: reason.with_detail(detail) }
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
pub(super) const NO_XCLIENT: Fixed =
    Fixed::new(550, (7, 0), Source::Protocol, "no-xclient", "XCLIENT is not for you");
pub(super) const XCLIENT_IN_MAIL: Fixed =
    Fixed::protocol(503, 1, "xclient-in-transaction", "a transaction is open: say RSET first");
pub(super) const INQUIRY_OFF: Fixed =
    Fixed::protocol(502, 1, "inquiry-off", "this question is not answered here");
pub(super) const REQUIRETLS_IN_THE_CLEAR: Fixed = Fixed::new(
    530,
    (7, 10),
    Source::Protocol,
    "requiretls-in-the-clear",
    "REQUIRETLS needs TLS: say STARTTLS first",
);

pub(super) const NO_AUTH: Fixed = Fixed::protocol(502, 1, "no-auth", "AUTH is not offered here");
pub(super) const NO_AUTH_NOW: Fixed =
    Fixed::protocol(503, 1, "no-auth-now", "the mail server behind this one offers no AUTH now");
pub(super) const NEED_EHLO: Fixed = Fixed::protocol(503, 1, "need-ehlo", "say EHLO first");
pub(super) const ALREADY_AUTH: Fixed = Fixed::protocol(503, 1, "already-auth", "you are logged in already");
pub(super) const AUTH_IN_TRANSACTION: Fixed =
    Fixed::protocol(503, 1, "auth-in-transaction", "a transaction is open: AUTH comes before MAIL");
pub(super) const AUTH_NEEDS_TLS: Fixed = Fixed::new(
    538,
    (7, 11),
    Source::Protocol,
    "auth-needs-tls",
    "a password must not cross the network in the clear: say STARTTLS first",
);
pub(super) const NO_MECHANISM: Fixed =
    Fixed::protocol(504, 4, "no-mechanism", "that mechanism is not offered here");
pub(super) const CHANNEL_BINDING: Fixed = Fixed::protocol(
    504,
    4,
    "channel-binding",
    "channel binding cannot pass a proxy: use the mechanism without -PLUS",
);
pub(super) const BAD_BASE64: Fixed =
    Fixed::protocol(501, 2, "bad-base64", "cannot base64-decode the response");
pub(super) const AUTH_LINE: Fixed =
    Fixed::protocol(500, 6, "auth-line-too-long", "the line of the exchange is too long");
pub(super) const AUTH_ENDLESS: Fixed =
    Fixed::new(454, (7, 0), Source::Limit, "auth_challenges", "the exchange comes to no end");
pub(super) const AUTH_FAILURES: Fixed =
    Fixed::new(421, (7, 0), Source::Limit, "auth_failures", "too many failed logins: closing");
pub(super) const AUTH_REQUIRED: Fixed =
    Fixed::new(530, (7, 0), Source::Limit, "auth_required", "log in first: say AUTH");

pub(super) const BINARY_BY_DATA: Fixed =
    Fixed::protocol(503, 1, "binary-by-data", "a binary message comes by BDAT");
pub(super) const NO_CHUNKING: Fixed = Fixed::protocol(503, 1, "bdat-after-helo", "say EHLO to use BDAT");
pub(super) const IN_CHUNKS: Fixed =
    Fixed::protocol(503, 1, "in-chunks", "a message comes by BDAT: finish it or say RSET first");
pub(super) const CHUNK_REFUSED: Fixed =
    Fixed::protocol(503, 1, "chunk-refused", "a chunk was refused: say RSET first");

pub(super) const TLS_REQUIRED: Fixed =
    Fixed::new(530, (7, 0), Source::Limit, "tls_required", "say STARTTLS first");
pub(super) const MESSAGE_SIZE: Fixed =
    Fixed::new(552, (3, 4), Source::Limit, "message_size", "the message is larger than we take");
pub(super) const UPSTREAM_SIZE: Fixed =
    Fixed::new(552, (3, 4), Source::Limit, "upstream_size", "the message is larger than we take");
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
pub(super) const NOBODY_LEFT: Fixed = Fixed::new(
    451,
    (3, 5),
    Source::Internal,
    "nobody-left",
    "the message has no recipient left: try again later",
);
pub(super) const SESSION_TIMEOUT: Fixed =
    Fixed::new(421, (4, 2), Source::Limit, "session_timeout", "the session took too long: closing");
pub(super) const SHUTTING_DOWN: Fixed =
    Fixed::new(421, (3, 2), Source::Internal, "shutdown", "shutting down: try again in a moment");

/// The policies changed again and again since the transaction began, and its own are not kept any longer.
pub(super) const RETIRED: Fixed = Fixed::new(
    421,
    (3, 2),
    Source::Internal,
    "retired",
    "the policies were replaced during this transaction: try again in a moment",
);

/// What the session itself says to a violation that no policy spoke about. `None`: it may go on.
pub(super) const fn violation(event: Violation) -> Option<Fixed> {
    match event {
        Violation::Pregreet | Violation::EarlyCommands | Violation::AuthFailed => None,
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

/// A chunk that is not the last (RFC 3030 2); `size` is what came of the message so far.
pub(super) fn chunk_received(size: u64) -> Reply {
    plain(250, Some((0, 0)), &format!("{size} octets received"))
}

pub(super) fn ok() -> Reply {
    plain(250, Some((0, 0)), "ok")
}

pub(super) fn help() -> Reply {
    plain(214, Some((0, 0)), "HELO EHLO STARTTLS MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT: see RFC 5321")
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
