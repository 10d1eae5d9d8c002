//! The messages of the client as it meant them: what "byte-identical" is measured against.

/// Watches what the client sends, and keeps its last message.
///
/// It undoes the dots by itself: were it to use Gatepost's own decoder, a mistake there would stay unseen.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The message that is being sent, as it goes over the wire.
    open: Option<Vec<u8>>,
    /// The chunks so far of a message that is being sent by BDAT.
    chunks: Vec<u8>,
    last: Option<Vec<u8>>,
}

impl Sent {
    /// Gatepost said 354: what follows is a message.
    pub(super) fn begin(&mut self) {
        self.open = Some(Vec::new());
    }

    /// The client sends a chunk.
    pub(super) fn chunk(&mut self, octets: &[u8], last: bool) {
        self.chunks.extend_from_slice(octets);
        if last {
            self.last = Some(std::mem::take(&mut self.chunks));
        }
    }

    /// The client sends `bytes`.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if ["RSET", "EHLO", "MAIL"].iter().any(|verb| bytes.starts_with(verb.as_bytes())) {
            self.chunks.clear();
        }
        let Some(wire) = &mut self.open else { return };
        wire.extend_from_slice(bytes);
        let end = if wire.starts_with(b".\r\n") {
            Some(0)
        } else {
            memchr::memmem::find(wire, b"\r\n.\r\n").map(|at| at + 2)
        };
        if let Some(message) = end.and_then(|end| wire.get(..end)) {
            self.last = Some(unstuffed(message));
            self.open = None;
        }
    }

    /// The last message that was sent to its end.
    pub(super) fn last(&self) -> Option<&[u8]> {
        self.last.as_deref()
    }
}

/// The message without the dots that were put in front of lines (RFC 5321 4.5.2).
fn unstuffed(wire: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(wire.len());
    let mut rest = wire;
    while !rest.is_empty() {
        let end = memchr::memmem::find(rest, b"\r\n").map_or(rest.len(), |at| at + 2);
        let (line, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        rest = behind;
    }
    message
}

/// Whether `delivered` is `sent` with fields on top of it, and with an empty line behind them only where `sent` had no
/// header at all.
pub(super) fn is_identical(delivered: &[u8], sent: &[u8]) -> bool {
    let Some(added) = delivered.strip_suffix(sent) else { return false };
    let (fields, separator) = match added.strip_suffix(b"\r\n\r\n") {
        Some(fields) => (fields.len() + 2, true),
        None => (added.len(), false),
    };
    let Some(fields) = added.get(..fields) else { return false };
    let lines: Vec<&[u8]> = fields.split_inclusive(|byte| *byte == b'\n').collect();
    let folded = |line: &[u8]| line.starts_with(b" ") || line.starts_with(b"\t");
    let whole = lines.iter().all(|line| line.ends_with(b"\r\n") && (folded(line) || is_field(line)));
    whole && (sent.is_empty() || separator == begins_without_header(sent))
}

fn begins_without_header(message: &[u8]) -> bool {
    !message.is_empty() && !message.starts_with(b"\r\n") && !is_field(message)
}

/// Whether the first line begins as a field does (RFC 5322 2.2, 4.5.1: blanks may stand before the colon).
fn is_field(message: &[u8]) -> bool {
    let line = message.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
    let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(pieces: &[&[u8]]) -> Option<Vec<u8>> {
        let mut sent = Sent::default();
        sent.take(b"RCPT TO:<a@b.test>\r\n.\r\n");
        sent.begin();
        pieces.iter().for_each(|piece| sent.take(piece));
        sent.last().map(<[u8]>::to_vec)
    }

    #[test]
    fn the_message_is_what_stands_before_the_dot() {
        let cases: [(&[&[u8]], &str); 6] = [
            (&[b".\r\n"], ""),
            (&[b"a: b\r\n", b"\r\n", b".\r\n"], "a: b\r\n\r\n"),
            (&[b"..a\r\n...\r\n.\r\nMAIL\r\n"], ".a\r\n..\r\n"),
            (&[b"a\r", b"\n", b".", b"\r", b"\n"], "a\r\n"),
            (&[b"a\n.\nb\r\n"], "(none)"),
            (&[b"a\r\n"], "(none)"),
        ];
        for (pieces, message) in cases {
            let found = last(pieces).map(|message| String::from_utf8(message).unwrap());
            assert_eq!(found.as_deref().unwrap_or("(none)"), message, "{pieces:?}");
        }
    }

    #[test]
    fn identical_but_for_fields_on_top() {
        let cases: [(&[u8], &[u8], bool); 12] = [
            (b"X: y\r\nSubject: a\r\n\r\nb\r\n", b"Subject: a\r\n\r\nb\r\n", true),
            (b"X: y\r\n\tz\r\nSubject: a\r\n", b"Subject: a\r\n", true),
            (b"Subject: a\r\n", b"Subject: a\r\n", true),
            (b"X: y\r\n\r\nno header\r\n", b"no header\r\n", true),
            (b"X: y\r\n\r\nbody\r\n", b"\r\nbody\r\n", true),
            (b"X: y\r\n", b"", true),
            (b"X: y\r\n\r\n", b"", true),
            (b"X: y\r\nno header\r\n", b"no header\r\n", false),
            (b"X: y\r\n\r\nSubject: a\r\n", b"Subject: a\r\n", false),
            (b"X: y\r\nSubject: a\r\n", b"Subject: b\r\n", false),
            (b"X: y\nSubject: a\r\n", b"Subject: a\r\n", false),
            (b"junk\r\nSubject: a\r\n", b"Subject: a\r\n", false),
        ];
        for (delivered, sent, identical) in cases {
            let shown = String::from_utf8_lossy(delivered);
            assert_eq!(is_identical(delivered, sent), identical, "{shown:?}");
        }
    }
}
