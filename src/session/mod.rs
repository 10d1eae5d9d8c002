//! The server side of the dialogue as a state machine without sockets, clock or policy (RFC 5321).
//!
//! What happens at each command stands in `commands.rs` (AUTH in `auth.rs`, BDAT in `chunks.rs`, VRFY, EXPN and HELP in
//! `inquiries.rs`, XCLIENT in `xclient.rs`), one method a command in the order of the RFC, each a match over the steps of
//! its life: what the client *said* is checked, policy *judged* it, the upstream *answered*.

mod action;
mod arrival;
mod auth;
mod chunks;
mod commands;
mod enhanced;
mod evidence;
mod inquiries;
mod limits;
mod machinery;
mod offers;
mod pace;
mod replies;
pub mod stage;
mod terms;
mod transaction;
mod xclient;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use self::action::About;
pub use self::action::{Action, Grounds, Question};
pub use self::arrival::Arrival;
use self::arrival::Patience;
pub use self::auth::{AuthOutcome, AuthTerms, Exchange};
use self::chunks::{Chunk, Chunks};
pub use self::inquiries::{Inquiries, Inquiry};
pub use self::limits::{Limits, Timeouts};
pub use self::offers::Offers;
use self::pace::Pace;
use self::stage::{Reason, RecipientChange, Refusal, Source, Stage, Verdict};
pub use self::terms::{Counters, Hello, Terms};
pub use self::transaction::{Finished, Outcome, SetAside, Transaction};
use crate::smtp::auth::Login;
use crate::smtp::data::{DataDecoder, LineEnds};
use crate::smtp::line::LineDecoder;
use crate::smtp::path::ForwardPath;
use crate::smtp::receipt::Receipt;
use crate::smtp::reply::Reply;
use crate::smtp::text_line::LineMeter;

/// One SMTP session with a client, as pure protocol logic.
///
/// A `Session` owns no socket and reads no clock. The caller begins with [`begin`](Self::begin), feeds what happened, and
/// takes [`Action`]s from [`poll`](Self::poll) until there are none:
///
/// - what the client sent: [`receive`](Self::receive)
/// - what policy answered: [`decided`](Self::decided)
/// - what the upstream answered: [`rcpt_answered`](Self::rcpt_answered), [`delivered`](Self::delivered),
///   [`auth_answered`](Self::auth_answered)
/// - that the handshake finished: [`tls_established`](Self::tls_established)
/// - that time passed: [`timed_out`](Self::timed_out), due at [`deadline`](Self::deadline)
/// - that the client went away: [`hung_up`](Self::hung_up)
///
/// At most one question is open at a time. While one is, pipelined bytes are kept and not looked at, so replies leave in
/// the order of the commands (RFC 2920 3.2).
pub struct Session {
    terms: Terms,
    secure: bool,
    offers: Offers,
    mode: Mode,
    hello: Option<Hello>,
    transaction: Option<Transaction>,
    login: Option<Login>,
    chunks: Chunks,
    counters: Counters,
    lines: LineDecoder,
    pending: Bytes,
    actions: VecDeque<Action>,
    begun: Instant,
    /// When the session last did something: half a command line, however it trickles in, is not progress.
    progress: Instant,
    /// Octets that came and were not looked at yet by [`keep_pace`](Self::keep_pace).
    arrived: u64,
    /// There while a message arrives.
    pace: Option<Pace>,
    line_ends: LineEnds,
    draining: bool,
    /// What the open transaction is judged by is to go.
    retired: bool,
    arrival: Arrival,
    /// The banner is out.
    greeted: bool,
    patience: Patience,
    /// What the open question about a violation is about, for the operator.
    evidence: &'static str,
    /// Whom the command at hand is about, for the books.
    about: About,
}

