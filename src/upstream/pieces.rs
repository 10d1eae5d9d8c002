//! A spooled message, piece by piece.

use std::io::{ErrorKind, Read};
use std::mem;

use tokio::task::spawn_blocking;

use super::fault::{Fault, FaultKind};
use crate::message::spool::{Outgoing, OutgoingReader};

/// How much of a message is read and written at once.
pub(super) const PIECE: usize = 64 * 1024;

/// Reads a message from its beginning. What lies in a file is read where a slow disk keeps no other session waiting.
#[derive(Debug)]
pub(super) struct Pieces {
    reader: OutgoingReader,
    on_disk: bool,
    piece: Vec<u8>,
}

impl Pieces {
    pub(super) fn of(message: &Outgoing) -> Self {
        Self { reader: message.reader(), on_disk: message.body.is_file(), piece: Vec::new() }
    }

    /// The next piece, of at most `most` octets and of at least one.
    ///
    /// # Errors
    /// The message cannot be read, or has fewer octets than it had: it is never sent as a shorter one.
    pub(super) async fn next(&mut self, most: u64) -> Result<&[u8], Fault> {
        let size = usize::try_from(most).unwrap_or(PIECE).min(PIECE);
        let mut piece = mem::take(&mut self.piece);
        piece.resize(size, 0);
        if self.on_disk {
            // Nothing of the file is read twice: the reader that comes back is the one that goes on.
            let mut reader = self.reader.clone();
            let work = move || read_exact(&mut reader, &mut piece).map(|()| (reader, piece));
            let read = spawn_blocking(work).await;
            (self.reader, self.piece) =
                read.unwrap_or_else(|e| Err(Fault::new(FaultKind::Spool, e.to_string())))?;
        } else {
            read_exact(&mut self.reader, &mut piece)?;
            self.piece = piece;
        }
        Ok(&self.piece)
    }
}

/// Reads until `piece` is full.
fn read_exact(reader: &mut OutgoingReader, piece: &mut [u8]) -> Result<(), Fault> {
    let mut rest = piece;
    while !rest.is_empty() {
        match reader.read(rest) {
            Ok(0) => return Err(Fault::new(FaultKind::Spool, "the message is shorter than it was")),
            Ok(read) => rest = rest.get_mut(read..).unwrap_or_default(),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(Fault::new(FaultKind::Spool, e.to_string())),
        }
    }
    Ok(())
}
