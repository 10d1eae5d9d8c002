//! The simulated upstream of a transcript.

use super::setup::TlsOffer;
use super::words::{Mistake, Words};
use crate::upstream::simulated::{Act, Answer, Cue, Rule, Script};
use crate::upstream::{Balance, Identity, Protocol, ProxyVersion};

/// The server behind Gatepost.
#[derive(Clone, Debug)]
pub(super) struct UpstreamSetup {
    /// The EHLO keywords, with their arguments.
    pub(super) offers: Vec<String>,
    pub(super) tls: TlsOffer,
    /// Whether Gatepost checks its certificate, which is good.
    pub(super) verified: bool,
    /// How it learns who the client is.
    pub(super) identity: Identity,
    /// Whether it expects a PROXY header; if not said, where it is to get one.
    pub(super) proxy: Option<bool>,
    /// Where it listens, and which of these a connection goes to.
    pub(super) addresses: Vec<String>,
    pub(super) balance: Balance,
    pub(super) protocol: Protocol,
    /// Whether Gatepost has asked what it offers before the client comes.
    pub(super) probed: bool,
    /// What it does instead of accepting.
    pub(super) rules: Vec<Rule>,
}

impl Default for UpstreamSetup {
    fn default() -> Self {
        let offers = ["PIPELINING", "SIZE 52428800", "8BITMIME", "ENHANCEDSTATUSCODES"];
        Self {
            offers: offers.map(str::to_owned).to_vec(),
            tls: TlsOffer::Off,
            verified: false,
            identity: Identity::None,
            proxy: None,
            addresses: vec!["127.0.0.1:10025".to_owned()],
            balance: Balance::First,
            protocol: Protocol::Smtp,
            probed: true,
            rules: Vec::new(),
        }
    }
}

const BALANCES: [(&str, Balance); 3] = [
    ("first", Balance::First),
    ("round-robin", Balance::RoundRobin),
    ("least-sessions", Balance::LeastSessions),
];
const PROTOCOLS: [(&str, Protocol); 2] = [("smtp", Protocol::Smtp), ("lmtp", Protocol::Lmtp)];
const IDENTITIES: [(&str, Identity); 6] = [
    ("xclient", Identity::XClient),
    ("xforward", Identity::XForward),
    ("proxy-v1", Identity::Proxy(ProxyVersion::V1)),
    ("proxy-v2", Identity::Proxy(ProxyVersion::V2)),
    ("transparent", Identity::Transparent),
    ("none", Identity::None),
];

impl UpstreamSetup {
    /// Whether a PROXY header comes first.
    pub(super) fn takes_proxy_header(&self) -> bool {
        self.proxy.unwrap_or(matches!(self.identity, Identity::Proxy(_)))
    }

    /// Reads what stands behind `upstream`.
    pub(super) fn read(&mut self, words: &mut Words<'_>) -> Result<(), Mistake> {
        let first = words.peek().split([' ', '\t']).next().unwrap_or_default();
        match first {
            "offers" => {
                words.next();
                self.offers = offers(words.rest().text);
            }
            "at" => {
                words.next();
                self.addresses = vec![words.expect("the upstream's host and port")?.text.to_owned()];
            }
            "tls" => {
                words.next();
                self.tls = TlsOffer::read(words)?;
                self.verified =
                    words.next().map(|word| word.choose("word", &[("verified", ())])).transpose()?.is_some();
            }
            "identity" => {
                words.next();
                self.identity = words.expect("an identity")?.choose("identity", &IDENTITIES)?;
            }
            "proxy" => {
                words.next();
                self.proxy =
                    Some(words.expect("on or off")?.choose("word", &[("on", true), ("off", false)])?);
            }
            "addresses" => {
                words.next();
                self.addresses = words.list().iter().map(|word| word.text.to_owned()).collect();
            }
            "balance" => {
                words.next();
                self.balance = words.expect("a balance")?.choose("balance", &BALANCES)?;
            }
            "protocol" => {
                words.next();
                self.protocol = words.expect("a protocol")?.choose("protocol", &PROTOCOLS)?;
            }
            "unprobed" => {
                words.next();
                self.probed = false;
            }
            _ => self.rules.push(rule(words)?),
        }
        Ok(())
    }
}

/// The name in `@name`, where that comes next.
pub(super) fn name(words: &mut Words<'_>) -> Option<String> {
    let is_named = words.peek().starts_with('@');
    let word = if is_named { words.next() } else { None };
    word.map(|word| word.text.trim_start_matches('@').to_owned())
}

