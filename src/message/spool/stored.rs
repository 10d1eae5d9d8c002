//! What has been spooled, to be read again.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::Reservation;

/// A message, or its body, that can be read as often as needed, also by several readers at once. Cheap to clone.
#[derive(Clone)]
pub struct Stored(pub(super) Arc<Kept>);

pub(super) struct Kept {
    pub(super) content: Content,
    len: u64,
    tail: Tail,
    _memory: Option<Reservation>,
}

pub(super) enum Content {
    Memory(Vec<u8>),
    File(File),
}

impl Stored {
    pub(super) fn new(content: Content, len: u64, tail: Tail, memory: Reservation) -> Self {
        Self(Arc::new(Kept { content, len, tail, _memory: Some(memory) }))
    }

    /// A message that lies in a file, to its end.
    ///
    /// # Errors
    /// Those of the file.
    pub fn of_file(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let (mut tail, mut last) = (Tail::default(), [0; 2]);
        let kept = last.len().min(usize::try_from(len).unwrap_or(usize::MAX));
        let last = last.get_mut(..kept).unwrap_or_default();
        file.read_exact_at(last, len.saturating_sub(kept as u64))?;
        tail.push(last);
        Ok(Self(Arc::new(Kept { content: Content::File(file), len, tail, _memory: None })))
    }

    /// Octets.
    pub fn len(&self) -> u64 {
        self.0.len
    }

    /// True if there are no octets.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// True if the last two octets are CRLF.
    pub fn ends_with_crlf(&self) -> bool {
        self.0.tail.is_crlf()
    }

    /// True if the octets are in a file, so that reading may have to wait for the disk.
    pub fn is_file(&self) -> bool {
        matches!(self.0.content, Content::File(_))
    }

    /// Reads from `offset` on into `buffer`; 0 only behind the last octet, or if `buffer` is empty.
    ///
    /// # Errors
    /// Those of the file, and `UnexpectedEof` if it has become shorter than what was written: a message is never read as a
    /// shorter one.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.0.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        let read = match &self.0.content {
            Content::Memory(octets) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                octets.get(start..).unwrap_or_default().read(buffer)
            }
            Content::File(file) => read_file(file, buffer, offset),
        };
        match read {
            Ok(0) if wanted > 0 => Err(ErrorKind::UnexpectedEof.into()),
            other => other,
        }
    }

    /// A reader from the first octet.
    pub fn reader(&self) -> Reader {
        Reader { stored: self.clone(), offset: 0 }
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("len", &self.len())
            .field("is_file", &self.is_file())
            .finish_non_exhaustive()
    }
}

fn read_file(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Reads a [`Stored`] from beginning to end.
#[derive(Clone, Debug)]
pub struct Reader {
    stored: Stored,
    offset: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stored.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// The message as it goes upstream. Cheap to clone, and readable again for a second connection.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The rendered header with its separator.
    pub header: Bytes,
    /// The body as it came.
    pub body: Stored,
}

impl Outgoing {
    /// Octets of header and body.
    pub fn size(&self) -> u64 {
        self.header.len() as u64 + self.body.len()
    }

    /// True if the last two octets of the message are CRLF; if not, DATA needs another line end in front of its dot.
    pub fn ends_with_crlf(&self) -> bool {
        let mut tail = Tail::default();
        tail.push(&self.header);
        tail.push(self.body.0.tail.octets());
        tail.is_crlf()
    }

    /// A reader from the first octet of the header to the last of the body; it fills what it is given.
    pub fn reader(&self) -> OutgoingReader {
        OutgoingReader { header: self.header.clone(), body: self.body.reader() }
    }
}

/// Reads an [`Outgoing`] from beginning to end.
#[derive(Clone, Debug)]
pub struct OutgoingReader {
    header: Bytes,
    body: Reader,
}

impl Read for OutgoingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let from_header = self.header.len().min(buffer.len());
        let (front, rest) = buffer.split_at_mut(from_header);
        front.copy_from_slice(&self.header.split_to(from_header));
        if from_header > 0 && rest.is_empty() {
            return Ok(from_header);
        }
        match self.body.read(rest) {
            Ok(from_body) => Ok(from_header + from_body),
            Err(error) if from_header == 0 => Err(error),
            // What was read is delivered first; the next call meets the error again.
            Err(_) => Ok(from_header),
        }
    }
}

/// The last two octets of what went by, fewer at its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tail {
    last: [u8; 2],
    len: usize,
}

impl Tail {
    pub(super) fn push(&mut self, octets: &[u8]) {
        for &octet in octets.iter().skip(octets.len().saturating_sub(2)) {
            self.last = [self.last[1], octet];
            self.len = (self.len + 1).min(2);
        }
    }

    fn octets(&self) -> &[u8] {
        self.last.get(2 - self.len..).unwrap_or_default()
    }

    fn is_crlf(self) -> bool {
        self.last == *b"\r\n"
    }
}
