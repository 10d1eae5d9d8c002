//! The time before the banner: a client of SMTP waits for it, and one that does not is something else (RFC 5321 3.1).

use std::time::Duration;

use super::stage::Violation;
use super::{Mode, Question, Session, replies};
use crate::smtp::command::{Facts, Verb};

/// How a client is received.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Arrival {
    /// Whether it may say XCLIENT.
    pub xclient: bool,
    /// How long after its connection the banner waits for it to talk first; zero to look once whether it has done so. `None` for
    /// a client that is not tested.
    pub greet_delay: Option<Duration>,
}

/// Whether the client waits for the replies that it has to wait for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Patience {
    /// So far.
    Kept,
    /// It did not, and policy is to be asked about it.
    Lost,
    /// Policy was asked.
    Reported,
}

/// The first octet of a TLS handshake record (RFC 8446 5.1): no command begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

const TLS: &str = "TLS on a plaintext port";
const TALKS_FIRST: &str = "octets before the banner";
const TALKS_ON: &str = "commands behind one whose reply is due first";

impl Session {
    /// How the client is to be received; to be called before [`begin`](Self::begin). Without it, it is not tested and may not say XCLIENT.
    pub const fn receive_as(&mut self, arrival: Arrival) {
        self.arrival = arrival;
    }

    /// Whether the banner waits for a client that talks first. What was sent before the [`deadline`](Self::deadline) must be
    /// [received](Self::receive) before the session hears that it passed.
    pub const fn is_listening(&self) -> bool {
        matches!(self.mode, Mode::Listening(_))
    }

    /// Policy lets the client in: the banner, or first the time in which it should be silent. Behind XCLIENT, that time is over.
    pub(super) fn welcome(&mut self) {
        match self.arrival.greet_delay.take() {
            Some(delay) => self.mode = Mode::Listening(self.begun + delay),
            None => self.say_banner(),
        }
    }

    pub(super) fn say_banner(&mut self) {
        self.greeted = true;
        self.mode = Mode::Commands;
        self.reply(replies::banner(&self.terms.hostname));
    }

    /// Looks at what came before the banner.
    pub(super) fn next_before_banner(&mut self) -> bool {
        if self.draining {
            self.shut_down();
        } else if self.begins_tls() {
            self.breach(Violation::ForeignCommand, TLS);
        } else if self.pending.is_empty() {
            return false;
        } else {
            self.breach(Violation::Pregreet, TALKS_FIRST);
        }
        true
    }

    /// Looks at what comes next before it is taken for a command; true when policy has to speak first.
    pub(super) fn is_out_of_turn(&mut self) -> bool {
        if self.begins_tls() {
            self.breach(Violation::ForeignCommand, TLS);
        } else if self.patience == Patience::Lost {
            self.patience = Patience::Reported;
            self.breach(Violation::EarlyCommands, TALKS_ON);
        } else {
            return false;
        }
        true
    }

    /// Remembers whether something stands behind this command though its reply has to come first: it ends a group of commands,
    /// or the client was never told that it may send groups (RFC 2920 3.1). DATA has a rule of its own, since the end of the message is
    /// at stake; behind STARTTLS everything is thrown away; behind QUIT nothing is looked at.
    pub(super) fn watch_patience(&mut self, facts: &Facts) {
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        let must_wait = facts.last_in_group || !extended;
        let apart = matches!(facts.verb, Verb::Data | Verb::StartTls | Verb::Quit);
        if self.patience == Patience::Kept && must_wait && !apart && !self.pending.is_empty() {
            self.patience = Patience::Lost;
        }
    }

    /// Asks policy about a breach of the protocol; `evidence` is for the operator, in our own words.
    pub(super) fn breach(&mut self, event: Violation, evidence: &'static str) {
        self.evidence = evidence;
        self.ask(Question::Violation(event));
    }

    fn begins_tls(&self) -> bool {
        !self.secure && self.lines.is_empty() && self.pending.first() == Some(&TLS_HANDSHAKE)
    }
}
