//! The declared places at which a header may change; everything else stays as it is, octet for octet.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bytes::Bytes;

use super::header::{Header, is_name_octet};

/// Lines of added fields are folded at this column (RFC 5322 2.1.1, without CRLF).
const FOLD_AT: usize = 78;
/// No line is ever longer (RFC 5322 2.1.1, without CRLF).
const MAX_LINE: usize = 998;
/// A longer name would leave no room for its colon in a line that needs no folding.
const MAX_NAME: usize = FOLD_AT - 2;
/// What all added fields together may cost: the SIZE that is offered to clients leaves that much room to the upstream's.
const MAX_VALUE: usize = 16 * 1024;
/// Octets between `=?utf-8?q?` and `?=`. RFC 2047 2 allows words of 75 octets in lines of 76; these leave room for a name.
const MAX_ENCODED: usize = 40;
const BLANKS: [char; 2] = [' ', '\t'];

/// A field to be added, checked and folded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewField {
    /// With all CRLF, the last one included.
    wire: String,
    name_len: usize,
}

/// Why a field cannot be added: a fault of whoever asked for it, most often a script.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FieldError {
    /// Not 1 to 76 printable US-ASCII characters without a colon (RFC 5322 3.6.8).
    #[error("`{}` is no field name: 1 to 76 printable ASCII characters, no colon, no blank", .0.escape_debug())]
    Name(String),
    /// CR, LF, NUL or another control character than a tab.
    #[error("the value has the control character {character:?} at byte {offset}")]
    Control {
        /// Where, in octets from the beginning of the value.
        offset: usize,
        /// Which one.
        character: char,
    },
    /// More than 16 KiB.
    #[error("the value has {0} bytes, the most is 16384")]
    TooLong(usize),
    /// A stretch without a blank that is longer than a line may be.
    #[error("the value has {0} bytes in a row without a blank, and a line may have 998")]
    Unfoldable(usize),
}

impl NewField {
    /// A field whose value is already what shall stand there.
    ///
    /// Blanks around `value` are dropped; the others stay as they are, and lines are folded in front of them (RFC 5322
    /// 2.2.3) where they would pass column 78. The value may have UTF-8, which is for messages under SMTPUTF8 (RFC 6532);
    /// for text that people read in any message see [`text`](Self::text).
    pub fn new(name: &str, value: &str) -> Result<Self, FieldError> {
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_name_octet) {
            return Err(FieldError::Name(name.chars().take(MAX_NAME).collect()));
        }
        refuse_controls(value)?;
        if value.len() > MAX_VALUE {
            return Err(FieldError::TooLong(value.len()));
        }
        match words(value).map(str::len).max() {
            Some(longest) if longest >= MAX_LINE => Err(FieldError::Unfoldable(longest)),
            _ => Ok(Self::folded(name, value)),
        }
    }

    /// A field with text for people: what is not US-ASCII is written in encoded words (RFC 2047, UTF-8, Q).
    pub fn text(name: &str, text: &str) -> Result<Self, FieldError> {
        if text.is_ascii() {
            return Self::new(name, text);
        }
        refuse_controls(text)?;
        Self::new(name, &encoded_words(text.trim_matches(BLANKS)))
    }

    /// The name as it was given.
    pub fn name(&self) -> &str {
        self.wire.get(..self.name_len).unwrap_or_default()
    }

    /// The value on one line.
    pub fn value(&self) -> String {
        let value = self.wire.get(self.name_len + 1..).unwrap_or_default();
        value.replace("\r\n", "").trim().to_owned()
    }

    /// The field as it goes out, with its last CRLF.
    pub fn as_bytes(&self) -> &[u8] {
        self.wire.as_bytes()
    }

    /// A field whose name is right and whose value has no controls and no words beyond a line: checked by
    /// [`new`](Self::new), or built in this room.
    pub(super) fn folded(name: &str, value: &str) -> Self {
        let mut wire = format!("{name}:");
        let mut column = wire.len();
        for (nth, word) in words(value).enumerate() {
            // Some readers take a field whose first line is empty for an empty one: fold there only if nothing else helps.
            let (blank, limit) = if nth == 0 { (" ", MAX_LINE) } else { ("", FOLD_AT) };
            if column + blank.len() + word.len() > limit {
                wire.push_str("\r\n");
                column = 0;
            }
            wire.push_str(blank);
            wire.push_str(word);
            column += blank.len() + word.len();
        }
        wire.push_str("\r\n");
        Self { wire, name_len: name.len() }
    }
}

