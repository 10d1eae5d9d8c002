//! From what a client sent to the lines that may be shown: commands whole, logins without their secrets, messages by their size.
//!
//! What the octets are is not seen from the octets alone: behind DATA or AUTH it depends on a reply, and whoever begins to listen in the
//! middle of a chunk finds lines that look like commands. So the session says which command it has come to; one that was not heard
//! as a command means that the ear has lost the thread, and then nothing is shown until a reply has been given.
//!
//! A client whose AUTH or DATA is refused may send all the same what it had ready, and lines of that may begin like commands
//! (`Help me`). So while a line may be part of it no more than its verb is shown; see [`Doubt`].

use std::collections::VecDeque;

use crate::smtp::auth;
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
    doubt: Doubt,
}

/// Whether what looks like commands may be something else.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Doubt {
    /// It is what it looks like.
    Cleared,
    /// It may be the responses of a login that was refused: a line of base64 that is a text.
    Responses,
    /// It may be a message that was refused, or the middle of one. Whoever sends one that nobody wants hears that its lines are no
    /// commands, and does not wait for it: so the doubt ends when a command that is no free text is answered with a
    /// 2yz, and nothing else was heard before.
    #[default]
    Message,
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
        if self.doubt == Doubt::Responses {
            match auth::may_be_text(line) {
                true if !is_spelt_as_verb(verb, line) => return "(response)".to_owned(),
                // Neither is an unknown word a sign of a client that went on to something else.
                true => {}
                false if verb == Verb::Unknown => {}
                false => self.doubt = Doubt::Cleared,
            }
        }
        let whole = if self.doubt == Doubt::Cleared { text.to_string() } else { hidden(verb, line) };
        let mut words = text.split_ascii_whitespace().skip(1);
        match verb {
            Verb::Auth => {
                self.state = State::Secrets;
                let mechanism = words.next().filter(|_| self.doubt != Doubt::Message).unwrap_or("…");
                format!("AUTH {mechanism}{}", if words.next().is_some() { " (response)" } else { "" })
            }
            Verb::Data => {
                self.octets = 0;
                self.state = State::Undecided;
                whole
            }
            Verb::Bdat => {
                match words.next().and_then(|size| size.parse().ok()) {
                    Some(0) => {}
                    Some(size) => self.state = State::Chunk(size),
                    // Nobody knows how much of a message follows.
                    None => self.doubt = Doubt::Message,
                }
                format!("{whole} (chunk)")
            }
            // Of a login that was refused, say, and that goes on all the same.
            Verb::Unknown => "(unknown command)".to_owned(),
            // A login to the hop, which tells us who it is; and nothing else in it is secret.
            _ => whole,
        }
    }

    /// The session has come to this command.
    pub(super) fn came_to(&mut self, verb: Verb) {
        self.asked = Some(verb);
        if self.ahead.pop_front() != Some(verb) {
            self.lose();
        }
    }

    /// What a reply says about whether the commands behind it are some.
    fn doubt_after(&mut self, code: u16) {
        let refused = code >= 400;
        let is_about = |verb| self.asked.is_none_or(|asked| asked == verb);
        self.doubt = match self.state {
            _ if matches!(code, 220 | 354) => Doubt::Cleared,
            State::Undecided if refused && is_about(Verb::Data) => Doubt::Message,
            State::Secrets if refused && is_about(Verb::Auth) && self.doubt == Doubt::Cleared => {
                Doubt::Responses
            }
            State::Commands | State::Rejoined if self.is_in_step(code) => Doubt::Cleared,
            _ => self.doubt,
        };
    }

    /// Whether the last thing that was heard is a command that no text is, and was done.
    fn is_in_step(&self, code: u16) -> bool {
        let strict = [Verb::Ehlo, Verb::Helo, Verb::Mail, Verb::Rcpt, Verb::Rset];
        let waits = self.ahead.is_empty() && self.line.is_empty();
        (200..300).contains(&code) && waits && self.asked.is_some_and(|asked| strict.contains(&asked))
    }

    fn lose(&mut self) {
        self.state = State::Unknown;
        self.doubt = Doubt::Message;
        self.ahead.clear();
    }

    /// A reply left: what follows it is known.
    pub(super) fn replied(&mut self, code: u16) {
        self.doubt_after(code);
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

/// Whether a line is a verb alone, written as people and programs write one: `RSET`, `rset` or `Rset`.
///
/// Of these `Rset` and `bdat` are base64 of texts too, but of such as nobody has for a login or a password: one letter and one that
/// hardly any language has. In the other spellings there are some that might be: `QUIt` is `AB-`.
fn is_spelt_as_verb(verb: Verb, line: &[u8]) -> bool {
    let (name, [_, rest @ ..]) = (verb.name().as_bytes(), line) else { return false };
    let is_verb = verb != Verb::Unknown && line.eq_ignore_ascii_case(name);
    is_verb && (line == name || rest.iter().all(u8::is_ascii_lowercase))
}

/// A command of which no more may be seen than which it is.
fn hidden(verb: Verb, line: &[u8]) -> String {
    let more = if line.contains(&b' ') { " …" } else { "" };
    format!("{}{more}", verb.name())
}

#[cfg(test)]
mod tests;
