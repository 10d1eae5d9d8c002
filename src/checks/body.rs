//! Body hashes for DKIM, computed while the body arrives.
//!
//! mail-auth hashes a body that is in memory as a whole, and its relaxed canonicalisation keeps trailing lines that hold only
//! white space (its issue 62), which fails signatures that are good. So this is our own, exact by RFC 6376 3.4.3 and 3.4.4.

use std::fmt;
use std::sync::LazyLock;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use memchr::memmem::Finder;
use memchr::{memchr, memchr2};

/// How a body is brought into its canonical form (RFC 6376 3.4).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Canonicalization {
    /// 3.4.3: only empty lines at the end are ignored.
    Simple,
    /// 3.4.4: also white space at line ends, and how much of it there is elsewhere.
    Relaxed,
}

/// Hashes one body with SHA-256, in pieces of any size; the hash does not depend on the pieces.
///
/// Only CRLF ends a line; a CR or LF alone is content.
#[derive(Clone, Debug)]
pub struct BodyHasher {
    canonicalization: Canonicalization,
    sink: Sink,
    /// Something was hashed.
    content: bool,
    /// Line ends that may turn out to be at the end of the body.
    lines: u64,
    /// White space behind them that may turn out to be at the end of its line; relaxed only.
    space: bool,
    /// A CR behind that, which may turn out to begin a line end.
    cr: bool,
}

impl BodyHasher {
    /// A hasher before the first octet of a body.
    pub fn new(canonicalization: Canonicalization) -> Self {
        let sink = Sink::new();
        Self { canonicalization, sink, content: false, lines: 0, space: false, cr: false }
    }

    /// Takes the next bytes of the body, dot stuffing undone.
    pub fn write(&mut self, bytes: &[u8]) {
        match self.canonicalization {
            Canonicalization::Simple => self.write_simple(bytes),
            Canonicalization::Relaxed => self.write_relaxed(bytes),
        }
    }

    /// The hash of the whole body.
    pub fn finish(mut self) -> Digest {
        if self.cr {
            self.release();
        }
        // Whether the body ended in many empty lines or without a line end, exactly one CRLF ends the canonical form; only
        // the relaxed form of a body without content is empty.
        if self.content || self.canonicalization == Canonicalization::Simple {
            self.sink.write(b"\r\n");
        }
        self.sink.finish()
    }

    fn write_simple(&mut self, bytes: &[u8]) {
        let end = bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        let (content, line_ends) = bytes.split_at(end);
        if !content.is_empty() {
            self.release();
            self.sink.write(content);
        }
        for &byte in line_ends {
            self.take_special(byte);
        }
    }

    fn write_relaxed(&mut self, mut bytes: &[u8]) {
        let mut dense = false;
        while let Some((&first, rest)) = bytes.split_first() {
            if is_special(first) {
                self.take_special(first);
                bytes = rest;
            } else {
                let length = if dense { words_len(bytes) } else { plain_len(bytes) };
                dense = length < DENSE;
                let (plain, behind) = bytes.split_at(length);
                self.write_plain(plain);
                bytes = behind;
            }
        }
    }

    fn write_plain(&mut self, plain: &[u8]) {
        self.release();
        match plain.strip_suffix(b"\r\n") {
            Some(content) => {
                self.sink.write(content);
                self.lines = 1;
            }
            None => self.sink.write(plain),
        }
    }

    /// Takes a byte whose meaning depends on what follows.
    fn take_special(&mut self, byte: u8) {
        match byte {
            b'\n' if self.cr => {
                self.lines += 1;
                self.space = false;
                self.cr = false;
            }
            b'\n' => {
                self.release();
                self.sink.write(b"\n");
            }
            _ => {
                if self.cr {
                    self.release();
                }
                if byte == b'\r' {
                    self.cr = true;
                } else {
                    self.space = true;
                }
            }
        }
    }