fn refuse_controls(value: &str) -> Result<(), FieldError> {
    match value.char_indices().find(|&(_, character)| character.is_control() && character != '\t') {
        Some((offset, character)) => Err(FieldError::Control { offset, character }),
        None => Ok(()),
    }
}

/// The words of a value, each with the blanks in front of it, without the blanks around the value: put together they are
/// the value again, and none is blank only, so that no fold makes a line that looks empty.
fn words(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value.trim_matches(BLANKS);
    std::iter::from_fn(move || {
        let start = rest.find(|character| !BLANKS.contains(&character))?;
        let end = rest.get(start..)?.find(BLANKS).map_or(rest.len(), |len| start + len);
        let (word, behind) = rest.split_at_checked(end)?;
        rest = behind;
        Some(word)
    })
}

/// `text` as encoded words, none of which splits a character (RFC 2047 4.2 and 5).
fn encoded_words(text: &str) -> String {
    let mut words = String::from("=?utf-8?q?");
    let mut encoded = 0;
    for character in text.chars() {
        let piece = q_encoded(character);
        if encoded + piece.len() > MAX_ENCODED {
            words.push_str("?= =?utf-8?q?");
            encoded = 0;
        }
        words.push_str(&piece);
        encoded += piece.len();
    }
    words.push_str("?=");
    words
}

fn q_encoded(character: char) -> String {
    if character == ' ' {
        return "_".to_owned();
    }
    if character.is_ascii_alphanumeric() {
        return character.to_string();
    }
    character.encode_utf8(&mut [0; 4]).bytes().fold(String::with_capacity(12), |mut piece, octet| {
        let _written = write!(piece, "={octet:02X}");
        piece
    })
}

/// What is to become of a header: which fields go, which come at its top and at its end.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Edits {
    remove: BTreeSet<usize>,
    prepend: Vec<NewField>,
    append: Vec<NewField>,
}

impl Edits {
    /// The field with this [`index`](super::header::Field::index) goes, with all its lines. An index without a field does
    /// nothing.
    pub fn remove(&mut self, index: usize) {
        self.remove.insert(index);
    }

    /// Adds a field at the top, under those that were prepended before it.
    pub fn prepend(&mut self, field: NewField) {
        self.prepend.push(field);
    }

    /// Adds a field at the end of the header.
    pub fn append(&mut self, field: NewField) {
        self.append.push(field);
    }

    /// True if the header stays as it is.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.prepend.is_empty() && self.append.is_empty()
    }

    /// The fields that come, from the top.
    pub fn added(&self) -> impl Iterator<Item = &NewField> {
        self.prepend.iter().chain(&self.append)
    }

    /// The header as it goes out, separator included; the body follows as it came.
    ///
    /// The separator is the one that arrived. None is invented, even where the header ended before a line that is no field:
    /// that line ends the new header as it ended the old one. With one exception: a message without any header, whose first
    /// line is no field, gets an empty line under the added fields, because that first line may begin with a blank and would
    /// continue the field above it; `has_body` says whether there is such a line. (A header whose fields are all removed needs none: a line
    /// that begins with a blank belonged to the field above it and went with it.)
    pub fn render(&self, header: &Header, has_body: bool) -> Bytes {
        if self.is_empty() {
            return header.as_bytes().clone();
        }
        let mut out =
            Vec::with_capacity(header.len() + self.added().map(|field| field.wire.len()).sum::<usize>() + 4);
        extend_with(&mut out, &self.prepend);
        for field in header.fields().filter(|field| !self.remove.contains(&field.index())) {
            out.extend_from_slice(field.whole());
        }
        if !self.append.is_empty() {
            complete_line(&mut out);
            extend_with(&mut out, &self.append);
        }
        let invented: &[u8] = if header.is_empty() && has_body { b"\r\n" } else { b"" };
        out.extend_from_slice(header.separator());
        out.extend_from_slice(if self.added().next().is_some() { invented } else { b"" });
        Bytes::from(out)
    }
}

fn extend_with(out: &mut Vec<u8>, fields: &[NewField]) {
    for field in fields {
        out.extend_from_slice(field.as_bytes());
    }
}

/// A message may stop inside its last field, without a CRLF; what is appended needs a line of its own.
fn complete_line(out: &mut Vec<u8>) {
    if out.ends_with(b"\r") {
        out.push(b'\n');
    } else if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests;
