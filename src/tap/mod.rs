//! What sessions say while they say it, for those who listen.
//!
//! A session runs [`within`] its own [`Identity`]; whatever happens in it is told by [`tell`] from wherever it happens, and reaches
//! every [`Follower`]. Nobody listens most of the time: then it costs a look at one number. A follower that does not keep up
//! loses lines, and is told how many; a session never waits for one.
//!
//! Secrets never come here: of an exchange of AUTH the mechanism is told, of a message its size.

mod ear;
mod filter;
mod follow;

use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::broadcast;

use self::ear::Ear;
pub use self::filter::Filter;
pub(crate) use self::filter::is_address;
pub use self::follow::{Follower, Shown};
use crate::smtp::command::Verb;

/// Events that wait for a follower; of those that it missed it hears the number.
const WAITING: usize = 4_096;
/// Octets of one line.
const LONGEST: usize = 512;

/// How many listen.
static FOLLOWERS: AtomicUsize = AtomicUsize::new(0);
/// How often somebody began to listen when nobody did: what was said in between was not heard.
static EPOCH: AtomicUsize = AtomicUsize::new(0);
static CHANNEL: OnceLock<broadcast::Sender<Event>> = OnceLock::new();

tokio::task_local! {
    static SESSION: Session;
}

/// Whose session it is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Identity {
    /// The session's id.
    pub session: String,
    /// The listener's name.
    pub listener: Arc<str>,
    /// The client's address.
    pub client: IpAddr,
}

/// A session that can be listened to.
#[derive(Debug)]
struct Session {
    /// Another one from when a hop speaks for another client.
    identity: Mutex<Arc<Identity>>,
    ear: Mutex<Ear>,
}

/// Something that happened in a session.
#[derive(Clone, Debug)]
pub struct Event {
    /// In which.
    pub identity: Arc<Identity>,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// Somebody said this line.
    Said(Speaker, String),
    /// The sender of a transaction was given.
    Sender(String),
    /// A recipient was given.
    Recipient(String),
    /// A rule spoke: its full name, what it did or would have done, and where that stands.
    Rule {
        /// `policy.rule`, or what else refused.
        rule: String,
        /// `reject`, `would_reject`; or `rejected` and `deferred` of what no policy refused.
        verdict: String,
        /// `file:line`; empty without one.
        place: String,
    },
    /// The session is over.
    Closed,
}

/// Who speaks, in the letters of transcripts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Speaker {
    /// `C`: the client.
    Client,
    /// `S`: Gatepost to the client.
    Server,
    /// `G`: Gatepost to the upstream.
    Gatepost,
    /// `U`: the upstream.
    Upstream,
}

impl Speaker {
    /// The letter.
    pub const fn letter(self) -> char {
        match self {
            Self::Client => 'C',
            Self::Server => 'S',
            Self::Gatepost => 'G',
            Self::Upstream => 'U',
        }
    }
}

/// Whether anybody listens to any session.
pub fn is_live() -> bool {
    FOLLOWERS.load(Ordering::Relaxed) > 0
}

/// Runs a session so that it can be listened to.
pub async fn within<T>(identity: Identity, session: impl Future<Output = T>) -> T {
    let ear = Mutex::new(Ear::default());
    SESSION.scope(Session { identity: Mutex::new(Arc::new(identity)), ear }, session).await
}

/// The session is this client's from now on: whoever connected speaks for it.
pub fn speaks_for(client: IpAddr) {
    // Outside a session there is nobody to speak for.
    let _ = SESSION.try_with(|session| {
        let mut identity = lock(&session.identity);
        *identity = Arc::new(Identity { client, ..Identity::clone(&identity) });
    });
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells those who listen what happened in the session that this is called from.
pub fn tell(what: impl FnOnce() -> What) {
    if !is_live() {
        return;
    }
    // Outside a session, as in a probe of an upstream, there is nobody to tell it of.
    let _ = SESSION.try_with(|session| send(session, what()));
}

/// Tells a line.
pub fn say(speaker: Speaker, line: &str) {
    tell(|| What::Said(speaker, cut(line)));
}

/// What the client sent, as it came.
pub fn heard(octets: &[u8]) {
    if is_live() {
        let _ = SESSION.try_with(|session| {
            let lines = ear(session, |ear| ear.hear(octets));
            lines.into_iter().for_each(|line| send(session, What::Said(Speaker::Client, cut(&line))));
        });
    }
}

/// The session has come to a command of the client's.
pub fn came_to(verb: Verb) {
    if is_live() {
        let _ = SESSION.try_with(|session| ear(session, |ear| ear.came_to(verb)));
    }
}

/// A reply to the client, as it goes over the wire.
pub fn replied(code: u16, wire: impl FnOnce() -> Vec<u8>) {
    if is_live() {
        let _ = SESSION.try_with(|session| {
            ear(session, |ear| ear.replied(code));
            lines(code, &wire()).for_each(|line| send(session, What::Said(Speaker::Server, line)));
        });
    }
}

/// A reply of the upstream's, as it goes over the wire.
pub fn answered(code: u16, wire: impl FnOnce() -> Vec<u8>) {
    if is_live() {
        let _ = SESSION.try_with(|session| {
            lines(code, &wire()).for_each(|line| send(session, What::Said(Speaker::Upstream, line)));
        });
    }
}

/// The lines of a reply; a challenge may hold what belongs to a secret.
fn lines(code: u16, wire: &[u8]) -> impl Iterator<Item = String> {
    let text =
        if code == 334 { "334 (challenge)".to_owned() } else { String::from_utf8_lossy(wire).into_owned() };
    text.lines().map(cut).collect::<Vec<_>>().into_iter()
}

/// A new follower of all sessions that `filter` lets through.
pub fn follow(filter: Filter) -> Follower {
    let channel = CHANNEL.get_or_init(|| broadcast::channel(WAITING).0);
    Follower::new(filter, channel.subscribe())
}

fn ear<T>(session: &Session, use_it: impl FnOnce(&mut Ear) -> T) -> T {
    let mut ear = lock(&session.ear);
    ear.since(EPOCH.load(Ordering::Relaxed));
    use_it(&mut ear)
}

fn send(session: &Session, what: What) {
    if let Some(channel) = CHANNEL.get() {
        let identity = Arc::clone(&lock(&session.identity));
        // Without a receiver there is nobody to tell.
        let _ = channel.send(Event { identity, at: Timestamp::now(), what });
    }
}

fn cut(line: &str) -> String {
    let end = line.floor_char_boundary(LONGEST);
    let more = if end < line.len() { "…" } else { "" };
    format!("{}{more}", line.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests;
