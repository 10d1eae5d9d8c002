//! Commands: the facts about each on one page, how a line is read, how one is written (RFC 5321 4.1).

mod parse;
mod syntax;

pub use syntax::{Problem, SyntaxError};

use std::fmt;

use Argument::{Always, Maybe, Never};

use super::auth::{self, AuthCommand};
use super::params::{MailParams, RcptParams};
use super::path::{Domain, ForwardPath, ReversePath};
use super::xclient::XClient;

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
    /// EXPN.
    Expn,
    /// HELP.
    Help,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// AUTH (RFC 4954).
    Auth,
    /// BDAT (RFC 3030).
    Bdat,
    /// XCLIENT (<https://www.postfix.org/XCLIENT_README.html>).
    XClient,
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
/// What the extensions add: SIZE 26 octets (RFC 1870 3), BODY 17 (RFC 6152 2; two more for BINARYMIME), SMTPUTF8 10 (RFC 6531 3.4), RET and
/// ENVID 9 and 107 (RFC 3461 4), AUTH 500 (RFC 4954 3), BY 17 (RFC 2852 3), MT-PRIORITY 15 (RFC 6710 4), HOLDFOR or HOLDUNTIL 34
/// (RFC 4865 3), REQUIRETLS 11 (RFC 8689 2). They count whether offered or not: what is not offered is refused by its name, not by its length.
const MAIL: usize = ANY + 26 + 19 + 10 + 9 + 107 + 500 + 17 + 15 + 34 + 11;
/// NOTIFY adds 29 octets and ORCPT 507 (RFC 3461 4).
const RCPT: usize = ANY + 29 + 507;
/// RFC 4954 4.
const AUTH: usize = auth::MAX_LINE;

/// The facts about every command, in the order of [`Verb`].
#[rustfmt::skip] // A table is read by its columns.
pub const TABLE: [Facts; 16] = [
    //                                                                                          needs HELO
    //                                                                                          |    needs a transaction
    //                                                                                          |    |    before TLS
    //                                                                                          |    |    |    last in a group
    // verb             name        syntax                                       argument line  |    |    |    |    junk
    row(Verb::Helo,     "HELO",     "HELO hostname",                             Always, ANY,  [NO , NO , NO , YES, YES]),
    row(Verb::Ehlo,     "EHLO",     "EHLO hostname",                             Always, ANY,  [NO , NO , YES, YES, YES]),
    row(Verb::StartTls, "STARTTLS", "STARTTLS",                                  Never,  ANY,  [NO , NO , YES, YES, NO ]),
    row(Verb::Mail,     "MAIL",     "MAIL FROM:<address> [parameters]",          Always, MAIL, [YES, NO , NO , NO , NO ]),
    row(Verb::Rcpt,     "RCPT",     "RCPT TO:<address> [parameters]",            Always, RCPT, [YES, YES, NO , NO , NO ]),
    row(Verb::Data,     "DATA",     "DATA",                                      Never,  ANY,  [YES, YES, NO , YES, NO ]),
    row(Verb::Rset,     "RSET",     "RSET",                                      Never,  ANY,  [NO , NO , NO , NO , YES]),
    row(Verb::Vrfy,     "VRFY",     "VRFY address",                              Always, ANY,  [NO , NO , NO , YES, YES]),
    row(Verb::Expn,     "EXPN",     "EXPN list",                                 Always,  ANY,  [NO , NO , NO , YES, YES]),
    row(Verb::Help,     "HELP",     "HELP [topic]",                              Maybe,  ANY,  [NO , NO , NO , NO , YES]),
    row(Verb::Noop,     "NOOP",     "NOOP",                                      Maybe,  ANY,  [NO , NO , YES, YES, YES]),
    row(Verb::Quit,     "QUIT",     "QUIT",                                      Never,  ANY,  [NO , NO , YES, YES, NO ]),
    row(Verb::Auth,     "AUTH",     "AUTH mechanism [initial-response]",         Always, AUTH, [YES, NO , NO , YES, NO ]),
    row(Verb::Bdat,     "BDAT",     "BDAT size [LAST]",                          Always, ANY,  [YES, YES, NO , NO , NO ]),
    row(Verb::XClient,  "XCLIENT",  "XCLIENT attribute=value...",                Always, ANY,  [NO , NO , NO , YES, YES]),
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
            Self::XClient => "xclient",
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
    /// `EXPN list`.
    Expn(String),
    /// `HELP`, perhaps with a topic.
    Help,
    /// `NOOP`, perhaps with a text.
    Noop,
    /// `QUIT`.
    Quit,
    /// `XCLIENT attribute=value...`.
    XClient(XClient),
    /// `AUTH mechanism`, perhaps with an initial response (RFC 4954 4).
    Auth(AuthCommand),
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
    /// Reads a line that came without its CRLF. Octets beyond ASCII are only taken under SMTPUTF8 (RFC 6531 3.1), and then in addresses
    /// only: MAIL, VRFY and EXPN say so themselves, for RCPT it is `smtputf8`, what the MAIL of the open transaction said.
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
            Self::Expn(_) => Verb::Expn,
            Self::Help => Verb::Help,
            Self::Noop => Verb::Noop,
            Self::Quit => Verb::Quit,
            Self::XClient(_) => Verb::XClient,
            Self::Auth(_) => Verb::Auth,
        }
    }
}

/// As it goes over the wire, without the CRLF. It is written from parsed parts only, so that nothing that was not understood goes upstream.
/// AUTH is shown without its initial response, which is a secret: [`AuthLine`](auth::AuthLine) has the wire's form.
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
            Self::Auth(AuthCommand { mechanism, .. }) => write!(f, "AUTH {}", mechanism.name()),
            Self::Expn(text) => write!(f, "EXPN {text}"),
            // What XCLIENT says goes on in other words, see `upstream`.
            Self::StartTls
            | Self::Data
            | Self::Rset
            | Self::Help
            | Self::Noop
            | Self::Quit
            | Self::XClient(_) => f.write_str(self.verb().name()),
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
        write!(f, "RCPT TO:{}{}", self.path, self.params)
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
