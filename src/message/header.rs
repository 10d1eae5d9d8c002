//! The header of a message as it arrived: found piece by piece, indexed once, never changed.
//!
//! Where the header ends (RFC 5322 2.1):
//!
//! - at the first empty line, which belongs to the header as its separator, or
//! - before the first line that cannot be a field: no colon, or something in front of the colon that is no field name
//!   (RFC 5322 3.6.8; blanks between name and colon are the obsolete form of 4.5 and stay allowed). A line that begins with
//!   a blank continues the field above it; without a field above it cannot be one either. Or
//! - at the end of the message, which needs neither body nor empty line.
//!
//! Only CRLF ends a line: the session has refused bare CR, bare LF and NUL before anything gets here.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

/// More fields than this are [`ScanState::TooLarge`], whatever the limit in octets: no mail has them, and each costs its place in the
/// index.
pub const MAX_FIELDS: usize = 1000;

/// A field name longer than a line may be (RFC 5322 2.1.1) is none; this bounds what the scanner holds back undecided.
const MAX_NAME: usize = 998;

/// Finds the end of the header in a message that arrives in pieces of any size.
///
/// Looks at every octet once, whatever the pieces; all pieces of one message give the same header.
#[derive(Debug)]
pub struct HeaderScanner {
    raw: Vec<u8>,
    entries: Vec<Entry>,
    names: String,
    limit: usize,
    line: Line,
    line_start: usize,
    state: ScanState,
}

/// What [`HeaderScanner::push`] did with a piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scan {
    /// How many octets of the piece the scanner took; the rest of it is body.
    pub taken: usize,
    /// Whether there is more to find.
    pub state: ScanState,
}

/// How far a [`HeaderScanner`] got.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ScanState {
    /// The end of the header is not here yet.
    More,
    /// The header ended; nothing more is taken.
    Complete,
    /// The header has more octets than the limit or more than [`MAX_FIELDS`] fields. Everything that still comes is taken
    /// and dropped, so that the dialogue can go on; the message cannot be delivered any more.
    TooLarge,
}

/// The result of a scan.
#[derive(Clone, Debug)]
pub struct Scanned {
    /// The header, possibly without any field.
    pub header: Header,
    /// The beginning of the body as far as the scanner took it: a started line of which only a later octet showed that it
    /// cannot be a field. At most some 1,000 octets, most often none.
    pub body_start: Bytes,
}

/// What is known about the line that is being read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Line {
    /// Nothing of it was seen.
    Start,
    /// Its first octet is a CR: the empty line, if an LF follows.
    Cr,
    /// Only octets of a field name so far.
    Name,
    /// Blanks behind a name of so many octets.
    Gap { name_len: usize },
    /// It is part of a field, whatever follows up to its CRLF.
    Text,
}

impl HeaderScanner {
    /// A scanner for a header of at most `limit` octets, separator included.
    pub fn new(limit: usize) -> Self {
        Self {
            raw: Vec::new(),
            entries: Vec::new(),
            names: String::new(),
            limit,
            line: Line::Start,
            line_start: 0,
            state: ScanState::More,
        }
    }

    /// Takes the front of `chunk`, as far as it is header.
    pub fn push(&mut self, chunk: &[u8]) -> Scan {
        let mut rest = chunk;
        while self.state == ScanState::More
            && let Some(&first) = rest.first()
        {
            let taken =
                if self.line == Line::Text { self.take_text(rest) } else { self.take_undecided(first) };
            rest = rest.get(taken..).unwrap_or_default();
        }
        if self.state == ScanState::TooLarge {
            rest = &[];
        }
        Scan { taken: chunk.len() - rest.len(), state: self.state }
    }

    /// The header, when [`push`](Self::push) said [`ScanState::Complete`] or the message has ended.
    ///
    /// After [`ScanState::TooLarge`] it has what came before the limit.
    pub fn finish(mut self) -> Scanned {
        let fields_end = if self.line == Line::Text { self.raw.len() } else { self.line_start };
        let separator = if self.raw.get(fields_end..) == Some(b"\r\n") { 2 } else { 0 };
        let body_start = self.raw.split_off(fields_end + separator);
        let more = self.state == ScanState::Complete || !body_start.is_empty();
        let cut_short = separator == 0 && more;
        let index = Index { entries: self.entries, names: self.names, fields_end, cut_short };
        Scanned {
            header: Header { raw: Bytes::from(self.raw), index: Arc::new(index) },
            body_start: Bytes::from(body_start),
        }
    }

