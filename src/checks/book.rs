//! The DNS answers that one check has, in the form in which mail-auth takes them.

mod caches;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mail_auth::Parameters;
use tokio::time::Instant;

use super::records::{Reading, Strength, strength};
use super::trace::Trace;
use crate::dns::{Found, Kind, Resolver};

/// The most names that one check may look up; nobody who means well comes near.
const MAX_NAMES: usize = 40;

/// What one check knows of DNS. mail-auth takes it for its caches.
///
/// It runs over the book as often as it takes: a run that asked for what is not there yet is void and
/// [`learn`](Self::learn) says so after looking it up; the run after which there is nothing to learn counts.
#[derive(Debug)]
pub(super) struct Book<'a> {
    dns: &'a Resolver,
    reading: Reading,
    pages: Mutex<Pages>,
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
    pub(super) fn new(dns: &'a Resolver, reading: Reading, trace: Trace) -> Self {
        Self { dns, reading, pages: Mutex::default(), trace }
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

    /// The strength of the key at this name, as far as it was looked up.
    pub(super) fn strength(&self, name: String) -> Strength {
        let pages = self.pages();
        let found = pages.known.get(&(Kind::Txt, name)).and_then(|found| found.as_ref().ok());
        found.map(|answers| strength(answers.records.texts())).unwrap_or_default()
    }

    /// What is known of a name, which is in lower case and may have its trailing dot. `None`: the run misses it.
    fn find(&self, kind: Kind, name: &str) -> Option<Found> {
        let ask = (kind, name.strip_suffix('.').unwrap_or(name).to_owned());
        let mut pages = self.pages();
        if let Some(found) = pages.known.get(&ask) {
            return Some(found.clone());
        }
        if pages.known.len() + pages.run.missing.len() >= MAX_NAMES {
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
