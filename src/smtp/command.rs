//! Commands: the facts about each on one page, how a line is read, how one is written (RFC 5321 4.1).

mod parse;
mod syntax;

pub use syntax::{Problem, SyntaxError};

use std::fmt;

use Argument::{Always, Maybe, Never};

use super::params::{MailParams, RcptParams};
use super::path::{Domain, ForwardPath, ReversePath};

/// A command by its first word.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verb {
    /// HELO.
    Helo,
    /// EHLO.
    Ehlo,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// RSET.
    Rset,
    /// VRFY.
    Vrfy,
    /// EXPN: known, not carried.
    Expn,
    /// HELP.
    Help,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// AUTH (RFC 4954): known, not carried yet.
    Auth,
    /// BDAT (RFC 3030).
    Bdat,
    /// Any other word.
    Unknown,
}

/// Whether something stands behind the verb.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Argument {
    /// Nothing may.
    Never,
    /// Anything may.
    Maybe,
    /// Something must.
    Always,
}

/// What is true of a command whatever it says: a row of [`TABLE`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Facts {
    /// The command.
    pub verb: Verb,
    /// Its word, in upper case; also its name in logs and metrics.
    pub name: &'static str,
    /// How it is written, for replies.
    pub syntax: &'static str,
    /// What follows the verb.
    pub argument: Argument,
    /// The longest line in octets, CRLF included (RFC 5321 4.5.3.1.4 and the extensions that we carry).
    pub max_line: usize,
    /// 503 before HELO or EHLO (RFC 5321 4.1.4).
    pub needs_helo: bool,
    /// 503 before MAIL (RFC 5321 3.3).
    pub needs_transaction: bool,
    /// Taken in plaintext where TLS is required (RFC 3207 4).
    pub before_tls: bool,
    /// Nothing may be sent behind it before its reply (RFC 2920 3.1, RFC 3207 4.2).
    pub last_in_group: bool,
    /// Counts as junk as long as no mail comes of it.
    pub counts_as_junk: bool,
}

const YES: bool = true;
const NO: bool = false;
const ANY: usize = 512;
/// SIZE adds 26 octets (RFC 1870 3), BODY adds 17 (RFC 6152 2).
const MAIL: usize = ANY + 26 + 17;

/// The facts about every command, in the order of [`Verb`].
#[rustfmt::skip] // A table is read by its columns.
pub const TABLE: [Facts; 15] = [
    //                                                                                          needs HELO
    //                                                                                          |    needs a transaction
    //                                                                                          |    |    before TLS
    //                                                                                          |    |    |    last in a group
    // verb             name        syntax                                       argument line  |    |    |    |    junk
    row(Verb::Helo,     "HELO",     "HELO hostname",                             Always, ANY,  [NO , NO , NO , YES, YES]),
    row(Verb::Ehlo,     "EHLO",     "EHLO hostname",                             Always, ANY,  [NO , NO , YES, YES, YES]),
    row(Verb::StartTls, "STARTTLS", "STARTTLS",                                  Never,  ANY,  [NO , NO , YES, YES, NO ]),
    row(Verb::Mail,     "MAIL",     "MAIL FROM:<address> [SIZE=n] [BODY=type]",  Always, MAIL, [YES, NO , NO , NO , NO ]),
    row(Verb::Rcpt,     "RCPT",     "RCPT TO:<address>",                         Always, ANY,  [YES, YES, NO , NO , NO ]),
    row(Verb::Data,     "DATA",     "DATA",                                      Never,  ANY,  [YES, YES, NO , YES, NO ]),
    row(Verb::Rset,     "RSET",     "RSET",                                      Never,  ANY,  [NO , NO , NO , NO , YES]),
    row(Verb::Vrfy,     "VRFY",     "VRFY address",                              Always, ANY,  [NO , NO , NO , YES, YES]),
    row(Verb::Expn,     "EXPN",     "EXPN list",                                 Maybe,  ANY,  [NO , NO , NO , YES, YES]),
    row(Verb::Help,     "HELP",     "HELP [topic]",                              Maybe,  ANY,  [NO , NO , NO , NO , YES]),
    row(Verb::Noop,     "NOOP",     "NOOP",                                      Maybe,  ANY,  [NO , NO , YES, YES, YES]),
    row(Verb::Quit,     "QUIT",     "QUIT",                                      Never,  ANY,  [NO , NO , YES, YES, NO ]),
    row(Verb::Auth,     "AUTH",     "AUTH mechanism",                            Maybe,  ANY,  [YES, NO , NO , YES, NO ]),
    row(Verb::Bdat,     "BDAT",     "BDAT size [LAST]",                          Always, ANY,  [YES, YES, NO , NO , NO ]),
    UNKNOWN,
];

const UNKNOWN: Facts = row(Verb::Unknown, "UNKNOWN", "", Maybe, ANY, [NO, NO, NO, NO, NO]);

const fn row(
    verb: Verb,
    name: &'static str,
    syntax: &'static str,
    argument: Argument,
    max_line: usize,
    [needs_helo, needs_transaction, before_tls, last_in_group, counts_as_junk]: [bool; 5],
) -> Facts {
    Facts {
        verb,
        name,
        syntax,
        argument,
        max_line,
        needs_helo,
        needs_transaction,
        before_tls,
        last_in_group,
        counts_as_junk,
    }
}

