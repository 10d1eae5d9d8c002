//! The names that a part's file may have: mail programs differ in which one they take where a header has several (RFC 2183 2.3,
//! RFC 2045 5.1: neither says what of two). Whoever judges files by their names has to see all of them.

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;

use super::extension;

/// Encoded words of one name that are decoded.
const MAX_ENCODED_WORDS: usize = 64;
/// Names of one part that are told.
const MAX_NAMES: usize = 8;
/// Characters of a file name that are kept: as many as file systems hold.
const MAX_NAME: usize = 255;
/// Characters of an extension that outlasts the cut of a longer name.
const MAX_EXTENSION: usize = 32;

/// The names of one part, each once, the likeliest first.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) all: Vec<String>,
    /// There are more than are told.
    pub(super) more: bool,
}

impl Names {
    /// Adds a name, and what it becomes where encoded words are decoded wherever they stand, as some mail programs do.
    pub(super) fn add(&mut self, name: &str) {
        self.add_one(name);
        if name.contains("=?") {
            self.add_one(&without_words(name));
        }
    }

    fn add_one(&mut self, name: &str) {
        let name = file_name(name);
        if name.is_empty() || self.all.contains(&name) {
            return;
        }
        if self.all.len() < MAX_NAMES {
            self.all.push(name);
        } else {
            self.more = true;
        }
    }

    /// Adds what a reader sees in the value of a field who knows nothing of RFC 2231 and goes by `name=` and `filename=` alone.
    pub(super) fn add_plain(&mut self, mut value: &[u8]) {
        while let Some(equals) = memchr::memchr(b'=', value) {
            let (attribute, after) = value.split_at(equals);
            let after = after.get(1..).unwrap_or_default().trim_ascii_start();
            value = after;
            let attribute = attribute.trim_ascii_end();
            let (_, end) = attribute.split_at(attribute.len().saturating_sub(4));
            if end.eq_ignore_ascii_case(b"name") {
                let (name, length) = plain_value(after);
                value = after.get(length..).unwrap_or_default();
                // An encoded word: who reads the field by the rules has decoded it.
                match name.starts_with("=?") {
                    true => self.add_one(&without_words(&name)),
                    false => self.add(&name),
                }
            }
        }
    }
}

/// A value in quotes without them and without its backslashes, or what stands in front of the next semicolon; and how many octets
/// that takes.
fn plain_value(text: &[u8]) -> (String, usize) {
    if !text.starts_with(b"\"") {
        let end = memchr::memchr(b';', text).unwrap_or(text.len());
        let value = String::from_utf8_lossy(text.get(..end).unwrap_or_default());
        return (value.trim().to_owned(), end);
    }
    let (mut value, mut octets) = (Vec::new(), text.iter().enumerate().skip(1));
    let mut length = text.len();
    while let Some((at, &octet)) = octets.next() {
        match octet {
            b'"' => {
                length = at + 1;
                break;
            }
            b'\\' => value.extend(octets.next().map(|(_, octet)| octet)),
            other => value.push(other),
        }
    }
    (String::from_utf8_lossy(&value).into_owned(), length)
}

/// The text with its encoded words decoded, also those within words and quotes, where RFC 2047 5 wants none.
fn without_words(text: &str) -> String {
    let (mut decoded, mut rest) = (String::new(), text);
    for _ in 0..MAX_ENCODED_WORDS {
        let Some((before, word, after)) = encoded_word(rest) else { break };
        // Blanks between two words do not count (RFC 2047 6.2).
        if decoded.is_empty() || !before.trim().is_empty() {
            decoded.push_str(before);
        }
        match MessageStream::new(format!("{word}\n").as_bytes()).parse_unstructured() {
            HeaderValue::Text(plain) => decoded.push_str(&plain),
            _ => decoded.push_str(word),
        }
        rest = after;
    }
    decoded + rest
}

/// What stands in front of the first encoded word (`=?charset?B?text?=`), the word, and what stands behind.
fn encoded_word(text: &str) -> Option<(&str, &str, &str)> {
    let begin = text.find("=?")?;
    let (before, word) = text.split_at_checked(begin)?;
    let (charset, _) = word.get(2..)?.split_once('?')?;
    let content = 2 + charset.len() + 3;
    let end = content + word.get(content..)?.find("?=")? + 2;
    let (word, after) = word.split_at_checked(end)?;
    Some((before, word, after))
}

/// A name as it will be shown and saved: one line, without characters that turn the writing direction, which serve to make
/// `exe.doc` of `cod.exe`. One that is too long keeps its extension.
fn file_name(name: &str) -> String {
    let is_shown = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let whole: String = name.chars().filter(is_shown).collect();
    let whole = whole.trim();
    if whole.chars().count() <= MAX_NAME {
        return whole.to_owned();
    }
    let extension = extension(whole);
    let kept = if extension.chars().count() <= MAX_EXTENSION { extension } else { String::new() };
    let room = MAX_NAME - kept.chars().count() - 1;
    let start: String = whole.chars().take(room).collect();
    if kept.is_empty() { start } else { format!("{start}.{kept}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(value: &str) -> Vec<String> {
        let mut names = Names::default();
        names.add_plain(value.as_bytes());
        names.all
    }

    #[test]
    fn names_as_a_simple_reader_sees_them() {
        for (value, names) in [
            ("attachment; filename=\"a b.exe\"", &["a b.exe"][..]),
            ("attachment; FileName = a.exe ; size=5", &["a.exe"]),
            ("attachment; filename=invoice (1).exe", &["invoice (1).exe"]),
            ("a/b; name=\"a\\\"b.exe\"; name=c.exe", &["a\"b.exe", "c.exe"]),
            ("a/b; name=\"unclosed.exe", &["unclosed.exe"]),
            ("attachment; filename*=utf-8''a.exe; filename*0=b.exe", &[]),
            ("attachment; filename=\"=?utf-8?Q?a=2Eexe?=\"", &["a.exe"]),
            ("attachment; filename=\"evil.ex=?utf-8?Q?e?=\"", &["evil.ex=?utf-8?Q?e?=", "evil.exe"]),
            ("a/b; name=\"=?utf-8?B?YS4=?= =?utf-8?Q?e?=xe\"", &["a.exe"]),
            ("a/b; name=\"a=?b.txt\"", &["a=?b.txt"]),
            ("attachment; filename=; name=\"\"", &[]),
            ("a/b; name=\"x; name=y.exe\"", &["x; name=y.exe"]),
            ("name", &[]),
            ("=", &[]),
        ] {
            assert_eq!(plain(value), names, "{value}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        for (name, end) in [
            (format!("{}.exe", "a".repeat(300)), "aaa.exe"),
            (format!("{}.ExE. ", "ä".repeat(300)), "äää.exe"),
            (format!("a.{}", "e".repeat(300)), "eee"),
        ] {
            let name = file_name(&name);
            assert!(name.ends_with(end) && name.chars().count() <= MAX_NAME, "{name}");
        }
    }

    #[test]
    fn names_are_bounded_and_each_told_once() {
        let mut names = Names::default();
        (0..100).for_each(|number| names.add(&format!("{}.txt", number % MAX_NAMES)));
        assert!(names.all.len() == MAX_NAMES && !names.more);
        names.add("evil.exe");
        assert!(names.all.len() == MAX_NAMES && names.more);
    }

    #[test]
    fn hostile_fields_cost_little() {
        let began = std::time::Instant::now();
        for junk in ["name=\"", "name=", "\\", "="] {
            let value = junk.repeat((256 << 10) / junk.len());
            Names::default().add_plain(value.as_bytes());
        }
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
}
