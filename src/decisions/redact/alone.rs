//! Local parts that stand alone, without an `@`: in a name that a policy looked up, in the path of a URL, in what an upstream said.
//!
//! Nobody knows them by their look. But a decision says which addresses it is about, and theirs are looked for: as words, in every
//! text that others than we wrote or put together. What a script made of one by other means than joining texts (a hash, an
//! encoding, a piece of it) nobody finds.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::super::record::Decision;
use super::MARK;
use crate::policy::question::Question;

/// What of a text is ours or the operator's, and stays. A sender chooses its local part, and is to choose neither what is unreadable
/// afterwards nor what looks like something else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Text {
    /// A name in the DNS or of a file: the last label, or the known domain at its end.
    Name,
    /// A URL: what stands before its path.
    Url,
    /// A reply: its codes and our id.
    Reply,
    /// What stands before this, such as a field's name; without it, all of the text.
    Behind(char),
    /// None of it.
    Free,
}

/// What is looked for.
#[derive(Debug, Default)]
pub(super) struct LocalParts {
    /// In lower case, the longest first, since one may be in another.
    forms: Vec<String>,
    /// Domains that say nothing new about anybody, in lower case.
    domains: Vec<String>,
}

impl LocalParts {
    /// Those of the envelope and of From, and those of logins, which are addresses or nothing but a local part.
    pub(super) fn of(decision: &Decision) -> Self {
        let sender = decision.mail.iter().map(|mail| mail.sender.as_str());
        let recipients = decision.recipients.iter().map(|recipient| recipient.rcpt.address.as_str());
        let asked = decision.stages.iter().filter_map(|stage| Some(stage.rcpt.as_ref()?.address.as_str()));
        let authors = decision.authors.iter().map(String::as_str);
        let (mut forms, mut domains) = (BTreeSet::new(), BTreeSet::new());
        for address in sender.chain(recipients).chain(asked).chain(authors).chain(super::logins(decision)) {
            let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
            add_forms(&mut forms, local);
            domains.insert(domain.to_lowercase());
        }
        domains.extend([&decision.helo, &decision.client.name].map(|name| name.to_lowercase()));
        domains.extend(
            decision.stages.iter().flat_map(|stage| &stage.facts).flat_map(|fact| lists(&fact.question)),
        );
        domains.insert(decision.hostname.to_lowercase());
        domains.remove("");
        let mut forms: Vec<_> = forms.into_iter().collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self { forms, domains: domains.into_iter().collect() }
    }

    /// The text without them.
    pub(super) fn taken_out(&self, text: &str, kind: Text) -> String {
        if self.forms.is_empty() || is_client(text) {
            return text.to_owned();
        }
        let (head, tail) = self.ours(text, kind);
        let end = text.len().saturating_sub(tail).max(head);
        let (Some(before), Some(middle), Some(behind)) =
            (text.get(..head), text.get(head..end), text.get(end..))
        else {
            return text.to_owned();
        };
        let less = self.forms.iter().fold(middle.to_owned(), |less, form| without_word(&less, form));
        format!("{before}{less}{behind}")
    }

    /// The octets at the beginning and at the end that stay.
    fn ours(&self, text: &str, kind: Text) -> (usize, usize) {
        match kind {
            Text::Name => (0, self.known_end(text)),
            Text::Url => {
                let host = text.find("://").map_or(0, |at| at + 3);
                let rest = text.get(host..).unwrap_or_default();
                // An address in it has taken along what was before.
                let path = rest.find(['/', '?', '#']).into_iter().chain(rest.find(MARK)).min();
                (path.map_or(text.len(), |at| host + at), 0)
            }
            Text::Reply => (codes(text), text.rfind(" (gp ").map_or(0, |at| text.len() - at)),
            Text::Behind(mark) => (text.find(mark).unwrap_or(text.len()), 0),
            Text::Free => (0, 0),
        }
    }