/// What the client's bytes are at this moment.
#[derive(Debug)]
enum Mode {
    /// Nothing yet: the banner is not out.
    New,
    /// Too early: the banner waits until then for a client that talks first.
    Listening(Instant),
    /// Commands.
    Commands,
    /// A message.
    Body(Body),
    /// The answer to a challenge of AUTH.
    Auth(Exchange),
    /// A chunk of a message.
    Chunk(Chunk),
    /// Not to be looked at until the question is answered.
    Parked(Question),
    /// Of no interest any more.
    Closed,
}

#[derive(Debug)]
struct Body {
    decoder: DataDecoder,
    /// There where long lines are refused.
    lines: Option<LineMeter>,
    /// Why the message cannot be taken, known before it is complete. The rest is read all the same, so that it is not
    /// taken for commands.
    spoilt: Option<Refusal>,
}

/// One step in the life of a command.
enum Step<T> {
    /// The client said it: check it, then ask policy.
    Said(T),
    /// Policy judged it: go on to the upstream, or answer.
    Judged(T, Verdict),
    /// The upstream answered.
    Answered(T, Result<Reply, Refusal>),
}

impl Session {
    /// A session with a client that has just connected.
    pub fn new(terms: Terms, secure: bool, offers: Offers, now: Instant) -> Self {
        Self {
            secure,
            offers,
            mode: Mode::New,
            hello: None,
            transaction: None,
            login: None,
            chunks: Chunks::Absent,
            counters: Counters::default(),
            lines: LineDecoder::new(terms.auth.max_line()),
            pending: Bytes::new(),
            actions: VecDeque::new(),
            begun: now,
            progress: now,
            arrived: 0,
            pace: None,
            line_ends: LineEnds::Strict,
            draining: false,
            retired: false,
            terms,
            arrival: Arrival::default(),
            greeted: false,
            patience: Patience::Kept,
            evidence: "",
            about: About::Nobody,
        }
    }

    /// Says what a bare CR or LF in a message of this client is. To be called before the first message.
    pub const fn take_line_ends(&mut self, line_ends: LineEnds) {
        self.line_ends = line_ends;
    }

    /// Begins the session: policy is asked whether the client gets a banner.
    pub fn begin(&mut self) {
        self.ask(Question::Connect);
    }

    /// Takes bytes as they came off the wire, in pieces of any size.
    pub fn receive(&mut self, bytes: Bytes) {
        self.arrived = self.arrived.saturating_add(bytes.len() as u64);
        if self.pending.is_empty() {
            self.pending = bytes;
        } else {
            let mut all = BytesMut::from(&self.pending[..]);
            all.extend_from_slice(&bytes);
            auth::wipe(std::mem::replace(&mut self.pending, all.freeze()));
            auth::wipe(bytes);
        }
    }

    /// Answers the open [`Action::Decide`].
    pub fn decided(&mut self, verdict: Verdict) {
        let question = match std::mem::replace(&mut self.mode, Mode::Commands) {
            Mode::Parked(question) => question,
            // The client went away while policy was thinking.
            other => return self.mode = other,
        };
        match question {
            Question::Connect => self.connect(verdict),
            Question::Helo(hello) => self.helo(Step::Judged(hello, verdict)),
            Question::Auth(exchange) => self.auth_judged(exchange, verdict),
            Question::Mail(mail) => self.mail(Step::Judged(mail, verdict)),
            Question::Rcpt(rcpt) => self.rcpt(Step::Judged(rcpt, verdict)),
            Question::Data => self.data(Step::Judged((), verdict)),
            Question::Chunk(chunk) => self.bdat(Step::Judged(chunk, verdict)),
            Question::Message => self.message(verdict),
            Question::Violation(event) => self.violation(event, verdict),
            Question::LoginRefused(refusal) => self.refused_login_judged(refusal, verdict),
            // Policy is not asked about these.
            question @ (Question::Inquiry(_) | Question::Tls) => self.mode = Mode::Parked(question),
        }
    }

