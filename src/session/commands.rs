//! What happens at each command: one method a command, in the order of RFC 5321.

use super::action::About;
use super::evidence::legible;
use super::stage::{Reason, Refusal, Said, Source, Stage, Verdict, Violation};
use super::{Action, Body, Hello, Mode, Outcome, Question, Session, SetAside, Step, Transaction, replies};
use crate::smtp::command::{Command, Facts, MailCommand, Problem, RcptCommand, SyntaxError, Verb};
use crate::smtp::data::DataDecoder;
use crate::smtp::needs::Need;
use crate::smtp::params::RcptParams;
use crate::smtp::path::ForwardPath;
use crate::smtp::reply::Class;
use crate::smtp::text_line::LineMeter;

impl Session {
    /// A complete command line.
    pub(super) fn command(&mut self, line: &[u8]) {
        let verb = Verb::of(line);
        self.actions.push_back(Action::Heard(verb));
        if verb == Verb::XClient && !self.arrival.xclient {
            return self.refuse(Stage::Violation, replies::NO_XCLIENT.refusal());
        }
        let command = match Command::parse(line, self.speaks_utf8()) {
            Ok(command) => command,
            Err(error) => return self.bad_syntax(&error, line),
        };
        self.about = About::of(&command);
        let facts = command.verb().facts();
        self.watch_patience(&facts);
        if facts.counts_as_junk && self.counts_junk() {
            return;
        }
        // BDAT is checked with the octets behind it.
        if facts.verb != Verb::Bdat
            && let Err(refusal) = self.check_order(&facts)
        {
            return self.refuse(stage_of(facts.verb), refusal);
        }
        match command {
            Command::Helo(greeting) => self.helo(Step::Said(Hello { greeting, extended: false })),
            Command::Ehlo(greeting) => self.helo(Step::Said(Hello { greeting, extended: true })),
            Command::StartTls => self.starttls(),
            Command::Mail(mail) => self.mail(Step::Said(mail)),
            Command::Rcpt(rcpt) => self.rcpt(Step::Said(rcpt)),
            Command::Data => self.data(Step::Said(())),
            Command::Bdat(chunk) => self.bdat(Step::Said(chunk)),
            Command::Rset => self.rset(),
            Command::Vrfy(_) | Command::Expn(_) | Command::Help => self.inquire(command),
            Command::Noop => self.reply(replies::ok()),
            Command::Quit => self.quit(),
            Command::XClient(said) => self.xclient(said),
            Command::Auth(command) => self.auth(command),
        }
    }

    /// What every command must find in place, by the table of commands.
    pub(super) fn check_order(&self, facts: &Facts) -> Result<(), Refusal> {
        if facts.needs_helo && self.hello.is_none() {
            Err(replies::NEED_HELO.refusal())
        } else if self.terms.tls_required && !self.secure && !facts.before_tls {
            Err(replies::TLS_REQUIRED.refusal())
        } else if self.needs_auth(facts.verb) {
            Err(replies::AUTH_REQUIRED.refusal())
        } else if facts.needs_transaction && self.transaction.is_none() {
            Err(replies::NEED_MAIL.refusal())
        } else {
            self.check_chunks(facts.verb)
        }
    }

