//! Gatepost's own marks in a header: the `Received` field it adds, and the arriving fields that pretend to be its own.

use std::net::IpAddr;

use super::edit::NewField;
use super::header::{Field, Header};
use crate::smtp::path::{Domain, ForwardPath};

/// Fields of this prefix are Gatepost's to write.
const OWN_PREFIX: &str = "x-gatepost-";
/// RFC 5321 4.5.3.1.2; what a client says instead of a domain is cut there too.
const MAX_TOKEN: usize = 255;

/// What a `Received` field says (RFC 5321 4.4).
///
/// Texts of the client cannot end a clause or begin another one: see [`field`](Self::field).
#[derive(Clone, Debug)]
pub struct Received<'a> {
    /// What the client said in HELO or EHLO, well-formed or not; `None` if it never did.
    pub helo: Option<&'a str>,
    /// Where the connection comes from.
    pub client_ip: IpAddr,
    /// The client's name in the DNS, if it leads back to the address.
    pub client_name: Option<&'a str>,
    /// Our own host name.
    pub by: &'a str,
    /// How the message came.
    pub protocol: Protocol,
    /// The transaction's id.
    pub id: &'a str,
    /// The recipient, of a message that has only one: a list would tell each recipient of the others (RFC 5321 7.2).
    pub recipient: Option<&'a ForwardPath>,
    /// TLS towards the client.
    pub tls: Option<Tls<'a>>,
    /// When the message came, in the zone that the field shall show.
    pub at: &'a jiff::Zoned,
}

/// The TLS parameters that a `Received` field shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tls<'a> {
    /// As in `TLSv1.3`.
    pub version: &'a str,
    /// As in `TLS_AES_256_GCM_SHA384`.
    pub cipher: &'a str,
    /// As in `X25519MLKEM768`.
    pub group: Option<&'a str>,
}

/// The registered names of what a message came with (RFC 3848, RFC 6531 4.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HELO.
    Smtp,
    /// EHLO.
    Esmtp,
    /// EHLO under TLS.
    Esmtps,
    /// EHLO and AUTH.
    Esmtpa,
    /// EHLO and AUTH under TLS.
    Esmtpsa,
    /// SMTPUTF8.
    Utf8Smtp,
    /// SMTPUTF8 under TLS.
    Utf8Smtps,
    /// SMTPUTF8 and AUTH.
    Utf8Smtpa,
    /// SMTPUTF8 and AUTH under TLS.
    Utf8Smtpsa,
}

impl Protocol {
    /// The name as registered.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smtp => "SMTP",
            Self::Esmtp => "ESMTP",
            Self::Esmtps => "ESMTPS",
            Self::Esmtpa => "ESMTPA",
            Self::Esmtpsa => "ESMTPSA",
            Self::Utf8Smtp => "UTF8SMTP",
            Self::Utf8Smtps => "UTF8SMTPS",
            Self::Utf8Smtpa => "UTF8SMTPA",
            Self::Utf8Smtpsa => "UTF8SMTPSA",
        }
    }

    /// The same for a message that came with the parameter SMTPUTF8.
    #[must_use]
    pub const fn under_smtputf8(self) -> Self {
        match self {
            Self::Smtp | Self::Esmtp | Self::Utf8Smtp => Self::Utf8Smtp,
            Self::Esmtps | Self::Utf8Smtps => Self::Utf8Smtps,
            Self::Esmtpa | Self::Utf8Smtpa => Self::Utf8Smtpa,
            Self::Esmtpsa | Self::Utf8Smtpsa => Self::Utf8Smtpsa,
        }
    }
}

impl Received<'_> {
    /// The field.
    ///
    /// Total, whatever the client said: a character that has no place in a domain, an address literal or an id is written
    /// as `?`, so that no HELO can close a comment or begin a clause.
    pub fn field(&self) -> NewField {
        let literal = Domain::Literal(self.client_ip.to_canonical());
        let name = self.client_name.map_or_else(|| "unknown".to_owned(), token);
        let helo = self.helo.filter(|helo| !helo.is_empty()).map_or_else(|| "unknown".to_owned(), token);
        let by = token(self.by);
        let protocol = self.protocol.name();
        let tls = self.tls.map_or_else(String::new, |tls| {
            let group = tls.group.map_or_else(String::new, |group| format!(" group {}", token(group)));
            format!(" (using {} with cipher {}{group})", token(tls.version), token(tls.cipher))
        });
        let id = token(self.id);
        let recipient =
            self.recipient.map_or_else(String::new, |path| format!(" for {}", without_controls(path)));
        let at = self.at.strftime("%a, %d %b %Y %H:%M:%S %z");
        let value =
            format!("from {helo} ({name} {literal}) by {by} with {protocol}{tls} id {id}{recipient}; {at}");
        NewField::folded("Received", &value)
    }
}

/// `text` as one word of a `Received` field: a domain, an address literal or an atom, of at most 255 characters.
fn token(text: &str) -> String {
    let literal = text.starts_with('[') && text.ends_with(']');
    let last = text.chars().count().saturating_sub(1);
    let in_place = |(nth, character): (usize, char)| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' => character,
        ':' if literal => character,
        '[' if literal && nth == 0 => character,
        ']' if literal && nth == last => character,
        _ => '?',
    };
    text.chars().enumerate().map(in_place).take(MAX_TOKEN).collect()
}