    /// Octets of the longest end of a name that known domains have too; else of its last label, unless it has no other.
    fn known_end(&self, name: &str) -> usize {
        let lower = name.to_ascii_lowercase();
        let dots = lower.match_indices('.').map(|(at, _)| at + 1);
        let mut ends = std::iter::once(0).chain(dots).filter_map(|at| lower.get(at..));
        let has = |domain: &String, end: &str| {
            domain.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let known = ends.find(|end| !end.is_empty() && self.domains.iter().any(|domain| has(domain, end)));
        known.map(str::len).or_else(|| Some(name.len() - name.rfind('.')?)).unwrap_or(0)
    }
}

/// The forms in which a local part may stand alone: as policies see it, without what is behind a `+`, and each as it stands in a URL, in
/// JSON and in the DNS.
fn add_forms(forms: &mut BTreeSet<String>, local: &str) {
    let quoted = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let plain = quoted.map_or_else(|| local.to_owned(), |inner| inner.replace('\\', ""));
    let mailbox = plain.split('+').next().unwrap_or_default();
    for form in lowered(&plain).into_iter().chain(lowered(mailbox)) {
        let json = Value::from(form.as_str()).to_string();
        forms.extend(
            json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(str::to_ascii_lowercase),
        );
        forms.insert(in_url(&form));
        forms.extend(idna::domain_to_ascii(&form).ok().filter(|_| !form.is_ascii()));
        forms.insert(form);
    }
    // Nothing is hidden where there is nothing, or no letter and no digit.
    forms.retain(|form| form.chars().any(char::is_alphanumeric) && form != "redacted");
}

/// In lower case as policies see it, and as a text is compared: with capitals beyond ASCII as they came.
pub(super) fn lowered(text: &str) -> [String; 2] {
    [text.to_lowercase(), text.to_ascii_lowercase()]
}

/// Percent-encoded (RFC 3986 2.1), in lower case.
fn in_url(text: &str) -> String {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
    let one =
        |octet: u8| if is_plain(octet) { char::from(octet).to_string() } else { format!("%{octet:02x}") };
    text.bytes().map(one).collect()
}

/// The lists that stand in a script or a setting.
fn lists(question: &Question) -> impl Iterator<Item = String> {
    let zones = if let Question::Listed(_, zones) = question { zones.as_slice() } else { &[] };
    zones.iter().filter(|zone| zone.known).map(|zone| zone.name.to_lowercase())
}

/// Whether it is a client or its network.
pub(super) fn is_client(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok()
}

/// Octets of the codes at the beginning of a reply (RFC 5321 4.2, RFC 3463).
fn codes(reply: &str) -> usize {
    let digits = |text: &str, most: usize| {
        !text.is_empty() && text.len() <= most && text.bytes().all(|octet| octet.is_ascii_digit())
    };
    let (code, rest) = reply.split_once(' ').unwrap_or((reply, ""));
    if !digits(code, 3) {
        return 0;
    }
    let enhanced = rest.split(' ').next().unwrap_or_default();
    let is_enhanced = enhanced.split('.').count() == 3 && enhanced.split('.').all(|part| digits(part, 3));
    code.len() + if is_enhanced { 1 + enhanced.len() } else { 0 }
}

/// `text` without `word`, which is in lower case, where that stands alone: between two that are no letters and no digits.
pub(super) fn without_word(text: &str, word: &str) -> String {
    if word.is_empty() {
        return text.to_owned();
    }
    // As long as the text is, octet by octet.
    let lower = text.to_ascii_lowercase();
    let (mut less, mut copied, mut from) = (String::new(), 0, 0);
    while let Some(at) = lower.get(from..).and_then(|rest| rest.find(word)).map(|at| from + at) {
        let end = at + word.len();
        let around = (lower.get(..at).unwrap_or_default(), lower.get(end..).unwrap_or_default());
        if stands_alone(around.0, around.1) {
            less.push_str(text.get(copied..at).unwrap_or_default());
            less.push_str(MARK);
            (copied, from) = (end, end);
        } else {
            from = at + lower.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
        }
    }
    less + text.get(copied..).unwrap_or_default()
}

/// Whether no letter and no digit is next; an octet in percent-encoding is none.
fn stands_alone(before: &str, behind: &str) -> bool {
    let joins = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let encoded =
        matches!(before.as_bytes(), [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    (encoded || !joins(before.chars().next_back())) && !joins(behind.chars().next())
}

#[cfg(test)]
mod tests;