    /// Answers the open [`Action::AskUpstream`]: the upstream's own words, or why it could not be asked.
    pub fn rcpt_answered(&mut self, answer: Result<Reply, Refusal>) {
        match std::mem::replace(&mut self.mode, Mode::Commands) {
            Mode::Parked(Question::Rcpt(rcpt)) => {
                self.rcpt(Step::Answered(rcpt, enhanced::answer(answer, "rcpt", enhanced::To::Rcpt)));
            }
            Mode::Parked(Question::Inquiry(_)) => {
                self.inquired(enhanced::answer(answer, "inquiry", enhanced::To::Rcpt));
            }
            other => self.mode = other,
        }
    }

    /// Answers the open [`Action::Deliver`] or [`Action::Quarantine`].
    ///
    /// **Invariant: the only way a client is told that its message was taken**; the receipt is the proof. (A policy's
    /// `discard` is the one named exception, and says 250 without a receipt.)
    pub fn delivered(&mut self, answer: Result<Receipt, Refusal>) {
        if !matches!(self.mode, Mode::Parked(Question::Message)) {
            return;
        }
        self.mode = Mode::Commands;
        match answer {
            Ok(receipt) => {
                self.counters.messages += 1;
                let reply = enhanced::completed(receipt.into_reply(), enhanced::To::Message);
                let (outcome, reason) = self.what_became();
                self.finish(Some(outcome), Some(reply), reason);
            }
            Err(refusal) => self.finish_refused(enhanced::refused(refusal, enhanced::To::Message)),
        }
    }

    /// What became of a message for which there is a receipt.
    fn what_became(&self) -> (Outcome, Option<Reason>) {
        match &self.transaction {
            Some(transaction) if transaction.bound_for().next().is_none() => {
                let why = transaction.quarantined.first().map(|set_aside| set_aside.reason.clone());
                (Outcome::Quarantined, why)
            }
            _ => (Outcome::Accepted, None),
        }
    }

    /// Changes the recipients of the open transaction, by order of policy about DATA or the message.
    pub fn rearrange(&mut self, changes: Vec<RecipientChange>) {
        if let Some(transaction) = &mut self.transaction {
            transaction.rearrange(changes);
        }
    }

    /// Puts another address in place of the recipient in question, by order of policy: the upstream is asked about that one.
    pub fn redirect(&mut self, path: ForwardPath) {
        if let Mode::Parked(Question::Rcpt(rcpt)) = &mut self.mode {
            rcpt.path = path;
        }
    }

    /// The message cannot be taken, whatever its rest may be: no space for it, or a header without end. What is left of it
    /// is read and dropped; the client hears `refusal` at the end.
    pub fn spoil(&mut self, refusal: Refusal) {
        match &mut self.mode {
            Mode::Body(body) => {
                body.spoilt.get_or_insert(refusal);
            }
            Mode::Chunk(chunk) => chunk.spoil(refusal),
            _ => {}
        }
    }

    /// Lowers the size limit of the open transaction, by order of a policy.
    pub fn limit_size(&mut self, limit: u64, reason: Reason) {
        let Some(transaction) = &mut self.transaction else { return };
        if transaction.size_limit.as_ref().is_none_or(|(lowest, _)| limit < *lowest) {
            transaction.size_limit = Some((limit, reason));
        }
    }

    /// What the next EHLO offers.
    pub fn offer(&mut self, offers: Offers) {
        self.offers = offers;
    }

    /// TLS is up: the session forgets everything it heard before, EHLO included (RFC 3207 4.2).
    pub fn tls_established(&mut self) {
        if !matches!(self.mode, Mode::Parked(Question::Tls)) {
            return;
        }
        self.secure = true;
        self.hello = None;
        self.login = None;
        self.pending = Bytes::new();
        self.lines.reset();
        self.mode = Mode::Commands;
    }

    /// The client closed its side, or the connection broke.
    pub fn hung_up(&mut self) {
        self.abort(Reason::new(Source::Protocol, "client-gone"));
        self.mode = Mode::Closed;
        self.actions.push_back(Action::Close);
    }

