//! Macros: names and explanations that depend on the session (RFC 7208 7).

use std::fmt::Write;
use std::net::IpAddr;

use crate::dns::reverse_name;

/// The longest name that DNS carries; a longer one loses labels from its left (RFC 7208 7.3).
const MAX_NAME: usize = 253;

/// A text with macros, understood completely.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct MacroString(Vec<Part>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Literal(String),
    Macro(Macro),
}

/// `%{letter keep r delimiters}`.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Macro {
    letter: char,
    /// A capital letter: the value is escaped as in URLs.
    escaped: bool,
    /// How many parts are kept, from the right.
    keep: Option<usize>,
    reversed: bool,
    delimiters: String,
}

/// Where a macro string stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// In a term of a record: no spaces, and no macro of an explanation.
    Term,
    /// In the text that `exp=` leads to.
    Explanation,
}

/// The text is no macro string.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NotAMacroString;

/// What the macros stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    /// The client, not an IPv4-mapped address.
    pub(super) client: IpAddr,
    /// What the client called itself.
    pub(super) helo: &'a str,
    /// The local part of the sender.
    pub(super) local: &'a str,
    /// The domain of the sender.
    pub(super) sender_domain: &'a str,
    /// The domain whose record is being evaluated.
    pub(super) domain: &'a str,
    /// The verified name of the client, or `unknown`.
    pub(super) client_name: &'a str,
    /// Our own name.
    pub(super) receiver: &'a str,
    /// Seconds since 1970.
    pub(super) now: u64,
}

impl MacroString {
    /// Reads `text` (RFC 7208 7.1 `macro-string`, `explain-string`).
    pub(super) fn parse(text: &str, place: Place) -> Result<Self, NotAMacroString> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            let (literal, behind) = rest.split_at(at);
            push_literal(&mut parts, literal, place)?;
            let (part, behind) = expansion(behind, place)?;
            parts.push(part);
            rest = behind;
        }
        push_literal(&mut parts, rest, place)?;
        Ok(Self(parts))
    }

    /// Whether it ends in a macro rather than in text of its own.
    pub(super) fn ends_in_expansion(text: &str) -> bool {
        text.ends_with('}') || ["%%", "%_", "%-"].iter().any(|escape| text.ends_with(escape))
    }

    /// Whether it asks for the client's verified name, which takes look-ups.
    pub(super) fn wants_client_name(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Macro(found) if found.letter == 'p'))
    }

    /// Whether the local part of the sender comes into it.
    pub(super) fn wants_local_part(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Macro(found) if matches!(found.letter, 's' | 'l')))
    }

    /// Whether the domain whose record is being evaluated does.
    pub(super) fn wants_domain(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Macro(found) if found.letter == 'd'))
    }

    /// The text with every macro replaced.
    pub(super) fn expand(&self, values: &Values<'_>) -> String {
        self.0.iter().fold(String::new(), |expanded, part| match part {
            Part::Literal(text) => expanded + text.as_str(),
            Part::Macro(found) => expanded + found.expand(values).as_str(),
        })
    }

    /// The same as a name for DNS.
    pub(super) fn name(&self, values: &Values<'_>) -> String {
        let expanded = self.expand(values).to_ascii_lowercase();
        let mut name = expanded.strip_suffix('.').unwrap_or(&expanded);
        while name.len() > MAX_NAME {
            name = name.split_once('.').map_or("", |(_, rest)| rest);
        }
        name.to_owned()
    }
}

fn push_literal(parts: &mut Vec<Part>, text: &str, place: Place) -> Result<(), NotAMacroString> {
    let allowed = |c: char| c.is_ascii_graphic() || (c == ' ' && place == Place::Explanation);
    if !text.chars().all(allowed) {
        return Err(NotAMacroString);
    }
    if !text.is_empty() {
        parts.push(Part::Literal(text.to_owned()));
    }
    Ok(())
}

/// What `text`, which begins with a percent sign, begins with.
fn expansion(text: &str, place: Place) -> Result<(Part, &str), NotAMacroString> {
    for (escape, meaning) in [("%%", "%"), ("%_", " "), ("%-", "%20")] {
        if let Some(rest) = text.strip_prefix(escape) {
            return Ok((Part::Literal(meaning.to_owned()), rest));
        }
    }
    let (inside, rest) =
        text.strip_prefix("%{").and_then(|rest| rest.split_once('}')).ok_or(NotAMacroString)?;
    Ok((Part::Macro(Macro::parse(inside, place)?), rest))
}