    /// Takes a part of a line that is known to belong to a field, at most up to its end.
    fn take_text(&mut self, input: &[u8]) -> usize {
        let end = memchr::memchr(b'\n', input).map_or(input.len(), |at| at + 1);
        let piece = input.get(..end).unwrap_or_default();
        if self.append(piece) && self.raw.ends_with(b"\r\n") {
            self.start_line();
        }
        end
    }

    /// Takes one octet of a line that may still turn out to be no field.
    fn take_undecided(&mut self, octet: u8) -> usize {
        match self.next_line_state(octet) {
            Some(line) => {
                self.line = line;
                usize::from(self.append(&[octet]))
            }
            None if self.line == Line::Cr && octet == b'\n' => {
                self.state = ScanState::Complete;
                usize::from(self.append(b"\n"))
            }
            None => {
                self.state = ScanState::Complete;
                0
            }
        }
    }

    /// The state of the line with `octet`, or `None` where the header ends.
    fn next_line_state(&mut self, octet: u8) -> Option<Line> {
        let seen = self.raw.len() - self.line_start;
        match (self.line, octet) {
            (Line::Start, b'\r') => Some(Line::Cr),
            (Line::Start, b' ' | b'\t') if !self.entries.is_empty() => Some(Line::Text),
            (Line::Name, b':') => Some(self.open_field(seen)),
            (Line::Gap { name_len }, b':') => Some(self.open_field(name_len)),
            (Line::Start | Line::Name, _) if is_name_octet(octet) && seen < MAX_NAME => Some(Line::Name),
            (Line::Name, b' ' | b'\t') if seen < MAX_NAME => Some(Line::Gap { name_len: seen }),
            (Line::Gap { name_len }, b' ' | b'\t') if seen < MAX_NAME => Some(Line::Gap { name_len }),
            _ => None,
        }
    }

    /// The colon behind a name of `name_len` octets arrives: the line is a field.
    fn open_field(&mut self, name_len: usize) -> Line {
        if self.entries.len() == MAX_FIELDS {
            self.state = ScanState::TooLarge;
            return self.line;
        }
        let name = self.raw.get(self.line_start..self.line_start + name_len).unwrap_or_default();
        let name_start = self.names.len();
        self.names.extend(name.iter().map(|octet| char::from(octet.to_ascii_lowercase())));
        self.entries.push(Entry {
            start: self.line_start,
            colon: self.raw.len(),
            name: name_start..self.names.len(),
        });
        Line::Text
    }

    /// Keeps octets up to the limit, and says whether all of them fitted.
    fn append(&mut self, piece: &[u8]) -> bool {
        if self.state == ScanState::TooLarge {
            return false;
        }
        let room = self.limit.saturating_sub(self.raw.len());
        self.raw.extend_from_slice(piece.get(..room).unwrap_or(piece));
        if piece.len() > room {
            self.state = ScanState::TooLarge;
        }
        piece.len() <= room
    }

    fn start_line(&mut self) {
        self.line = Line::Start;
        self.line_start = self.raw.len();
    }
}

/// Printable US-ASCII but the colon (RFC 5322 3.6.8 `ftext`).
pub(super) const fn is_name_octet(octet: u8) -> bool {
    matches!(octet, 33..=126) && octet != b':'
}

/// The header of one message, as it arrived. Cheap to clone: all clones share one buffer.
#[derive(Clone)]
pub struct Header {
    raw: Bytes,
    index: Arc<Index>,
}

#[derive(Debug)]
struct Index {
    entries: Vec<Entry>,
    /// All names in lower case, one behind the other.
    names: String,
    /// Where the fields end and the separator begins, if there is one.
    fields_end: usize,
    cut_short: bool,
}