/// Tells the upstream what to do from now on. Of rules that stand, the last one that fits counts; those that hold only
/// `once` come before them, in their order.
pub(super) fn direct(script: &mut Script, rule: &Rule) {
    let at = if rule.times.is_some() { script.rules.len() } else { 0 };
    script.rules.insert(at, rule.clone());
}

/// Keywords with their arguments, divided by commas; `nothing` for none.
fn offers(text: &str) -> Vec<String> {
    match text {
        "nothing" => Vec::new(),
        _ => text.split(',').map(str::trim).filter(|offer| !offer.is_empty()).map(str::to_owned).collect(),
    }
}

/// `[once] COMMAND [<ARG>] ANSWER`; at `connect`, the argument is the address.
pub(super) fn rule(words: &mut Words<'_>) -> Result<Rule, Mistake> {
    let mut first = words.expect("a command")?;
    let once = first.text == "once";
    if once {
        first = words.expect("a command")?;
    }
    let cue =
        Cue::parse(first.text).ok_or_else(|| Mistake::unknown("command", first, Cue::ALL.map(Cue::name)))?;
    let argument = if words.peek().starts_with('<') { words.next() } else { None };
    let pattern = argument.map(|word| match cue {
        Cue::Connect => word.text.trim_matches(['<', '>']).to_owned(),
        _ => format!("...{}...", word.text),
    });
    Ok(Rule { cue, pattern, answer: answer(words)?, times: once.then_some(1) })
}

/// One thing after the other, up to the end of the line.
fn answer(words: &mut Words<'_>) -> Result<Answer, Mistake> {
    let mut acts = Vec::new();
    while !words.peek().is_empty() {
        acts.extend(acts_of(words)?.0);
    }
    if acts.is_empty() {
        return Err(words.rest().mistake("what the upstream does is missing"));
    }
    Ok(Answer(acts))
}

/// A reply up to the end of the line, `"raw octets"`, or a word.
fn acts_of(words: &mut Words<'_>) -> Result<Answer, Mistake> {
    let next = words.peek();
    if next.starts_with('"') {
        return words.quoted().map(|bytes| Answer::raw(&bytes));
    }
    if next.starts_with(|c: char| c.is_ascii_digit()) && !next.starts_with("1xx") {
        return Ok(Answer::reply(words.rest().text));
    }
    let word = words.expect("what the upstream does")?;
    match word.text {
        "wait" => words.expect("a time")?.duration().map(|time| Act::Wait(time).into()),
        "accept" => Ok(Act::Usual.into()),
        "refuse" => Ok(Act::Refuse.into()),
        fault => Answer::fault(fault).ok_or_else(|| {
            word.mistake(format!("`{fault}` is nothing that an upstream does")).with_help(
                r#"a reply, "raw octets", wait TIME, accept, refuse, close, rst, stall, half, halfmulti, garbage, badcode or 1xx"#,
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_the_upstream_does() {
        let mut setup = UpstreamSetup::default();
        for line in [
            "offers SIZE 1000, 8BITMIME",
            "identity xclient",
            "once RCPT <nobody@b.test> 550 5.1.1 no \"such\" user",
            r#"dot wait 30s "250-half\r\n" close"#,
            "NOOP accept",
        ] {
            setup.read(&mut Words::new(line, 1, 1)).unwrap();
        }
        assert_eq!(setup.offers, ["SIZE 1000", "8BITMIME"]);
        assert_eq!(setup.identity, Identity::XClient);
        let standing = |cue, answer| Rule { cue, pattern: None, answer, times: None };
        let expected = [
            Rule {
                cue: Cue::Rcpt,
                pattern: Some("...<nobody@b.test>...".to_owned()),
                answer: Answer::reply("550 5.1.1 no \"such\" user"),
                times: Some(1),
            },
            standing(Cue::Dot, Answer::raw(b"250-half\r\n").then(Act::Close).after(Duration::from_secs(30))),
            standing(Cue::Noop, Act::Usual.into()),
        ];
        assert_eq!(setup.rules, expected);
    }

    #[test]
    fn the_last_word_to_the_upstream_counts_and_once_comes_first() {
        let mut script = Script::default();
        for line in ["MAIL 451", "once MAIL 452", "MAIL 450", "once MAIL 421", "RCPT 550"] {
            direct(&mut script, &rule(&mut Words::new(line, 1, 1)).unwrap());
        }
        let expected = ["550", "450", "451", "452", "421"].map(Answer::reply);
        assert_eq!(script.rules.into_iter().map(|rule| rule.answer).collect::<Vec<_>>(), expected);
    }
}
