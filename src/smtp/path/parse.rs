//! How paths are read. Whether octets beyond ASCII may come here at all is decided before, for the whole line (SMTPUTF8).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Domain, DomainName, ForwardPath, LocalPart, Mailbox, ReversePath};

/// Octets of a domain (RFC 5321 4.5.3.1.2).
const MAX_DOMAIN: usize = 255;
/// Octets of a label (RFC 1035 2.3.4).
const MAX_LABEL: usize = 63;
/// Octets of a path with its brackets (RFC 5321 4.5.3.1.3).
const MAX_PATH: usize = 256;

/// What is wrong with a path: the client's fault. The texts are for the client to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PathError {
    /// No `<`, or no `>` outside of quotes.
    #[error("the address must stand in angle brackets")]
    NoBrackets,
    /// `<>`, where a mailbox is needed.
    #[error("the null path is no recipient")]
    Null,
    /// `<@relay:user@domain>`: routes are refused, not stripped (RFC 5321 appendix F.2 deprecates them).
    #[error("source routes are not accepted")]
    Route,
    /// More than 256 octets.
    #[error("path longer than {MAX_PATH} octets")]
    PathTooLong,
    /// No `@` outside of quotes.
    #[error("the address has no domain")]
    NoDomain,
    /// Nothing before the `@`.
    #[error("the address has no local part")]
    EmptyLocal,
    /// Neither a dot-string nor a quoted string.
    #[error("bad local part")]
    BadLocal,
    /// An `@` behind the one that divides.
    #[error("more than one @ in the address")]
    SecondAt,
    /// More than 255 octets.
    #[error("domain longer than {MAX_DOMAIN} octets")]
    DomainTooLong,
    /// A dot at the end.
    #[error("the domain must not end with a dot")]
    TrailingDot,
    /// Labels that are empty, too long, or of other characters than letters, digits, hyphens and underscores.
    #[error("bad domain")]
    BadDomain,
    /// Neither an IPv4 address nor `IPv6:` and an IPv6 address in square brackets.
    #[error("bad address literal; only [IPv4] and [IPv6:...] are known")]
    BadLiteral,
}

impl ReversePath {
    /// Reads a whole reverse-path with its angle brackets.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        whole(Self::take(text)?)
    }

    /// Reads a reverse-path from the front of `text` and gives back what stands behind it.
    pub(in crate::smtp) fn take(text: &str) -> Result<(Self, &str), PathError> {
        let (inside, rest) = split_brackets(text)?;
        let path = if inside.is_empty() { Self::Null } else { Self::Mailbox(Mailbox::parse(inside)?) };
        Ok((path, rest))
    }
}

impl ForwardPath {
    /// Reads a whole forward-path with its angle brackets.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        whole(Self::take(text)?)
    }

    /// Reads a forward-path from the front of `text` and gives back what stands behind it.
    pub(in crate::smtp) fn take(text: &str) -> Result<(Self, &str), PathError> {
        let (inside, rest) = split_brackets(text)?;
        let path = match inside {
            "" => return Err(PathError::Null),
            _ if inside.eq_ignore_ascii_case("postmaster") => Self::Postmaster(inside.to_owned()),
            _ => Self::Mailbox(Mailbox::parse(inside)?),
        };
        Ok((path, rest))
    }
}

impl Mailbox {
    /// Reads `local-part@domain`, without angle brackets.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.starts_with('@') && text.contains(':') {
            return Err(PathError::Route);
        }
        let mut quotes = Quotes::Outside;
        let (local, domain) = text.split_once(|c| !quotes.hide(c) && c == '@').ok_or(PathError::NoDomain)?;
        let local = LocalPart::parse(local)?;
        if domain.contains('@') {
            return Err(PathError::SecondAt);
        }
        Ok(Self { local, domain: Domain::parse(domain)? })
    }
}

