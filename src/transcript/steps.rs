//! The steps of a dialogue, and how those are read that are one line and no speaker's.

use std::path::Path;
use std::time::Duration;

use super::format::read_bytes;
use super::pattern::{Pattern, ReplyLine};
use super::state::StateChange;
use super::upstream;
use super::words::{Mistake, Word, Words};
use super::zone::DnsChange;
use crate::quarantine::State;
use crate::session::Outcome;
use crate::session::stage::Stage;
use crate::upstream::simulated::Rule;

#[derive(Clone, Debug)]
pub(super) enum Action {
    /// `C:` and `C>`: the client sends these octets.
    Send(Vec<u8>),
    /// `message`: the client sends a message, dot-stuffed, and the final dot.
    Message(Vec<u8>),
    /// `bdat`: the client sends these octets as a chunk, perhaps the last.
    Chunk(Vec<u8>, bool),
    /// `S:`: the next reply.
    Reply(Vec<ReplyLine>),
    /// `S: <closed>`: no further reply, the connection ends.
    Closed,
    /// `S: <silence 10s>`: nothing is said for so long.
    Silence(Duration),
    /// `G:`: Gatepost says this to the upstream.
    Said(Pattern),
    /// `G: @NAME`: Gatepost says this to another one.
    SaidTo(String, Pattern),
    /// `handshake`: the client begins TLS.
    Handshake(Handshake),
    /// `close`: the client hangs up.
    Close,
    /// `wait`: time goes by.
    Wait(Duration),
    /// `dns` in the middle of a dialogue.
    Dns(DnsChange),
    /// `state` in the middle of a dialogue.
    State(StateChange),
    /// `upstream COMMAND` in the middle of a dialogue, and `U:`.
    Direct(Rule),
    /// The same for another upstream.
    DirectOther(String, Rule),
    Assert(Assertion),
}

/// How the client behaves when TLS is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Handshake {
    /// As it should.
    Good,
    /// It sends something that is no ClientHello.
    Garbage,
    /// It never says a word.
    Stall,
}

