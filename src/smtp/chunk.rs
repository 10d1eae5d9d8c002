//! The chunks behind BDAT: so many octets, whatever they look like (RFC 3030 2).

use super::data::DataError;

/// Takes the chunks of one message from a stream of bytes.
///
/// **Invariant: exactly the announced octets are taken**, also of a chunk in which something is wrong, so that no octet of a message
/// is taken for a command and no command for a part of a message. What a message may hold is the same as behind DATA (lines end with CRLF,
/// no NUL), unless it was declared to be binary; a CRLF may be cut apart by the end of a chunk.
#[derive(Debug)]
pub struct ChunkDecoder {
    /// BODY=BINARYMIME: any octet is good.
    binary: bool,
    /// Octets of the chunk that are still to come.
    left: u64,
    /// Octets of the message so far.
    size: u64,
    /// The last octet was a CR.
    cr: bool,
    /// The message is bad; what is left of the chunk is taken, and nothing comes of it.
    failed: bool,
}

/// What a [`ChunkDecoder`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event<'a> {
    /// The next bytes of the message, never empty.
    Bytes(&'a [u8]),
    /// The chunk is complete. What stands behind it in the input is the client's next command.
    End,
}

impl ChunkDecoder {
    /// A decoder before the first chunk of a message.
    pub const fn new(binary: bool) -> Self {
        Self { binary, left: 0, size: 0, cr: false, failed: false }
    }

    /// Begins the next chunk, of `size` octets.
    pub const fn begin(&mut self, size: u64) {
        self.left = size;
    }

    /// Octets of all chunks so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next event from the front of `input`; `None` when all of it was taken and the chunk is not complete. At the end of
    /// a chunk there is an [`Event::End`] without any input, and again with each call until the next one begins.
    ///
    /// An error is given once, at the first octet that may not be there; the rest of the chunk is taken in silence.
    pub fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Option<Result<Event<'a>, DataError>> {
        if self.left == 0 {
            return Some(Ok(Event::End));
        }
        let bytes = self.take(input);
        if bytes.is_empty() || self.failed {
            return (self.left == 0).then_some(Ok(Event::End));
        }
        let before = self.size;
        self.size = self.size.saturating_add(bytes.len() as u64);
        match self.check(bytes, before) {
            Ok(()) => Some(Ok(Event::Bytes(bytes))),
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }

    /// The last chunk is complete, and with it the message.
    ///
    /// # Errors
    /// It ends with a CR that no LF follows.
    pub const fn finish(&self) -> Result<(), DataError> {
        if self.cr && !self.binary && !self.failed {
            return Err(DataError::BareCr { offset: self.size.saturating_sub(1) });
        }
        Ok(())
    }

    fn take<'a>(&mut self, input: &mut &'a [u8]) -> &'a [u8] {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
        let bytes = input.split_off(..most).unwrap_or_default();
        self.left = self.left.saturating_sub(bytes.len() as u64);
        bytes
    }

    /// Looks for what may not be in `bytes`, which stand behind `before` octets of the message.
    fn check(&mut self, bytes: &[u8], before: u64) -> Result<(), DataError> {
        if self.binary {
            return Ok(());
        }
        let offset = |at: usize| before.saturating_add(at as u64);
        let mut rest = bytes;
        if std::mem::take(&mut self.cr) {
            let stray = || DataError::BareCr { offset: before.saturating_sub(1) };
            rest = rest.strip_prefix(b"\n").ok_or_else(stray)?;
        }
        while let Some(found) = memchr::memchr3(b'\r', b'\n', 0, rest) {
            let odd = rest.get(found..).unwrap_or_default();
            let offset = offset(bytes.len().saturating_sub(odd.len()));
            match odd {
                [b'\r', b'\n', next @ ..] => rest = next,
                [b'\r'] => {
                    self.cr = true;
                    return Ok(());
                }
                [b'\r', ..] => return Err(DataError::BareCr { offset }),
                [b'\n', ..] => return Err(DataError::BareLf { offset }),
                _ => return Err(DataError::Nul { offset }),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