impl Verb {
    /// The verb with which `line` begins, in any case.
    pub fn of(line: &[u8]) -> Self {
        let word = line.split(|&b| b == b' ').next().unwrap_or_default();
        TABLE
            .into_iter()
            .find(|facts| word.eq_ignore_ascii_case(facts.name.as_bytes()))
            .map_or(Self::Unknown, |facts| facts.verb)
    }

    /// Its row of [`TABLE`].
    pub fn facts(self) -> Facts {
        TABLE.into_iter().find(|facts| facts.verb == self).unwrap_or(UNKNOWN)
    }

    /// Its label in metrics: the name in lower case.
    pub const fn metric(self) -> &'static str {
        match self {
            Self::Helo => "helo",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Rset => "rset",
            Self::Vrfy => "vrfy",
            Self::Expn => "expn",
            Self::Help => "help",
            Self::Noop => "noop",
            Self::Quit => "quit",
            Self::Auth => "auth",
            Self::Bdat => "bdat",
            Self::Unknown => "unknown",
        }
    }

    /// Its name in logs.
    pub fn name(self) -> &'static str {
        self.facts().name
    }
}

/// A command that was understood completely.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// `HELO domain`.
    Helo(Greeting),
    /// `EHLO domain-or-literal`.
    Ehlo(Greeting),
    /// `STARTTLS` (RFC 3207).
    StartTls,
    /// `MAIL FROM:<...>`.
    Mail(MailCommand),
    /// `RCPT TO:<...>`.
    Rcpt(RcptCommand),
    /// `DATA`.
    Data,
    /// `BDAT size [LAST]` (RFC 3030); the octets of the chunk stand right behind its CRLF.
    Bdat(ChunkCommand),
    /// `RSET`.
    Rset,
    /// `VRFY text`.
    Vrfy(String),
    /// `HELP`, perhaps with a topic.
    Help,
    /// `NOOP`, perhaps with a text.
    Noop,
    /// `QUIT`.
    Quit,
}

/// What the client calls itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Greeting {
    /// The argument as it was written: printable ASCII without space, 1 to 255 octets.
    pub text: String,
    /// The same as a domain or a literal, where its syntax allows; many real clients send a bare address or one label, which is the
    /// helo policy's business.
    pub domain: Option<Domain>,
}

/// `MAIL FROM:` with its reverse-path and parameters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailCommand {
    /// The sender.
    pub path: ReversePath,
    /// Its ESMTP parameters.
    pub params: MailParams,
}

/// `RCPT TO:` with its forward-path and parameters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RcptCommand {
    /// The recipient.
    pub path: ForwardPath,
    /// Its ESMTP parameters.
    pub params: RcptParams,
}

/// `BDAT` with what it announces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChunkCommand {
    /// The octets that follow the command: these are the chunk, whatever they look like.
    pub size: u64,
    /// Whether the message is complete with them.
    pub last: bool,
}

impl Command {
    /// Reads a line that came without its CRLF. Octets beyond ASCII are only taken with `smtputf8` (RFC 6531), and then in addresses
    /// only.
    pub fn parse(line: &[u8], smtputf8: bool) -> Result<Self, SyntaxError> {
        let verb = Verb::of(line);
        parse::command(verb, line, smtputf8).map_err(|problem| SyntaxError { verb, problem })
    }

    /// Its verb.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Helo(_) => Verb::Helo,
            Self::Ehlo(_) => Verb::Ehlo,
            Self::StartTls => Verb::StartTls,
            Self::Mail(_) => Verb::Mail,
            Self::Rcpt(_) => Verb::Rcpt,
            Self::Data => Verb::Data,
            Self::Bdat(_) => Verb::Bdat,
            Self::Rset => Verb::Rset,
            Self::Vrfy(_) => Verb::Vrfy,
            Self::Help => Verb::Help,
            Self::Noop => Verb::Noop,
            Self::Quit => Verb::Quit,
        }
    }
}

/// As it goes over the wire, without the CRLF. It is written from parsed parts only, so that nothing that was not understood goes upstream.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Helo(greeting) | Self::Ehlo(greeting) => {
                write!(f, "{} {}", self.verb().name(), greeting.text)
            }
            Self::Mail(mail) => mail.fmt(f),
            Self::Rcpt(rcpt) => rcpt.fmt(f),
            Self::Bdat(chunk) => chunk.fmt(f),
            Self::Vrfy(text) => write!(f, "VRFY {text}"),
            Self::StartTls | Self::Data | Self::Rset | Self::Help | Self::Noop | Self::Quit => {
                f.write_str(self.verb().name())
            }
        }
    }
}

/// As it goes over the wire, without the CRLF.
impl fmt::Display for MailCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MAIL FROM:{}{}", self.path, self.params)
    }
}

/// As it goes over the wire, without the CRLF.
impl fmt::Display for RcptCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RcptParams {} = self.params;
        write!(f, "RCPT TO:{}", self.path)
    }
}

/// As it goes over the wire, without the CRLF.
impl fmt::Display for ChunkCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BDAT {}{}", self.size, if self.last { " LAST" } else { "" })
    }
}

#[cfg(test)]
mod tests;
