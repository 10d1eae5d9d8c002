//! One line of a transcript, read word by word, and what is wrong with it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, Position, nearest};
use crate::units::{self, UnitError};

/// What is wrong at one place of a transcript.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mistake {
    position: Position,
    message: String,
    help: Option<String>,
}

impl Mistake {
    pub(super) fn new(position: Position, message: impl Into<String>) -> Self {
        Self { position, message: message.into(), help: None }
    }

    #[must_use]
    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// `word` is none of `known`.
    pub(super) fn unknown<'k>(
        what: &str,
        word: Word<'_>,
        known: impl IntoIterator<Item = &'k str> + Clone,
    ) -> Self {
        let mistake = Self::new(word.position(), format!("unknown {what} `{}`", word.text));
        match nearest(word.text, known.clone()) {
            Some(name) => mistake.with_help(format!("did you mean `{name}`?")),
            None => {
                mistake.with_help(format!("one of: {}", known.into_iter().collect::<Vec<_>>().join(", ")))
            }
        }
    }

    pub(super) fn into_diagnostic(self, file: &Path, text: &Arc<str>) -> Diagnostic {
        let diagnostic = Diagnostic::error(PathBuf::from(file), self.message).at(text, self.position);
        match self.help {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic,
        }
    }
}

/// A word of a line, and where it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    line: usize,
    column: usize,
}

impl Word<'_> {
    pub(super) fn position(&self) -> Position {
        Position::new(self.line, self.column, self.text.chars().count().max(1))
    }

    pub(super) fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake::new(self.position(), message)
    }

    /// The word as whatever can be parsed from it; `what` says what was wanted.
    pub(super) fn parse<T: std::str::FromStr>(&self, what: &str) -> Result<T, Mistake> {
        self.text.parse().map_err(|_| self.mistake(format!("`{}` is not {what}", self.text)))
    }

    /// The value that the word stands for in `table`; `what` says what kind of name it is.
    pub(super) fn choose<T: Copy>(self, what: &str, table: &[(&'static str, T)]) -> Result<T, Mistake> {
        let found = table.iter().find(|(name, _)| *name == self.text);
        let unknown = || Mistake::unknown(what, self, table.iter().map(|(name, _)| *name));
        found.map(|(_, value)| *value).ok_or_else(unknown)
    }

    /// `30s`, `5m`, `2h`, `1d`, `250ms`.
    pub(super) fn duration(&self) -> Result<Duration, Mistake> {
        units::parse_duration(self.text).map_err(|error| self.quantity(error))
    }

    /// `100B`, `64KiB`, `25MiB`, `1GiB`, and `KB`, `MB`, `GB` by the thousand.
    pub(super) fn bytes(&self) -> Result<u64, Mistake> {
        units::parse_size(self.text).map_err(|error| self.quantity(error))
    }

    fn quantity(&self, error: UnitError) -> Mistake {
        self.mistake(error.message).with_help(error.help)
    }

    /// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
    pub(super) fn address(&self, port: u16) -> Result<SocketAddr, Mistake> {
        match self.text.parse::<IpAddr>() {
            Ok(ip) => Ok(SocketAddr::new(ip, port)),
            Err(_) => self.parse("an IP address, with or without a port"),
        }
    }
}

/// A line that is read from its front.
#[derive(Clone, Debug)]
pub(super) struct Words<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
}

impl<'a> Words<'a> {
    /// `text` is what stands in line `line` from `column` on, both counted from 1.
    pub(super) const fn new(text: &'a str, line: usize, column: usize) -> Self {
        Self { rest: text, line, column }
    }