impl LocalPart {
    /// Reads a dot-string or a quoted string (RFC 5321 4.1.2, RFC 6531 3.3).
    ///
    /// Two things are taken that the grammar forbids, as Postfix takes them, because real senders have them and they mean only
    /// one thing: more than 64 octets (senders that mailing lists, SRS and BATV rewrote; the path has its own limit), and dots at the
    /// beginning, at the end and in a row (addresses that Japanese carriers gave out for years). Nothing but dots is refused.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::EmptyLocal);
        }
        let meaning = if text.starts_with('"') { unquote(text) } else { dot_string(text) };
        let unquoted = meaning.ok_or(PathError::BadLocal)?;
        Ok(Self { original: text.to_owned(), unquoted })
    }
}

impl Domain {
    /// Reads a domain name or an address literal.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.starts_with('[') {
            return literal(text).map(Self::Literal).ok_or(PathError::BadLiteral);
        }
        DomainName::parse(text).map(Self::Name)
    }
}

impl DomainName {
    /// Reads a domain name.
    ///
    /// An underscore is taken like a letter, against RFC 5321 4.1.2: hosts with such names send real mail, every large MTA takes it, and
    /// neither DNS nor SMTP gives it a meaning that could be abused.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > MAX_DOMAIN {
            return Err(PathError::DomainTooLong);
        }
        if text.ends_with('.') {
            return Err(PathError::TrailingDot);
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii_strict(text).map_err(|_errors| PathError::BadDomain)?
        };
        if !ascii.split('.').all(is_label) {
            return Err(PathError::BadDomain);
        }
        Ok(Self { original: text.to_owned(), ascii })
    }
}

fn whole<T>((path, rest): (T, &str)) -> Result<T, PathError> {
    if rest.is_empty() { Ok(path) } else { Err(PathError::NoBrackets) }
}

/// The inside of the angle brackets with which `text` begins, and what stands behind them.
fn split_brackets(text: &str) -> Result<(&str, &str), PathError> {
    let text = text.strip_prefix('<').ok_or(PathError::NoBrackets)?;
    let mut quotes = Quotes::Outside;
    let (inside, rest) = text.split_once(|c| !quotes.hide(c) && c == '>').ok_or(PathError::NoBrackets)?;
    if inside.len() > MAX_PATH.saturating_sub("<>".len()) {
        return Err(PathError::PathTooLong);
    }
    Ok((inside, rest))
}

/// Follows the double quotes of a path character by character.
enum Quotes {
    Outside,
    Inside,
    /// Behind a backslash inside.
    Escaped,
}

impl Quotes {
    /// Whether the next character, `c`, stands inside of quotes.
    fn hide(&mut self, c: char) -> bool {
        let (hidden, next) = match (&self, c) {
            (Self::Outside, '"') => (false, Self::Inside),
            (Self::Outside, _) => (false, Self::Outside),
            (Self::Inside, '"') => (true, Self::Outside),
            (Self::Inside, '\\') => (true, Self::Escaped),
            (Self::Inside | Self::Escaped, _) => (true, Self::Inside),
        };
        *self = next;
        hidden
    }
}

fn dot_string(text: &str) -> Option<String> {
    let says_something = text.contains(|c| c != '.');
    (says_something && text.chars().all(|c| c == '.' || is_atext(c))).then(|| text.to_owned())
}

/// What a quoted string means. Control characters are refused in both of its forms, quoted pairs included.
fn unquote(text: &str) -> Option<String> {
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut unquoted = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        let meant = match c {
            '"' => return None,
            '\\' => chars.next().filter(char::is_ascii)?,
            _ => c,
        };
        unquoted.push(Some(meant).filter(|&c| c == ' ' || c.is_ascii_graphic() || is_utf8_text(c))?);
    }
    Some(unquoted)
}

/// RFC 5322 3.2.3 `atext`, and what RFC 6531 3.3 adds.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_text(c)
}

fn is_utf8_text(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace()
}

fn is_label(label: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// RFC 5321 4.1.3, without the tags that nobody has registered.
fn literal(text: &str) -> Option<IpAddr> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    match inside.split_once(':') {
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6") => {
            address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        Some(_) => None,
        None => inside.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}