/// A path is parsed and cannot inject anything; a control would still break the line.
fn without_controls(path: &ForwardPath) -> String {
    path.to_string().chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

/// The arriving fields that must not survive the border, from the top: `Authentication-Results` that claim to be ours
/// (RFC 8601 5) and all that use our own prefix. Their indexes are for [`super::edit::Edits::remove`].
pub fn forged(header: &Header, authserv_id: &str) -> impl Iterator<Item = usize> {
    header
        .fields()
        .filter(move |field| is_own_name(field) || claims_authserv_id(field, authserv_id))
        .map(|field| field.index())
}

/// True for the field names that only Gatepost may write: `X-Gatepost-*`.
pub fn is_own_name(field: &Field<'_>) -> bool {
    field.name().starts_with(OWN_PREFIX)
}

/// True for an `Authentication-Results` field whose authserv-id a reader might take for ours (RFC 8601 2.2, 2.3, 5).
///
/// Readers are many and some are sloppy, so this errs on the side of "yes": case, a version, comments (nested too), folds
/// and blanks anywhere around or inside the id, quotes, backslashes, encoded words, a trailing dot and other spellings of an
/// internationalised name all still are our id. A field that cannot be read (a comment without end) claims to be ours if our id
/// stands anywhere in it.
pub fn claims_authserv_id(field: &Field<'_>, authserv_id: &str) -> bool {
    if field.name() != "authentication-results" {
        return false;
    }
    let value = field.unfolded();
    let own = canonical(authserv_id);
    claims(&value, &own) || (value.contains("=?") && claims(&field.decoded(), &own))
}

fn claims(value: &str, own: &str) -> bool {
    match Claim::read(value, own) {
        Reading::Ours => true,
        Reading::Foreign => false,
        Reading::Unreadable => value.to_ascii_lowercase().contains(own),
    }
}

/// Lower case, in A-labels where it is a domain, without a trailing dot.
fn canonical(id: &str) -> String {
    let id = id.strip_suffix('.').unwrap_or(id);
    match idna::domain_to_ascii_cow(id.as_bytes(), idna::AsciiDenyList::EMPTY) {
        Ok(ascii) => ascii.into_owned(),
        Err(_) => id.to_lowercase(),
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reading {
    Ours,
    Foreign,
    Unreadable,
}

/// Where in the syntax of RFC 8601 2.2 a character stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Open,
    Quoted,
    Comment { depth: usize },
}

/// The authserv-id of a field, as far as it was read. Compared with ours wherever a reader might think that it ends.
struct Claim<'o> {
    own: &'o str,
    text: String,
    compared: usize,
    comparisons: usize,
}

impl<'o> Claim<'o> {
    /// Longer than any domain name in UTF-8.
    const MAX_TEXT: usize = 1024;
    /// An id in more pieces than this is not worth the work.
    const MAX_COMPARISONS: usize = 32;

    /// Reads the field's value up to the `;` behind the id.
    fn read(value: &str, own: &'o str) -> Reading {
        let mut claim = Self { own, text: String::new(), compared: 0, comparisons: 0 };
        let mut place = Place::Open;
        let mut characters = value.chars();
        while let Some(character) = characters.next() {
            let outside = !matches!(place, Place::Comment { .. });
            if outside && (character.is_alphanumeric() || "-._".contains(character)) {
                claim.text.push(character);
                continue;
            }
            if let Some(reading) = claim.compare() {
                return reading;
            }
            match (place, character) {
                (Place::Open, ';') if !claim.text.is_empty() => return Reading::Foreign,
                (Place::Comment { .. }, '\\') => drop(characters.next()),
                (_, '\\') => claim.text.extend(characters.next()),
                _ => {
                    place = place.after(character);
                    claim.take_separator(place, character);
                }
            }
        }
        let unended = if place == Place::Open { Reading::Foreign } else { Reading::Unreadable };
        claim.compare().unwrap_or(unended)
    }

    /// A separator may be part of an odd id of ours, but never begins it; blanks, quotes and comments are no part of it.
    fn take_separator(&mut self, place: Place, character: char) {
        let syntax =
            matches!(character, '(' | ')' | '"') || character.is_whitespace() || character.is_control();
        if !syntax && !matches!(place, Place::Comment { .. }) && !self.text.is_empty() {
            self.text.push(character);
        }
    }

    /// Says whose the id is, if it ends here and that can be said.
    fn compare(&mut self) -> Option<Reading> {
        if self.text.len() > Self::MAX_TEXT || self.comparisons > Self::MAX_COMPARISONS {
            return Some(Reading::Unreadable);
        }
        if self.text.len() == self.compared {
            return None;
        }
        self.compared = self.text.len();
        self.comparisons += 1;
        (canonical(&self.text) == self.own).then_some(Reading::Ours)
    }
}

impl Place {
    /// The place behind `character`, which is not escaped.
    const fn after(self, character: char) -> Self {
        match (self, character) {
            (Self::Open, '"') => Self::Quoted,
            (Self::Quoted, '"') | (Self::Comment { depth: 1 }, ')') => Self::Open,
            (Self::Open, '(') => Self::Comment { depth: 1 },
            (Self::Comment { depth }, '(') => Self::Comment { depth: depth + 1 },
            (Self::Comment { depth }, ')') => Self::Comment { depth: depth - 1 },
            (place, _) => place,
        }
    }
}

#[cfg(test)]
mod tests;
