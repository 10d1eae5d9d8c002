//! How a line becomes a command (RFC 5321 4.1.1).

use super::syntax::Problem;
use super::{Argument, ChunkCommand, Command, Greeting, MailCommand, RcptCommand, Verb};
use crate::smtp::auth::{AuthCommand, Mechanism, Secret};
use crate::smtp::params::{MailParams, RcptParams};
use crate::smtp::path::{Domain, ForwardPath, ReversePath};
use crate::smtp::xclient::XClient;

/// Octets of the argument of HELO and EHLO, which is a domain (RFC 5321 4.5.3.1.2).
const MAX_GREETING: usize = 255;

/// First words of HTTP, which a browser can be made to send to our port.
const HTTP_METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "CONNECT", "PATCH", "TRACE", "PRI"];
/// How a client of SSH begins (RFC 4253 4.2).
const SSH: &str = "SSH-";

/// The command in `line`, which begins with `verb`.
pub(super) fn command(verb: Verb, line: &[u8], smtputf8: bool) -> Result<Command, Problem> {
    let facts = verb.facts();
    if line.len() > facts.max_line.saturating_sub("\r\n".len()) {
        return Err(Problem::LineTooLong);
    }
    let text = printable(line, takes_addresses(verb))?;
    let argument = text.split_once(' ').map_or("", |(_, argument)| argument.trim_start_matches(' '));
    match facts.argument {
        Argument::Never if !argument.is_empty() => return Err(Problem::UnwantedArgument),
        Argument::Always if argument.is_empty() => return Err(Problem::MissingArgument),
        Argument::Never | Argument::Maybe | Argument::Always => {}
    }
    Ok(match verb {
        Verb::Helo => Command::Helo(greeting(argument)?),
        Verb::Ehlo => Command::Ehlo(greeting(argument)?),
        Verb::StartTls => Command::StartTls,
        Verb::Mail => Command::Mail(mail(argument)?),
        Verb::Rcpt => Command::Rcpt(rcpt(argument, smtputf8)?),
        Verb::Data => Command::Data,
        Verb::Bdat => Command::Bdat(chunk(argument)?),
        Verb::Rset => Command::Rset,
        Verb::Vrfy => Command::Vrfy(whom(argument)?),
        Verb::Expn => Command::Expn(whom(argument)?),
        Verb::Help => Command::Help,
        Verb::Noop => Command::Noop,
        Verb::Quit => Command::Quit,
        Verb::XClient => Command::XClient(XClient::parse(argument).ok_or(Problem::BadXClient)?),
        Verb::Auth => Command::Auth(auth(argument)?),
        Verb::Unknown => return Err(unknown(text)),
    })
}

/// Whether a mailbox may stand behind `verb`, which RFC 6531 3.3 lets be in UTF-8.
const fn takes_addresses(verb: Verb) -> bool {
    matches!(verb, Verb::Mail | Verb::Rcpt | Verb::Vrfy | Verb::Expn)
}

/// The line as text, without the white space at its end that RFC 5321 4.1.1 wants tolerated.
fn printable(line: &[u8], utf8: bool) -> Result<&str, Problem> {
    let text = std::str::from_utf8(line).map_err(|_utf8| Problem::NotPrintable)?;
    let text = text.trim_end_matches([' ', '\t']);
    let allowed = |c: char| match c {
        ' '..='~' => true,
        _ => utf8 && !c.is_ascii() && !c.is_control() && !c.is_whitespace(),
    };
    if text.chars().all(allowed) { Ok(text) } else { Err(Problem::NotPrintable) }
}

fn greeting(argument: &str) -> Result<Greeting, Problem> {
    if argument.len() > MAX_GREETING || argument.contains(|c: char| !c.is_ascii_graphic()) {
        return Err(Problem::BadGreeting);
    }
    Ok(Greeting { text: argument.to_owned(), domain: Domain::parse(argument).ok() })
}

fn mail(argument: &str) -> Result<MailCommand, Problem> {
    let (path, rest) = ReversePath::take(behind_keyword(argument, "FROM:")?)?;
    let params = MailParams::parse(separate(rest)?)?;
    if !params.smtputf8 && !argument.is_ascii() {
        return Err(Problem::NeedsSmtpUtf8);
    }
    Ok(MailCommand { path, params })
}

fn rcpt(argument: &str, smtputf8: bool) -> Result<RcptCommand, Problem> {
    let (path, rest) = ForwardPath::take(behind_keyword(argument, "TO:")?)?;
    let params = RcptParams::parse(separate(rest)?, smtputf8)?;
    if !smtputf8 && !argument.is_ascii() {
        return Err(Problem::NeedsSmtpUtf8);
    }
    Ok(RcptCommand { path, params })
}

/// The argument of VRFY and EXPN, its ` SMTPUTF8` included (RFC 6531 3.7.4.2).
fn whom(argument: &str) -> Result<String, Problem> {
    let says_so = argument.rsplit_once(' ').is_some_and(|(_, last)| last.eq_ignore_ascii_case("SMTPUTF8"));
    if says_so || argument.is_ascii() { Ok(argument.to_owned()) } else { Err(Problem::NeedsSmtpUtf8) }
}

/// RFC 4954 4: one space before the initial response; more of them are as harmless here as elsewhere.
fn auth(argument: &str) -> Result<AuthCommand, Problem> {
    let (mechanism, initial) = match argument.split_once(' ') {
        Some((mechanism, initial)) => (mechanism, Some(initial.trim_start_matches(' '))),
        None => (argument, None),
    };
    let mechanism = Mechanism::parse(mechanism).ok_or(Problem::BadMechanism)?;
    Ok(AuthCommand { mechanism, initial: initial.map(Secret::parse_initial).transpose()? })
}

/// The size of a chunk, and LAST or nothing (RFC 3030 2). Nothing is tolerated here: a peer that reads another number out of
/// the same line takes octets of the message for commands.
fn chunk(argument: &str) -> Result<ChunkCommand, Problem> {
    let (size, last) = match argument.split_once(' ') {
        None => (argument, false),
        Some((size, word)) if word.eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return Err(Problem::BadChunk),
    };
    let digits = (1..=20).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_digit());
    let size = size.parse().ok().filter(|_| digits).ok_or(Problem::BadChunk)?;
    Ok(ChunkCommand { size, last })
}

/// What stands behind `FROM:` or `TO:`. Spaces there are against the grammar (RFC 5321 3.3), but many clients send one.
fn behind_keyword<'a>(argument: &'a str, keyword: &str) -> Result<&'a str, Problem> {
    let (found, rest) = argument.split_at_checked(keyword.len()).ok_or(Problem::MissingKeyword)?;
    if !found.eq_ignore_ascii_case(keyword) {
        return Err(Problem::MissingKeyword);
    }
    Ok(rest.trim_start_matches(' '))
}

/// What stands behind a path: nothing, or parameters behind a space.
fn separate(rest: &str) -> Result<&str, Problem> {
    if rest.is_empty() || rest.starts_with(' ') { Ok(rest) } else { Err(Problem::JunkBehindPath) }
}

/// Tells another protocol, or a message sent as commands, from a word that is merely not ours.
fn unknown(text: &str) -> Problem {
    let word = text.split(' ').next().unwrap_or_default();
    let label = word.split_once(':').is_some_and(|(name, _)| is_field_name(name));
    if label || HTTP_METHODS.contains(&word) || word.starts_with(SSH) {
        Problem::Foreign
    } else {
        Problem::Unknown
    }
}

fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
