//! What the syntax tree does not keep: the arms of a `switch`, read in the text itself.

use rhai::Position;

/// A literal text, or a single character, in front of `=>`.
pub(super) struct Arm {
    pub(super) text: String,
    pub(super) is_character: bool,
    pub(super) at: Position,
    /// How many arms stand in front of its own, of whatever kind.
    pub(super) number: usize,
}

/// The literal texts and characters in front of `=>` of the `switch` at `position`.
pub(super) fn arms(text: &str, position: Position) -> Vec<Arm> {
    let Some(from) = offset(text, position) else { return Vec::new() };
    let Some(rest) = text.get(from..) else { return Vec::new() };
    let mut reader =
        Reader { rest, line: position.line().unwrap_or(1), column: position.position().unwrap_or(1) };
    let mut arms = Vec::new();
    let mut depth = 0_usize;
    let mut in_pattern = false;
    let mut number = 0;
    while let Some(token) = reader.next() {
        match token.kind {
            Kind::Open => {
                depth += 1;
                in_pattern = depth == 1 && token.text == "{";
            }
            Kind::Close => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.text == "}" {
                    break;
                }
                // The block of an arm may end it without a comma.
                in_pattern = depth == 1 && token.text == "}";
            }
            Kind::Comma if depth == 1 => in_pattern = true,
            Kind::If if depth == 1 => in_pattern = false,
            Kind::Arrow if depth == 1 => {
                in_pattern = false;
                number += 1;
            }
            Kind::Text | Kind::Character if depth == 1 && in_pattern => {
                if let Some(at) = token.position().filter(|_| token.is_closed()) {
                    let is_character = token.kind == Kind::Character;
                    let quote = if is_character { '\'' } else { '"' };
                    let text = token.text.trim_matches(quote).to_owned();
                    arms.push(Arm { text, is_character, at, number });
                }
            }
            _ => {}
        }
    }
    arms
}

/// A bracket of a script, outside of texts and comments.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Bracket<'t> {
    pub(in super::super) text: &'t str,
    pub(in super::super) opens: bool,
    /// From 1.
    pub(in super::super) line: usize,
    pub(in super::super) column: usize,
    /// In octets.
    pub(in super::super) offset: usize,
}

/// The brackets of a script, in order.
pub(in super::super) fn brackets(text: &str) -> impl Iterator<Item = Bracket<'_>> {
    let mut reader = Reader { rest: text, line: 1, column: 1 };
    std::iter::from_fn(move || {
        loop {
            let token = reader.next()?;
            let opens = match token.kind {
                Kind::Open => true,
                Kind::Close => false,
                _ => continue,
            };
            let offset = text.len() - reader.rest.len() - token.text.len();
            return Some(Bracket { text: token.text, opens, line: token.line, column: token.column, offset });
        }
    })
}

/// Whether a name stands at `position`, where the tree has something else: a variable that does not exist is written over with
/// a number, so that the rest can be looked at.
pub(super) fn is_written_over(text: &str, position: Position) -> bool {
    let rest = offset(text, position).and_then(|offset| text.get(offset..));
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphabetic() || c == '_'))
}

/// The word behind `name-`, where `name` stands at `position`.
pub(super) fn behind_dash<'t>(text: &'t str, position: Position, name: &str) -> Option<&'t str> {
    let rest = offset(text, position).and_then(|offset| text.get(offset..))?;
    let rest = rest.strip_prefix(name)?.strip_prefix('-')?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    rest.get(..end).filter(|word| !word.is_empty())
}

/// Where `position` is in the text, in octets.
fn offset(text: &str, position: Position) -> Option<usize> {
    let (line, column) = (position.line()?.checked_sub(1)?, position.position()?.checked_sub(1)?);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let within: usize = text.get(before..)?.chars().take(column).map(char::len_utf8).sum();
    Some(before + within)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Open,
    Close,
    Comma,
    Arrow,
    If,
    Text,
    Character,
    Other,
}

struct Token<'t> {
    kind: Kind,
    text: &'t str,
    line: usize,
    column: usize,
}

impl Token<'_> {
    /// Whether the quote at its beginning stands at its end too.
    fn is_closed(&self) -> bool {
        self.text.len() > 1 && self.text.chars().next() == self.text.chars().next_back()
    }

    fn position(&self) -> Option<Position> {
        Some(Position::new(self.line.try_into().ok()?, self.column.try_into().ok()?))
    }
}

/// Cuts a script into what matters here. Comments and characters in quotes are stepped over.
struct Reader<'t> {
    rest: &'t str,
    line: usize,
    column: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Option<Token<'t>> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.take(blank);
            let comment = if self.rest.starts_with("//") {
                self.rest.find('\n').unwrap_or(self.rest.len())
            } else if self.rest.starts_with("/*") {
                self.rest.find("*/").map_or(self.rest.len(), |end| end + 2)
            } else {
                break;
            };
            self.take(comment);
        }
        let (line, column) = (self.line, self.column);
        let (kind, len) = kind(self.rest)?;
        Some(Token { kind, text: self.take(len), line, column })
    }

    fn take(&mut self, len: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        for c in taken.chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.rest = rest;
        taken
    }
}

/// What stands at the beginning, and how many octets it has.
fn kind(text: &str) -> Option<(Kind, usize)> {
    let first = text.chars().next()?;
    Some(match first {
        '"' => (Kind::Text, quoted(text, first)),
        '\'' => (Kind::Character, quoted(text, first)),
        '`' => (Kind::Other, quoted(text, first)),
        '{' | '(' | '[' => (Kind::Open, 1),
        '}' | ')' | ']' => (Kind::Close, 1),
        ',' => (Kind::Comma, 1),
        '=' if text.starts_with("=>") => (Kind::Arrow, 2),
        '#' if text.starts_with("#{") => (Kind::Open, 2),
        c if c.is_alphanumeric() || c == '_' => {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let len = text.find(|c| !word(c)).unwrap_or(text.len());
            (if text.get(..len) == Some("if") { Kind::If } else { Kind::Other }, len)
        }
        c => (Kind::Other, c.len_utf8()),
    })
}

/// The octets of a quoted text with its quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            c if c == quote => return index + quote.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_are_found_with_their_places() {
        let text = "fn f(x) {\n  switch x {\n    \"a\" | \"b\" => g(\"no\", #{ c: \"no\" }),\n    \"c\" if x == \"no\" => { \"no\" }\n    // \"no\"\n    \"d\" => `no ${x}`,\n    _ => ()\n  }\n  \"no\"\n}";
        let found = arms(text, Position::new(2, 3));
        let found: Vec<_> = found
            .iter()
            .map(|arm| (arm.text.as_str(), arm.at.line().unwrap(), arm.at.position().unwrap(), arm.number))
            .collect();
        assert_eq!(found, [("a", 3, 5, 0), ("b", 3, 11, 0), ("c", 4, 5, 1), ("d", 6, 5, 2)]);
    }

    #[test]
    fn no_text_makes_it_fail() {
        for text in ["", "switch", "switch {", "switch x { '\u{e4}\\", "/*", "x}}}"] {
            assert!(arms(text, Position::new(1, 1)).is_empty(), "{text}");
            assert!(arms(text, Position::new(9, 9)).is_empty(), "{text}");
        }
    }
}
