//! Who is here now: one entry for each open session, for the operator.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::session::stage::Stage;
use crate::smtp::path::ReversePath;

/// The longest text of a client's that is kept of it here.
const LONGEST: usize = 256;

/// The sessions that are open.
#[derive(Debug, Default)]
pub struct Presence {
    next: AtomicU64,
    /// By the order in which they came.
    guests: Mutex<BTreeMap<u64, Guest>>,
}

/// One open session.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its id, as in the log.
    pub id: String,
    /// The listener's name.
    pub listener: Arc<str>,
    /// The client's address.
    pub client: IpAddr,
    /// When it began.
    pub since: SystemTime,
    /// What the client calls itself; empty before HELO.
    pub helo: String,
    /// The stage at which policy was last asked; empty before the first.
    pub stage: &'static str,
    /// The sender of the open transaction, or of the last one.
    pub sender: String,
}

/// A place in the book, given up when it is dropped.
#[derive(Debug)]
pub struct Entry {
    number: u64,
    book: Arc<Presence>,
}

impl Presence {
    /// Enters a session.
    pub fn enter(self: &Arc<Self>, guest: Guest) -> Entry {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.guests().insert(number, guest);
        Entry { number, book: Arc::clone(self) }
    }

    /// Everybody who is here, the longest first.
    pub fn now(&self) -> Vec<Guest> {
        self.guests().values().cloned().collect()
    }

    fn guests(&self) -> MutexGuard<'_, BTreeMap<u64, Guest>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    /// One that has just come.
    pub fn new(id: &str, listener: &Arc<str>, client: IpAddr) -> Self {
        Self {
            id: id.to_owned(),
            listener: Arc::clone(listener),
            client,
            since: SystemTime::now(),
            helo: String::new(),
            stage: "",
            sender: String::new(),
        }
    }
}

impl Entry {
    /// Notes how far it has come.
    pub fn at(&self, stage: Stage, client: IpAddr, helo: &str, sender: Option<&ReversePath>) {
        if let Some(guest) = self.book.guests().get_mut(&self.number) {
            guest.stage = stage.name();
            guest.client = client;
            if guest.helo != helo {
                guest.helo = cut(helo);
            }
            if let Some(sender) = sender {
                guest.sender = cut(&sender.to_string());
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.book.guests().remove(&self.number);
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
