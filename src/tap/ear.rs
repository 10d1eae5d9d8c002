//! From what a client sent to the lines that may be shown: commands whole, logins without their secrets, messages by their size.

/// Octets of a line that are kept.
const LONGEST: usize = 1_024;

/// Listens to one client.
#[derive(Debug, Default)]
pub(super) struct Ear {
    state: State,
    line: Vec<u8>,
    /// Octets of the message so far.
    octets: u64,
    /// When this ear began to listen.
    epoch: usize,
}

/// What the client's octets are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// Nobody knows: the listening began in the middle of it. The next reply tells.
    #[default]
    Unknown,
    Commands,
    /// Answers to challenges, and whatever was sent behind AUTH.
    Secrets,
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
                self.octets = left.saturating_sub(taken as u64);
                self.state = if self.octets == 0 { State::Commands } else { State::Chunk(self.octets) };
                continue;
            }
            rest = behind;
            if self.state == State::Message {
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
            State::Unknown | State::Chunk(_) => None,
            State::Secrets => Some("(response)".to_owned()),
            State::Message if line == b"." => {
                let octets = std::mem::take(&mut self.octets).saturating_sub(3);
                self.state = State::Commands;
                Some(format!(". (message of {octets} octets)"))
            }
            State::Message => None,
            State::Commands => Some(self.command(&String::from_utf8_lossy(line))),
        }
    }

    fn command(&mut self, line: &str) -> String {
        let mut words = line.split_ascii_whitespace();
        let verb = words.next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "AUTH" => {
                self.state = State::Secrets;
                let secret = if words.clone().count() > 1 { " (response)" } else { "" };
                format!("AUTH {}{secret}", words.next().unwrap_or_default())
            }
            "BDAT" => {
                let size = words.next().and_then(|size| size.parse().ok()).unwrap_or(0);
                if size > 0 {
                    self.state = State::Chunk(size);
                }
                format!("{line} (chunk)")
            }
            // A login to the hop, which tells us who it is; and nothing else in it is secret.
            _ => line.to_owned(),
        }
    }

    /// A reply left: what follows it is known.
    pub(super) fn replied(&mut self, code: u16) {
        self.state = match (code, self.state) {
            (_, state @ State::Chunk(_)) => state,
            (334, _) => State::Secrets,
            (354, _) => {
                self.octets = 0;
                State::Message
            }
            // Replies to commands that were pipelined ahead of a message do not end it, and there are none within it.
            (_, State::Message) => State::Message,
            _ => State::Commands,
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
        assert_eq!(ear.hear(b"BDAT 6 LAST\r\nsecretNOOP\r\n"), ["BDAT 6 LAST (chunk)", "NOOP"]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_a_line() {
        let mut ear = listening();
        ear.hear(&[b'x'; 100_000]);
        assert!(ear.line.capacity() <= 4 * LONGEST);
    }
}