/// One field; it ends where the next one begins.
#[derive(Debug)]
struct Entry {
    start: usize,
    colon: usize,
    name: Range<usize>,
}

impl Header {
    /// The header of a message that is in memory as a whole (a transcript's file, a test).
    ///
    /// `None` if it is larger than `limit` octets or has more than [`MAX_FIELDS`] fields. The body is what follows the
    /// first [`len`](Self::len) octets.
    pub fn of_message(message: &[u8], limit: usize) -> Option<Self> {
        let mut scanner = HeaderScanner::new(limit);
        let scan = scanner.push(message);
        (scan.state != ScanState::TooLarge).then(|| scanner.finish().header)
    }

    /// The octets of the header, separator included, as they arrived.
    pub const fn as_bytes(&self) -> &Bytes {
        &self.raw
    }

    /// Octets, separator included.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// True if there is neither a field nor a separator: the message began with a line that cannot be a field, or it was
    /// empty.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The empty line behind the fields, or nothing if the header ended without one.
    pub fn separator(&self) -> &[u8] {
        self.raw.get(self.index.fields_end..).unwrap_or_default()
    }

    /// True if a line that cannot be a field ended the header, and no empty line. Some programs go on reading fields behind such a
    /// line, or put it together with the next one, as in `From\r\n :`.
    pub fn is_cut_short(&self) -> bool {
        self.index.cut_short
    }

    /// All fields from the top.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> + ExactSizeIterator {
        (0..self.index.entries.len()).map(|index| self.field_at(index))
    }

    /// The fields of that name (in any case) from the top.
    pub fn named<'h>(&'h self, name: &str) -> impl DoubleEndedIterator<Item = Field<'h>> {
        self.fields().filter(move |field| field.name.eq_ignore_ascii_case(name))
    }

    /// How many fields have that name (in any case).
    pub fn count(&self, name: &str) -> usize {
        self.named(name).count()
    }

    /// An index beyond the last field gives an empty field: callers only count up to the number of entries.
    fn field_at(&self, index: usize) -> Field<'_> {
        let entries = &self.index.entries;
        let end = entries.get(index + 1).map_or(self.index.fields_end, |next| next.start);
        let (start, colon, name) = entries
            .get(index)
            .map_or((end, end, 0..0), |entry| (entry.start, entry.colon, entry.name.clone()));
        Field {
            index,
            name: self.index.names.get(name).unwrap_or_default(),
            whole: self.raw.get(start..end).unwrap_or_default(),
            value_start: colon + 1 - start,
        }
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("fields", &self.index.entries.len())
            .field("octets", &self.raw.len())
            .finish()
    }
}

/// One field of a [`Header`], with all its continuation lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Field<'h> {
    index: usize,
    name: &'h str,
    whole: &'h [u8],
    value_start: usize,
}

impl<'h> Field<'h> {
    /// Its place in the header, from 0: what [`super::edit::Edits::remove`] takes.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Its name in lower case, without blanks in front of the colon.
    pub const fn name(&self) -> &'h str {
        self.name
    }

    /// Everything from the name to the last CRLF.
    pub const fn whole(&self) -> &'h [u8] {
        self.whole
    }

    /// What follows the colon, with its folds, without the last CRLF.
    pub fn raw_value(&self) -> &'h [u8] {
        let value = self.whole.get(self.value_start..).unwrap_or_default();
        value.strip_suffix(b"\r\n").unwrap_or(value)
    }

    /// The value on one line (RFC 5322 2.2.3), without the blanks around it; octets that are not UTF-8 become U+FFFD.
    /// Nothing is decoded, see [`decoded`](Self::decoded) for that.
    pub fn unfolded(&self) -> String {
        let line = self.unfolded_bytes();
        String::from_utf8_lossy(line.trim_ascii()).into_owned()
    }

    /// The raw value without the CRLF of its folds. All CRLF inside a value are folds, or it would have ended there.
    pub(super) fn unfolded_bytes(&self) -> Vec<u8> {
        let raw = self.raw_value();
        let mut line = Vec::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
            line.extend_from_slice(rest.get(..at).unwrap_or_default());
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        line.extend_from_slice(rest);
        line
    }
}

#[cfg(test)]
mod tests;
