//! What is taken from a message while it arrives, and what is said of it in the end.

use std::time::Duration;

use aws_lc_rs::digest::Digest;
use bytes::Bytes;
use mail_auth::AuthenticatedMessage;
use mail_auth::dkim::Signature;
use tokio::time::Instant;

use super::Checker;
use super::arc::{self, Chain};
use super::body::{BodyHasher, Canonicalization};
use super::book::{Book, MAX_SEALERS_NAMES, Spent};
use super::dkim::{self, Candidate};
use super::dmarc::{Author, Claims, policy_names};
use super::records::Reading;
use super::results::{ArcChain, CheckResult, MessageResults, Sealable, Spf};
use crate::dns::Kind;
use crate::message::header::Header;

/// The checks of one message, from its header to its end.
#[derive(Debug)]
pub struct MessageCheck {
    header: Bytes,
    bodies: Bodies,
    /// There is a body, and no empty line in front of it.
    cut_short: bool,
}

/// A time at which no signature has expired: of that the end of the message decides.
const NO_TIME: u64 = 0;

impl MessageCheck {
    /// Begins to check the message that has this header: its fields as they came, with or without the empty line behind
    /// them. Takes microseconds; the body is then hashed once for each canonicalisation that a signature uses.
    pub fn begin(header: Bytes) -> Self {
        let mut bodies = Bodies::default();
        if let Some(message) = parse(&header) {
            for signature in sound(&dkim::candidates(&message, NO_TIME, CheckResult::Neutral)) {
                bodies.want(dkim::body_canonicalization(signature));
            }
            if Chain::of(&message, NO_TIME).is_whole() {
                arc::body_canonicalization(&message).into_iter().for_each(|form| bodies.want(form));
            }
        }
        Self { header, bodies, cut_short: false }
    }

    /// Hashes the body for a seal too.
    pub fn for_sealing(&mut self) {
        self.bodies.want(Canonicalization::Relaxed);
    }

    /// Takes the next bytes of the body, which begins behind the empty line that ends the header.
    pub fn body(&mut self, bytes: &[u8]) {
        self.cut_short |= !bytes.is_empty() && !ends(&self.header);
        for hasher in self.bodies.simple.iter_mut().chain(&mut self.bodies.relaxed) {
            hasher.write(bytes);
        }
    }
}

impl Checker {
    /// Fetches what [`conclude`](Self::conclude) will want to know from DNS about the message with this header: to be run
    /// while the body arrives. Whether and when it ends makes no difference to the result.
    pub fn warm(&self, header: &Bytes) -> impl Future<Output = ()> + Send + 'static {
        let names = self.names(header);
        let dns = self.dns.clone();
        async move {
            dns.lookup_all(names).await;
        }
    }

    /// Says what came out, once the body is complete. `spf` is the result for the transaction's sender.
    pub async fn conclude(&self, check: MessageCheck, spf: &Spf) -> MessageResults {
        let Some(mut message) = parse(&check.header) else {
            return MessageResults {
                dmarc: self.dmarc_without_author("no_author"),
                ..MessageResults::default()
            };
        };
        let author = match author(&check.header) {
            // Behind the line that ended the header some readers would find another one.
            Author::Domain(_) if check.cut_short => Author::Unusable("ambiguous_author"),
            author => author,
        };
        let mut candidates = self.candidates(&message);
        let hashes = check.bodies.finish();
        dkim::select(&mut candidates, &hashes, self.settings.max_signatures);
        dkim::prepare(&mut message, &candidates, &hashes);
        author.prepare(&mut message);
        let (budget, spent) = (self.budget(), Spent::default());
        let keys = Book::new(&self.dns, Reading::Key, &spent);
        let policies = Book::new(&self.dns, Reading::Dmarc, &spent);
        let sealers_keys = Book::new(&self.dns, Reading::Key, &spent).of_at_most(MAX_SEALERS_NAMES);
        let outputs = self.verify_dkim(&message, &keys, &budget).await;
        let dmarc = match author {
            Author::Domain(domain) => {
                let claims = Claims { message: &message, dkim: &outputs, spf, domain };
                self.dmarc(claims, &policies, &budget).await
            }
            Author::Unusable(reason) => self.dmarc_without_author(reason),
        };
        let arc = self.arc(&message, &hashes, &sealers_keys, &budget).await;
        let dkim = dkim::results(&candidates, &outputs, |name| keys.key(name));
        let sealable = self.sealable(&arc, &hashes);
        MessageResults { dkim, dmarc, arc, sealable }
    }

    fn budget(&self) -> Budget {
        Budget { end: Instant::now() + self.settings.message_budget }
    }

    /// Without a chain, or with one that passed. With ARC switched off nobody knows.
    fn sealable(&self, arc: &ArcChain, hashes: &Hashes) -> Option<Sealable> {
        let sound = matches!(arc.result, CheckResult::None | CheckResult::Pass);
        let hash = hashes.of(Canonicalization::Relaxed)?;
        let sets = u32::try_from(arc.sealers.len()).ok()?;
        (sound && self.seals() && self.settings.arc).then(|| Sealable { body_hash: hash.to_vec(), sets })
    }

    /// The names that the checks of a message will look up, as far as its header tells.
    fn names(&self, header: &Bytes) -> Vec<(Kind, String)> {
        let Some(message) = parse(header) else {
            return Vec::new();
        };
        let candidates = self.candidates(&message);
        let keys = sound(&candidates).take(self.settings.max_signatures).map(dkim::key_name);
        let seals = arc::first_key_names(&message, self.clock.unix_seconds());
        let mut names: Vec<_> = keys.chain(seals).map(|name| (Kind::Txt, name)).collect();
        if let (true, Author::Domain(domain)) = (self.settings.dmarc, author(header)) {
            names.extend(policy_names(&domain).map(|name| (Kind::Txt, name)));
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    fn candidates<'h>(&self, message: &AuthenticatedMessage<'h>) -> Vec<Candidate<'h>> {
        if !self.settings.dkim {
            return Vec::new();
        }
        dkim::candidates(message, self.clock.unix_seconds(), self.settings.partial_body)
    }
}

