//! gzip files (RFC 1952): one file, or a tar archive.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use super::super::inspect::Budget;
use super::super::{EntriesResult, Entry};
use super::Findings;
use super::tar::{self, Walk};

/// Of what is inside, so much is looked at to see what it is.
const HEAD: usize = 512;

/// Unpacks, and keeps nothing.
#[derive(Debug, Default)]
pub(in super::super) struct Unpacker {
    decoder: Decoder,
    /// What stopped it.
    stopped: Option<EntriesResult>,
}

#[derive(Debug)]
struct Decoder(MultiGzDecoder<Inside>);

impl Default for Decoder {
    fn default() -> Self {
        Self(MultiGzDecoder::new(Inside::default()))
    }
}

/// What comes out.
#[derive(Debug, Default)]
struct Inside {
    head: Vec<u8>,
    tar: Option<Walk>,
    size: u64,
    left: u64,
}

impl Unpacker {
    pub(super) fn write(&mut self, octets: &[u8], budget: &mut Budget) {
        if self.stopped.is_some() {
            return;
        }
        self.within(budget, |decoder| decoder.write_all(octets));
    }

    pub(super) fn finish(mut self, name: &str, budget: &mut Budget) -> Findings {
        if self.stopped.is_none() {
            self.within(budget, MultiGzDecoder::try_finish);
        }
        let inside = self.decoder.0.get_mut();
        let found = match std::mem::take(&mut inside.tar) {
            Some(walk) => walk.finish(),
            None => Findings {
                entries: vec![Entry::new(inner_name(name), inside.size)],
                result: EntriesResult::Complete,
                ..Findings::default()
            },
        };
        Findings { result: self.stopped.unwrap_or(found.result), ..found }
    }

    fn within(
        &mut self,
        budget: &mut Budget,
        work: impl FnOnce(&mut MultiGzDecoder<Inside>) -> io::Result<()>,
    ) {
        self.decoder.0.get_mut().left = budget.unpacked;
        let done = work(&mut self.decoder.0);
        budget.unpacked = self.decoder.0.get_ref().left;
        if done.is_err() {
            let is_spent = budget.unpacked == 0;
            self.stopped = Some(if is_spent { EntriesResult::Truncated } else { EntriesResult::Broken });
        }
    }
}

impl Write for Inside {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if octets.len() as u64 > self.left {
            self.left = 0;
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.left -= octets.len() as u64;
        self.size += octets.len() as u64;
        if let Some(walk) = &mut self.tar {
            walk.write(octets);
        } else if self.head.len() < HEAD {
            self.head.extend_from_slice(octets);
            if tar::is_header(&self.head) {
                let mut walk = Walk::default();
                walk.write(&std::mem::take(&mut self.head));
                self.tar = Some(walk);
            }
            self.head.truncate(HEAD);
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `invoice.exe` of `invoice.exe.gz`.
fn inner_name(name: &str) -> &str {
    let is_packed =
        name.len() > 3 && name.get(name.len() - 3..).is_some_and(|end| end.eq_ignore_ascii_case(".gz"));
    if is_packed { name.get(..name.len() - 3).unwrap_or_default() } else { name }
}
