//! VRFY, EXPN and HELP (RFC 5321 3.5, 4.1.1.6 to 4.1.1.8): questions that no mail comes of, answered as the operator likes.

use super::stage::Stage;
use super::{Session, replies};
use crate::smtp::command::Command;

/// What becomes of VRFY, EXPN and HELP. The default gives nothing away: VRFY 252, EXPN 502, HELP 214.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Inquiries {
    /// VRFY.
    pub vrfy: Inquiry,
    /// EXPN. It has no answer of our own.
    pub expn: Inquiry,
    /// HELP. It is never relayed: the upstream's commands are not ours.
    pub help: Inquiry,
}

/// Who answers a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Inquiry {
    /// We do, without a look at addresses: 252 to VRFY, 214 to HELP.
    Answer,
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
    pub(super) fn inquire(&mut self, command: &Command) {
        let inquiries = self.terms.inquiries;
        match command {
            Command::Vrfy(_) if inquiries.vrfy == Inquiry::Answer => self.reply(replies::cannot_verify()),
            Command::Help if inquiries.help == Inquiry::Answer => self.reply(replies::help()),
            _ => self.refuse(Stage::Violation, replies::INQUIRY_OFF.refusal()),
        }
    }
}