/// Something that has to be true when the dialogue gets there.
#[derive(Clone, Debug)]
pub(super) enum Assertion {
    /// `rule NAME` or `rule none`: what decided the last reply.
    Rule(Option<String>),
    /// `shadow NAME`: this rule has spoken in shadow, and the books say so.
    Shadow(String),
    /// `explained TEXT`: the explanation of the last decision says so.
    Explained(Pattern),
    /// `failed POLICY at STAGE`: the policy's function of this stage has failed, and the books say so.
    Failed(String, Stage),
    /// `within TIME`: the last reply came so soon after the client's last word.
    Within(Duration),
    /// `outcome NAME`: what became of the last message.
    Outcome(&'static str),
    /// `offered KEYWORD` and `not offered KEYWORD`, of the last EHLO.
    Offered(Pattern, bool),
    /// `upstream got N messages`.
    Messages(usize),
    /// `upstream connections N`.
    Connections(usize),
    /// `upstream never PATTERN`.
    Never(Pattern),
    /// `upstream dialled ADDRESS N`.
    Dialled(String, usize),
    /// `upstream @NAME ...`: one of these, of another upstream.
    Of(String, Box<Self>),
    /// `delivered identical`.
    Identical,
    /// `delivered` and the lines of the last message.
    Delivered(Vec<Pattern>),
    /// `header NAME: VALUE` and `no header NAME: VALUE`.
    Header { name: String, value: Pattern, present: bool },
    /// `headers NAME N`.
    Headers(String, usize),
    /// `effect ACTION NAME`: this rule or policy has done this, and the books say so.
    Effect(String, String),
    /// `quarantined N messages` and `quarantined pending N messages`.
    Kept(State, usize),
    /// `quarantined <PATH> RULE`: a message is kept from this recipient, by this rule.
    KeptFrom(String, String),
}

/// The names of the steps that are no speakers, for suggestions.
pub(super) const STEPS: [&str; 21] = [
    "bdat",
    "close",
    "delivered",
    "effect",
    "explained",
    "failed",
    "handshake",
    "header",
    "headers",
    "include",
    "message",
    "no",
    "not",
    "offered",
    "outcome",
    "quarantined",
    "rule",
    "shadow",
    "upstream",
    "wait",
    "within",
];
/// How long `S: <silence>` listens.
const SILENCE: Duration = Duration::from_secs(1);

/// `<closed>` or `<silence 10s>`.
pub(super) fn heard(words: &mut Words<'_>) -> Result<Action, Mistake> {
    let word = words.rest();
    let inner = word.text.trim_start_matches('<').trim_end_matches('>');
    let mut inner = Words::new(inner, word.position().line, word.position().column + 1);
    let what = inner.expect("`closed` or `silence`")?;
    match what.text {
        "closed" => Ok(Action::Closed),
        "silence" => match inner.next() {
            Some(time) => Ok(Action::Silence(time.duration()?)),
            None => Ok(Action::Silence(SILENCE)),
        },
        _ => Err(Mistake::unknown("expectation", what, ["closed", "silence"])),
    }
}

/// A step that is one line; `None` when `name` is none of these.
pub(super) fn step(name: Word<'_>, words: &mut Words<'_>, folder: &Path) -> Result<Option<Action>, Mistake> {
    let action = match name.text {
        "wait" => Action::Wait(words.expect("a time")?.duration()?),
        "bdat" => chunk(words)?,
        "close" => Action::Close,
        "handshake" => Action::Handshake(handshake(words)?),
        "message" if !words.peek().is_empty() => Action::Message(message_file(words, folder)?),
        _ => return Ok(assertion(name, words)?.map(Action::Assert)),
    };
    Ok(Some(action))
}

fn assertion(name: Word<'_>, words: &mut Words<'_>) -> Result<Option<Assertion>, Mistake> {
    let assertion = match name.text {
        "rule" => {
            let rule = words.expect("a rule")?.text;
            Assertion::Rule(if rule == "none" { None } else { Some(rule.to_owned()) })
        }
        "shadow" => Assertion::Shadow(words.expect("a rule")?.text.to_owned()),
        "explained" => Assertion::Explained(pattern(words, "what the explanation says")?),
        "failed" => {
            let policy = words.expect("a policy")?.text.to_owned();
            keyword(words, "at")?;
            let stages = Stage::ALL.map(|stage| (stage.name(), stage));
            Assertion::Failed(policy, words.expect("a stage")?.choose("stage", &stages)?)
        }
        "within" => Assertion::Within(words.expect("a time")?.duration()?),
        "outcome" => Assertion::Outcome(outcome(words.expect("an outcome")?)?),
        "offered" => Assertion::Offered(pattern(words, "a keyword")?, true),
        "not" => {
            keyword(words, "offered")?;
            Assertion::Offered(pattern(words, "a keyword")?, false)
        }
        "no" => {
            keyword(words, "header")?;
            header(words, false)?
        }
        "header" => header(words, true)?,
        "effect" => Assertion::Effect(
            words.expect("an action")?.text.to_owned(),
            words.expect("a rule or a policy")?.text.to_owned(),
        ),
        "quarantined" => quarantined(words)?,
        "headers" => {
            let name = words.expect("a field name")?.text.to_owned();
            Assertion::Headers(name, words.expect("a number")?.parse("a number")?)
        }
        "delivered" if words.peek().trim_end() == "identical" => {
            words.next();
            Assertion::Identical
        }
        "upstream" => return of_the_upstream(words),
        _ => return Ok(None),
    };
    Ok(Some(assertion))
}

/// `upstream [@NAME] got`, `connections`, `dialled` and `never`; every other `upstream` is no assertion.
fn of_the_upstream(words: &mut Words<'_>) -> Result<Option<Assertion>, Mistake> {
    let before = words.clone();
    if let Some(name) = upstream::name(words) {
        let assertion = of_the_upstream(words)?;
        if assertion.is_none() {
            *words = before;
        }
        return Ok(assertion.map(|assertion| Assertion::Of(name, Box::new(assertion))));
    }
    let first = words.peek().split([' ', '\t']).next().unwrap_or_default();
    if !["got", "connections", "dialled", "never"].contains(&first) {
        return Ok(None);
    }
    words.next();
    let assertion = match first {
        "got" => {
            let number = words.expect("a number")?.parse("a number")?;
            let unit = words.expect("`messages`")?;
            if !["message", "messages"].contains(&unit.text) {
                return Err(unit.mistake("write it as `upstream got 1 message`"));
            }
            Assertion::Messages(number)
        }
        "dialled" => {
            let address = words.expect("an address")?.text.to_owned();
            Assertion::Dialled(address, words.expect("a number")?.parse("a number")?)
        }
        "connections" => Assertion::Connections(words.expect("a number")?.parse("a number")?),
        _ => Assertion::Never(pattern(words, "a pattern")?),
    };
    Ok(Some(assertion))
}

/// `quarantined 1 message`, `quarantined pending 1 message`, `quarantined <a@example.org> policy.rule`.
fn quarantined(words: &mut Words<'_>) -> Result<Assertion, Mistake> {
    let mut first = words.expect("a number or a recipient")?;
    if first.text.starts_with('<') {
        let rule = words.expect("the rule")?.text.to_owned();
        return Ok(Assertion::KeptFrom(first.text.to_owned(), rule));
    }
    let state = if first.text == "pending" {
        first = words.expect("a number")?;
        State::Pending
    } else {
        State::Kept
    };
    let number = first.parse("a number, or a recipient in angle brackets")?;
    let unit = words.expect("`messages`")?;
    if !["message", "messages"].contains(&unit.text) {
        return Err(unit.mistake("write it as `quarantined 1 message`"));
    }
    Ok(Assertion::Kept(state, number))
}

fn pattern(words: &mut Words<'_>, what: &str) -> Result<Pattern, Mistake> {
    let word = words.rest();
    if word.text.is_empty() {
        Err(word.mistake(format!("{what} is missing")))
    } else {
        Ok(Pattern::new(word.text))
    }
}

fn keyword(words: &mut Words<'_>, wanted: &str) -> Result<(), Mistake> {
    let word = words.expect(&format!("`{wanted}`"))?;
    if word.text == wanted { Ok(()) } else { Err(word.mistake(format!("`{wanted}` is what can stand here"))) }
}

/// `NAME: VALUE`, or `NAME` alone for any value.
fn header(words: &mut Words<'_>, present: bool) -> Result<Assertion, Mistake> {
    let word = words.rest();
    let (name, value) = match word.text.split_once(':') {
        Some((name, value)) => (name, Pattern::new(value.trim_start())),
        None => (word.text, Pattern::new("...")),
    };
    if name.is_empty() || name.contains([' ', '\t']) {
        return Err(word
            .mistake("the name of the field is missing")
            .with_help("as in `header Subject: ...`"));
    }
    Ok(Assertion::Header { name: name.to_owned(), value, present })
}

fn outcome(word: Word<'_>) -> Result<&'static str, Mistake> {
    let names = Outcome::ALL.map(Outcome::name);
    let found = names.into_iter().find(|outcome| *outcome == word.text);
    found.ok_or_else(|| Mistake::unknown("outcome", word, names))
}

fn handshake(words: &mut Words<'_>) -> Result<Handshake, Mistake> {
    match words.next() {
        None => Ok(Handshake::Good),
        Some(word) => match word.text {
            "garbage" => Ok(Handshake::Garbage),
            "stall" => Ok(Handshake::Stall),
            _ => Err(Mistake::unknown("handshake", word, ["garbage", "stall"])),
        },
    }
}

/// `bdat "OCTETS"`, `bdat last "OCTETS"` and `bdat last`, for a chunk without any.
fn chunk(words: &mut Words<'_>) -> Result<Action, Mistake> {
    let last = words.peek().split([' ', '\t']).next() == Some("last");
    if last {
        words.next();
    }
    let octets = if last && words.peek().is_empty() { Vec::new() } else { words.quoted()? };
    Ok(Action::Chunk(octets, last))
}

/// The message in a file, whose lines may end as they do on this machine: on the wire they end with CRLF.
fn message_file(words: &mut Words<'_>, folder: &Path) -> Result<Vec<u8>, Mistake> {
    let name = words.rest();
    let path = folder.join(name.text);
    let bytes =
        read_bytes(&path).map_err(|problem| name.mistake(format!("{}: {problem}", path.display())))?;
    let mut message = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        message.extend_from_slice(text.unwrap_or(line));
        if text.is_some() {
            message.extend_from_slice(b"\r\n");
        }
    }
    Ok(message)
}
