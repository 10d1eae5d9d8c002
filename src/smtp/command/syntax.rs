//! What is wrong with a line, and what the client hears of it.

use super::Verb;
use crate::smtp::auth::NotBase64;
use crate::smtp::params::ParamError;
use crate::smtp::path::PathError;
use crate::smtp::reply::{Code, EnhancedCode, Reply};

/// A line that is no command: the client's fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}: {problem}", .verb.name())]
pub struct SyntaxError {
    /// The command that it would have been; its verb is known even where the rest is not.
    pub verb: Verb,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a line. The texts are for the client to read and hold no octet of the client's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Problem {
    /// No word of SMTP.
    #[error("command not recognised")]
    Unknown,
    /// Another protocol's word, such as `GET`, or a header field: nobody who speaks SMTP sends it.
    #[error("this is an SMTP server")]
    Foreign,
    /// A command of SMTP that Gatepost does not carry.
    #[error("command not implemented")]
    NotCarried,
    /// A control character, or an octet beyond ASCII without SMTPUTF8.
    #[error("only printable ASCII is allowed in commands")]
    NotPrintable,
    /// An address in UTF-8 without SMTPUTF8 (RFC 6531 3.5).
    #[error("addresses in UTF-8 need the parameter SMTPUTF8 of MAIL")]
    NeedsSmtpUtf8,
    /// Longer than [`max_line`](super::Facts::max_line).
    #[error("line too long")]
    LineTooLong,
    /// Something behind a verb that takes nothing.
    #[error("no argument allowed")]
    UnwantedArgument,
    /// Nothing behind a verb that needs something.
    #[error("argument missing")]
    MissingArgument,
    /// An argument of HELO or EHLO with a space inside, or of more than 255 octets.
    #[error("bad host name")]
    BadGreeting,
    /// MAIL without `FROM:`, RCPT without `TO:`.
    #[error("malformed command")]
    MissingKeyword,
    /// Something other than a space behind the path's `>`.
    #[error("unexpected text behind the address")]
    JunkBehindPath,
    /// XCLIENT with an attribute that does not exist, stands twice or has a bad value.
    #[error("bad attribute")]
    BadXClient,
    /// What stands behind AUTH is no name of a mechanism.
    #[error("bad mechanism name")]
    BadMechanism,
    /// The initial response of AUTH is none (RFC 4954 4).
    #[error(transparent)]
    Base64(#[from] NotBase64),
    /// BDAT without a number of octets, or with something else than LAST behind it.
    #[error("BDAT takes a number of octets and perhaps LAST")]
    BadChunk,
    /// A bad path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A bad parameter.
    #[error(transparent)]
    Param(#[from] ParamError),
}

impl SyntaxError {
    /// What the client hears (RFC 5321 4.2.2, RFC 3463 3.6).
    pub fn reply(&self) -> Reply {
        let (code, enhanced) = self.codes();
        Reply::new(code, Some(enhanced), &self.text())
    }

    fn codes(&self) -> (Code, EnhancedCode) {
        const BAD_COMMAND: EnhancedCode = EnhancedCode::new(5, 5, 2);
        const BAD_ARGUMENT: EnhancedCode = EnhancedCode::new(5, 5, 4);
        match self.problem {
            // RFC 4954 6: a line of an exchange has a limit, and a code, of its own.
            Problem::LineTooLong if self.verb == Verb::Auth => {
                (Code::literal::<500>(), EnhancedCode::new(5, 5, 6))
            }
            Problem::Base64(_) => (Code::literal::<501>(), BAD_COMMAND),
            Problem::Unknown | Problem::Foreign | Problem::LineTooLong => {
                (Code::literal::<500>(), BAD_COMMAND)
            }
            Problem::NotPrintable if self.verb == Verb::Unknown => (Code::literal::<500>(), BAD_COMMAND),
            Problem::NotPrintable => (Code::literal::<501>(), BAD_COMMAND),
            Problem::NeedsSmtpUtf8 => (Code::literal::<553>(), EnhancedCode::new(5, 6, 7)),
            Problem::NotCarried => (Code::literal::<502>(), EnhancedCode::new(5, 5, 1)),
            Problem::UnwantedArgument
            | Problem::MissingArgument
            | Problem::BadGreeting
            | Problem::BadMechanism
            | Problem::MissingKeyword
            | Problem::BadXClient
            | Problem::BadChunk
            | Problem::JunkBehindPath => (Code::literal::<501>(), BAD_ARGUMENT),
            Problem::Path(PathError::Route) => (Code::literal::<553>(), self.bad_address()),
            Problem::Path(_) => (Code::literal::<501>(), self.bad_address()),
            Problem::Param(ParamError::Unknown) => (Code::literal::<555>(), BAD_ARGUMENT),
            Problem::Param(ParamError::SizeTooLarge) => (Code::literal::<552>(), EnhancedCode::new(5, 3, 4)),
            Problem::Param(_) => (Code::literal::<501>(), BAD_ARGUMENT),
        }
    }

    /// RFC 3463 3.2: X.1.7 is a bad sender's address, X.1.3 a bad recipient's.
    const fn bad_address(&self) -> EnhancedCode {
        match self.verb {
            Verb::Mail => EnhancedCode::new(5, 1, 7),
            _ => EnhancedCode::new(5, 1, 3),
        }
    }

    fn text(&self) -> String {
        match self.problem {
            Problem::UnwantedArgument
            | Problem::MissingArgument
            | Problem::BadGreeting
            | Problem::BadMechanism
            | Problem::MissingKeyword
            | Problem::BadXClient
            | Problem::JunkBehindPath => format!("{}; syntax: {}", self.problem, self.verb.facts().syntax),
            problem => problem.to_string(),
        }
    }
}

impl Problem {
    /// A stable name for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown-command",
            Self::Foreign => "foreign-command",
            Self::NotCarried => "not-implemented",
            Self::NotPrintable => "not-printable",
            Self::NeedsSmtpUtf8 => "needs-smtputf8",
            Self::LineTooLong => "line-too-long",
            Self::UnwantedArgument | Self::MissingArgument | Self::MissingKeyword => "bad-argument",
            Self::BadGreeting => "bad-greeting",
            Self::BadXClient => "bad-xclient",
            Self::BadMechanism => "bad-mechanism",
            Self::Base64(_) => "bad-base64",
            Self::BadChunk => "bad-chunk",
            Self::Path(_) | Self::JunkBehindPath => "bad-path",
            Self::Param(_) => "bad-parameter",
        }
    }
}