/// Whether the header has the empty line at its end.
fn ends(header: &[u8]) -> bool {
    header.ends_with(b"\r\n\r\n") || header == b"\r\n"
}

fn sound<'c>(candidates: &'c [Candidate<'_>]) -> impl Iterator<Item = &'c Signature> {
    candidates.iter().filter_map(|candidate| candidate.signature.as_ref().ok())
}

/// Seen in the header as this house reads it.
fn author(header: &Bytes) -> Author {
    Header::of_message(header, header.len())
        .map_or(Author::Unusable("no_author"), |header| Author::of(&header))
}

fn parse(header: &Bytes) -> Option<AuthenticatedMessage<'_>> {
    AuthenticatedMessage::parse_with_opts(header, None, false)
}

/// The time that is left for a message: what one check takes, the next ones have no more.
#[derive(Debug)]
pub(super) struct Budget {
    end: Instant,
}

impl Budget {
    /// The time for a check that may take so long by itself.
    pub(super) fn of(&self, own: Duration) -> Duration {
        own.min(self.end.saturating_duration_since(Instant::now()))
    }
}

/// The body in the forms that some signature wants.
#[derive(Debug, Default)]
struct Bodies {
    simple: Option<BodyHasher>,
    relaxed: Option<BodyHasher>,
}

/// The hashes of the body, likewise.
#[derive(Debug)]
pub(super) struct Hashes {
    simple: Option<Digest>,
    relaxed: Option<Digest>,
}

impl Hashes {
    pub(super) fn of(&self, canonicalization: Canonicalization) -> Option<&[u8]> {
        let hash = match canonicalization {
            Canonicalization::Simple => &self.simple,
            Canonicalization::Relaxed => &self.relaxed,
        };
        hash.as_ref().map(Digest::as_ref)
    }
}

impl Bodies {
    fn want(&mut self, canonicalization: Canonicalization) {
        let slot = match canonicalization {
            Canonicalization::Simple => &mut self.simple,
            Canonicalization::Relaxed => &mut self.relaxed,
        };
        slot.get_or_insert_with(|| BodyHasher::new(canonicalization));
    }

    fn finish(self) -> Hashes {
        Hashes { simple: self.simple.map(BodyHasher::finish), relaxed: self.relaxed.map(BodyHasher::finish) }
    }
}
