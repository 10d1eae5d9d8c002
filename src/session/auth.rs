//! AUTH (RFC 4954): the session keeps the order, the upstream checks the password.
//!
//! Each line of the client's goes to the upstream as it came, each challenge back. A login that the upstream accepted is
//! policy's to refuse. The session remembers mechanism and user, and nothing else that was said.

use bytes::Bytes;
use zeroize::Zeroize;

use super::action::About;
use super::stage::{Reason, Refusal, Source, Stage, Verdict, Violation};
use super::{Action, Mode, Question, Session, replies};
use crate::smtp::auth::{self, AuthCommand, AuthLine, Login, Mechanism, Secret};
use crate::smtp::command::Verb;
use crate::smtp::line::{self, LineError};
use crate::smtp::reply::{Class, Reply};

/// Challenges in one exchange: far above what any mechanism needs.
const MAX_CHALLENGES: usize = 32;

/// What a listener makes of AUTH.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AuthTerms {
    /// It is offered and relayed; else it is 502.
    pub relay: bool,
    /// Also in the clear, where everybody on the way can read the password.
    pub without_tls: bool,
    /// There is no mail before it (530, RFC 4954 6).
    pub required: bool,
}

impl AuthTerms {
    /// The longest line in octets that the session has to be able to take.
    pub(super) const fn max_line(self) -> usize {
        if self.relay { auth::MAX_LINE } else { line::FLOOD }
    }
}

/// How an exchange ended that the upstream heard of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AuthOutcome {
    /// The upstream accepted it, and no policy objected.
    Ok,
    /// The upstream refused it with a 5yz.
    Refused,
    /// The upstream answered with a 4yz, or could not be asked.
    Deferred,
    /// The upstream accepted it and a policy did not.
    Policy,
    /// The client gave it up, or went.
    Cancelled,
    /// The client broke it: what it said was no base64, or endless.
    Broken,
}

impl AuthOutcome {
    /// Every outcome.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Refused, Self::Deferred, Self::Policy, Self::Cancelled, Self::Broken];

    /// The name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Deferred => "deferred",
            Self::Policy => "policy",
            Self::Cancelled => "cancelled",
            Self::Broken => "broken",
        }
    }
}

/// An exchange under way.
#[derive(Clone, Debug)]
pub struct Exchange {
    login: Login,
    challenges: usize,
    cancelled: bool,
    /// Why it is being given up, other than by the client's wish.
    spoilt: Option<Refusal>,
    /// The upstream's acceptance, while policy thinks about it.
    accepted: Option<Reply>,
}

impl Exchange {
    const fn new(login: Login) -> Self {
        Self { login, challenges: 0, cancelled: false, spoilt: None, accepted: None }
    }
}

impl Session {
    /// Answers the open [`Action::Authenticate`]: the upstream's own words, or why it could not be asked.
    pub fn auth_answered(&mut self, answer: Result<Reply, Refusal>) {
        let mut exchange = match std::mem::replace(&mut self.mode, Mode::Commands) {
            Mode::Parked(Question::Auth(exchange)) => exchange,
            other => return self.mode = other,
        };
        if let Some(refusal) = exchange.spoilt.take() {
            return self.auth_failed(exchange, AuthOutcome::Broken, refusal);
        }
        match answer {
            Ok(reply) if reply.is_completed() => {
                exchange.accepted = Some(reply);
                self.ask(Question::Auth(exchange));
            }
            Ok(reply) if reply.code().class() == Class::Intermediate => self.challenged(exchange, reply),
            Ok(reply) => {
                let outcome = match reply.code().class() {
                    _ if exchange.cancelled => AuthOutcome::Cancelled,
                    Class::Permanent => AuthOutcome::Refused,
                    _ => AuthOutcome::Deferred,
                };
                let refusal = Refusal { reply, reason: Reason::new(Source::Upstream, "auth") };
                self.auth_failed(exchange, outcome, refusal);
            }
            Err(refusal) => self.auth_failed(exchange, AuthOutcome::Deferred, refusal),
        }
    }

    /// Who logged in: the upstream accepted it, and policy too or it is about to say so.
    pub const fn login(&self) -> Option<&Login> {
        match &self.mode {
            Mode::Parked(Question::Auth(Exchange { accepted: Some(_), login, .. })) => Some(login),
            _ => self.login.as_ref(),
        }
    }

