//! The message that questions are about, and its octets for those who want to see them.

use std::io::{self, Read};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::message::header::Header;
use crate::message::spool::{Outgoing, OutgoingReader, Stored};

/// Octets that are read at once.
const PIECE: usize = 64 * 1024;

/// A message that is all there, as it arrived. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its header.
    pub header: Header,
    /// Its body.
    pub body: Stored,
}

impl Letter {
    /// Octets.
    pub fn size(&self) -> u64 {
        self.header.len() as u64 + self.body.len()
    }

    /// Hands its octets to `pieces`, one piece after the other, until somebody has enough. A disk is waited for aside.
    pub(super) async fn feed(&self, pieces: mpsc::Sender<io::Result<Bytes>>) {
        let whole = Outgoing { header: self.header.as_bytes().clone(), body: self.body.clone() };
        let mut reader = whole.reader();
        loop {
            let piece = if self.body.is_file() {
                let read = spawn_blocking(move || {
                    let piece = read(&mut reader);
                    (reader, piece)
                });
                match read.await {
                    Ok((back, piece)) => {
                        reader = back;
                        piece
                    }
                    Err(lost) => {
                        _ = pieces.send(Err(lost.into())).await;
                        return;
                    }
                }
            } else {
                read(&mut reader)
            };
            let is_last = piece.as_ref().map_or(true, Bytes::is_empty);
            let is_end = matches!(&piece, Ok(piece) if piece.is_empty());
            if is_end || pieces.send(piece).await.is_err() || is_last {
                return;
            }
        }
    }
}

/// The next piece; an empty one at the end.
fn read(reader: &mut OutgoingReader) -> io::Result<Bytes> {
    let mut piece = vec![0; PIECE];
    let read = reader.read(&mut piece)?;
    piece.truncate(read);
    Ok(piece.into())
}
