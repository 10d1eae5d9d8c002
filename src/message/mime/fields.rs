//! What the fields of a part say about its content (RFC 2045, RFC 2183, RFC 2231).

use mail_parser::parsers::MessageStream;
use mail_parser::{ContentType, HeaderValue};

use super::names::Names;
use super::transfer::Transfer;

/// No more octets of one field are read by all rules.
const MAX_FIELD: usize = 4 * 1024;
/// Fields of one name that are read.
const MAX_FIELDS: usize = 4;
/// No more encoded words of one field: mail-parser reads to the end of the field for each that has no end.
const MAX_ENCODED_WORDS: usize = 64;
/// RFC 2046 5.1.1 allows 70; some make them longer.
const MAX_BOUNDARY: usize = 256;

/// The head of a part.
#[derive(Debug)]
pub(super) struct Head {
    /// `type/subtype` in lower case.
    pub(super) content_type: String,
    /// The boundary of a multipart; empty without one.
    pub(super) boundary: Vec<u8>,
    /// The file names, decoded.
    pub(super) names: Names,
    /// Content-Disposition says `attachment`.
    pub(super) is_attachment: bool,
    pub(super) transfer: Transfer,
    /// Several fields say different things about that.
    pub(super) encodings_differ: bool,
}

impl Head {
    /// Reads the lines of a part's header.
    pub(super) fn read(lines: &[u8]) -> Self {
        Self::of(|name| fields(lines, name))
    }

    /// Reads the fields that `values` finds by their names in lower case. Of several the first counts, but for names, of which
    /// all are candidates.
    pub(super) fn of(values: impl Fn(&str) -> Vec<Vec<u8>>) -> Self {
        let (types, dispositions) = (values("content-type"), values("content-disposition"));
        let (content_type, disposition) = (all_parsed(&types), all_parsed(&dispositions));
        let names = names([(&dispositions, &disposition, "filename"), (&types, &content_type, "name")]);
        let first = |values: Vec<Option<Value>>| values.into_iter().next().flatten();
        let (content_type, disposition) = (first(content_type), first(disposition));
        let (transfer, encodings_differ) = Transfer::of(&values("content-transfer-encoding"));
        let boundary = content_type.as_ref().and_then(|value| value.attributes("boundary").next());
        Self {
            boundary: bounded_boundary(boundary.unwrap_or_default()),
            content_type: content_type.map_or_else(|| "text/plain".to_owned(), |value| value.kind),
            names,
            is_attachment: disposition.is_some_and(|value| value.kind == "attachment"),
            transfer,
            encodings_differ,
        }
    }
}

/// The fields of one name, as they are and as they are read, and the attribute that has a name.
type Named<'f> = (&'f [Vec<u8>], &'f [Option<Value>], &'static str);

/// The names in all fields: first as the rules say, then as simple readers see them.
fn names(fields: [Named<'_>; 2]) -> Names {
    let mut names = Names::default();
    for (_, values, attribute) in fields {
        let values = values.iter().flatten();
        values.flat_map(|value| value.attributes(attribute)).for_each(|name| names.add(name));
    }
    for (raw, ..) in fields {
        raw.iter().take(MAX_FIELDS).for_each(|field| names.add_plain(field));
        names.more |= raw.len() > MAX_FIELDS;
    }
    names
}

fn all_parsed(fields: &[Vec<u8>]) -> Vec<Option<Value>> {
    fields.iter().take(MAX_FIELDS).map(|field| parsed(field)).collect()
}

/// A value with attributes.
struct Value {
    kind: String,
    attributes: Vec<(String, String)>,
}

impl Value {
    fn attributes(&self, name: &str) -> impl Iterator<Item = &str> {
        self.attributes.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
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

/// The values of the fields of this name, unfolded.
fn fields(lines: &[u8], name: &str) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut is_inside = false;
    for line in lines.split(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let Some(value) = found.last_mut().filter(|_| is_inside) {
                value.extend_from_slice(line);
            }
            continue;
        }
        let value = value_of(line, name);
        is_inside = value.is_some();
        found.extend(value);
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
            let names = Head::read(fields.as_bytes()).names.all;
            assert_eq!(names.first().map_or("", String::as_str), name, "{fields}");
            assert!(names.len() <= 1 || fields.contains("name=\"n.txt\""), "{fields}: {names:?}");
        }
    }

    /// Mail programs differ in which of several names they take; some know nothing of RFC 2231.
    #[test]
    fn all_names_are_candidates() {
        for (fields, names) in [
            (
                "Content-Type: a/b; name=\"evil.exe\"\nContent-Disposition: attachment; filename=\"good.txt\"",
                &["good.txt", "evil.exe"][..],
            ),
            (
                "Content-Disposition: attachment; filename=\"good.txt\"; filename=\"evil.exe\"",
                &["good.txt", "evil.exe"],
            ),
            (
                "Content-Disposition: attachment; filename=good.txt\nX: y\n z=5\ncontent-disposition: inline;\n filename=evil.exe",
                &["good.txt", "evil.exe"],
            ),
            (
                "Content-Disposition: attachment; filename=\"good.txt\"; filename*=utf-8''evil%2Eexe",
                &["good.txt", "evil.exe"],
            ),
            (
                "Content-Disposition: attachment; filename=\"evil.exe\"; filename*1=\".txt\"",
                &["evil.exe.txt", "evil.exe"],
            ),
            ("Content-Disposition: attachment; filename=invoice (1).exe", &["invoice", "invoice (1).exe"]),
            ("Content-Type: a/b; name=good.txt; name=\"good.txt\"", &["good.txt"]),
        ] {
            let found = Head::read(fields.replace('\n', "\r\n").as_bytes()).names;
            assert_eq!(found.all, names, "{fields}");
            assert!(!found.more);
        }
        let padded = format!(
            "Content-Disposition: attachment; filename=good.txt; x={}; filename=evil.exe",
            "y".repeat(MAX_FIELD)
        );
        assert_eq!(Head::read(padded.as_bytes()).names.all, ["good.txt", "evil.exe"]);
        let many = "Content-Disposition: attachment; filename=good.txt\r\n".repeat(MAX_FIELDS + 1);
        assert!(Head::read(many.as_bytes()).names.more, "what is not read may have another name");
    }

    #[test]
    fn encodings_in_every_dress() {
        for (fields, is_identity) in [
            ("Content-Transfer-Encoding: base64 (c)", false),
            ("Content-Transfer-Encoding: (a (b) \\) c) base64", false),
            ("Content-Transfer-Encoding: \"base64\"", false),
            ("Content-Transfer-Encoding: base64; x=y", false),
            ("Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit", false),
            ("Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64", true),
            ("Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: 8bit", true),
            ("Content-Transfer-Encoding: quoted-printable(c)", false),
            ("Content-Transfer-Encoding: 7bit (base64)", true),
            ("Content-Transfer-Encoding: (base64", true),
            ("Content-Transfer-Encoding:", true),
        ] {
            let head = Head::read(fields.as_bytes());
            assert_eq!(head.transfer.is_identity(), is_identity, "{fields}");
            let differ = fields.contains('\n') && fields.contains("base64");
            assert_eq!(head.encodings_differ, differ, "{fields}");
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