    /// AUTH (RFC 4954 4): last in its group, and not in a transaction.
    pub(super) fn auth(&mut self, command: AuthCommand) {
        if let Err(refusal) = self.check_auth(&command.mechanism) {
            return self.refuse(Stage::Auth, refusal);
        }
        if self.speaks_ahead() {
            return self.ask(Question::Violation(Violation::Pipelining));
        }
        let exchange = Exchange::new(command.login());
        self.relay(exchange, AuthLine::Begin(command));
    }

    fn check_auth(&self, mechanism: &Mechanism) -> Result<(), Refusal> {
        let refused = if !self.terms.auth.relay {
            &replies::NO_AUTH
        } else if !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            &replies::NEED_EHLO
        } else if self.login.is_some() {
            &replies::ALREADY_AUTH
        } else if self.transaction.is_some() {
            &replies::AUTH_IN_TRANSACTION
        } else if !self.auth_has_tls() {
            &replies::AUTH_NEEDS_TLS
        } else if self.offers.auth.is_empty() {
            &replies::NO_AUTH_NOW
        } else if mechanism.binds_channel() {
            &replies::CHANNEL_BINDING
        } else if !self.offers.auth.iter().any(|offered| offered == mechanism.name()) {
            &replies::NO_MECHANISM
        } else {
            return Ok(());
        };
        Err(refused.refusal())
    }

    const fn auth_has_tls(&self) -> bool {
        self.secure || self.terms.auth.without_tls
    }

    /// The line of EHLO. It stays when the client has logged in, as with other servers.
    pub(super) fn auth_offered(&self) -> Option<String> {
        let offered = self.terms.auth.relay && self.auth_has_tls() && !self.offers.auth.is_empty();
        offered.then(|| format!("AUTH {}", self.offers.auth.join(" ")))
    }

    /// Whether a command has to wait until somebody logged in (RFC 4954 6, on 530).
    pub(super) const fn needs_auth(&self, verb: Verb) -> bool {
        let mail =
            matches!(verb, Verb::Mail | Verb::Rcpt | Verb::Data | Verb::Bdat | Verb::Vrfy | Verb::Expn);
        mail && self.terms.auth.required && self.login.is_none()
    }

    /// The next line in an exchange; whether there was one.
    pub(super) fn next_response(&mut self) -> bool {
        let Some(line) = self.take_line() else { return false };
        let exchange = match std::mem::replace(&mut self.mode, Mode::Commands) {
            Mode::Auth(exchange) => exchange,
            other => {
                self.mode = other;
                return false;
            }
        };
        match line {
            Ok(line) if !self.speaks_ahead() => self.respond(exchange, &line),
            Ok(_) => {
                self.give_up(&exchange);
                self.ask(Question::Violation(Violation::Pipelining));
            }
            Err(LineError::TooLong) => {
                self.give_up(&exchange);
                self.close_with(Stage::Auth, replies::AUTH_LINE.refusal());
            }
            Err(error) => {
                let reason = Reason::new(Source::Protocol, error.name());
                self.spoil_auth(exchange, Refusal { reply: error.reply(), reason });
            }
        }
        true
    }

    fn respond(&mut self, mut exchange: Exchange, line: &[u8]) {
        if line == b"*" {
            exchange.cancelled = true;
            return self.relay(exchange, AuthLine::Cancel);
        }
        match Secret::parse(line) {
            Ok(response) => {
                exchange.login.hear(&response);
                self.relay(exchange, AuthLine::Response(response));
            }
            Err(_) => self.spoil_auth(exchange, replies::BAD_BASE64.refusal()),
        }
    }

    fn relay(&mut self, exchange: Exchange, line: AuthLine) {
        self.actions.push_back(Action::Authenticate(line));
        self.mode = Mode::Parked(Question::Auth(exchange));
    }

    fn challenged(&mut self, mut exchange: Exchange, challenge: Reply) {
        exchange.challenges += 1;
        if exchange.challenges > MAX_CHALLENGES {
            return self.spoil_auth(exchange, replies::AUTH_ENDLESS.refusal());
        }
        self.reply(challenge);
        self.mode = Mode::Auth(exchange);
    }

    /// Takes the exchange back at the upstream; the client hears `refusal` then.
    fn spoil_auth(&mut self, mut exchange: Exchange, refusal: Refusal) {
        exchange.spoilt = Some(refusal);
        self.relay(exchange, AuthLine::Cancel);
    }

    /// Policy judged a login that the upstream accepted.
    pub(super) fn auth_judged(&mut self, mut exchange: Exchange, verdict: Verdict) {
        let Some(accepted) = exchange.accepted.take() else { return };
        match verdict {
            Verdict::Pass | Verdict::Discard(_) | Verdict::Quarantine(_) => {
                self.actions.push_back(Action::AuthEnded(exchange.login.clone(), AuthOutcome::Ok));
                self.login = Some(exchange.login);
                self.reply(accepted);
            }
            Verdict::Refuse(refusal) => {
                self.actions.push_back(Action::LeaveUpstream);
                self.auth_failed(exchange, AuthOutcome::Policy, refusal);
            }
            Verdict::Disconnect(refusal) => {
                self.about = About::Login(exchange.login.clone());
                self.actions.push_back(Action::LeaveUpstream);
                self.actions.push_back(Action::AuthEnded(exchange.login, AuthOutcome::Policy));
                self.close_with(Stage::Auth, refusal);
            }
        }
    }

    /// The one door out of an exchange that came to nothing. Policy hears of what may be a guess, before the client hears that it
    /// was wrong.
    fn auth_failed(&mut self, exchange: Exchange, outcome: AuthOutcome, refusal: Refusal) {
        self.about = About::Login(exchange.login.clone());
        self.actions.push_back(Action::AuthEnded(exchange.login, outcome));
        self.counters.auth_failures += 1;
        if outcome == AuthOutcome::Refused {
            self.ask(Question::LoginRefused(refusal));
        } else {
            self.login_failed(refusal);
        }
    }

    /// Policy spoke about a login that the upstream refused, or did not: then the client hears the upstream.
    pub(super) fn refused_login_judged(&mut self, refusal: Refusal, verdict: Verdict) {
        match verdict {
            Verdict::Refuse(own) | Verdict::Disconnect(own) => self.close_with(Stage::Violation, own),
            Verdict::Pass | Verdict::Discard(_) | Verdict::Quarantine(_) => self.login_failed(refusal),
        }
    }

    /// Whoever has failed too often in this session has guessed enough.
    fn login_failed(&mut self, refusal: Refusal) {
        let counted = refusal.reason.source == Source::Protocol;
        self.refuse(Stage::Auth, refusal);
        // It closed, or asks policy about too many errors.
        if !matches!(self.mode, Mode::Commands) {
            return;
        }
        if self.counters.auth_failures >= self.terms.limits.auth_failures {
            let (failed, most) = (self.counters.auth_failures, self.terms.limits.auth_failures);
            let figures = format!("{failed} had failed, and {most} end the session");
            self.close_with(Stage::Auth, replies::AUTH_FAILURES.because(figures));
        } else if !counted {
            self.count_error();
        }
    }

    /// The session ends in the middle of an exchange.
    pub(super) fn auth_abandoned(&mut self) {
        if !matches!(self.mode, Mode::Auth(_) | Mode::Parked(Question::Auth(_))) {
            return;
        }
        if let Mode::Auth(exchange) | Mode::Parked(Question::Auth(exchange)) =
            std::mem::replace(&mut self.mode, Mode::Commands)
        {
            self.actions.push_back(Action::AuthEnded(exchange.login, AuthOutcome::Cancelled));
        }
    }

    /// The exchange ends with the connection to the upstream, which still waits for a response.
    fn give_up(&mut self, exchange: &Exchange) {
        self.about = About::Login(exchange.login.clone());
        self.actions.push_back(Action::LeaveUpstream);
        self.actions.push_back(Action::AuthEnded(exchange.login.clone(), AuthOutcome::Broken));
    }

    /// Whether something is there behind a line that is the last of its group.
    fn speaks_ahead(&self) -> bool {
        !self.pending.is_empty() || !self.lines.is_empty()
    }
}

/// What was received and never looked at may be a password too.
impl Drop for Session {
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.pending));
    }
}

/// Overwrites `bytes`, unless somebody else still looks at them.
pub(super) fn wipe(bytes: Bytes) {
    if let Ok(mut bytes) = bytes.try_into_mut() {
        bytes.as_mut().zeroize();
    }
}

#[cfg(test)]
mod tests;
