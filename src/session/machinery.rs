//! What lies under the commands: bytes become lines and pieces, and each reply and each change of state has one door.

use bytes::{Buf, Bytes};
use zeroize::Zeroizing;

use super::action::{About, Action, Grounds, Question};
use super::stage::{Reason, Refusal, Source, Stage, Violation};
use super::transaction::{Finished, Outcome};
use super::{Mode, Session, auth, replies};
use crate::smtp::command::Verb;
use crate::smtp::data::{DataError, Event};
use crate::smtp::line::LineError;
use crate::smtp::reply::{Class, Reply};

impl Session {
    pub(super) fn next_command(&mut self) -> bool {
        if self.draining && self.transaction.is_none() {
            self.shut_down();
            return true;
        }
        if self.is_out_of_turn() {
            return true;
        }
        match self.take_line() {
            None => return false,
            Some(Ok(line)) if self.retired && !matches!(Verb::of(&line), Verb::Quit | Verb::Rset) => {
                self.close_with(Stage::Violation, replies::RETIRED.refusal());
            }
            Some(Ok(line)) => self.command(&line),
            Some(Err(error)) => self.bad_line(error),
        }
        true
    }

    /// The next line, of which nothing stays behind in what was received: it may be a password.
    pub(super) fn take_line(&mut self) -> Option<Result<Zeroizing<Vec<u8>>, LineError>> {
        let mut input: &[u8] = &self.pending;
        let line = self.lines.decode(&mut input);
        let left = input.len();
        let secret = matches!(self.mode, Mode::Auth(_))
            || line.as_ref().is_some_and(|line| line.as_ref().is_ok_and(|line| Verb::of(line) == Verb::Auth));
        if left == 0 || secret {
            // Behind a secret there is nothing, or a breach of the protocol that ends the session: no copy is made twice.
            let rest = Bytes::copy_from_slice(input);
            auth::wipe(std::mem::replace(&mut self.pending, rest));
        } else {
            self.pending.advance(self.pending.len() - left);
        }
        line.map(|line| line.map(Zeroizing::new))
    }

    pub(super) fn bad_line(&mut self, error: LineError) {
        let reason = Reason::new(Source::Protocol, error.name());
        let refusal = Refusal { reply: error.reply(), reason };
        if self.lines.began_with(b"BDAT") {
            self.broken_chunk(refusal);
        } else if self.lines.is_flood() {
            self.close_with(Stage::Violation, refusal);
        } else {
            self.refuse(Stage::Violation, refusal);
        }
    }

    pub(super) fn next_piece(&mut self) -> bool {
        let Mode::Body(body) = &mut self.mode else { return false };
        let mut input: &[u8] = &self.pending;
        let event = body.decoder.decode(&mut input);
        let taken = self.pending.len() - input.len();
        match event {
            None => {
                self.pending.advance(taken);
                return false;
            }
            Some(Ok(Event::Bytes(piece))) => {
                let piece = share(&self.pending, piece);
                if body.lines.as_mut().is_some_and(|lines| lines.push(&piece)) {
                    body.spoilt.get_or_insert_with(|| replies::LINE_LENGTH.refusal());
                }
                if body.spoilt.is_none() {
                    self.actions.push_back(Action::Store(piece));
                }
                self.pending.advance(taken);
            }
            Some(Ok(Event::End { too_large, size })) => {
                self.pending.advance(taken);
                self.end_of_data(too_large.then_some(size));
            }
            Some(Err(error)) => self.broken_framing(error),
        }
        true
    }

    /// A message whose end is in doubt is refused, and nothing behind it is taken for a command (SMTP smuggling).
    pub(super) fn broken_framing(&mut self, error: DataError) {
        let reason = Reason::new(Source::Protocol, error.name()).with_detail(error.to_string());
        self.finish_refused(Refusal { reply: error.reply(), reason });
        self.close();
    }

    /// Parks the session with `question`, for policy.
    pub(super) fn ask(&mut self, question: Question) {
        self.actions.push_back(Action::Decide(question.stage()));
        self.mode = Mode::Parked(question);
    }

