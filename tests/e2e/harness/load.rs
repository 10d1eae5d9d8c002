//! Many clients at once, each message with an id of its own, and the list of those that were acknowledged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Client, letter, until};

/// Messages that one connection carries before it ends and the next begins.
const PER_CONNECTION: usize = 20;
/// How long a client waits after a refusal or a lost connection.
const PAUSE: Duration = Duration::from_millis(20);

/// Messages to load@example.org that are sent until each was acknowledged; a further attempt has another id.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
    limit: Duration,
}

#[derive(Debug)]
struct Shared {
    to: SocketAddr,
    messages: usize,
    next: AtomicUsize,
    stop: AtomicBool,
    tally: Mutex<Tally>,
}

#[derive(Clone, Debug, Default)]
struct Tally {
    acknowledged: Vec<String>,
    refused: BTreeMap<String, usize>,
    lost: usize,
}

/// What the clients of a load saw.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The ids of the attempts that were answered 250, each `MESSAGE.ATTEMPT`.
    pub(crate) acknowledged: Vec<String>,
    /// Every other reply with how often it was heard; ids and numbers left out.
    pub(crate) refused: BTreeMap<String, usize>,
    /// Connections that could not be had or ended within a transaction.
    pub(crate) lost: usize,
}

impl Load {
    /// Starts so many clients, which have `limit` to bring all messages.
    pub(crate) fn start(to: SocketAddr, clients: usize, messages: usize, limit: Duration) -> Self {
        let shared = Shared {
            to,
            messages,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            tally: Mutex::default(),
        };
        let shared = Arc::new(shared);
        let client = |_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.client())
        };
        Self { clients: (0..clients).map(client).collect(), shared, limit }
    }

    /// Waits until so many messages were acknowledged.
    #[track_caller]
    pub(crate) fn await_acknowledged(&self, count: usize) {
        until(&format!("{count} messages to be acknowledged"), self.limit, || {
            (self.acknowledged() >= count).then_some(())
        });
    }

    /// How many messages were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.shared.tally.lock().unwrap().acknowledged.len()
    }

    /// Lets the attempts under way come to their end and begins no others.
    pub(crate) fn stop(self) -> Report {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.report()
    }

    /// Waits until every message was acknowledged.
    #[track_caller]
    pub(crate) fn finish(self) -> Report {
        let (begin, limit, messages) = (Instant::now(), self.limit, self.shared.messages);
        let done = || self.acknowledged() >= messages || begin.elapsed() > limit;
        until("the end of the load", limit * 2, || done().then_some(()));
        let report = self.stop();
        assert_eq!(report.acknowledged.len(), messages, "not all within {limit:?}: {:?}", report.refused);
        report
    }

    fn report(self) -> Report {
        for client in self.clients {
            client.join().expect("a client of the load broke down");
        }
        let Tally { acknowledged, refused, lost } = self.shared.tally.lock().unwrap().clone();
        Report { acknowledged, refused, lost }
    }
}

impl Shared {
    fn client(&self) {
        let mut session = None;
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.messages {
                return;
            }
            let mut attempt = 0;
            while !self.attempt(&mut session, &format!("{number}.{attempt}")) {
                attempt += 1;
                if self.stop.load(Ordering::SeqCst) {
                    return;
                }
                thread::sleep(PAUSE);
            }
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Sends one message; whether it was acknowledged. A session in which anything was refused is not used again.
    fn attempt(&self, session: &mut Option<(Client, usize)>, id: &str) -> bool {
        let (mut client, carried) =
            match session.take().map_or_else(|| self.connect().map(|client| (client, 0)), Ok) {
                Ok(open) => open,
                Err(error) => {
                    self.note(&error);
                    return false;
                }
            };
        let message = letter(&format!("[{id}]"));
        match client.try_deliver("joe@sender.example", "load@example.org", &message) {
            Ok(reply) if reply.class() == 2 => {
                self.tally.lock().unwrap().acknowledged.push(id.to_owned());
                if carried + 1 < PER_CONNECTION {
                    *session = Some((client, carried + 1));
                } else {
                    // The server may be gone by now, and the message is acknowledged all the same.
                    _ = client.try_ask("QUIT");
                }
                true
            }
            Ok(reply) => {
                self.refused(&reply.to_string());
                false
            }
            Err(error) => {
                self.note(&error);
                false
            }
        }
    }

    fn connect(&self) -> std::io::Result<Client> {
        let mut client = Client::connect(self.to)?;
        for command in ["", "EHLO client.example.net"] {
            let reply = if command.is_empty() { client.reply()? } else { client.try_ask(command)? };
            if reply.class() != 2 {
                self.refused(&reply.to_string());
                return Err(std::io::ErrorKind::ConnectionRefused.into());
            }
        }
        Ok(client)
    }

    fn note(&self, _error: &std::io::Error) {
        self.tally.lock().unwrap().lost += 1;
    }

    fn refused(&self, reply: &str) {
        let words = reply.split_once(" (gp ").map_or(reply, |(words, _)| words);
        *self.tally.lock().unwrap().refused.entry(words.to_owned()).or_default() += 1;
    }
}

impl Report {
    /// Every acknowledged attempt is held exactly once, no attempt twice. Gives the number of copies beyond the first
    /// that messages have, all attempts together.
    #[track_caller]
    pub(crate) fn surplus_in(&self, held: &[(String, String)]) -> usize {
        let mut attempts = BTreeMap::<&str, usize>::new();
        for (_, id) in held {
            *attempts.entry(id).or_default() += 1;
        }
        let lost: Vec<&String> =
            self.acknowledged.iter().filter(|id| !attempts.contains_key(id.as_str())).collect();
        assert!(lost.is_empty(), "{} acknowledged messages are not in Postfix's queue: {lost:?}", lost.len());
        let twice: Vec<_> = attempts.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "came more than once: {twice:?}");
        let mut messages = BTreeMap::<&str, usize>::new();
        for id in attempts.keys() {
            *messages.entry(id.split('.').next().unwrap_or_default()).or_default() += 1;
        }
        messages.values().map(|copies| copies - 1).sum()
    }
}
