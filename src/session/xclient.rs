//! XCLIENT: a hop that we believe says for whom it speaks (<https://www.postfix.org/XCLIENT_README.html>).

use super::stage::{Reason, Source, Stage};
use super::{Action, Question, Session, replies};
use crate::smtp::xclient::XClient;

impl Session {
    /// Begins again for another client: all that was said is forgotten, and policy is asked whether that client gets a banner. What is
    /// counted against the connection stays, but for the recipients that the former client was refused.
    pub(super) fn xclient(&mut self, said: XClient) {
        if self.transaction.is_some() {
            return self.refuse(Stage::Violation, replies::XCLIENT_IN_MAIL.refusal());
        }
        self.abort(Reason::new(Source::Protocol, "xclient"));
        self.login = None;
        self.hello = None;
        self.counters.recipients_refused = 0;
        self.actions.push_back(Action::SpeakFor(Box::new(said)));
        self.ask(Question::Connect);
    }
}