    /// The one door for replies that grant something.
    pub(super) fn reply(&mut self, reply: Reply) {
        self.about = About::Nobody;
        self.actions.push_back(Action::Reply(reply, None));
    }

    /// The one door for refusals of a command; errors of the client's grammar count against it. A 421 announces the end of the
    /// session, whoever says it (RFC 5321 4.2.2).
    pub(super) fn refuse(&mut self, stage: Stage, refusal: Refusal) {
        if refusal.reply.code() == replies::CLOSING {
            return self.close_with(stage, refusal);
        }
        let is_error = refusal.reason.source == Source::Protocol;
        self.refuse_again(stage, refusal);
        if is_error {
            self.count_error();
        }
    }

    pub(super) fn count_error(&mut self) {
        self.counters.errors += 1;
        if self.counters.errors >= self.terms.limits.errors {
            self.breach(Violation::TooManyErrors, "");
        }
    }

    /// The same for a refusal that only follows from another, which was counted.
    pub(super) fn refuse_again(&mut self, stage: Stage, refusal: Refusal) {
        let grounds = self.grounds(stage, refusal.reason);
        self.actions.push_back(Action::Reply(refusal.reply, Some(Box::new(grounds))));
    }

    /// Whose mail the command at hand is about, with why it is refused.
    fn grounds(&mut self, stage: Stage, reason: Reason) -> Grounds {
        let open = || self.transaction.as_ref().map(|transaction| transaction.mail.path.clone());
        let (sender, recipient, login) = match std::mem::take(&mut self.about) {
            About::Sender(sender) => (Some(sender), None, None),
            About::Recipient(recipient) => (open(), Some(recipient), None),
            About::Login(login) => (open(), None, Some(login)),
            About::Nobody => (open(), None, None),
        };
        Grounds { stage, reason, sender, recipient, login }
    }

    /// Says `refusal` and hangs up.
    pub(super) fn close_with(&mut self, stage: Stage, refusal: Refusal) {
        let grounds = self.grounds(stage, refusal.reason);
        self.abort(grounds.reason.clone());
        self.actions.push_back(Action::Reply(refusal.reply, Some(Box::new(grounds))));
        self.close();
    }

    pub(super) fn close(&mut self) {
        self.abort(Reason::new(Source::Protocol, "closed"));
        self.mode = Mode::Closed;
        self.actions.push_back(Action::Close);
    }

    /// Ends the open transaction, if there is one, without an answer to its message.
    pub(super) fn abort(&mut self, reason: Reason) {
        self.auth_abandoned();
        let in_message =
            self.leave_chunks() || matches!(self.mode, Mode::Body(_) | Mode::Parked(Question::Message));
        self.finish(in_message.then_some(Outcome::Aborted), None, Some(reason));
    }

    pub(super) fn finish_refused(&mut self, refusal: Refusal) {
        let outcome = match refusal.reply.code().class() {
            Class::Permanent => Outcome::Rejected,
            _ => Outcome::Deferred,
        };
        let closing = refusal.reply.code() == replies::CLOSING;
        self.finish(Some(outcome), Some(refusal.reply), Some(refusal.reason));
        if closing {
            self.close();
        }
    }

    /// The one door out of a transaction.
    pub(super) fn finish(&mut self, outcome: Option<Outcome>, reply: Option<Reply>, reason: Option<Reason>) {
        let Some(transaction) = self.transaction.take() else { return };
        self.counters.junk = 0;
        self.retired = false;
        let finished = Finished { transaction, outcome, reply, reason };
        self.actions.push_back(Action::Finish(Box::new(finished)));
    }
}

/// `piece` without a copy where it is a part of `whole`; the decoder may also give octets that it had kept from before.
fn share(whole: &Bytes, piece: &[u8]) -> Bytes {
    if whole.as_ptr_range().contains(&piece.as_ptr()) {
        whole.slice_ref(piece)
    } else {
        Bytes::copy_from_slice(piece)
    }
}