    /// Content follows what was kept, so all of it counts.
    fn release(&mut self) {
        const LINES: [[u8; 2]; 128] = [*b"\r\n"; 128];
        while self.lines > 0 {
            let count = usize::try_from(self.lines).unwrap_or(LINES.len()).min(LINES.len());
            self.sink.write(LINES.get(..count).unwrap_or_default().as_flattened());
            self.lines -= count as u64;
        }
        if std::mem::take(&mut self.space) {
            self.sink.write(b" ");
        }
        if std::mem::take(&mut self.cr) {
            self.sink.write(b"\r");
        }
        self.content = true;
    }
}

/// The hash. Collects small pieces, since each costs a call.
#[derive(Clone)]
struct Sink {
    hash: Context,
    pieces: Vec<u8>,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}

impl Sink {
    const MAX_PIECES: usize = 1024;

    fn new() -> Self {
        Self { hash: Context::new(&SHA256), pieces: Vec::new() }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.pieces.len() + bytes.len() > Self::MAX_PIECES {
            self.hash.update(&self.pieces);
            self.pieces.clear();
        }
        if bytes.len() > Self::MAX_PIECES {
            self.hash.update(bytes);
        } else {
            self.pieces.extend_from_slice(bytes);
        }
    }

    fn finish(mut self) -> Digest {
        self.hash.update(&self.pieces);
        self.hash.finish()
    }
}

/// How far [`plain_len`] looks.
const LOOK_AHEAD: usize = 256;

const fn is_special(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// How many bytes at the front are their own relaxed form, whatever follows but for a last line end: whole lines, and the
/// words of one more, with single spaces between them. At least one, as the first byte is known to be plain.
///
/// Looks only so far ahead that a body of nothing but double spaces still takes linear time.
fn plain_len(bytes: &[u8]) -> usize {
    static TWO_SPACES: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("  "));
    let bytes = bytes.get(..LOOK_AHEAD).unwrap_or(bytes);
    let reducible = memchr(b'\t', bytes).into_iter().chain(TWO_SPACES.find(bytes)).min();
    let (bytes, _) = bytes.split_at(reducible.unwrap_or(bytes.len()));
    let mut rest = bytes;
    while let Some(line) = plain_line(rest) {
        rest = rest.get(line..).unwrap_or_default();
    }
    let words = rest.get(..memchr2(b'\r', b'\n', rest).unwrap_or(rest.len())).unwrap_or_default();
    bytes.len() - rest.len() + words.strip_suffix(b" ").unwrap_or(words).len()
}

/// After less than so many plain bytes, looking far ahead was not worth it.
const DENSE: usize = 32;

/// The same without line ends, byte by byte: for bodies that are full of white space.
fn words_len(bytes: &[u8]) -> usize {
    let mut length = 0;
    for (at, &byte) in bytes.iter().take(LOOK_AHEAD).enumerate() {
        if !is_special(byte) {
            length = at + 1;
        } else if byte != b' ' || length < at {
            break;
        }
    }
    length
}

