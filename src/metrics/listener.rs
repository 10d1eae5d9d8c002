//! What happens between a listener and its clients.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::families::Families;
use super::family::{Counter, Gauge, Histogram, Resolved, words};
use super::names::Names;
use super::tls::{self, Side};

/// The commands that exist, and `unknown` for the rest.
const COMMANDS: [&str; 16] = [
    "helo", "ehlo", "starttls", "mail", "rcpt", "data", "rset", "vrfy", "expn", "help", "noop", "quit",
    "auth", "bdat", "xclient", "unknown",
];

/// The limits of a listener, by the rule names under which they refuse.
const LIMITS: [&str; 26] = [
    "sessions",
    "sessions_per_ip",
    "sessions_per_network",
    "connection_rate",
    "handshake_rate",
    "descriptors",
    "message_size",
    "upstream_size",
    "header_size",
    "recipients",
    "other_policies",
    "other_route",
    "one_recipient",
    "transactions",
    "errors",
    "junk_commands",
    "tls_required",
    "auth_required",
    "auth_failures",
    "auth_challenges",
    "line_length",
    "min_data_rate",
    "write_timeout",
    "command_timeout",
    "data_timeout",
    "session_timeout",
];

/// The mechanisms of AUTH that have a name in the metrics.
const MECHANISMS: [&str; 13] = [
    "plain",
    "login",
    "cram-md5",
    "digest-md5",
    "ntlm",
    "gssapi",
    "external",
    "xoauth2",
    "oauthbearer",
    "scram-sha-1",
    "scram-sha-256",
    "scram-sha-512",
    OTHER,
];
const OTHER: &str = "other";

/// How a reply that a policy delays ends.
const TARPITS: [&str; 4] = ["waited", "client_gone", "no_room", "shutdown"];

/// How an exchange of AUTH ends.
const AUTH_RESULTS: [&str; 6] = ["ok", "refused", "deferred", "policy", "cancelled", "broken"];

words! {
    /// What became of a message (each counts once), or of one recipient.
    Outcome {
        /// The upstream took it: its 2yz was seen.
        Accepted = "accepted",
        /// Refused for good, with a 5yz.
        Rejected = "rejected",
        /// Refused for now, with a 4yz.
        Deferred = "deferred",
        /// Answered 250 and dropped, by a policy's explicit order.
        Discarded = "discarded",
        /// Answered 250 and kept away from the recipients.
        Quarantined = "quarantined",
        /// The client went away before the end.
        Aborted = "aborted",
    }
}

words! {
    /// What became of a connection at the door.
    Admission {
        /// It got a session.
        Accepted = "accepted",
        /// As many sessions as allowed were open.
        LimitSessions = "limit_sessions",
        /// As many sessions as allowed were open from its address.
        LimitPerIp = "limit_per_ip",
        /// It came from a hop that has to say for whom, and did not.
        NoProxyHeader = "no_proxy_header",
        /// As many sessions as allowed were open from its network.
        LimitPerNetwork = "limit_per_network",
        /// It came too often.
        LimitConnectionRate = "limit_connection_rate",
        /// It had begun too many TLS handshakes.
        LimitHandshakeRate = "limit_handshake_rate",
        /// As many sessions were open as there are file descriptors for.
        LimitDescriptors = "limit_descriptors",
        /// It was gone before it had a session, or the system refused it.
        Error = "error",
    }
}

/// Handles for one listener.
#[derive(Clone, Debug)]
pub struct ListenerMetrics(Arc<Handles>);

#[derive(Debug)]
struct Handles {
    listener: Box<str>,
    families: Families,
    names: Arc<Names>,
    connections: Resolved<Admission, Counter>,
    commands: Resolved<&'static str, Counter>,
    replies: Resolved<u16, Counter>,
    limits: Resolved<&'static str, Counter>,
    messages: Resolved<Outcome, Message>,
    recipients: Resolved<Outcome, Counter>,
    tarpits: Resolved<&'static str, Counter>,
    tarpits_active: Gauge,
    sessions_active: Gauge,
    session_duration: Histogram,
    added_latency: Histogram,
}

#[derive(Debug)]
struct Message {
    count: Counter,
    size: Histogram,
    recipients: Histogram,
}

impl ListenerMetrics {
    /// Handles that nobody scrapes.
    pub fn detached() -> Self {
        Self::new(&Families::detached(), &Arc::default(), "detached")
    }

    pub(super) fn new(families: &Families, names: &Arc<Names>, listener: &str) -> Self {
        tls::expect(families, Side::Client);
        let message = |outcome: Outcome| Message {
            count: families.messages_total.with([listener, outcome.name()]),
            size: families.message_size_bytes.with([listener, outcome.name()]),
            recipients: families.message_recipients.with([listener, outcome.name()]),
        };
        Self(Arc::new(Handles {
            listener: listener.into(),
            connections: Resolved::new(Admission::ALL.iter().copied(), |admission| {
                families.connections_total.with([listener, admission.name()])
            }),
            commands: Resolved::new(COMMANDS, |command| families.commands_total.with([listener, command])),
            replies: Resolved::new(2..=5, |class: u16| {
                families.replies_total.with([listener, &class.to_string()])
            }),
            limits: Resolved::new(LIMITS, |limit| families.limits_total.with([listener, limit])),
            messages: Resolved::new(Outcome::ALL.iter().copied(), message),
            recipients: Resolved::new(Outcome::ALL.iter().copied(), |outcome| {
                families.recipients_total.with([listener, outcome.name()])
            }),
            tarpits: Resolved::new(TARPITS, |result| families.tarpits_total.with([listener, result])),
            tarpits_active: families.tarpits_active.with([listener]),
            sessions_active: families.sessions_active.with([listener]),
            session_duration: families.session_duration_seconds.with([listener]),
            added_latency: families.added_latency_seconds.with([listener]),
            families: families.clone(),
            names: Arc::clone(names),
        }))
    }