    /// The next word; `None` at the end of the line.
    pub(super) fn next(&mut self) -> Option<Word<'a>> {
        self.skip_spaces();
        let end = self.rest.find([' ', '\t']).unwrap_or(self.rest.len());
        if end == 0 { None } else { Some(self.take(end)) }
    }

    /// The next word, which has to be there.
    pub(super) fn expect(&mut self, what: &str) -> Result<Word<'a>, Mistake> {
        self.next().ok_or_else(|| self.here(format!("{what} is missing")))
    }

    /// Everything up to the end of the line, without the spaces around it; may be empty.
    pub(super) fn rest(&mut self) -> Word<'a> {
        self.skip_spaces();
        let end = self.rest.trim_end_matches([' ', '\t']).len();
        let word = self.take(end);
        self.rest = "";
        word
    }

    /// The words up to the end of the line, divided by spaces, commas or both.
    pub(super) fn list(&mut self) -> Vec<Word<'a>> {
        let mut words = Vec::new();
        while let Some(mut word) = self.next() {
            while let Some((head, tail)) = word.text.split_once(',') {
                words.push(Word { text: head, ..word });
                word = Word { text: tail, column: word.column + head.chars().count() + 1, ..word };
            }
            words.push(word);
        }
        words.retain(|word| !word.text.is_empty());
        words
    }

    /// What stands next, without taking it.
    pub(super) fn peek(&self) -> &'a str {
        self.rest.trim_start_matches([' ', '\t'])
    }

    /// Nothing more may follow.
    pub(super) fn end(&mut self) -> Result<(), Mistake> {
        let rest = self.rest();
        if rest.text.is_empty() {
            Ok(())
        } else {
            Err(rest.mistake(format!("`{}` does not belong here", rest.text)))
        }
    }

    /// Bytes in quotes: one or several texts with escapes, each perhaps repeated, as in `"a" "b\r\n"*3`.
    pub(super) fn quoted(&mut self) -> Result<Vec<u8>, Mistake> {
        let mut bytes = Vec::new();
        if !self.peek().starts_with('"') {
            return Err(self.here("a text in quotes is missing"));
        }
        while self.peek().starts_with('"') {
            self.skip_spaces();
            let once = self.quoted_once()?;
            let times = self.times()?;
            if once.len().saturating_mul(times).saturating_add(bytes.len()) > MAX_QUOTED {
                return Err(self.here(format!("more than {MAX_QUOTED} octets on one line")));
            }
            bytes.extend(once.repeat(times));
        }
        Ok(bytes)
    }

    fn quoted_once(&mut self) -> Result<Vec<u8>, Mistake> {
        let open = Position::new(self.line, self.column, 1);
        self.take(1);
        let mut bytes = Vec::new();
        while let Some(c) = self.rest.chars().next() {
            let position = Position::new(self.line, self.column, 2);
            self.take(c.len_utf8());
            match c {
                '"' => return Ok(bytes),
                '\\' => bytes.push(self.escape(position)?),
                _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Err(Mistake::new(open, "the quote is never closed"))
    }

    fn escape(&mut self, position: Position) -> Result<u8, Mistake> {
        let wrong =
            || Mistake::new(position, "unknown escape").with_help(r#"there are \r \n \t \0 \\ \" and \xNN"#);
        let c = self.rest.chars().next().ok_or_else(wrong)?;
        self.take(c.len_utf8());
        match c {
            'r' => Ok(b'\r'),
            'n' => Ok(b'\n'),
            't' => Ok(b'\t'),
            '0' => Ok(0),
            '\\' | '"' => u8::try_from(c).map_err(|_| wrong()),
            'x' => {
                let digits = self.rest.get(..2).ok_or_else(wrong)?;
                self.take(2);
                u8::from_str_radix(digits, 16).map_err(|_| wrong())
            }
            _ => Err(wrong()),
        }
    }

    /// The number behind a `*`; 1 without one.
    fn times(&mut self) -> Result<usize, Mistake> {
        if !self.rest.starts_with('*') {
            return Ok(1);
        }
        self.take(1);
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        self.take(digits).parse("a number of repetitions")
    }

    fn here(&self, message: impl Into<String>) -> Mistake {
        Mistake::new(Position::new(self.line, self.column, 0), message)
    }

    fn skip_spaces(&mut self) {
        let spaces = self.rest.len() - self.peek().len();
        self.take(spaces);
    }

    /// Takes `end` octets, which must be a boundary between characters.
    fn take(&mut self, end: usize) -> Word<'a> {
        let (text, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        let word = Word { text, line: self.line, column: self.column };
        self.rest = rest;
        self.column += text.chars().count();
        word
    }
}

/// The most that the quoted texts of one line may come to: room for a message of some size, not for a mistyped repetition.
const MAX_QUOTED: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words<'_> {
        Words::new(text, 3, 5)
    }

    #[test]
    fn words_know_their_place() {
        let mut line = words("  dns  größe.example.org\tA");
        line.next();
        let name = line.next().unwrap();
        assert_eq!((name.text, name.position()), ("größe.example.org", Position::new(3, 12, 17)));
        assert_eq!(line.next().unwrap().position(), Position::new(3, 30, 1));
        assert_eq!(line.next(), None);
    }

    #[test]
    fn lists_are_divided_by_spaces_and_commas() {
        let mut line = words("a, b c,,d");
        let columns: Vec<_> = line.list().iter().map(|w| (w.text, w.position().column)).collect();
        assert_eq!(columns, [("a", 5), ("b", 8), ("c", 10), ("d", 13)]);
    }

    #[test]
    fn quoted_bytes() {
        let cases: [(&str, &[u8]); 6] = [
            (r#""a""#, b"a"),
            (r#""a\r\n\t\0\\\"\x7f\xFF""#, b"a\r\n\t\0\\\"\x7f\xff"),
            (r#""ab"*3 "c""#, b"abababc"),
            (r#""ab"*0"#, b""),
            (r#""ö""#, "ö".as_bytes()),
            (r#""""#, b""),
        ];
        for (text, bytes) in cases {
            assert_eq!(words(text).quoted().as_deref(), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn wrong_quotes_have_a_place() {
        let cases = [
            (r"abc", 5),
            (r#""abc"#, 5),
            (r#""ab\q""#, 8),
            (r#""\x4""#, 6),
            (r#""\xzz""#, 6),
            (r#""\"#, 6),
            (r#""a"*x"#, 9),
            (r#""a"*99999999999"#, 20),
        ];
        for (text, column) in cases {
            let mistake = words(text).quoted().unwrap_err();
            assert_eq!((mistake.position.line, mistake.position.column), (3, column), "{text}: {mistake:?}");
        }
    }

    #[test]
    fn times_and_sizes() {
        let word = |text: &'static str| words(text).next().unwrap();
        for (text, milliseconds) in [("250ms", 250), ("30s", 30_000), ("10m", 600_000), ("1d", 86_400_000)] {
            assert_eq!(word(text).duration(), Ok(Duration::from_millis(milliseconds)));
        }
        for (text, bytes) in [("0B", 0), ("10KB", 10_000), ("25MiB", 25 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(word(text).bytes(), Ok(bytes));
        }
        for text in ["5", "s", "5 m", "5x", "-5s", "99999999999999999999s"] {
            assert!(word(text).duration().is_err(), "{text}");
            assert!(word(text).bytes().is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_with_and_without_port() {
        let address = |text: &'static str| words(text).next().unwrap().address(7).ok();
        assert_eq!(address("192.0.2.1"), "192.0.2.1:7".parse().ok());
        assert_eq!(address("192.0.2.1:25"), "192.0.2.1:25".parse().ok());
        assert_eq!(address("2001:db8::1"), "[2001:db8::1]:7".parse().ok());
        assert_eq!(address("[2001:db8::1]:25"), "[2001:db8::1]:25".parse().ok());
        assert_eq!(address("example.org"), None);
    }

    #[test]
    fn what_is_left_over_is_a_mistake() {
        let mut line = words("a b");
        line.next();
        assert_eq!(line.end().unwrap_err().position, Position::new(3, 7, 1));
        assert_eq!(line.end(), Ok(()));
        assert!(line.expect("a name").unwrap_err().message.contains("a name is missing"));
    }
}
