//! From what a client sent to the lines that may be shown: commands whole, logins without their secrets, messages by their size.
//!
//! What the octets are is not seen from the octets alone: behind DATA or AUTH it depends on a reply, and whoever begins to listen in the
//! middle of a chunk finds lines that look like commands. So the session says which command it has come to; one that was not heard
//! as a command means that the ear has lost the thread, and then nothing is shown until a reply has been given.

use std::collections::VecDeque;

use crate::smtp::command::Verb;

/// Octets of a line that are kept.
const LONGEST: usize = 1_024;
/// Commands that the session may be behind; with more of them the thread is lost.
const AHEAD: usize = 1_024;

/// Listens to one client.
#[derive(Debug, Default)]
pub(super) struct Ear {
    state: State,
    line: Vec<u8>,
    /// Octets of the message so far.
    octets: u64,
    /// When this ear began to listen.
    epoch: usize,
    /// Commands that were heard and that the session has still to come to.
    ahead: VecDeque<Verb>,
    /// The command that the session came to last, which the next reply is about.
    asked: Option<Verb>,
}

/// What the client's octets are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// Nobody knows: the listening began in the middle of it, or the thread was lost. The next reply tells.
    #[default]
    Unknown,
    /// Commands, but the first may be the end of something that was not heard.
    Rejoined,
    Commands,
    /// Answers to challenges, and whatever was sent behind AUTH.
    Secrets,
    /// What was sent behind DATA ahead of its reply: a message, or commands. Nobody knows which.
    Undecided,
    Message,
    /// So many octets of a chunk are still to come.
    Chunk(u64),
}