    /// A connection came; called once for each.
    pub fn connection(&self, admission: Admission) {
        if let Some(counter) = self.0.connections.find(admission) {
            counter.inc();
        }
    }

    /// How many sessions may be open at once.
    pub fn sessions_limit(&self, limit: u64) {
        self.0.families.sessions_limit.with([&self.0.listener]).set_count(limit);
    }

    /// A session began. Every call is followed by one of [`session_ended`](Self::session_ended).
    pub fn session_started(&self) {
        self.0.sessions_active.inc();
    }

    /// A session ended, however it did.
    pub fn session_ended(&self, duration: Duration) {
        self.0.sessions_active.dec();
        self.0.session_duration.observe(duration);
    }

    /// A command line came, understood or not; `verb` in lower case, `unknown` for what is none.
    pub fn command(&self, verb: &'static str) {
        match self.0.commands.find(verb) {
            Some(counter) => counter.inc(),
            None => self.0.families.commands_total.with([&self.0.listener, verb]).inc(),
        }
    }

    /// A reply went to the client; called once for each, with its code. A 4yz or 5yz is also a
    /// [`rejection`](Self::rejection).
    pub fn reply(&self, code: u16) {
        if let Some(counter) = self.0.replies.find(code / 100) {
            counter.inc();
        }
    }

    /// A 4yz or 5yz went to the client; called once for each, from the same place as [`reply`](Self::reply).
    ///
    /// `stage` is where it happened, `source` whose "no" it was, `rule` a rule, limit or protocol rule (never text of the
    /// client's).
    pub fn rejection(&self, stage: &'static str, source: &'static str, rule: &str, code: u16) {
        let Handles { families, listener, names, .. } = &*self.0;
        let rule = names.bounded(rule);
        families.rejections_total.with([listener, stage, source, rule, &code.to_string()]).inc();
    }

    /// A client ran into the limit of this name.
    pub fn limit(&self, limit: &str) {
        match self.0.limits.find(limit) {
            Some(counter) => counter.inc(),
            None => self.0.families.limits_total.with([&self.0.listener, limit]).inc(),
        }
    }

    /// The listener relays AUTH: its counters exist from now on.
    pub fn offers_auth(&self) {
        for (mechanism, result) in MECHANISMS.iter().flat_map(|m| AUTH_RESULTS.iter().map(move |r| (m, r))) {
            self.0.families.auth_total.with([&self.0.listener, mechanism, result]);
        }
    }

    /// An exchange of AUTH ended; `mechanism` in any case.
    pub fn auth(&self, mechanism: &str, result: &'static str) {
        let known = MECHANISMS.into_iter().find(|known| known.eq_ignore_ascii_case(mechanism));
        self.0.families.auth_total.with([&self.0.listener, known.unwrap_or(OTHER), result]).inc();
    }

    /// A reply is being delayed. Every call is followed by one of [`tarpit_ended`](Self::tarpit_ended).
    pub fn tarpit_begun(&self) {
        self.0.tarpits_active.inc();
    }

    /// It is delayed no longer.
    pub fn tarpit_ended(&self) {
        self.0.tarpits_active.dec();
    }

    /// How a delay went that a policy ordered: `waited`, `client_gone`, `no_room` or `shutdown`.
    pub fn tarpit(&self, result: &'static str) {
        if let Some(counter) = self.0.tarpits.find(result) {
            counter.inc();
        }
    }

    /// A message met its end; called once for each, whatever the outcome.
    pub fn message(&self, outcome: Outcome) {
        if let Some(message) = self.0.messages.find(outcome) {
            message.count.inc();
        }
    }

    /// The bytes of a message as received, when there were any.
    pub fn message_size(&self, outcome: Outcome, bytes: u64) {
        if let Some(message) = self.0.messages.find(outcome) {
            message.size.observe_value(bytes as f64);
        }
    }

    /// How many recipients of a message were accepted.
    pub fn message_recipients(&self, outcome: Outcome, accepted: usize) {
        if let Some(message) = self.0.messages.find(outcome) {
            message.recipients.observe_value(accepted as f64);
        }
    }

    /// A RCPT was answered.
    pub fn recipient(&self, outcome: Outcome) {
        if let Some(counter) = self.0.recipients.find(outcome) {
            counter.inc();
        }
    }

    /// Time from the end of the data to its reply, less the upstream's part.
    pub fn added_latency(&self, latency: Duration) {
        self.0.added_latency.observe(latency);
    }

    /// A handshake with a client succeeded: its version (`TLSv1.3`) and key exchange group (`X25519MLKEM768`), if it had one.
    pub fn tls_handshake(&self, version: &str, key_exchange: Option<&str>) {
        tls::succeeded(&self.0.families, Side::Client, version, key_exchange);
    }

    /// When one of its certificates expires; `certificate` is the operator's name for it.
    pub fn certificate(&self, certificate: &str, not_after: SystemTime) {
        let seconds = not_after.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let certificate = self.0.names.bounded(certificate);
        let labels = [&*self.0.listener, certificate];
        self.0.families.tls_certificate_not_after_timestamp_seconds.with(labels).set_count(seconds);
    }

    /// A certificate is no longer in use: when it ends is no longer a question.
    pub fn forget_certificate(&self, certificate: &str) {
        let labels = [&*self.0.listener, self.0.names.bounded(certificate)];
        self.0.families.tls_certificate_not_after_timestamp_seconds.forget(labels);
    }

    /// A handshake with a client failed.
    pub fn tls_failed(&self) {
        tls::failed(&self.0.families, Side::Client);
    }
}