    fn bad_syntax(&mut self, error: &SyntaxError, line: &[u8]) {
        if error.problem == Problem::Foreign {
            return self.breach(Violation::ForeignCommand, "a word of another protocol");
        }
        let mut reason = Reason::new(Source::Protocol, error.problem.name());
        if matches!(error.verb, Verb::Helo | Verb::Ehlo | Verb::Mail | Verb::Rcpt) {
            reason.said = Some(Box::new(Said::Command(legible(line))));
        }
        let refusal = Refusal { reply: error.reply(), reason };
        if line.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"BDAT")) {
            return self.broken_chunk(refusal);
        }
        self.refuse(stage_of(error.verb), refusal);
    }

    /// Counts a command that does no work; true when it was one too many.
    pub(super) fn counts_junk(&mut self) -> bool {
        self.counters.junk += 1;
        let too_many = self.counters.junk > self.terms.limits.junk_commands;
        if too_many {
            self.breach(Violation::JunkCommands, "");
        }
        too_many
    }

    /// The connection itself (3.1): a banner, or 554 or 421 and the end.
    pub(super) fn connect(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Refuse(refusal) | Verdict::Disconnect(refusal) => {
                self.close_with(Stage::Connect, replies::at_connect(refusal));
            }
            Verdict::Pass | Verdict::Discard(_) | Verdict::Quarantine(_) => self.welcome(),
        }
    }

    /// HELO and EHLO (4.1.1.1). Either ends an open transaction; a refused one leaves the client without a greeting.
    pub(super) fn helo(&mut self, step: Step<Hello>) {
        match step {
            Step::Said(hello) => {
                self.abort(Reason::new(Source::Protocol, "helo-again"));
                self.hello = None;
                self.ask(Question::Helo(hello));
            }
            Step::Judged(hello, verdict) => {
                if let Some(hello) = self.unless_refused(Stage::Helo, hello, verdict) {
                    self.greet(hello);
                }
            }
            Step::Answered(..) => {}
        }
    }

    fn greet(&mut self, hello: Hello) {
        let mut lines = vec![format!("{} greets {}", self.terms.hostname, hello.greeting.text)];
        if hello.extended {
            lines.extend(self.offered());
        }
        self.hello = Some(hello);
        self.reply(replies::hello(&lines));
    }

    /// STARTTLS (RFC 3207): what came in the clear behind it is thrown away, not executed.
    fn starttls(&mut self) {
        if self.secure {
            return self.refuse(Stage::Violation, replies::ALREADY_TLS.refusal());
        }
        if !self.offers.starttls {
            return self.refuse(Stage::Violation, replies::NO_TLS.refusal());
        }
        self.abort(Reason::new(Source::Protocol, "starttls"));
        self.pending.clear();
        self.reply(replies::go_ahead_tls());
        self.actions.push_back(Action::StartTls);
        self.mode = Mode::Parked(Question::Tls);
    }

    /// MAIL (4.1.1.2): begins a transaction. The upstream does not hear of it before the first recipient.
    pub(super) fn mail(&mut self, step: Step<MailCommand>) {
        match step {
            Step::Said(mail) => match self.check_mail(&mail) {
                Ok(()) => self.ask(Question::Mail(mail)),
                Err(refusal) => self.refuse(Stage::Mail, refusal),
            },
            Step::Judged(mail, Verdict::Discard(reason)) => self.open(mail, Some(reason)),
            Step::Judged(mail, verdict) => {
                if let Some(mail) = self.unless_refused(Stage::Mail, mail, verdict) {
                    self.open(mail, None);
                }
            }
            Step::Answered(..) => {}
        }
    }

    fn check_mail(&self, mail: &MailCommand) -> Result<(), Refusal> {
        let begun = self.counters.transactions;
        if self.transaction.is_some() {
            Err(replies::NESTED_MAIL.refusal())
        } else if begun >= self.terms.limits.transactions {
            Err(replies::TRANSACTIONS
                .because(format!("{begun} had been begun, as many as a session may have")))
        } else if let Some(refusal) = mail.params.size.and_then(|declared| self.declared_too_large(declared))
        {
            Err(refusal)
        } else if mail.params.require_tls && !self.secure {
            Err(replies::REQUIRETLS_IN_THE_CLEAR.refusal())
        } else {
            Need::of_mail(&mail.params).try_for_each(|need| self.offers.meet(need))
        }
    }

    fn open(&mut self, mut mail: MailCommand, discard: Option<Reason>) {
        self.counters.transactions += 1;
        mail.params.auth = self.submitter(mail.params.auth);
        self.transaction = Some(Transaction::new(mail, discard));
        self.reply(replies::sender_ok());
    }

    /// RCPT (4.1.1.3): checked here, judged by policy, answered by the upstream in its own words.
    pub(super) fn rcpt(&mut self, step: Step<RcptCommand>) {
        match step {
            Step::Said(rcpt) => match self.check_rcpt(&rcpt) {
                Ok(()) => self.ask(Question::Rcpt(rcpt)),
                Err(refusal) => self.refuse_rcpt(refusal),
            },
            Step::Judged(rcpt, Verdict::Pass) => self.ask_upstream(rcpt),
            Step::Judged(rcpt, Verdict::Discard(reason)) => self.discard_rcpt(rcpt, reason),
            Step::Judged(rcpt, Verdict::Quarantine(reason)) => self.quarantine_rcpt(rcpt, reason),
            Step::Judged(_, Verdict::Refuse(refusal)) => self.refuse_rcpt(refusal),
            Step::Judged(_, Verdict::Disconnect(refusal)) => self.close_with(Stage::Rcpt, refusal),
            Step::Answered(rcpt, Ok(reply)) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients.push(rcpt);
                }
                self.reply(reply);
            }
            Step::Answered(_, Err(refusal)) => self.refuse_rcpt(refusal),
        }
    }

    fn check_rcpt(&self, rcpt: &RcptCommand) -> Result<(), Refusal> {
        match &self.transaction {
            Some(transaction) if transaction.recipient_count() >= self.terms.limits.recipients => {
                let named = transaction.recipient_count();
                Err(replies::RECIPIENTS
                    .because(format!("{named} had been taken, as many as a message may have")))
            }
            _ => Need::of_rcpt(&rcpt.params).map_or(Ok(()), |need| self.offers.meet(need)),
        }
    }

    /// The upstream has its say, unless policy ordered the whole transaction to vanish.
    fn ask_upstream(&mut self, rcpt: RcptCommand) {
        if let Some(reason) =
            self.transaction.as_ref().and_then(|transaction| transaction.discard.as_deref().cloned())
        {
            return self.discard_rcpt(rcpt, reason);
        }
        self.actions.push_back(Action::AskUpstream);
        self.mode = Mode::Parked(Question::Rcpt(rcpt));
    }

    fn discard_rcpt(&mut self, rcpt: RcptCommand, reason: Reason) {
        if let Some(transaction) = &mut self.transaction {
            transaction.discarded.push(SetAside { rcpt, reason });
        }
        self.reply(replies::recipient_ok());
    }

    /// The upstream is not asked: it is not to have the message.
    fn quarantine_rcpt(&mut self, rcpt: RcptCommand, reason: Reason) {
        match &mut self.transaction {
            Some(transaction) => match &transaction.discard {
                Some(order) => transaction.discarded.push(SetAside { rcpt, reason: Reason::clone(order) }),
                None => transaction.quarantined.push(SetAside { rcpt, reason }),
            },
            None => return,
        }
        self.reply(replies::recipient_ok());
    }

    fn refuse_rcpt(&mut self, refusal: Refusal) {
        if let Some(transaction) = &mut self.transaction {
            transaction.refused += 1;
            // Whoever is to come again did not guess wrong, nor did one for whom we have no room.
            let is_ours = matches!(refusal.reason.source, Source::Limit | Source::Internal);
            if refusal.reply.code().class() == Class::Permanent && !is_ours {
                self.counters.recipients_refused += 1;
            }
        }
        self.refuse(Stage::Rcpt, refusal);
    }

    /// DATA (4.1.1.4): last in its group, so nothing may be waiting behind it (RFC 2920 3.1).
    pub(super) fn data(&mut self, step: Step<()>) {
        match step {
            Step::Said(()) => match self.check_data() {
                Ok(()) if self.pending.is_empty() && self.lines.is_empty() => self.ask(Question::Data),
                Ok(()) => self.breach(Violation::Pipelining, "octets behind DATA"),
                Err(refusal) => self.refuse(Stage::Data, refusal),
            },
            Step::Judged((), verdict) => {
                self.take_order(&verdict);
                if self.unless_refused(Stage::Data, (), verdict).is_some() {
                    self.begin_message();
                }
            }
            Step::Answered(..) => {}
        }
    }

    /// What policy ordered for the message before it came.
    pub(super) fn take_order(&mut self, verdict: &Verdict) {
        let Some(transaction) = &mut self.transaction else { return };
        match verdict {
            Verdict::Discard(reason) => transaction.discard = Some(Box::new(reason.clone())),
            Verdict::Quarantine(reason) => transaction.quarantine = Some(Box::new(reason.clone())),
            Verdict::Pass | Verdict::Refuse(_) | Verdict::Disconnect(_) => {}
        }
    }

    fn check_data(&self) -> Result<(), Refusal> {
        if self.is_binary() {
            return Err(replies::BINARY_BY_DATA.refusal());
        }
        self.check_recipients()
    }

    /// Whether there is anybody to take a message.
    pub(super) fn check_recipients(&self) -> Result<(), Refusal> {
        match &self.transaction {
            Some(transaction) if transaction.has_recipients() => Ok(()),
            Some(transaction) if transaction.refused > 0 => Err(replies::NO_VALID_RCPT.refusal()),
            _ => Err(replies::NEED_RCPT.refusal()),
        }
    }

    fn begin_message(&mut self) {
        let limit = self.size_limit();
        self.reply(replies::go_ahead_data());
        self.actions.push_back(Action::BeginMessage);
        let decoder = DataDecoder::with_line_ends(limit, self.line_ends);
        let lines = self.terms.limits.text_line.map(LineMeter::new);
        self.mode = Mode::Body(Body { decoder, lines, spoilt: None });
    }

    /// The largest message that is taken in this transaction, in octets.
    pub(super) fn size_limit(&self) -> u64 {
        let limit = self.terms.limits.message_size;
        match self.transaction.as_ref().and_then(|transaction| transaction.size_limit.as_ref()) {
            Some((lower, _)) => limit.min(*lower),
            None => limit,
        }
    }

    /// The final dot: what was known to be wrong is said now, then policy judges the message.
    pub(super) fn end_of_data(&mut self, too_large: Option<u64>) {
        let spoilt = match &mut self.mode {
            Mode::Body(body) => body.spoilt.take(),
            _ => None,
        };
        let spoilt = too_large.map(|size| self.too_large(size)).or(spoilt);
        match spoilt {
            Some(refusal) => {
                self.mode = Mode::Commands;
                self.finish_refused(refusal);
            }
            None => self.ask(Question::Message),
        }
    }

    /// Policy judged the whole message: on to the upstream, or the end of it.
    pub(super) fn message(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Pass => self.hand_over(),
            Verdict::Discard(reason) => self.discard_message(reason),
            order @ Verdict::Quarantine(_) => {
                self.take_order(&order);
                self.hand_over();
            }
            Verdict::Refuse(refusal) => self.finish_refused(refusal),
            Verdict::Disconnect(refusal) => {
                self.finish_refused(refusal);
                self.close();
            }
        }
    }

    /// The message goes where it is to go: to the upstream, to the quarantine, or nowhere.
    fn hand_over(&mut self) {
        if let Some(reason) = self.discard_order() {
            return self.discard_message(reason);
        }
        let Some(transaction) = &mut self.transaction else { return };
        if let Some(reason) = transaction.quarantine.take() {
            transaction.quarantine_all(&reason);
        }
        if let (Some(address), false) = (&self.terms.quarantine_address, transaction.quarantined.is_empty()) {
            let stand_in = RcptCommand { path: ForwardPath::clone(address), params: RcptParams::default() };
            transaction.stand_in = Some(Box::new(stand_in));
            transaction.rearranged = true;
        }
        let next = if transaction.bound_for().next().is_some() {
            Action::Deliver
        } else if !transaction.quarantined.is_empty() {
            Action::Quarantine
        } else {
            return self.finish_refused(replies::NOBODY_LEFT.refusal());
        };
        self.actions.push_back(next);
        self.mode = Mode::Parked(Question::Message);
    }

    /// Why nobody is to get the message: an order for the transaction, or for every single recipient, of which the last one is
    /// what emptied it.
    fn discard_order(&self) -> Option<Reason> {
        let transaction = self.transaction.as_ref()?;
        match &transaction.discard {
            Some(reason) => Some(Reason::clone(reason)),
            None if transaction.discarded.len() == transaction.recipient_count() => {
                transaction.discarded.last().map(|aside| aside.reason.clone())
            }
            None => None,
        }
    }

    fn discard_message(&mut self, reason: Reason) {
        self.finish(Some(Outcome::Discarded), Some(replies::discarded()), Some(reason));
    }

    /// RSET (4.1.1.5).
    fn rset(&mut self) {
        self.abort(Reason::new(Source::Protocol, "rset"));
        self.reply(replies::ok());
    }

    /// QUIT (4.1.1.10).
    fn quit(&mut self) {
        self.abort(Reason::new(Source::Protocol, "quit"));
        self.reply(replies::bye());
        self.close();
    }

    /// Policy spoke about a breach of the protocol, or did not: the hard limits hold whatever it says.
    pub(super) fn violation(&mut self, event: Violation, verdict: Verdict) {
        let refusal = match verdict {
            Verdict::Refuse(refusal) | Verdict::Disconnect(refusal) => Some(refusal),
            Verdict::Pass | Verdict::Discard(_) | Verdict::Quarantine(_) => {
                replies::violation(event).map(|fixed| fixed.refusal())
            }
        };
        match refusal {
            Some(mut refusal) => {
                if refusal.reason.detail.is_empty() {
                    refusal.reason.detail = self.evidence_of(event);
                }
                self.close_with(Stage::Violation, refusal);
            }
            None if !self.greeted => self.say_banner(),
            None => {}
        }
    }

    /// Hands `subject` back unless the verdict refuses it; then the client has been told.
    fn unless_refused<T>(&mut self, stage: Stage, subject: T, verdict: Verdict) -> Option<T> {
        match verdict {
            Verdict::Pass | Verdict::Discard(_) | Verdict::Quarantine(_) => Some(subject),
            Verdict::Refuse(refusal) => {
                self.refuse(stage, refusal);
                None
            }
            Verdict::Disconnect(refusal) => {
                self.close_with(stage, refusal);
                None
            }
        }
    }
}

/// The stage under which an error in this command is counted.
const fn stage_of(verb: Verb) -> Stage {
    match verb {
        Verb::Helo | Verb::Ehlo => Stage::Helo,
        Verb::Mail => Stage::Mail,
        Verb::Rcpt => Stage::Rcpt,
        Verb::Data | Verb::Bdat => Stage::Data,
        Verb::Auth => Stage::Auth,
        _ => Stage::Violation,
    }
}
