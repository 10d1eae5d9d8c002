//! VRFY, EXPN and HELP (RFC 5321 3.5, 4.1.1.6 to 4.1.1.8): questions that no mail comes of, answered as the operator likes.

use super::stage::{Refusal, Stage};
use super::{Action, Mode, Question, Session, replies};
use crate::smtp::command::Command;
use crate::smtp::needs::Need;
use crate::smtp::reply::Reply;

/// What becomes of VRFY, EXPN and HELP. The default gives nothing away: VRFY 252, EXPN 502, HELP 214.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Inquiries {
    /// VRFY.
    pub vrfy: Inquiry,
    /// EXPN. It has no answer of our own: [`Inquiry::Answer`] is 502 too.
    pub expn: Inquiry,
    /// HELP. It is never relayed, since the upstream's commands are not ours: [`Inquiry::Relay`] answers it.
    pub help: Inquiry,
}

/// Who answers a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Inquiry {
    /// We do, without a look at addresses: 252 to VRFY, 214 to HELP.
    Answer,
    /// The upstream does, in its own words.
    Relay,
    /// Nobody: 502.
    Off,
}

impl Default for Inquiries {
    fn default() -> Self {
        Self { vrfy: Inquiry::Answer, expn: Inquiry::Off, help: Inquiry::Answer }
    }
}

impl Session {
    /// VRFY, EXPN or HELP.
    pub(super) fn inquire(&mut self, command: Command) {
        let Inquiries { vrfy, expn, help } = self.terms.inquiries;
        match (&command, vrfy, expn, help) {
            (Command::Vrfy(_), Inquiry::Relay, ..) | (Command::Expn(_), _, Inquiry::Relay, _) => {
                self.ask_around(command);
            }
            (Command::Vrfy(_), Inquiry::Answer, ..) => self.reply(replies::cannot_verify()),
            (Command::Help, _, _, Inquiry::Answer | Inquiry::Relay) => self.reply(replies::help()),
            _ => self.refuse(Stage::Violation, replies::INQUIRY_OFF.refusal()),
        }
    }

    /// The upstream is asked. It is told who the client is first, so that this has to be known.
    fn ask_around(&mut self, command: Command) {
        let checked = if self.hello.is_none() {
            Err(replies::NEED_HELO.refusal())
        } else if command.to_string().is_ascii() {
            Ok(())
        } else {
            self.offers.meet(Need::SmtpUtf8)
        };
        match checked {
            Ok(()) => {
                self.actions.push_back(Action::AskUpstream);
                self.mode = Mode::Parked(Question::Inquiry(command));
            }
            Err(refusal) => self.refuse(Stage::Violation, refusal),
        }
    }

    /// The upstream answered.
    pub(super) fn inquired(&mut self, answer: Result<Reply, Refusal>) {
        match answer {
            Ok(reply) => self.reply(reply),
            Err(refusal) => self.refuse(Stage::Violation, refusal),
        }
    }
}
