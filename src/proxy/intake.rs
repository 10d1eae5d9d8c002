//! A message on its way in: its header is kept, its body goes to the spool and through the hashes of its signatures.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::Facts;
use crate::checks::MessageCheck;
use crate::message::header::{Header, HeaderScanner, ScanState, Scanned};
use crate::message::spool::{Spool, SpoolError, Spooler, Stored};
use crate::session::stage::{Reason, Refusal, Source};
use crate::smtp::reply::{Code, EnhancedCode, Reply};

/// A message that is being received.
#[derive(Debug)]
pub(super) struct Intake {
    facts: Arc<dyn Facts>,
    part: Part,
    /// Octets of a header that are taken.
    header_limit: usize,
    spool: Spool,
    size: u64,
}

/// The part of the message that the next bytes belong to.
#[derive(Debug)]
enum Part {
    Header(HeaderScanner),
    Body(Header, Box<MessageCheck>),
}

/// A message that is all there.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) header: Header,
    pub(super) body: Stored,
    pub(super) size: u64,
}

impl Intake {
    pub(super) fn begin(facts: Arc<dyn Facts>, spooler: &Spooler, header_limit: usize) -> Self {
        let part = Part::Header(HeaderScanner::new(header_limit));
        Self { facts, part, header_limit, spool: spooler.begin(), size: 0 }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// What the client is to hear when the message cannot be kept.
    pub(super) fn store(&mut self, piece: &Bytes) -> Result<(), Refusal> {
        self.size += piece.len() as u64;
        let Part::Header(scanner) = &mut self.part else {
            return self.keep(piece);
        };
        let scan = scanner.push(piece);
        match scan.state {
            ScanState::More => Ok(()),
            ScanState::TooLarge => Err(header_too_large(self.header_limit)),
            ScanState::Complete => {
                self.end_header()?;
                self.keep(piece.get(scan.taken..).unwrap_or_default())
            }
        }
    }

    /// Whether [`store`](Self::store) has to wait for the disk.
    pub(super) fn touches_disk(&self, piece: &Bytes) -> bool {
        matches!(self.part, Part::Body(..)) && self.spool.touches_disk(piece.len())
    }

    /// As [`store`](Self::store), where a slow disk keeps no other session waiting.
    ///
    /// # Errors
    /// The work was lost, and the message with it.
    pub(super) async fn store_aside(
        mut self: Box<Self>,
        piece: Bytes,
    ) -> Result<(Box<Self>, Result<(), Refusal>), Refusal> {
        let work = move || {
            let stored = self.store(&piece);
            (self, stored)
        };
        spawn_blocking(work).await.map_err(|lost| no_room(&SpoolError::Io(lost.into())))
    }

    /// Octets that arrived so far.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// The header is complete: from here on its signatures' keys and its author's policy are being looked up.
    fn end_header(&mut self) -> Result<(), Refusal> {
        let Part::Header(scanner) = &mut self.part else { return Ok(()) };
        let Scanned { header, body_start } = std::mem::replace(scanner, HeaderScanner::new(0)).finish();
        self.facts.warm(header.as_bytes());
        let mut check = MessageCheck::begin(header.as_bytes().clone());
        if self.facts.seals() {
            check.for_sealing();
        }
        self.part = Part::Body(header, Box::new(check));
        self.keep(&body_start)
    }

    /// Octets of the body: hashed for its signatures, and kept.
    fn keep(&mut self, body: &[u8]) -> Result<(), Refusal> {
        if let Part::Body(_, check) = &mut self.part {
            check.body(body);
        }
        self.spool.write(body).map_err(|error| no_room(&error))
    }

    /// The message is complete: what was kept of it, and its check, ready for a conclusion.
    ///
    /// # Errors
    /// As for [`store`](Self::store).
    pub(super) async fn seal(self) -> Result<(Received, Box<MessageCheck>), Refusal> {
        if !self.spool.touches_disk(0) {
            return self.seal_here();
        }
        let sealed = spawn_blocking(|| self.seal_here()).await;
        sealed.unwrap_or_else(|lost| Err(no_room(&SpoolError::Io(lost.into()))))
    }

    fn seal_here(mut self) -> Result<(Received, Box<MessageCheck>), Refusal> {
        self.end_header()?;
        let body = self.spool.seal().map_err(|error| no_room(&error))?;
        match self.part {
            Part::Body(header, check) => Ok((Received { header, body, size: self.size }, check)),
            Part::Header(_) => Err(header_too_large(self.header_limit)),
        }
    }
}

fn header_too_large(limit: usize) -> Refusal {
    Refusal {
        reply: Reply::new(
            Code::literal::<552>(),
            Some(EnhancedCode::new(5, 3, 4)),
            "the header of the message is larger than we take",
        ),
        reason: Reason::new(Source::Limit, "header_size")
            .with_detail(format!("it has more than the {limit} octets that are taken")),
    }
}

/// Whatever keeps us from storing the message is ours to mend, and the client's to wait for.
fn no_room(error: &SpoolError) -> Refusal {
    let (code, detail, text, rule) = match error {
        SpoolError::NoSpace(_) => {
            (Code::literal::<452>(), 1, "no space for the message: try again later", "spool-full")
        }
        SpoolError::Io(_) => {
            (Code::literal::<451>(), 0, "cannot keep the message: try again later", "spool-error")
        }
    };
    let reply = Reply::new(code, Some(EnhancedCode::new(4, 3, detail)), text);
    Refusal { reply, reason: Reason::new(Source::Internal, rule).with_detail(error.to_string()) }
}