impl Macro {
    fn parse(inside: &str, place: Place) -> Result<Self, NotAMacroString> {
        let mut chars = inside.chars();
        let letter = chars.next().ok_or(NotAMacroString)?;
        let known = match place {
            Place::Term => "slodiphv",
            Place::Explanation => "slodiphvcrt",
        };
        if !known.contains(letter.to_ascii_lowercase()) {
            return Err(NotAMacroString);
        }
        let behind = chars.as_str();
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        let (keep, behind) = behind.split_at_checked(digits).ok_or(NotAMacroString)?;
        let (reversed, delimiters) = match behind.strip_prefix(['r', 'R']) {
            Some(rest) => (true, rest),
            None => (false, behind),
        };
        if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
            return Err(NotAMacroString);
        }
        Ok(Self {
            letter: letter.to_ascii_lowercase(),
            escaped: letter.is_ascii_uppercase(),
            keep: parts_to_keep(keep)?,
            reversed,
            delimiters: if delimiters.is_empty() { ".".to_owned() } else { delimiters.to_owned() },
        })
    }

    fn expand(&self, values: &Values<'_>) -> String {
        let value = self.value(values);
        let mut parts: Vec<&str> = value.split(|c| self.delimiters.contains(c)).collect();
        if self.reversed {
            parts.reverse();
        }
        let dropped = self.keep.map_or(0, |keep| parts.len().saturating_sub(keep));
        let text = parts.get(dropped..).unwrap_or_default().join(".");
        if self.escaped { escaped(&text) } else { text }
    }

    fn value(&self, values: &Values<'_>) -> String {
        match self.letter {
            's' => format!("{}@{}", values.local, values.sender_domain),
            'l' => values.local.to_owned(),
            'o' => values.sender_domain.to_owned(),
            'd' => values.domain.to_owned(),
            'i' => dotted(values.client),
            'p' => values.client_name.to_owned(),
            'h' => values.helo.to_owned(),
            'v' if values.client.is_ipv4() => "in-addr".to_owned(),
            'v' => "ip6".to_owned(),
            'c' => values.client.to_string(),
            'r' => values.receiver.to_owned(),
            't' => values.now.to_string(),
            _ => String::new(),
        }
    }
}

/// RFC 7208 7.3: a number of parts that is not zero. What is beyond any name means "all".
fn parts_to_keep(digits: &str) -> Result<Option<usize>, NotAMacroString> {
    if digits.is_empty() {
        return Ok(None);
    }
    if digits.bytes().all(|digit| digit == b'0') {
        return Err(NotAMacroString);
    }
    Ok(Some(digits.parse().unwrap_or(usize::MAX)))
}

/// An address as labels, first octet or nibble first.
fn dotted(address: IpAddr) -> String {
    let reversed = reverse_name(address);
    let labels = reversed.strip_suffix(".in-addr.arpa").or_else(|| reversed.strip_suffix(".ip6.arpa"));
    labels.unwrap_or_default().rsplit('.').collect::<Vec<_>>().join(".")
}

/// RFC 3986 2.3: everything but unreserved characters as `%XX`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "192.0.2.3";
    const V6: &str = "2001:db8::cb01";

    fn expand(text: &str, client: &str) -> String {
        let values = Values {
            client: client.parse().unwrap(),
            helo: "mx.example.com",
            local: "strong-bad",
            sender_domain: "email.example.com",
            domain: "email.example.com",
            client_name: "mx.example.org",
            receiver: "mx.receiver.example",
            now: 1_700_000_000,
        };
        MacroString::parse(text, Place::Explanation).unwrap().expand(&values)
    }

    /// The examples of RFC 7208 7.4.
    #[test]
    fn examples_of_the_rfc() {
        for (text, client, expanded) in [
            ("%{s}", V4, "strong-bad@email.example.com"),
            ("%{o}", V4, "email.example.com"),
            ("%{d4}", V4, "email.example.com"),
            ("%{d3}", V4, "email.example.com"),
            ("%{d2}", V4, "example.com"),
            ("%{d1}", V4, "com"),
            ("%{dr}", V4, "com.example.email"),
            ("%{d2r}", V4, "example.email"),
            ("%{l}", V4, "strong-bad"),
            ("%{l-}", V4, "strong.bad"),
            ("%{lr}", V4, "strong-bad"),
            ("%{lr-}", V4, "bad.strong"),
            ("%{l1r-}", V4, "strong"),
            ("%{ir}.%{v}._spf.%{d2}", V4, "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", V4, "bad.strong.lp._spf.example.com"),
            ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", V4, "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", V4, "example.com.trusted-domains.example.net"),
            (
                "%{ir}.%{v}._spf.%{d2}",
                V6,
                "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com",
            ),
            ("%%%_%-", V4, "% %20"),
            ("%{S}", V4, "strong-bad%40email.example.com"),
            ("%{c} %{r} %{t}", V6, "2001:db8::cb01 mx.receiver.example 1700000000"),
        ] {
            assert_eq!(expand(text, client), expanded, "{text}");
        }
    }

    #[test]
    fn what_is_no_macro_string() {
        for text in
            ["%", "%a", "%{", "%{}", "%{x}", "%{d0}", "%{d00r}", "%{l!}", "%{d2 }", "a b", "\u{e9}", "%{c}"]
        {
            assert_eq!(MacroString::parse(text, Place::Term), Err(NotAMacroString), "{text}");
        }
        assert!(MacroString::parse("a b %{c}", Place::Explanation).is_ok());
    }

    #[test]
    fn names_that_are_too_long_lose_labels_from_the_left() {
        let local = ["x".repeat(60).as_str(), &"y".repeat(60), &"z".repeat(60), &"w".repeat(60)].join(".");
        let values = Values {
            client: V4.parse().unwrap(),
            helo: "",
            local: &local,
            sender_domain: "example.com",
            domain: "example.com",
            client_name: "unknown",
            receiver: "",
            now: 0,
        };
        let name = MacroString::parse("%{l}.Example.COM.", Place::Term).unwrap().name(&values);
        assert!(name.starts_with("yyy") && name.ends_with("www.example.com"), "{name}");
    }
}
