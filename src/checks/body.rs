//! Body hashes for DKIM, computed while the body arrives.
//!
//! mail-auth hashes a body that is in memory as a whole, and its relaxed canonicalisation keeps trailing lines that hold only
//! white space (its issue 62), which fails signatures that are good. So this is our own, exact by RFC 6376 3.4.3 and 3.4.4.

mod blanks;

use std::fmt;

use aws_lc_rs::digest::{Context, Digest, SHA256};

use self::blanks::Blanks;

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
    /// Relaxed only.
    blanks: Option<Blanks>,
    lines: Lines,
}

impl BodyHasher {
    /// A hasher before the first octet of a body.
    pub fn new(canonicalization: Canonicalization) -> Self {
        let relaxed = canonicalization == Canonicalization::Relaxed;
        Self { blanks: relaxed.then(Blanks::new), lines: Lines::new() }
    }

    /// Takes the next bytes of the body, dot stuffing undone.
    pub fn write(&mut self, bytes: &[u8]) {
        match &mut self.blanks {
            None => self.lines.write(bytes),
            Some(blanks) => blanks.write(bytes, |reduced| self.lines.write(reduced)),
        }
    }

    /// The hash of the whole body.
    pub fn finish(mut self) -> Digest {
        if let Some(blanks) = &self.blanks {
            self.lines.write(blanks.finish());
        }
        self.lines.end();
        // Whether the body ended in many empty lines or without a line end, exactly one CRLF ends the canonical form; only
        // the relaxed form of a body without content is empty.
        if self.lines.content || self.blanks.is_none() {
            self.lines.sink.write(b"\r\n");
        }
        self.lines.sink.finish()
    }
}

/// Hashes lines, but not the empty ones at the end (RFC 6376 3.4.3).
#[derive(Clone, Debug)]
struct Lines {
    sink: Sink,
    /// Something was hashed.
    content: bool,
    /// Line ends that may turn out to be at the end of the body.
    ends: u64,
    /// A CR behind them that may turn out to begin one more.
    cr: bool,
}

impl Lines {
    fn new() -> Self {
        Self { sink: Sink::new(), content: false, ends: 0, cr: false }
    }

    fn write(&mut self, bytes: &[u8]) {
        let bytes = self.settle(bytes);
        let (bytes, cr) = bytes.strip_suffix(b"\r").map_or((bytes, false), |bytes| (bytes, true));
        let ends = bytes.rchunks_exact(2).take_while(|end| *end == b"\r\n").count();
        let (content, _) = bytes.split_at(bytes.len() - 2 * ends);
        if !content.is_empty() {
            self.release();
            self.sink.write(content);
        }
        self.ends += ends as u64;
        self.cr |= cr;
    }

    /// Decides on a CR that was kept, and gives what there is behind it.
    fn settle<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        if bytes.is_empty() || !self.cr {
            return bytes;
        }
        if let Some(behind) = bytes.strip_prefix(b"\n") {
            self.cr = false;
            self.ends += 1;
            return behind;
        }
        self.end();
        bytes
    }

    /// Nothing follows that could make a line end of a CR.
    fn end(&mut self) {
        if std::mem::take(&mut self.cr) {
            self.release();
            self.sink.write(b"\r");
        }
    }

    /// Content follows what was kept, so all of it counts.
    fn release(&mut self) {
        const ENDS: [[u8; 2]; 128] = [*b"\r\n"; 128];
        while self.ends > 0 {
            let count = usize::try_from(self.ends).unwrap_or(ENDS.len()).min(ENDS.len());
            self.sink.write(ENDS.get(..count).unwrap_or_default().as_flattened());
            self.ends -= count as u64;
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

    #[test]
    fn white_space_is_reduced_wherever_blocks_and_pieces_end() {
        for unit in
            [" ", "a ", "a  ", "\t\ta", " \r\n", "a \t\r\n", "\r", " \r", "a\r", "a  \rb", " \n", "\r\n"]
        {
            for offset in 0..3 {
                let mut body = "x".repeat(offset);
                body.push_str(&unit.repeat(200));
                for end in ["", "\r\n", " x", "\r", "  "] {
                    let body = format!("{body}{end}").into_bytes();
                    for piece in [63, 64, 65, 66, 67, 100, 1000] {
                        for canonicalization in [Canonicalization::Simple, Canonicalization::Relaxed] {
                            assert_eq!(
                                hash(canonicalization, body.chunks(piece)),
                                reference(canonicalization, &body),
                                "{canonicalization:?} {unit:?} {offset} {end:?} {piece}"
                            );
                        }
                    }
                }
            }
        }
    }

    /// Bodies of words, line ends and stray bytes.
    fn body() -> impl Strategy<Value = Vec<u8>> {
        let parts: [&[u8]; 12] =
            [b"word", b"a", b".", b" ", b"  ", b"\t", b"\r\n", b"\r\n", b"x\r\n", b" y", b"\r", b"\n"];
        proptest::collection::vec(prop::sample::select(parts.to_vec()), 0..400)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn equals_the_reference_however_it_is_cut(
            body in body(),
            cuts in proptest::collection::vec(1usize..300, 1..20),
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
