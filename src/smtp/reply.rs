//! Replies: what a server says, how it looks on the wire, and how it is read (RFC 5321 4.2, RFC 2034).

mod decode;

pub use decode::{ReplyDecoder, ReplyError};

use std::fmt;

/// A reply code between 200 and 599 (RFC 5321 4.2.1).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Code(u16);

impl Code {
    /// The code, if it is one that a server may send as a final or intermediate answer: 200..=599 and its
    /// second digit at most 5.
    pub const fn new(value: u16) -> Option<Self> {
        if value >= 200 && value <= 599 && value / 10 % 10 <= 5 { Some(Self(value)) } else { None }
    }

    /// The code of a literal: `Code::literal::<250>()`. A number that [`Code::new`] refuses does not compile.
    pub const fn literal<const VALUE: u16>() -> Self {
        const {
            match Self::new(VALUE) {
                Some(code) => code,
                None => unreachable!(),
            }
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The first digit as what it means.
    pub const fn class(self) -> Class {
        match self.0 / 100 {
            2 => Class::Completed,
            3 => Class::Intermediate,
            4 => Class::Transient,
            _ => Class::Permanent,
        }
    }
}

/// What the first digit of a reply means (RFC 5321 4.2.1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Class {
    /// 2yz: done.
    Completed,
    /// 3yz: go on.
    Intermediate,
    /// 4yz: not now.
    Transient,
    /// 5yz: no.
    Permanent,
}

/// An enhanced status code such as `5.7.1` (RFC 3463).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct EnhancedCode {
    /// 2, 4 or 5.
    pub class: u8,
    /// 0..=999.
    pub subject: u16,
    /// 0..=999.
    pub detail: u16,
}

impl EnhancedCode {
    /// The code `class.subject.detail`.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }

    /// The code that `text` is, in the syntax of RFC 3463 2: class 2, 4 or 5, then two numbers of at most three digits without leading
    /// zeros.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let class = match parts.next()? {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        let (subject, detail) = (number(parts.next()?)?, number(parts.next()?)?);
        if parts.next().is_some() { None } else { Some(Self::new(class, subject, detail)) }
    }
}

fn number(digits: &str) -> Option<u16> {
    let canonical = digits == "0" || !digits.starts_with('0');
    let fits = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if canonical && fits { digits.parse().ok() } else { None }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// A whole reply: a code, perhaps an enhanced code, and one line of text or several.
///
/// The text holds no control characters, so that a reply can never be split into two; see [`Reply::new`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    code: Code,
    enhanced: Option<EnhancedCode>,
    lines: Vec<String>,
}

impl Reply {
    /// A reply with the text `text`, whose lines are divided by `\n`. Every other control character, and every
    /// character beyond ASCII, becomes `?`; a line is cut after 400 octets.
    pub fn new(code: Code, enhanced: Option<EnhancedCode>, text: &str) -> Self {
        let lines = text.split('\n').map(printable).collect();
        Self { code, enhanced, lines }
    }

    /// The reply code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The enhanced code, where there is one.
    pub const fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The text without codes, line by line; at least one line.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Whether this is a 2yz reply.
    pub fn is_completed(&self) -> bool {
        self.code.class() == Class::Completed
    }

    /// The same words with another code.
    #[must_use]
    pub const fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// The same reply with an enhanced code on each line (RFC 2034 4): its own where it has one, else `enhanced`. Lines that have codes of
    /// their own keep them, and those that have none get the first of these. What has no room beside it is cut off: a line has 512 octets
    /// (RFC 5321 4.5.3.1.5).
    #[must_use]
    pub fn with_enhanced(mut self, enhanced: EnhancedCode) -> Self {
        if self.enhanced.is_some() {
            return self;
        }
        let code = self.code;
        let own = self.lines.iter().find_map(|line| decode::leading_enhanced(code, line));
        let prefix = format!("{} ", own.unwrap_or(enhanced));
        let room = decode::MAX_TEXT.saturating_sub(prefix.len());
        let without = |line: &&mut String| decode::leading_enhanced(code, line).is_none();
        for line in self.lines.iter_mut().filter(without) {
            line.truncate(line.floor_char_boundary(room));
            if own.is_some() {
                line.insert_str(0, &prefix);
            }
        }
        self.enhanced = Some(enhanced).filter(|_| own.is_none());
        self
    }

    /// The same reply with `suffix` behind a space at the end of its last line.
    #[must_use]
    pub fn with_suffix(mut self, suffix: &str) -> Self {
        if let Some(last) = self.lines.last_mut() {
            last.push(' ');
            last.push_str(&printable(suffix));
        }
        self
    }

    /// The octets of the reply.
    pub fn on_the_wire(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        self.encode(&mut octets);
        octets
    }

    /// Appends the reply as it goes over the wire, each line ended by CRLF.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let last = self.lines.len().saturating_sub(1);
        for (n, line) in self.lines.iter().enumerate() {
            let separator = if n == last { ' ' } else { '-' };
            out.extend_from_slice(format!("{}{separator}", self.code.get()).as_bytes());
            if let Some(enhanced) = self.enhanced {
                let space = if line.is_empty() { "" } else { " " };
                out.extend_from_slice(format!("{enhanced}{space}").as_bytes());
            }
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// On one line, for logs: the codes, then the text with ` / ` between its lines.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code.get())?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for (n, line) in self.lines.iter().enumerate() {
            let separator = if n == 0 { " " } else { " / " };
            write!(f, "{separator}{line}")?;
        }
        Ok(())
    }
}

fn printable(line: &str) -> String {
    line.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).take(400).collect()
}

#[cfg(test)]
mod tests;