/// The length of the first line with its CRLF if it has words, no space at its end, and no other CR.
fn plain_line(bytes: &[u8]) -> Option<usize> {
    let end = memchr2(b'\r', b'\n', bytes)?;
    let (words, line_end) = bytes.split_at(end);
    let is_plain = line_end.starts_with(b"\r\n") && words.last().is_some_and(|last| *last != b' ');
    is_plain.then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::digest;
    use proptest::prelude::*;

    use super::*;

    /// The rules of RFC 6376 one after the other, on the whole body.
    fn reference(canonicalization: Canonicalization, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        if canonicalization == Canonicalization::Relaxed {
            body = reduce_white_space(&body);
        }
        while body.ends_with(b"\r\n\r\n") {
            body.truncate(body.len() - 2);
        }
        if body == b"\r\n" {
            body.clear();
        }
        let simple = canonicalization == Canonicalization::Simple;
        if (simple || !body.is_empty()) && !body.ends_with(b"\r\n") {
            body.extend_from_slice(b"\r\n");
        }
        digest(&SHA256, &body).as_ref().to_vec()
    }

    fn reduce_white_space(body: &[u8]) -> Vec<u8> {
        let mut reduced: Vec<u8> = Vec::new();
        for &byte in body {
            match byte {
                b' ' | b'\t' if reduced.last() == Some(&b' ') => {}
                b' ' | b'\t' => reduced.push(b' '),
                _ => reduced.push(byte),
            }
        }
        let mut text = String::from_utf8_lossy(&reduced).replace(" \r\n", "\r\n").into_bytes();
        if text.last() == Some(&b' ') {
            text.pop();
        }
        text
    }

    fn hash<'a>(canonicalization: Canonicalization, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut hasher = BodyHasher::new(canonicalization);
        for piece in pieces {
            hasher.write(piece);
        }
        hasher.finish().as_ref().to_vec()
    }

    #[test]
    fn canonical_forms() {
        use Canonicalization::{Relaxed, Simple};
        for (canonicalization, body, canonical) in [
            // RFC 6376 3.4.5
            (Relaxed, " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"),
            (Simple, " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n"),
            (Simple, "", "\r\n"),
            (Relaxed, "", ""),
            (Simple, "\r\n\r\n", "\r\n"),
            (Relaxed, "\r\n\r\n", ""),
            (Simple, "x", "x\r\n"),
            (Relaxed, "x", "x\r\n"),
            (Relaxed, " ", ""),
            (Relaxed, " \r\n", ""),
            (Relaxed, "hi\r\n \r\n\t\r\n", "hi\r\n"),
            (Relaxed, "hi\r\n \r\n\tx", "hi\r\n\r\n x\r\n"),
            (Simple, "hi\r\n \r\n", "hi\r\n \r\n"),
            (Simple, "x\r", "x\r\r\n"),
            (Relaxed, "x \r", "x \r\r\n"),
            (Relaxed, "a\nb\rc \n d", "a\nb\rc \n d\r\n"),
            (Simple, "\n", "\n\r\n"),
            (Simple, "a\r\r\n", "a\r\r\n"),
        ] {
            let expected = digest(&SHA256, canonical.as_bytes()).as_ref().to_vec();
            assert_eq!(hash(canonicalization, [body.as_bytes()]), expected, "{canonicalization:?} {body:?}");
            assert_eq!(
                hash(canonicalization, body.as_bytes().chunks(1)),
                expected,
                "{canonicalization:?} {body:?} byte by byte"
            );
        }
    }

    #[test]
    fn many_empty_lines_are_kept_and_released() {
        let mut body = b"a".to_vec();
        body.extend(b"\r\n".repeat(1000));
        body.push(b'b');
        for canonicalization in [Canonicalization::Simple, Canonicalization::Relaxed] {
            assert_eq!(
                hash(canonicalization, [&body[..]]),
                reference(canonicalization, &body),
                "{canonicalization:?}"
            );
        }
    }

    /// Bodies of words, line ends and stray bytes.
    fn body() -> impl Strategy<Value = Vec<u8>> {
        let parts: [&[u8]; 12] =
            [b"word", b"a", b".", b" ", b"  ", b"\t", b"\r\n", b"\r\n", b"x\r\n", b" y", b"\r", b"\n"];
        proptest::collection::vec(prop::sample::select(parts.to_vec()), 0..40)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn equals_the_reference_however_it_is_cut(
            body in body(),
            cuts in proptest::collection::vec(1usize..40, 1..20),
        ) {
            let mut pieces = Vec::new();
            let mut left = &body[..];
            for cut in cuts.iter().cycle() {
                if left.is_empty() { break; }
                let (piece, rest) = left.split_at((*cut).min(left.len()));
                pieces.push(piece);
                left = rest;
            }
            for canonicalization in [Canonicalization::Simple, Canonicalization::Relaxed] {
                prop_assert_eq!(
                    hash(canonicalization, pieces.iter().copied()),
                    reference(canonicalization, &body)
                );
            }
        }
    }
}
