//! How long the lines of a message are (RFC 5321 4.5.3.1.6).

/// The longest text line in octets, without its CRLF: RFC 5321 4.5.3.1.6 has 1000 with it, RFC 5322 2.1.1 998 without.
pub const TEXT_LINE: usize = 998;

/// Measures the lines of a message as it arrives, dots unstuffed, in pieces of any size.
///
/// The message's line ends are CRLF: it comes out of a [`DataDecoder`](super::data::DataDecoder).
#[derive(Debug)]
pub struct LineMeter {
    max: usize,
    /// Octets of the line at hand so far, its CR included where the LF is still to come.
    length: usize,
    after_cr: bool,
}

impl LineMeter {
    /// A meter for lines of at most `max` octets, without CRLF.
    pub const fn new(max: usize) -> Self {
        Self { max, length: 0, after_cr: false }
    }

    /// Takes the next piece; whether one of its lines is, or has become, too long.
    pub fn push(&mut self, piece: &[u8]) -> bool {
        let mut too_long = false;
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', piece) {
            let line = piece.get(begin..end).unwrap_or_default();
            // Without a CR here or just before, the LF is one of a binary message, and ends a line all the same.
            let cr = line.last().map_or(self.after_cr, |last| *last == b'\r');
            let length = self.length.saturating_add(line.len()).saturating_sub(usize::from(cr));
            too_long |= length > self.max;
            self.length = 0;
            self.after_cr = false;
            begin = end.saturating_add(1);
        }
        let rest = piece.get(begin..).unwrap_or_default();
        self.length = self.length.saturating_add(rest.len());
        self.after_cr = rest.last().map_or(self.after_cr, |last| *last == b'\r');
        too_long || self.length.saturating_sub(usize::from(self.after_cr)) > self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn too_long<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let mut meter = LineMeter::new(3);
        pieces.into_iter().any(|piece| meter.push(piece))
    }

    #[test]
    fn a_line_may_have_so_many_octets_before_its_crlf() {
        let rows = [
            ("", false),
            ("abc\r\n", false),
            ("abcd\r\n", true),
            ("abc\r\nabc\r\n\r\nabc", false),
            ("abc\r\nabcd", true),
            ("abcd\r\nabc\r\n", true),
            ("abc\r", false),
            ("\r\n\r\n\r\n\r\n", false),
        ];
        for (text, expected) in rows {
            assert_eq!(too_long([text.as_bytes()]), expected, "{text:?}");
            assert_eq!(too_long(text.as_bytes().chunks(1)), expected, "{text:?}, byte by byte");
            assert_eq!(too_long(text.as_bytes().chunks(2)), expected, "{text:?}, in pairs");
        }
    }
}
