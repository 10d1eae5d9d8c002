//! What a line is expected to look like.

use std::fmt;

/// A text in which `...` stands for anything, also nothing. Of more dots in a row, the last three do: `5.7....` is `5.7.` and
/// whatever follows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pattern {
    text: String,
    /// What has to be there, in this order; the first piece at the start, the last at the end.
    pieces: Vec<String>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("...") {
            let (before, dots) = rest.split_at_checked(at).unwrap_or((rest, ""));
            let run = dots.bytes().take_while(|byte| *byte == b'.').count();
            pieces.push(format!("{before}{}", ".".repeat(run - 3)));
            rest = dots.get(run..).unwrap_or_default();
        }
        pieces.push(rest.to_owned());
        Self { text: text.to_owned(), pieces }
    }

    pub(super) fn matches(&self, line: &str) -> bool {
        let Some((first, others)) = self.pieces.split_first() else { return line.is_empty() };
        let Some(mut rest) = line.strip_prefix(first.as_str()) else { return false };
        let Some((last, middle)) = others.split_last() else { return rest.is_empty() };
        for piece in middle {
            match rest.split_once(piece.as_str()) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }

    /// Whether it is `...` and nothing else.
    pub(super) fn is_anything(&self) -> bool {
        self.text == "..."
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One `S:` line: what a line of a reply is expected to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ReplyLine {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    /// `...`: a whole reply, whatever it says.
    Anything,
    /// Codes, `-` or a space, and a text.
    Coded { codes: Vec<String>, continued: bool, text: Pattern },
}

impl ReplyLine {
    /// Reads `250 text`, `250-text`, `5yz ...`, `500|501 ...` or `...`. `None` when it is nothing of this kind.
    pub(super) fn new(line: &str) -> Option<Self> {
        if line == "..." {
            return Some(Self { text: line.to_owned(), kind: Kind::Anything });
        }
        let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '|').unwrap_or(line.len());
        let (codes, rest) = line.split_at_checked(end)?;
        let codes: Vec<String> = codes.split('|').map(str::to_owned).collect();
        if !codes.iter().all(|code| is_code(code)) {
            return None;
        }
        let continued = rest.starts_with('-');
        let text = Pattern::new(rest.strip_prefix(['-', ' ']).unwrap_or(rest));
        Some(Self { text: line.to_owned(), kind: Kind::Coded { codes, continued, text } })
    }

    /// Whether the same reply goes on behind this line.
    pub(super) const fn is_continued(&self) -> bool {
        matches!(self.kind, Kind::Coded { continued: true, .. })
    }

    /// Whether any number of lines may stand here: `250-...`.
    pub(super) fn is_open(&self) -> bool {
        matches!(&self.kind, Kind::Coded { continued: true, text, .. } if text.is_anything())
    }

    /// Whether any whole reply will do.
    pub(super) const fn is_anything(&self) -> bool {
        matches!(self.kind, Kind::Anything)
    }

    /// Whether `line`, as it came over the wire without its CRLF, is such a line.
    pub(super) fn matches(&self, line: &str) -> bool {
        let Kind::Coded { codes, continued, text } = &self.kind else { return true };
        let Some((code, rest)) = line.split_at_checked(3) else { return false };
        codes.iter().any(|wanted| fits(wanted, code))
            && rest.starts_with('-') == *continued
            && text.matches(rest.strip_prefix(['-', ' ']).unwrap_or(rest))
    }
}

impl fmt::Display for ReplyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Three digits, of which the last ones may be the `y` and `z` with which RFC 5321 4.2.1 speaks of any digit.
fn is_code(code: &str) -> bool {
    code.len() == 3
        && code.starts_with(|c: char| c.is_ascii_digit())
        && code.chars().all(|c| c.is_ascii_digit() || c == 'y' || c == 'z')
}

fn fits(wanted: &str, code: &str) -> bool {
    wanted.chars().zip(code.chars()).all(|(w, c)| w == c || (matches!(w, 'y' | 'z') && c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_stand_for_anything() {
        let cases = [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("", "", true),
            ("", "a", false),
            ("...", "", true),
            ("...", "anything", true),
            ("a...", "abc", true),
            ("a...", "bc", false),
            ("...c", "abc", true),
            ("...c", "abcd", false),
            ("a...c", "ac", true),
            ("a...b...c", "a-b-b-c", true),
            ("a...b...c", "a-c-b", false),
            ("ab...ba", "aba", false),
            ("a...a...a", "aa", false),
            ("5.7....", "5.7.1 no", true),
            ("5.7....", "5.70 no", false),
            ("....", ".", true),
            ("....", "a", false),
            ("a.....b", "a..xb", true),
        ];
        for (pattern, line, matches) in cases {
            assert_eq!(Pattern::new(pattern).matches(line), matches, "{pattern} on {line}");
        }
    }

    #[test]
    fn reply_lines() {
        let cases = [
            ("250 ok", "250 ok", true),
            ("250 ok", "250-ok", false),
            ("250-ok", "250-ok", true),
            ("250", "250", true),
            ("250...", "250 x", true),
            ("5yz ...", "550 5.7.1 no", true),
            ("5yz ...", "450 4.7.1 no", false),
            ("500|501 5.5.2 ...", "501 5.5.2 what?", true),
            ("500|501 5.5.2 ...", "502 5.5.2 what?", false),
            ("50z ...", "501 x", true),
            ("50z ...", "511 x", false),
            ("...", "220-hello", true),
            ("250 ...", "25", false),
            ("250 ...", "äö", false),
        ];
        for (pattern, line, matches) in cases {
            assert_eq!(ReplyLine::new(pattern).unwrap().matches(line), matches, "{pattern} on {line}");
        }
        for wrong in ["", "25 ok", "2500 ok", "ok", "xyz ok", "250|abc ok"] {
            assert_eq!(ReplyLine::new(wrong), None, "{wrong}");
        }
    }
}