impl Ear {
    /// Forgets what it heard in an earlier epoch: what came in between, an AUTH perhaps, it did not hear.
    pub(super) fn since(&mut self, epoch: usize) {
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::default() };
        }
    }

    /// The lines that came to their end with these octets.
    pub(super) fn hear(&mut self, octets: &[u8]) -> Vec<String> {
        let mut shown = Vec::new();
        let mut rest = octets;
        while let Some((first, behind)) = rest.split_first() {
            if let State::Chunk(left) = self.state {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                rest = rest.get(taken..).unwrap_or_default();
                let left = left.saturating_sub(taken as u64);
                self.state = if left == 0 { State::Commands } else { State::Chunk(left) };
                continue;
            }
            rest = behind;
            if matches!(self.state, State::Message | State::Undecided) {
                self.octets = self.octets.saturating_add(1);
            }
            if *first != b'\n' {
                if self.line.len() < LONGEST {
                    self.line.push(*first);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            shown.extend(self.line_ended(line.strip_suffix(b"\r").unwrap_or(&line)));
        }
        shown
    }

    fn line_ended(&mut self, line: &[u8]) -> Option<String> {
        match self.state {
            State::Unknown | State::Undecided | State::Chunk(_) => None,
            State::Secrets => Some("(response)".to_owned()),
            State::Message if line == b"." => {
                let octets = std::mem::take(&mut self.octets).saturating_sub(3);
                self.state = State::Commands;
                Some(format!(". (message of {octets} octets)"))
            }
            State::Message => None,
            State::Rejoined if Verb::of(line) == Verb::Unknown => {
                self.lose();
                None
            }
            State::Rejoined | State::Commands => {
                self.state = State::Commands;
                Some(self.command(line))
            }
        }
    }

    fn command(&mut self, line: &[u8]) -> String {
        let verb = Verb::of(line);
        if self.ahead.len() < AHEAD {
            self.ahead.push_back(verb);
        } else {
            self.lose();
        }
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_ascii_whitespace().skip(1);
        match verb {
            Verb::Auth => {
                self.state = State::Secrets;
                let mechanism = words.next().unwrap_or_default();
                format!("AUTH {mechanism}{}", if words.next().is_some() { " (response)" } else { "" })
            }
            Verb::Data => {
                self.octets = 0;
                self.state = State::Undecided;
                text.into_owned()
            }
            Verb::Bdat => {
                let size = words.next().and_then(|size| size.parse().ok()).unwrap_or(0);
                if size > 0 {
                    self.state = State::Chunk(size);
                }
                format!("{text} (chunk)")
            }
            // Of a login that was refused, say, and that goes on all the same.
            Verb::Unknown => "(unknown command)".to_owned(),
            // A login to the hop, which tells us who it is; and nothing else in it is secret.
            _ => text.into_owned(),
        }
    }

    /// The session has come to this command.
    pub(super) fn came_to(&mut self, verb: Verb) {
        self.asked = Some(verb);
        if self.ahead.pop_front() != Some(verb) {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.state = State::Unknown;
        self.ahead.clear();
    }

    /// A reply left: what follows it is known.
    pub(super) fn replied(&mut self, code: u16) {
        self.state = match (self.state, code) {
            (_, 334) => State::Secrets,
            (State::Undecided, 354) => State::Message,
            (_, 354) => {
                self.octets = 0;
                State::Message
            }
            // The greeting, or the beginning of TLS: nothing that came before it counts.
            (_, 220) => {
                self.ahead.clear();
                State::Commands
            }
            (state @ (State::Chunk(_) | State::Commands | State::Rejoined), _) => state,
            // Replies to what was sent ahead of AUTH and DATA say nothing about what stands behind those.
            (State::Secrets, _) if self.asked.is_some_and(|asked| asked != Verb::Auth) => State::Secrets,
            (State::Undecided, _) if self.asked.is_some_and(|asked| asked != Verb::Data) => State::Undecided,
            (State::Secrets | State::Undecided | State::Message, _) => State::Commands,
            // A line that began unheard ends unheard.
            (State::Unknown, _) if !self.line.is_empty() => State::Unknown,
            (State::Unknown, _) => State::Rejoined,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening() -> Ear {
        let mut ear = Ear::default();
        ear.replied(220);
        ear
    }

    #[test]
    fn commands_are_shown_however_they_are_cut() {
        let mut ear = listening();
        assert_eq!(ear.hear(b"EHLO a.exam"), Vec::<String>::new());
        assert_eq!(ear.hear(b"ple\r\nMAIL FROM:<>\r\n"), ["EHLO a.example", "MAIL FROM:<>"]);
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut ear = listening();
        assert_eq!(ear.hear(b"AUTH PLAIN c2VjcmV0\r\n"), ["AUTH PLAIN (response)"]);
        ear.replied(235);
        assert_eq!(ear.hear(b"AUTH LOGIN\r\n"), ["AUTH LOGIN"]);
        ear.replied(334);
        assert_eq!(ear.hear(b"c2VjcmV0\r\n"), ["(response)"]);
        ear.replied(334);
        assert_eq!(ear.hear(b"c2Vj"), Vec::<String>::new());
        assert_eq!(ear.hear(b"cmV0\r\n"), ["(response)"]);
        ear.replied(535);
        assert_eq!(ear.hear(b"QUIT\r\n"), ["QUIT"]);
        let mut pipelined = listening();
        assert_eq!(pipelined.hear(b"AUTH LOGIN\r\nc2VjcmV0\r\n"), ["AUTH LOGIN", "(response)"]);
    }

    #[test]
    fn who_begins_to_listen_in_the_middle_sees_nothing_of_it() {
        let mut ear = Ear::default();
        assert_eq!(ear.hear(b"c2VjcmV0\r\n"), Vec::<String>::new());
        ear.replied(235);
        assert_eq!(ear.hear(b"NOOP\r\n"), ["NOOP"]);
    }

    #[test]
    fn of_a_message_its_size_is_shown() {
        let mut ear = listening();
        assert_eq!(ear.hear(b"DATA\r\n"), ["DATA"]);
        ear.replied(354);
        assert_eq!(
            ear.hear(b"Subject: secret\r\n\r\nx\r\n.\r\nQUIT\r\n"),
            [". (message of 22 octets)", "QUIT"]
        );
        ear.replied(250);
        let mut ear = listening();
        assert_eq!(ear.hear(b"BDAT 6 LAST\r\nsecretNOOP\r\n"), ["BDAT 6 LAST (chunk)", "NOOP"]);
    }

    /// What the session does with commands, each with its reply.
    fn answer(ear: &mut Ear, commands: &[(Verb, u16)]) {
        for (verb, code) in commands {
            ear.came_to(*verb);
            ear.replied(*code);
        }
    }

    #[test]
    fn of_a_message_ahead_of_its_reply_nothing_is_shown() {
        let mut ear = listening();
        let shown = ear.hear(b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\nSubject: secret\r\n\r\nQUIT se");
        assert_eq!(shown, ["MAIL FROM:<>", "RCPT TO:<a@b>", "DATA"]);
        answer(&mut ear, &[(Verb::Mail, 250), (Verb::Rcpt, 250), (Verb::Data, 354)]);
        assert_eq!(ear.hear(b"cret\r\n.\r\nNOOP\r\n"), [". (message of 32 octets)", "NOOP"]);
        ear.replied(250);
        answer(&mut ear, &[(Verb::Noop, 250)]);
        assert_eq!(ear.hear(b"QUIT\r\n"), ["QUIT"]);
    }

    #[test]
    fn a_whole_message_ahead_of_its_reply_hides_what_is_behind_it_too() {
        let mut ear = listening();
        assert_eq!(ear.hear(b"DATA\r\nsecret\r\n.\r\nAUTH PLAIN c2Vj\r\nMAIL secret\r\n"), ["DATA"]);
        answer(&mut ear, &[(Verb::Data, 354)]);
        ear.replied(250);
        ear.came_to(Verb::Auth);
        assert_eq!(ear.hear(b"c2VjcmV0\r\n"), Vec::<String>::new());
        ear.replied(535);
        assert_eq!(ear.hear(b"QUIT\r\n"), ["QUIT"]);
    }

    #[test]
    fn behind_data_that_is_refused_the_thread_is_found_again() {
        let mut ear = listening();
        assert_eq!(ear.hear(b"DATA\r\nSubject: secret\r\nBDAT 100\r\nMAIL secret\r\n"), ["DATA"]);
        answer(&mut ear, &[(Verb::Data, 503), (Verb::Unknown, 500)]);
        ear.came_to(Verb::Bdat);
        assert_eq!(ear.hear(b"RCPT secret\r\n"), Vec::<String>::new(), "within the chunk");
        ear.replied(503);
        assert_eq!(ear.hear(b"QUIT\r\n"), ["QUIT"]);
    }

    #[test]
    fn who_begins_to_listen_within_a_chunk_sees_nothing_of_it() {
        // A chunk and the beginning of the next one came before; the first is answered now.
        let mut ear = Ear::default();
        ear.replied(250);
        ear.came_to(Verb::Bdat);
        assert_eq!(ear.hear(b"MAIL secret\r\nsecret"), Vec::<String>::new());
        ear.replied(250);
        assert_eq!(
            ear.hear(b"MAIL FROM:<>\r\n"),
            Vec::<String>::new(),
            "it goes on where a line began unheard"
        );
        answer(&mut ear, &[(Verb::Mail, 250)]);
        assert_eq!(ear.hear(b"RCPT TO:<a@b>\r\n"), ["RCPT TO:<a@b>"]);
    }

    #[test]
    fn who_goes_on_after_a_refused_login_shows_no_secret() {
        let mut ear = listening();
        assert_eq!(ear.hear(b"AUTH LOGIN\r\n"), ["AUTH LOGIN"]);
        answer(&mut ear, &[(Verb::Auth, 504)]);
        assert_eq!(ear.hear(b"dXNlcg==\r\n"), ["(unknown command)"]);
        answer(&mut ear, &[(Verb::Unknown, 500)]);
        assert_eq!(ear.hear(b"QUIT\r\n"), ["QUIT"]);
        let mut pipelined = listening();
        assert_eq!(pipelined.hear(b"EHLO a\r\nAUTH LOGIN\r\n"), ["EHLO a", "AUTH LOGIN"]);
        answer(&mut pipelined, &[(Verb::Ehlo, 250)]);
        assert_eq!(pipelined.hear(b"dXNlcg==\r\n"), ["(response)"]);
    }

    #[test]
    fn commands_without_end_take_no_more_than_their_bound() {
        let mut ear = listening();
        ear.hear(&b"NOOP\r\n".repeat(10 * AHEAD));
        assert!(ear.ahead.len() <= AHEAD);
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_a_line() {
        let mut ear = listening();
        ear.hear(&[b'x'; 100_000]);
        assert!(ear.line.capacity() <= 4 * LONGEST);
    }
}
