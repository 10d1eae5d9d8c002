//! The DNS answers that one check has, in the form in which mail-auth takes them.

mod caches;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mail_auth::Parameters;
use tokio::time::Instant;

use super::records::{Reading, Strength, strength};
use super::results::Asked;
use super::trace::Trace;
use crate::dns::{Answers, Found, Kind, Resolver};

/// The most names that one check may look up; nobody who means well comes near.
const MAX_NAMES: usize = 40;
/// The most names that the check of an ARC chain may look up: its 50 sealers may have a key each (RFC 8617 4.2.1), and the newest of
/// them another one for its signature of the message.
pub(super) const MAX_SEALERS_NAMES: usize = 51;
/// The most names that all checks of a message may look up together: for that chain, a key for each signature that ever counts, and the
/// way up from the author's domain and a few more.
const MAX_NAMES_OF_MESSAGE: usize = 104;

/// How many names the checks of one message have looked up. Clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Spent(Arc<AtomicUsize>);

impl Spent {
    /// Takes one more name; `false` if there have been enough.
    fn take(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) < MAX_NAMES_OF_MESSAGE
    }
}

/// What one check knows of DNS. mail-auth takes it for its caches.
///
/// It runs over the book as often as it takes: a run that asked for what is not there yet is void and
/// [`learn`](Self::learn) says so after looking it up; the run after which there is nothing to learn counts.
#[derive(Debug)]
pub(super) struct Book<'a> {
    dns: &'a Resolver,
    reading: Reading,
    most: usize,
    pages: Mutex<Pages>,
    spent: Spent,
    trace: Trace,
}

#[derive(Debug, Default)]
struct Pages {
    known: HashMap<Ask, Found>,
    run: Run,
}

/// What the present run came across.
#[derive(Debug, Default)]
struct Run {
    missing: Vec<Ask>,
    /// An address or mail exchanger that could not be looked up: mail-auth's caches cannot say that.
    failed: bool,
    too_many: bool,
}

type Ask = (Kind, String);

/// What is to be said of a run beyond mail-auth's own result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Objection {
    /// A look-up that it needed failed.
    Temporary,
    /// It needed more look-ups than anybody may ask for.
    TooMany,
}

impl<'a> Book<'a> {
    /// A book for one check of a message.
    pub(super) fn new(dns: &'a Resolver, reading: Reading, spent: &Spent) -> Self {
        let (spent, trace) = (spent.clone(), Trace::default());
        Self { dns, reading, most: MAX_NAMES, pages: Mutex::default(), spent, trace }
    }

    /// The same book for a check that may look up so many names.
    #[must_use]
    pub(super) fn of_at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// What was asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.trace.asked()
    }

    /// mail-auth's parameters with this book in place of its caches.
    pub(super) fn parameters<'x, P>(&'x self, params: P) -> Parameters<'x, P, Self, Self, Self, Self, Self> {
        Parameters {
            params,
            cache_txt: Some(self),
            cache_mx: Some(self),
            cache_ptr: Some(self),
            cache_ipv4: Some(self),
            cache_ipv6: Some(self),
        }
    }

    /// Looks up all at once what the check will surely want, and would find out one by one.
    pub(super) async fn prepare(&self, mut texts: Vec<String>) {
        texts.sort_unstable();
        texts.dedup();
        for name in texts {
            self.find(Kind::Txt, &name);
        }
        self.learn().await;
    }

    /// Looks up what the last run missed. `false` if there is nothing to look up, or no use in it: the run counts.
    pub(super) async fn learn(&self) -> bool {
        let missing = std::mem::take(&mut self.pages().run.missing);
        if missing.is_empty() || self.objection().is_some() {
            return false;
        }
        let begin = Instant::now();
        let found = self.dns.lookup_all(missing).await;
        for ((kind, name), found) in &found {
            self.trace.add(*kind, name, found, begin.elapsed());
        }
        let mut pages = self.pages();
        pages.run = Run::default();
        pages.known.extend(found);
        true
    }

    /// What speaks against the result of the run that counts.
    pub(super) fn objection(&self) -> Option<Objection> {
        let run = &self.pages().run;
        if run.too_many {
            Some(Objection::TooMany)
        } else if run.failed {
            Some(Objection::Temporary)
        } else {
            None
        }
    }

    /// The strength of the key at this name, as far as it was looked up, and how it was.
    pub(super) fn key(&self, name: &str) -> (Strength, Vec<Asked>) {
        let texts = self.texts(name);
        (texts.map(|found| strength(found.records.texts())).unwrap_or_default(), self.trace.about(name))
    }

    /// The texts at this name, as far as they were looked up.
    pub(super) fn texts(&self, name: &str) -> Option<Arc<Answers>> {
        self.pages().known.get(&(Kind::Txt, name.to_owned()))?.clone().ok()
    }

    /// What is known of a name, which is in lower case and may have its trailing dot. `None`: the run misses it.
    fn find(&self, kind: Kind, name: &str) -> Option<Found> {
        let ask = (kind, name.strip_suffix('.').unwrap_or(name).to_owned());
        let mut pages = self.pages();
        if let Some(found) = pages.known.get(&ask) {
            return Some(found.clone());
        }
        if pages.known.len() + pages.run.missing.len() >= self.most || !self.spent.take() {
            pages.run.too_many = true;
            return None;
        }
        match self.dns.cached(kind, &ask.1) {
            Some(found) => {
                self.trace.add(kind, &ask.1, &found, Duration::ZERO);
                pages.known.insert(ask, found.clone());
                Some(found)
            }
            None => {
                pages.run.missing.push(ask);
                None
            }
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
