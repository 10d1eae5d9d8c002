//! Names of hosts and domains, and files that hold one on each line.

use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Position};
use crate::smtp::path::DomainName;
use crate::{files, permissions};

use super::super::raw::Entries;
use super::super::read::Placed;
use super::super::report::Report;

/// What a file of domains may hold, in bytes: about a million of them.
const LONGEST_FILE: u64 = 32 << 20;

/// Why a text is no name of a host or domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum NameError {
    /// Not in the syntax of [`DomainName`], or longer than the 253 octets that DNS can carry.
    #[error("is not a domain name")]
    Syntax,
    /// `192.0.2.1`.
    #[error("is an address, not a name")]
    Address,
}

/// Our own name, fully qualified.
pub(super) fn host(name: &Placed<String>, report: &mut Report) -> Option<String> {
    let found = domain(&name.value);
    match &found {
        Ok(host) if !host.contains('.') => report.warning(
            name.place,
            format!("`{host}` is not fully qualified"),
            "other servers expect the full name that your address has in the DNS, such as `mx.example.org`",
        ),
        Ok(_) => {}
        Err(error) => {
            let help = "the full name that your address has in the DNS, such as `mx.example.org`";
            report.error_with_help(name.place, format!("the host name {error}"), help);
        }
    }
    found.ok()
}

/// The identity in `Authentication-Results`: usually a domain, yet any value without blanks, `;` and quotes will do
/// (RFC 8601 2.2 takes a quoted one too, which few readers expect).
pub(super) fn authserv_id(id: &Placed<String>, report: &mut Report) -> Option<String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'+');
    if id.value.len() <= 255 && id.value.bytes().all(token) {
        return Some(id.value.clone());
    }
    let help = "a host or domain name, such as `mx.example.org`";
    report.error_with_help(id.place, "this cannot stand in `Authentication-Results` unquoted", help);
    None
}

/// The domains that are ours.
pub(super) fn domains(raw: &Placed<Entries>, report: &mut Report) -> Option<Vec<String>> {
    let domains = entries(raw, Star::Warned, report)?;
    if domains.is_empty() && !report.has_errors() {
        let help = "list the domains that your mail server takes mail for";
        report.warning(raw.place, "no domain is ours, so every recipient is refused as relaying", help);
    }
    Some(domains)
}

/// The domains whose ARC seals count.
pub(super) fn sealers(raw: &Placed<Entries>, report: &mut Report) -> Vec<String> {
    entries(raw, Star::Refused, report).unwrap_or_default()
}

/// The domains beside ours to which policies may redirect mail.
pub(super) fn redirect_domains(raw: &Placed<Entries>, report: &mut Report) -> Option<Vec<String>> {
    entries(raw, Star::Anywhere, report)
}

/// What to say of `*`, which is any domain.
#[derive(Clone, Copy, Debug)]
enum Star {
    /// Every domain is ours.
    Warned,
    /// Anybody can seal.
    Refused,
    /// Mail may be sent anywhere.
    Anywhere,
}

impl Star {
    fn say(self, file: &Path) -> Diagnostic {
        match self {
            Self::Warned => Diagnostic::warning(file, "`*` makes every domain ours").with_help(
                "then every recipient is accepted that the upstream accepts; name your domains instead",
            ),
            Self::Anywhere => Diagnostic::error(file, "`*` would let policies send mail anywhere").with_help(
                "name the domains: an address out of the mail itself would make this an open relay",
            ),
            Self::Refused => Diagnostic::error(file, "`*` would trust every sealer")
                .with_help("name the forwarders and lists whose word you take: anyone can seal"),
        }
    }
}

