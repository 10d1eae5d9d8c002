//! What happens between Gatepost and an upstream.

use std::sync::Arc;
use std::time::Duration;

use super::families::Families;
use super::family::{Counter, Gauge, Histogram, Resolved};
use super::tls::{self, Side};

/// How an attempt to get a connection ends.
const CONNECT_OUTCOMES: [&str; 8] =
    ["ok", "refused", "timeout", "tls", "greeting", "identity", "reused", "circuit_open"];

/// What Gatepost says to an upstream; `connect` is the banner.
const COMMANDS: [&str; 16] = [
    "connect",
    "ehlo",
    "starttls",
    "xclient",
    "xforward",
    "auth",
    "mail",
    "rcpt",
    "data",
    "bdat",
    "end_of_data",
    "rset",
    "vrfy",
    "expn",
    "noop",
    "quit",
];

/// The classes of replies, and `none` for no reply.
const CLASSES: [&str; 5] = ["2", "3", "4", "5", "none"];

/// Handles for one upstream.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics(Arc<Handles>);

#[derive(Debug)]
struct Handles {
    upstream: Box<str>,
    families: Families,
    up: Gauge,
    connects: Resolved<&'static str, Counter>,
    commands: Resolved<&'static str, Command>,
    ambiguous: Counter,
    starttls_missing: Resolved<&'static str, Counter>,
}

#[derive(Debug)]
struct Command {
    replies: Resolved<&'static str, Counter>,
    duration: Histogram,
}

impl Command {
    fn new(families: &Families, upstream: &str, command: &'static str) -> Self {
        Self {
            replies: Resolved::new(CLASSES, |class| {
                families.upstream_replies_total.with([upstream, command, class])
            }),
            duration: families.upstream_reply_duration_seconds.with([upstream, command]),
        }
    }

    fn count(&self, class: &'static str, elapsed: Duration) {
        if let Some(counter) = self.replies.find(class) {
            counter.inc();
        }
        self.duration.observe(elapsed);
    }
}

impl Default for UpstreamMetrics {
    fn default() -> Self {
        Self::detached()
    }
}

impl UpstreamMetrics {
    /// Handles that nobody scrapes.
    pub fn detached() -> Self {
        Self::new(&Families::detached(), "detached")
    }

    pub(super) fn new(families: &Families, upstream: &str) -> Self {
        tls::expect(families, Side::Upstream);
        Self(Arc::new(Handles {
            upstream: upstream.into(),
            up: families.upstream_up.with([upstream]),
            connects: Resolved::new(CONNECT_OUTCOMES, |outcome| {
                families.upstream_connects_total.with([upstream, outcome])
            }),
            commands: Resolved::new(COMMANDS, |command| Command::new(families, upstream, command)),
            ambiguous: families.upstream_ambiguous_total.with([upstream]),
            starttls_missing: Resolved::new(["opportunistic", "required"], |mode| {
                families.upstream_starttls_missing_total.with([upstream, mode])
            }),
            families: families.clone(),
        }))
    }

    /// Handles for one of its addresses, as the operator wrote it.
    pub fn address(&self, address: &str) -> AddressMetrics {
        let labels = [&*self.0.upstream, address];
        AddressMetrics {
            up: self.0.families.upstream_address_up.with(labels),
            sessions: self.0.families.upstream_sessions_active.with(labels),
        }
    }

    /// Whether the last probe or connection succeeded, as it was told.
    pub fn is_up(&self) -> bool {
        self.0.up.get() != 0
    }

    /// There is no such upstream any more: whether it is up is no longer a question. What was counted stays.
    pub fn forget(&self, addresses: &[String]) {
        self.0.families.upstream_up.forget([&self.0.upstream]);
        for address in addresses {
            self.0.families.upstream_address_up.forget([&self.0.upstream, address]);
        }
    }

    /// Whether the last probe or connection succeeded.
    pub fn up(&self, up: bool) {
        self.0.up.set(up.into());
    }

    /// One attempt to connect; `outcome`: `ok`, `refused`, `timeout`, `tls`, `greeting`, `identity`, `reused`,
    /// or `circuit_open`, when every address failed so often that none was tried.
    pub fn connect(&self, outcome: &'static str) {
        match self.0.connects.find(outcome) {
            Some(counter) => counter.inc(),
            None => self.0.families.upstream_connects_total.with([&self.0.upstream, outcome]).inc(),
        }
    }

    /// One complete reply; `command`: `connect`, `ehlo`, `starttls`, `xclient`, `xforward`, `auth`, `mail`, `rcpt`, `data`,
    /// `bdat` (a chunk that is not the last), `end_of_data` (the final dot, or the last chunk), `rset`, `vrfy`, `expn`, `noop`,
    /// `quit`; `class` 2 to 5, anything else for none.
    pub fn reply(&self, command: &'static str, class: u8, elapsed: Duration) {
        let class = match class {
            2 => "2",
            3 => "3",
            4 => "4",
            5 => "5",
            _ => "none",
        };
        match self.0.commands.find(command) {
            Some(known) => known.count(class, elapsed),
            None => Command::new(&self.0.families, &self.0.upstream, command).count(class, elapsed),
        }
    }

    /// The upstream was lost between the final dot and its reply: the message may arrive twice.
    pub fn ambiguous(&self) {
        self.0.ambiguous.inc();
    }

    /// TLS was wanted and STARTTLS not to be had: where it is `required`, always; where it is `opportunistic`, when it was to be had
    /// before.
    pub fn starttls_missing(&self, mode: &'static str) {
        if let Some(counter) = self.0.starttls_missing.find(mode) {
            counter.inc();
        }
    }

    /// A handshake with the upstream succeeded: its version (`TLSv1.3`) and key exchange group (`X25519MLKEM768`), if it had one.
    pub fn tls_handshake(&self, version: &str, key_exchange: Option<&str>) {
        tls::succeeded(&self.0.families, Side::Upstream, version, key_exchange);
    }

    /// A handshake with the upstream failed.
    pub fn tls_failed(&self) {
        tls::failed(&self.0.families, Side::Upstream);
    }
}

/// Handles for one address of an upstream.
#[derive(Clone, Debug)]
pub struct AddressMetrics {
    up: Gauge,
    sessions: Gauge,
}

impl AddressMetrics {
    /// Whether it answered when it was last tried.
    pub fn up(&self, up: bool) {
        self.up.set(up.into());
    }

    /// A connection to it was begun.
    pub fn opened(&self) {
        self.sessions.inc();
    }

    /// A connection to it is over.
    pub fn closed(&self) {
        self.sessions.dec();
    }
}
