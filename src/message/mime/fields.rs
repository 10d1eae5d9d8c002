//! What the fields of a part say about its content (RFC 2045, RFC 2183, RFC 2231).

use mail_parser::parsers::MessageStream;
use mail_parser::{ContentType, HeaderValue};

use super::transfer::Transfer;

/// No more octets of one field are read.
const MAX_FIELD: usize = 4 * 1024;
/// No more encoded words of one field: mail-parser reads to the end of the field for each that has no end.
const MAX_ENCODED_WORDS: usize = 64;
/// RFC 2046 5.1.1 allows 70; some make them longer.
const MAX_BOUNDARY: usize = 256;
/// Characters of a file name that are kept: as many as file systems hold.
const MAX_NAME: usize = 255;

/// The head of a part.
#[derive(Debug)]
pub(super) struct Head {
    /// `type/subtype` in lower case.
    pub(super) content_type: String,
    /// The boundary of a multipart; empty without one.
    pub(super) boundary: Vec<u8>,
    /// The file name, decoded.
    pub(super) name: String,
    /// Content-Disposition says `attachment`.
    pub(super) is_attachment: bool,
    pub(super) transfer: Transfer,
}

impl Head {
    /// Reads the lines of a part's header. Of several fields of a name the first counts.
    pub(super) fn read(lines: &[u8]) -> Self {
        Self::of(|name| field(lines, name))
    }

    /// Reads the fields that `value` finds by their names in lower case.
    pub(super) fn of(value: impl Fn(&str) -> Option<Vec<u8>>) -> Self {
        let read = |name: &str| value(name).and_then(|value| parsed(&value));
        let (content_type, disposition) = (read("content-type"), read("content-disposition"));
        let encoding = value("content-transfer-encoding").unwrap_or_default();
        let attribute = |of: &Option<Value>, name: &str| {
            of.as_ref().and_then(|value| value.attribute(name)).unwrap_or_default()
        };
        let names = [attribute(&disposition, "filename"), attribute(&content_type, "name")];
        let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        Self {
            boundary: bounded_boundary(&attribute(&content_type, "boundary")),
            content_type: content_type.map_or_else(|| "text/plain".to_owned(), |value| value.kind),
            name: file_name(&name),
            is_attachment: disposition.is_some_and(|value| value.kind == "attachment"),
            transfer: Transfer::named(String::from_utf8_lossy(&encoding).trim()),
        }
    }
}

/// A value with attributes.
struct Value {
    kind: String,
    attributes: Vec<(String, String)>,
}

impl Value {
    fn attribute(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}

impl From<ContentType<'_>> for Value {
    fn from(parsed: ContentType<'_>) -> Self {
        let mut kind = parsed.c_type.to_lowercase();
        if let Some(subtype) = &parsed.c_subtype {
            kind = format!("{kind}/{}", subtype.to_lowercase());
        }
        let attributes = parsed.attributes.into_iter().flatten();
        let pair = |one: mail_parser::Attribute<'_>| (one.name.to_lowercase(), one.value.into_owned());
        Self { kind, attributes: attributes.map(pair).collect() }
    }
}

fn parsed(value: &[u8]) -> Option<Value> {
    let mut line = value.get(..value.len().min(MAX_FIELD)).unwrap_or_default().to_vec();
    let words = memchr::memmem::find_iter(&line, b"=?").nth(MAX_ENCODED_WORDS);
    line.truncate(words.unwrap_or(line.len()));
    line.push(b'\n');
    match MessageStream::new(&line).parse_content_type() {
        HeaderValue::ContentType(parsed) => Some(parsed.into()),
        _ => None,
    }
}

/// The value of the first field of this name, unfolded.
fn field(lines: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut found: Option<Vec<u8>> = None;
    for line in lines.split(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match &mut found {
            Some(value) if line.starts_with(b" ") || line.starts_with(b"\t") => value.extend_from_slice(line),
            Some(_) => break,
            None => found = value_of(line, name),
        }
    }
    found
}

fn value_of(line: &[u8], name: &str) -> Option<Vec<u8>> {
    let colon = memchr::memchr(b':', line)?;
    let (before, value) = line.split_at_checked(colon)?;
    before
        .trim_ascii_end()
        .eq_ignore_ascii_case(name.as_bytes())
        .then(|| value.get(1..).unwrap_or_default().to_vec())
}

fn bounded_boundary(boundary: &str) -> Vec<u8> {
    let boundary = boundary.trim_end().as_bytes().to_vec();
    if boundary.len() <= MAX_BOUNDARY { boundary } else { Vec::new() }
}

/// A name as it will be shown and saved: one line, without characters that turn the writing direction, which serve to make
/// `exe.doc` of `cod.exe`.
fn file_name(name: &str) -> String {
    let is_shown = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let name: String = name.chars().filter(is_shown).take(MAX_NAME).collect();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_every_dress() {
        for (fields, name) in [
            ("Content-Disposition: attachment; filename=\"a.exe\"\r\n", "a.exe"),
            ("content-disposition : attachment;\r\n\tfilename=a.exe\r\n", "a.exe"),
            ("Content-Type: application/pdf; name=\"a b.pdf\"\r\n", "a b.pdf"),
            ("Content-Type: x/y; name=\"n.txt\"\r\nContent-Disposition: inline; filename=f.exe\r\n", "f.exe"),
            ("Content-Disposition: attachment; filename*=utf-8''r%C3%A9sum%C3%A9.exe\r\n", "résumé.exe"),
            (
                "Content-Disposition: attachment; filename*0=\"invoice.\"; filename*1=\"exe\"\r\n",
                "invoice.exe",
            ),
            ("Content-Disposition: attachment; filename*0*=utf-8''a%2e; filename*1*=e%78e\r\n", "a.exe"),
            ("Content-Type: a/b; name=\"=?utf-8?B?YS5leGU=?=\"\r\n", "a.exe"),
            ("Content-Type: a/b; name==?iso-8859-1?Q?a=2Eexe?=\r\n", "a.exe"),
            ("Content-Disposition: attachment; filename=\"invoice\u{202e}fdp.exe\"\r\n", "invoicefdp.exe"),
            ("Content-Type: text/plain\r\n", ""),
            ("", ""),
        ] {
            assert_eq!(Head::read(fields.as_bytes()).name, name, "{fields}");
        }
    }

    #[test]
    fn types_and_boundaries() {
        let head = Head::read(
            b"Content-Type: Multipart/MIXED; Boundary=\"a b\"\r\nContent-Transfer-Encoding:  BASE64 \r\n",
        );
        assert_eq!((head.content_type.as_str(), head.boundary.as_slice()), ("multipart/mixed", &b"a b"[..]));
        assert!(!head.transfer.is_identity());
        assert_eq!(Head::read(b"Subject: none").content_type, "text/plain");
        let long = format!("Content-Type: multipart/mixed; boundary={}\r\n", "x".repeat(300));
        assert!(Head::read(long.as_bytes()).boundary.is_empty());
    }

    #[test]
    fn hostile_fields_cost_little() {
        let began = std::time::Instant::now();
        for junk in ["=?utf-8?Q?", "; filename*0=\"a\"", "(((((", "\"", "\\", ";name*"] {
            let line = format!("Content-Type: a/b; name={}\r\n", junk.repeat(1 << 12));
            for _ in 0..50 {
                Head::read(line.as_bytes());
            }
        }
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
}
