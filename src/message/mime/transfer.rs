//! Content transfer encodings (RFC 2045 6), undone piece by piece.

/// How the octets of a part are encoded.
#[derive(Debug)]
pub(super) enum Transfer {
    /// 7bit, 8bit, binary, and whatever we do not know.
    Identity,
    Base64(Base64),
    QuotedPrintable(QuotedPrintable),
}

/// The lines of a part, on their way to the octets that they stand for.
#[derive(Debug)]
pub(super) struct Encoding {
    transfer: Transfer,
    /// The line end that belongs to the part, unless a boundary follows.
    held: &'static [u8],
}

/// Bits that do not make an octet yet.
#[derive(Debug, Default)]
pub(super) struct Base64 {
    bits: u32,
    count: u32,
}

/// How much of an `=XX` has been seen.
#[derive(Debug, Default)]
pub(super) enum QuotedPrintable {
    #[default]
    Plain,
    /// Behind the `=`.
    Escape,
    /// Behind the `=` and a CR, which is dropped with the LF behind it.
    SoftBreak,
    /// Behind the first digit.
    Digit(u8),
}

impl Encoding {
    pub(super) const fn new(transfer: Transfer) -> Self {
        Self { transfer, held: b"" }
    }

    /// Adds what a line, or a piece of one, stands for to `plain`, its line end once something follows, be it nothing.
    pub(super) fn decode(&mut self, piece: &[u8], plain: &mut Vec<u8>) {
        let (content, end): (_, &'static [u8]) = match piece {
            [content @ .., b'\r', b'\n'] => (content, b"\r\n"),
            [content @ .., b'\n'] => (content, b"\n"),
            content => (content, b""),
        };
        self.transfer.decode(std::mem::replace(&mut self.held, end), plain);
        self.transfer.decode(content, plain);
    }
}

impl Transfer {
    /// The encoding that the first of these fields names, and whether another one names another: then nobody knows what a reader will
    /// see.
    pub(super) fn of(fields: &[Vec<u8>]) -> (Self, bool) {
        let mut named = fields.iter().map(|field| Self::named(&token(field)));
        let first = named.next().unwrap_or(Self::Identity);
        let is_other = |other: &Self| std::mem::discriminant(other) != std::mem::discriminant(&first);
        let differ = named.any(|other| is_other(&other));
        (first, differ)
    }

    fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "base64" => Self::Base64(Base64::default()),
            "quoted-printable" => Self::QuotedPrintable(QuotedPrintable::default()),
            _ => Self::Identity,
        }
    }

    pub(super) const fn is_identity(&self) -> bool {
        matches!(self, Self::Identity)
    }

    /// Adds what `encoded` stands for to `plain`; what is encoded wrongly is passed over, as mail programs do.
    pub(super) fn decode(&mut self, encoded: &[u8], plain: &mut Vec<u8>) {
        match self {
            Self::Identity => plain.extend_from_slice(encoded),
            Self::Base64(state) => encoded.iter().for_each(|&octet| state.take(octet, plain)),
            Self::QuotedPrintable(state) => encoded.iter().for_each(|&octet| state.take(octet, plain)),
        }
    }
}

/// The first word of a field that stands in no comment (RFC 5322 3.2.2), without quotes.
fn token(field: &[u8]) -> String {
    let (mut word, mut depth, mut octets) = (Vec::new(), 0_usize, field.iter());
    while let Some(&octet) = octets.next() {
        match octet {
            b'\\' if depth > 0 => _ = octets.next(),
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            b' ' | b'\t' | b'\r' | b'\n' | b';' if !word.is_empty() => break,
            b' ' | b'\t' | b'\r' | b'\n' | b'"' => {}
            other => word.push(other),
        }
    }
    String::from_utf8_lossy(&word).into_owned()
}

impl Base64 {
    fn take(&mut self, octet: u8, plain: &mut Vec<u8>) {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            // What follows the padding begins anew.
            b'=' => return *self = Self::default(),
            _ => return,
        };
        self.bits = (self.bits << 6) | u32::from(value);
        self.count += 6;
        if self.count >= 8 {
            self.count -= 8;
            plain.push((self.bits >> self.count) as u8);
            self.bits &= (1 << self.count) - 1;
        }
    }
}

impl QuotedPrintable {
    fn take(&mut self, octet: u8, plain: &mut Vec<u8>) {
        let digit = (octet as char).to_digit(16).map(|digit| digit as u8);
        *self = match (&self, digit) {
            (Self::Digit(high), Some(low)) => {
                plain.push(high << 4 | low);
                Self::Plain
            }
            (Self::Escape, Some(high)) => Self::Digit(high),
            (Self::Escape | Self::SoftBreak, _) if octet == b'\n' => Self::Plain,
            (Self::Escape, _) if matches!(octet, b'\r' | b' ' | b'\t') => Self::SoftBreak,
            (Self::SoftBreak, _) if matches!(octet, b'\r' | b' ' | b'\t') => Self::SoftBreak,
            _ if octet == b'=' => Self::Escape,
            _ => {
                plain.push(octet);
                Self::Plain
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: &str, encoded: &str, cut: usize) -> String {
        let ((mut transfer, _), mut plain) = (Transfer::of(&[encoding.into()]), Vec::new());
        encoded.as_bytes().chunks(cut).for_each(|piece| transfer.decode(piece, &mut plain));
        String::from_utf8(plain).unwrap()
    }

    #[test]
    fn encodings_are_undone_wherever_they_are_cut() {
        for (encoding, encoded, plain) in [
            ("7bit", "a=3D", "a=3D"),
            ("x-strange", "YQ==", "YQ=="),
            ("BASE64", "aGVsbG8=", "hello"),
            ("base64", "aGVs\r\nbG8g\r\nd29ybGQ=", "hello world"),
            ("base64", "aGVsbG8=d29ybGQ=", "helloworld"),
            ("base64", "a!G\0V.sbG8", "hello"),
            ("base64", "", ""),
            ("quoted-printable", "a=3Db=\r\nc=0d=0A", "a=bc\r\n"),
            ("quoted-printable", "a=  \r\nb=\nc", "abc"),
            ("quoted-printable", "100=% =XY =", "100% XY "),
        ] {
            for cut in 1..=encoded.len().max(1) {
                assert_eq!(decoded(encoding, encoded, cut), plain, "{encoded} in pieces of {cut}");
            }
        }
    }
}