    /// The [`deadline`](Self::deadline) passed. The session answers 421 and closes; before the banner, it says it.
    pub fn timed_out(&mut self, now: Instant) {
        let timeouts = &self.terms.timeouts;
        let allowed = |time: Duration| format!("{time:?} are allowed");
        let refusal = match self.mode {
            Mode::Listening(_) => return self.say_banner(),
            _ if now >= self.begun + timeouts.session => {
                replies::SESSION_TIMEOUT.because(allowed(timeouts.session))
            }
            _ if !self.is_in_message() || now < self.message_due() => {
                replies::COMMAND_TIMEOUT.because(allowed(timeouts.command))
            }
            _ if self.trickles(now) => {
                let least = self.terms.limits.min_data_rate;
                replies::MIN_DATA_RATE.because(format!("{least} octets a second are the least"))
            }
            _ => replies::DATA_TIMEOUT.because(allowed(timeouts.data)),
        };
        self.close_with(Stage::Violation, refusal);
    }

    /// Asks the session to end as soon as no transaction is open.
    pub const fn drain(&mut self) {
        self.draining = true;
    }

    /// Asks the session to give up the open transaction, if there is one, at the client's next command: what it is judged by
    /// is too old. A message under way still gets its answer.
    pub const fn retire(&mut self) {
        self.retired = self.transaction.is_some();
    }

    /// Ends the session with 421, in the middle of a message too: the client keeps it and comes again.
    pub fn shut_down(&mut self) {
        self.close_with(Stage::Violation, replies::SHUTTING_DOWN.refusal());
    }

    /// Whether [`drain`](Self::drain) was called.
    pub const fn is_draining(&self) -> bool {
        self.draining
    }

    /// When [`timed_out`](Self::timed_out) is due: `None` while somebody else than the client is being waited for.
    pub fn deadline(&self) -> Option<Instant> {
        let due = match self.mode {
            // A message that comes in chunks may take no longer than another.
            Mode::Commands if self.is_between_chunks() => {
                self.message_due().min(self.progress + self.terms.timeouts.command)
            }
            Mode::Commands | Mode::Auth(_) => self.progress + self.terms.timeouts.command,
            Mode::Body(_) | Mode::Chunk(_) => self.message_due(),
            Mode::Listening(until) => return Some(until),
            Mode::New | Mode::Parked(_) | Mode::Closed => return None,
        };
        Some(due.min(self.begun + self.terms.timeouts.session))
    }

    /// The next thing to do, or `None` when the session waits for one of the inputs above.
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        self.keep_pace(now);
        loop {
            if let Some(action) = self.actions.pop_front() {
                self.progress = now;
                return Some(action);
            }
            let went_on = match self.mode {
                Mode::Commands => self.next_command(),
                Mode::Listening(_) => self.next_before_banner(),
                Mode::Body(_) => self.next_piece(),
                Mode::Auth(_) => self.next_response(),
                Mode::Chunk(_) => self.next_chunk_piece(),
                Mode::New | Mode::Parked(_) | Mode::Closed => false,
            };
            if !went_on {
                if self.pending.is_empty() {
                    // An empty slice keeps the whole of what it was cut from.
                    self.pending = Bytes::new();
                }
                return None;
            }
        }
    }

    /// Whether the client has sent what nobody has looked at yet.
    pub fn has_unread(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The open question, if there is one.
    pub const fn question(&self) -> Option<&Question> {
        match &self.mode {
            Mode::Parked(question) => Some(question),
            _ => None,
        }
    }

    /// How the client introduced itself, once policy let it.
    pub const fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// The open transaction.
    pub const fn transaction(&self) -> Option<&Transaction> {
        self.transaction.as_ref()
    }

    /// What the client did so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether the session is over.
    pub const fn is_closed(&self) -> bool {
        matches!(self.mode, Mode::Closed)
    }
}

/// What the client has said and nobody has looked at yet may be a password.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("mode", &self.mode)
            .field("hello", &self.hello)
            .field("transaction", &self.transaction)
            .field("login", &self.login)
            .field("counters", &self.counters)
            .field("pending", &self.pending.len())
            .field("actions", &self.actions)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
