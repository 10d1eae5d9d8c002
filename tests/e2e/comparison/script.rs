//! What a client says in one session, and what it hears.
//!
//! A script is a block of lines behind its `[name]`:
//!
//! | line | what the client does |
//! | --- | --- |
//! | `VERB ...` | says it as it stands and reads the reply |
//! | `+ VERB ...` | the same, in one write with the line before |
//! | `< NAME` | sends a message behind DATA's 354, dots doubled, and reads the reply; nothing without a 354 |
//! | `# NAME [n]` | sends a message by BDAT: all at once, or in chunks of n octets, a reply each |
//! | `#- NAME n` | sends its first n octets by BDAT, not as the last chunk |

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use super::messages;
use crate::harness::{Client, stuffed};

/// The address of the client in every session.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// One session of a client.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) name: String,
    groups: Vec<Vec<Step>>,
}

/// One thing that is said and answered.
#[derive(Debug)]
enum Step {
    Line(String),
    Message(Vec<u8>),
    Chunk { octets: Vec<u8>, last: bool },
}

/// A step by its name, and the answer: code and text as they came, or that there was none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Heard {
    pub(super) step: String,
    pub(super) answer: String,
}

/// The sessions in `text`, in its order.
pub(super) fn parse(text: &str) -> Vec<Script> {
    let blocks = text.split("\n[").skip(1);
    blocks.map(|block| script(block.split_once("]\n").expect("a name in brackets"))).collect()
}

fn script((name, lines): (&str, &str)) -> Script {
    let mut groups: Vec<Vec<Step>> = Vec::new();
    // The empty line before the next name is no line of the session; one within it is.
    for line in lines.trim_end_matches('\n').split('\n') {
        if let Some(line) = line.strip_prefix("+ ") {
            groups.last_mut().expect("a line before it").push(Step::Line(line.to_owned()));
        } else {
            groups.extend(steps(line, name).into_iter().map(|step| vec![step]));
        }
    }
    Script { name: name.to_owned(), groups }
}

fn steps(line: &str, session: &str) -> Vec<Step> {
    let words: Vec<&str> = line.split(' ').collect();
    let chunk = |octets: &[u8], last| Step::Chunk { octets: octets.to_vec(), last };
    match words[..] {
        ["<", name] => vec![Step::Message(messages::named(name, session))],
        ["#", name] => vec![chunk(&messages::named(name, session), true)],
        ["#-", name, size] => vec![chunk(&messages::named(name, session)[..size.parse().unwrap()], false)],
        ["#", name, size] => {
            let message = messages::named(name, session);
            let (whole, rest) =
                message.split_at(message.len() - message.len() % size.parse::<usize>().unwrap());
            let whole: Vec<Step> =
                whole.chunks(size.parse().unwrap()).map(|octets| chunk(octets, false)).collect();
            match rest {
                rest if whole.is_empty() => vec![chunk(rest, false), chunk(b"", true)],
                rest => whole.into_iter().chain([chunk(rest, true)]).collect(),
            }
        }
        _ => vec![Step::Line(line.to_owned())],
    }
}

impl Script {
    /// Plays the session with the server at `to`.
    pub(super) fn play(&self, to: SocketAddr) -> Vec<Heard> {
        let mut client = Client::connect_from(CLIENT, to).unwrap();
        let mut heard = vec![Heard::of("banner", &client.reply())];
        for group in &self.groups {
            let ready = heard.last().is_some_and(|heard| heard.answer.starts_with("354"));
            let (said, kept): (Vec<&Step>, Vec<&Step>) =
                group.iter().partition(|step| ready || !matches!(step, Step::Message(_)));
            let octets: Vec<u8> = said.iter().flat_map(|step| step.octets()).collect();
            // Whether it could be sent shows in the replies.
            let _ = client.send(&octets);
            heard.extend(kept.iter().map(|step| Heard::not_sent(step.name())));
            heard.extend(said.iter().map(|step| Heard::of(step.name(), &client.reply())));
        }
        heard
    }
}

impl Step {
    fn octets(&self) -> Vec<u8> {
        match self {
            Self::Line(line) => format!("{line}\r\n").into_bytes(),
            Self::Message(message) => stuffed(message),
            Self::Chunk { octets, last } => {
                let last = if *last { " LAST" } else { "" };
                [format!("BDAT {}{last}\r\n", octets.len()).as_bytes(), octets].concat()
            }
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Line(line) => line.split(' ').next().unwrap_or_default(),
            Self::Message(_) => "message",
            Self::Chunk { last: false, .. } => "BDAT",
            Self::Chunk { last: true, .. } => "BDAT LAST",
        }
    }
}

impl Heard {
    /// A message that was not sent, because it was not asked for.
    fn not_sent(step: &str) -> Self {
        Self { step: step.to_owned(), answer: "(not sent)".to_owned() }
    }

    fn of(step: &str, reply: &io::Result<crate::harness::Reply>) -> Self {
        let answer = match reply {
            Ok(reply) => format!("{} {}", reply.code, reply.lines.join("\n")),
            Err(_) => "(closed)".to_owned(),
        };
        let step =
            if step == "message" || step == "banner" { step.to_owned() } else { step.to_ascii_uppercase() };
        Self { step, answer: without_ids(&answer) }
    }

    /// Whether the answer speaks for a recipient or for the message.
    pub(super) fn is_the_upstreams(&self) -> bool {
        matches!(self.step.as_str(), "RCPT" | "message" | "BDAT LAST")
    }
}

/// An answer without what is another each time: queue ids and decision ids.
fn without_ids(answer: &str) -> String {
    let queued = regex::Regex::new("queued as [0-9A-Za-z]+").unwrap();
    let decision = regex::Regex::new(r" \(gp [a-z2-7]{10}\)").unwrap();
    decision.replace_all(&queued.replace_all(answer, "queued as ID"), " (gp ID)").into_owned()
}