/// Domains from the configuration or from a file of their own.
fn entries(raw: &Placed<Entries>, star: Star, report: &mut Report) -> Option<Vec<String>> {
    Some(match &raw.value {
        Entries::Inline(entries) => {
            entries.iter().filter_map(|entry| inline_domain(entry, star, report)).collect()
        }
        Entries::File(file) => {
            let path = report.resolve(&file.value);
            report.reads_along(&path);
            if let Err(exposed) = permissions::unchangeable(&path) {
                report.error_with_help(file.place, exposed.to_string(), exposed.fix());
                return None;
            }
            match files::read_text(&path, LONGEST_FILE) {
                Ok(text) => listed_domains(&path, &text.into(), star, report),
                Err(error) => {
                    report.error(file.place, format!("{}: {error}", path.display()));
                    return None;
                }
            }
        }
    })
}

fn inline_domain(entry: &Placed<String>, star: Star, report: &mut Report) -> Option<String> {
    if entry.value == "*" {
        let said = star.say(report.file()).at(report.text(), entry.place);
        report.elsewhere(said);
    }
    domain_pattern(&entry.value, entry.place, report)
}

/// `*`, `example.org` or `.example.org`, in A-labels and lower case.
pub(super) fn domain_pattern(entry: &str, place: Position, report: &mut Report) -> Option<String> {
    let found = pattern(entry);
    if let Err(error) = &found {
        report.error_with_help(place, format!("`{entry}` {error}"), instead(entry));
    }
    found.ok()
}

fn listed_domains(path: &Path, text: &Arc<str>, star: Star, report: &mut Report) -> Vec<String> {
    let mut domains = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or("").trim();
        if entry.is_empty() {
            continue;
        }
        let before = line.chars().take_while(|c| c.is_whitespace()).count();
        let place = Position::new(n + 1, before + 1, entry.chars().count());
        if entry == "*" {
            report.elsewhere(star.say(path).at(text, place));
        }
        match pattern(entry) {
            Ok(domain) => domains.push(domain),
            Err(error) => {
                let diagnostic = Diagnostic::error(path, format!("`{entry}` {error}"));
                report.elsewhere(diagnostic.at(text, place).with_help(instead(entry)));
            }
        }
    }
    domains
}

/// `*`, `example.org`, or `.example.org`.
fn pattern(entry: &str) -> Result<String, NameError> {
    match entry.strip_prefix('.') {
        _ if entry == "*" => Ok(entry.to_owned()),
        Some(parent) => Ok(format!(".{}", domain(parent)?)),
        None => domain(entry),
    }
}

/// What was probably meant by an entry that is no domain.
fn instead(entry: &str) -> String {
    match (entry.strip_prefix("*."), entry.split_once('@')) {
        (Some(parent), _) => format!("write `.{parent}` for everything below `{parent}`"),
        (None, Some((_, domain))) => format!("only the domain counts: `{domain}`"),
        (None, None) => "write `example.org`, or `.example.org` for everything below it".to_owned(),
    }
}

/// `text` as a domain name in A-labels and lower case.
fn domain(text: &str) -> Result<String, NameError> {
    let name = idna::domain_to_ascii(text).map_err(|_| NameError::Syntax)?;
    if name.len() > 253 || DomainName::parse(&name).is_err() {
        return Err(NameError::Syntax);
    }
    // No top-level domain is a number: this is an IPv4 address, or part of one.
    if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(NameError::Address);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_names() {
        let long = "a".repeat(64);
        let cases = [
            ("MX.Example.ORG", Ok("mx.example.org")),
            ("bücher.example", Ok("xn--bcher-kva.example")),
            ("localhost", Ok("localhost")),
            ("_smtp.example.org", Ok("_smtp.example.org")),
            ("", Err(NameError::Syntax)),
            ("example.org.", Err(NameError::Syntax)),
            ("a..b", Err(NameError::Syntax)),
            ("-a.example", Err(NameError::Syntax)),
            ("a b.example", Err(NameError::Syntax)),
            ("user@example.org", Err(NameError::Syntax)),
            (&long, Err(NameError::Syntax)),
            ("192.0.2.1", Err(NameError::Address)),
        ];
        for (text, expected) in cases {
            assert_eq!(domain(text), expected.map(str::to_owned), "{text}");
        }
    }
}
