//! What to look for among decisions.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::moment;
use super::record::{Decision, StageRecord};
use crate::serial::REDACTED;
use crate::tap::is_address;

/// The outcomes that a decision can have.
pub const OUTCOMES: [&str; 7] =
    ["accepted", "rejected", "deferred", "discarded", "quarantined", "aborted", "none"];

/// Which decisions are wanted; what is not said does not matter. The admin endpoint takes it as a query string.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// The id of a decision, a transaction or a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The sender: an address, or a domain for all of its addresses. `<>` is the null sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// A recipient, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The client: an address or a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The login, also one that was refused: a name, or the domain of names that are addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The rule, limit, breach or step that decided, or that had a say: in shadow too, with an effect, or for one recipient. `helo`
    /// stands for all rules of that policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The outcome, such as `rejected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The name under which the upstream queued the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<String>,
    /// A word that any of the above may be, or hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word: Option<String>,
    /// Decided at this time or later.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "moment::deserialize")]
    pub since: Option<Timestamp>,
    /// Decided at this time or before.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "moment::deserialize")]
    pub until: Option<Timestamp>,
    /// How many at most, the youngest first; 0 for as many as there are.
    pub limit: usize,
}

impl Query {
    /// The decisions that `id` leads to.
    pub fn id(id: &str) -> Self {
        Self { id: Some(bare_id(id)), ..Self::default() }
    }

    /// What is asked for and can never be found.
    ///
    /// # Errors
    /// What it is, and what is known instead.
    pub fn check(&self) -> Result<(), String> {
        if let Some(outcome) = self.outcome.as_ref().filter(|outcome| !OUTCOMES.contains(&outcome.as_str())) {
            return Err(format!("there is no outcome `{outcome}`: {}", OUTCOMES.join(", ")));
        }
        if let Some(client) = self.client.as_ref().filter(|client| network(client).is_none()) {
            return Err(format!("`{client}` is neither an address nor a network"));
        }
        match (self.since, self.until) {
            (Some(since), Some(until)) if since > until => {
                Err(format!("nothing is decided at {since} or later and at {until} or before"))
            }
            _ => Ok(()),
        }
    }

    /// Whether `decision` is one of those.
    pub fn matches(&self, decision: &Decision) -> bool {
        let meets = |wanted: &Option<String>, test: fn(&Decision, &str) -> bool| {
            wanted.as_ref().is_none_or(|wanted| test(decision, wanted))
        };
        self.since.is_none_or(|since| decision.at >= since)
            && self.until.is_none_or(|until| decision.at <= until)
            && meets(&self.id, has_id)
            && meets(&self.outcome, has_outcome)
            && meets(&self.rule, has_rule)
            && meets(&self.client, is_of_client)
            && meets(&self.queue_id, has_queue_id)
            && meets(&self.from, is_from)
            && meets(&self.to, is_to)
            && meets(&self.login, has_login)
            && meets(&self.word, has_word)
    }

    /// A text that every line of a decision that matches holds: what lacks it need not be read.
    pub(super) fn hint(&self) -> Option<&str> {
        let sure = |text: &&String| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        self.id.as_ref().or(self.queue_id.as_ref()).filter(sure).map(String::as_str)
    }
}

/// What was found in two places, each once, the youngest first and up to the limit of `query`.
pub fn merge(one: Vec<Decision>, other: Vec<Decision>, query: &Query) -> Vec<Decision> {
    let mut known = HashSet::new();
    let mut all: Vec<_> = one.into_iter().chain(other).collect();
    all.retain(|decision| known.insert((decision.id.clone(), decision.at)));
    all.sort_by_key(|decision| Reverse(decision.at));
    if query.limit > 0 {
        all.truncate(query.limit);
    }
    all
}

fn has_id(decision: &Decision, id: &str) -> bool {
    [&decision.id, &decision.transaction, &decision.session].iter().any(|own| **own == id)
}

fn has_outcome(decision: &Decision, outcome: &str) -> bool {
    decision.outcome == outcome
}

fn has_rule(decision: &Decision, wanted: &str) -> bool {
    let is_it =
        |rule: &str| rule.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    is_it(decision.rule())
        || decision.recipients.iter().any(|rcpt| rcpt.is_set_aside() && is_it(&rcpt.rule))
        || decision.stages.iter().any(|stage| stage.said().any(is_it))
}

fn is_of_client(decision: &Decision, client: &str) -> bool {
    is_within(decision.client.ip, client)
}

fn has_queue_id(decision: &Decision, id: &str) -> bool {
    decision.upstream.as_ref().is_some_and(|upstream| upstream.queue_id == id)
}

fn is_from(decision: &Decision, from: &str) -> bool {
    decision.sender().is_some_and(|sender| is_kept_of(decision, sender, from))
}

fn is_to(decision: &Decision, to: &str) -> bool {
    decision.addressees().any(|rcpt| is_kept_of(decision, rcpt, to))
}

fn has_login(decision: &Decision, login: &str) -> bool {
    decision.login().is_some_and(|known| {
        known.user.eq_ignore_ascii_case(login)
            || known.user.contains('@') && is_kept_of(decision, &known.user, login)
    })
}

fn has_word(decision: &Decision, word: &str) -> bool {
    let tests = [has_rule, is_of_client, has_queue_id, is_from, is_to, has_login];
    has_id(decision, &bare_id(word))
        || tests.iter().any(|test| test(decision, word))
        || mentions(decision, word)
}

/// Whether the word is a part of any name or address in it, whatever the case.
fn mentions(decision: &Decision, word: &str) -> bool {
    let word = word.to_lowercase();
    let client = decision.client.ip.to_string();
    let names = [&*client, &decision.client.name, &decision.helo, decision.rule(), decision.outcome];
    let login = decision.login().map(|login| login.user.as_str());
    let addresses = decision.sender().into_iter().chain(decision.addressees()).chain(login);
    names.into_iter().chain(addresses).any(|text| text.to_lowercase().contains(&word))
}

/// Whether `address` is the one that is wanted, or what is left of it where local parts were taken out.
fn is_kept_of(decision: &Decision, address: &str, wanted: &str) -> bool {
    let redacted = || {
        let domain = address.strip_prefix(REDACTED)?.strip_prefix('@')?;
        let (_, of_wanted) = wanted.trim_end_matches('>').rsplit_once('@')?;
        Some(of_wanted.eq_ignore_ascii_case(domain))
    };
    is_address(address, wanted) || (decision.redacted && redacted() == Some(true))
}

/// The id in `(gp 7f3k2a7q4d)`, as it is copied from a reply.
fn bare_id(text: &str) -> String {
    let text = text.trim().trim_start_matches('(').trim_end_matches(')');
    text.trim_start_matches("gp ").trim().to_lowercase()
}

/// Whether `text` names the address or a network around it.
fn is_within(ip: IpAddr, text: &str) -> bool {
    network(text).is_some_and(|network| network.contains(&ip))
}

fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

impl Decision {
    /// The recipients that it is about, each once: the one that was refused, else all of the transaction.
    pub fn addressees(&self) -> impl Iterator<Item = &str> {
        let refused = self.refused();
        let own = self.recipients.iter().filter(move |_| refused.is_none()).map(|recipient| &recipient.rcpt);
        let asked = self.stages.iter().filter(move |_| refused.is_none());
        let asked = asked.filter_map(|stage| stage.rcpt.as_ref());
        let mut known = HashSet::new();
        let all = refused.map(|refused| &refused.rcpt).into_iter().chain(own).chain(asked);
        all.map(|rcpt| rcpt.address.as_str()).filter(move |address| known.insert(*address))
    }
}

impl StageRecord {
    /// The rules that had a say, and whoever ordered an effect: enforced or in shadow.
    fn said(&self) -> impl Iterator<Item = &str> {
        let spoke = self.rules.iter().filter(|rule| !rule.place.is_empty());
        spoke.map(|rule| &*rule.rule).chain(self.effects.iter().map(|effect| &*effect.by))
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Deciding, Effect, Login, Mail, Rcpt, Recipient, Rule};
    use super::*;

    fn decision() -> Decision {
        let mut decision = Decision {
            id: "aaaaaaaaab".into(),
            transaction: "aaaaaaaaac".into(),
            session: "aaaaaaaaad".into(),
            at: "2026-11-29T12:00:00Z".parse().unwrap(),
            mail: Some(Mail { sender: "Joe@Sender.example".into(), ..Mail::default() }),
            outcome: "rejected",
            deciding: Some(Deciding { rule: "helo.bare-ip".into(), ..Deciding::default() }),
            ..Decision::default()
        };
        decision.client.ip = "192.0.2.9".parse().unwrap();
        let rcpt = Rcpt { address: "suzie@example.org".into(), ..Rcpt::default() };
        decision.recipients.push(Recipient { rcpt, ..Recipient::default() });
        decision
    }

    #[test]
    fn each_key_narrows() {
        let decision = decision();
        let queries: [(&str, bool); 26] = [
            (r#"{}"#, true),
            (r#"{"id":"aaaaaaaaab"}"#, true),
            (r#"{"id":"aaaaaaaaac"}"#, true),
            (r#"{"id":"aaaaaaaaad"}"#, true),
            (r#"{"id":"aaaaaaaaae"}"#, false),
            (r#"{"from":"joe@sender.example"}"#, true),
            (r#"{"from":"sender.example"}"#, true),
            (r#"{"from":"@sender.example"}"#, true),
            (r#"{"from":"example"}"#, false),
            (r#"{"from":"<>"}"#, false),
            (r#"{"to":"<suzie@example.org>"}"#, true),
            (r#"{"to":"example.com"}"#, false),
            (r#"{"client":"192.0.2.9"}"#, true),
            (r#"{"client":"192.0.2.0/24"}"#, true),
            (r#"{"client":"nonsense"}"#, false),
            (r#"{"rule":"helo"}"#, true),
            (r#"{"rule":"helo.bare-ip"}"#, true),
            (r#"{"rule":"helo.bare"}"#, false),
            (r#"{"outcome":"rejected"}"#, true),
            (r#"{"outcome":"accepted"}"#, false),
            (r#"{"since":"2026-11-29T12:00:00Z"}"#, true),
            (r#"{"since":"2026-11-29T12:00:01Z"}"#, false),
            (r#"{"since":"2026-11-29","until":"1s"}"#, true),
            (r#"{"until":"2026-11-29T12:00:00Z"}"#, true),
            (r#"{"until":"2026-11-29T11:59:59Z"}"#, false),
            (r#"{"since":"2026-11-29T11:00:00Z","until":"2026-11-29T13:00:00Z"}"#, true),
        ];
        for (query, expected) in queries {
            let query: Query = serde_json::from_str(query).unwrap();
            assert_eq!(query.matches(&decision), expected, "{query:?}");
        }
    }

    #[test]
    fn what_can_never_be_found_is_an_error() {
        for (query, expected) in [
            (r#"{"outcome":"refused"}"#, "there is no outcome `refused`: accepted, rejected"),
            (r#"{"client":"300.1.1.1"}"#, "`300.1.1.1` is neither"),
            (r#"{"since":"2026-11-29T12:00:00Z","until":"2026-11-29T11:00:00Z"}"#, "nothing is decided"),
        ] {
            let query: Query = serde_json::from_str(query).unwrap();
            assert!(query.check().unwrap_err().starts_with(expected), "{query:?}");
        }
        let good = r#"{"outcome":"rejected","client":"192.0.2.0/24","from":"x"}"#;
        assert_eq!(serde_json::from_str::<Query>(good).unwrap().check(), Ok(()));
    }

    /// A rule is found where it had a say, and not where it had nothing to say.
    #[test]
    fn a_rule_is_found_in_shadow_with_an_effect_and_for_one_recipient() {
        let finds = |decision: &Decision, rule: &str| {
            Query { rule: Some(rule.to_owned()), ..Query::default() }.matches(decision)
        };
        let rule = |rule: &str, outcome: &'static str, place: &str| Rule {
            rule: rule.into(),
            outcome,
            place: place.into(),
            ..Rule::default()
        };
        let mut decision = decision();
        decision.stages = vec![StageRecord {
            rules: vec![
                rule("spf.fail", "would_reject", "40-spf.rhai:9"),
                rule("dnsbl.client", "passed", ""),
            ],
            effects: vec![Effect { by: "dmarc.quarantine".into(), shadow: true, ..Effect::default() }],
            ..StageRecord::default()
        }];
        let gone = Recipient { outcome: "discarded", rule: "mine.gone".into(), ..Recipient::default() };
        let refused = Recipient {
            outcome: "rejected",
            rule: "relay.denied".into(),
            decision: "aaaaaaaaae".into(),
            ..Recipient::default()
        };
        decision.recipients.extend([gone, refused]);
        for rule in ["helo", "spf", "spf.fail", "dmarc.quarantine", "mine.gone"] {
            assert!(finds(&decision, rule), "{rule}");
        }
        for rule in ["dnsbl.client", "spf.f", "relay.denied"] {
            assert!(!finds(&decision, rule), "{rule}: a decision of its own has it, or none");
        }
    }

    #[test]
    fn recipients_are_named_once_and_the_refused_one_alone() {
        let rcpt = |address: &str| Rcpt { address: address.to_owned(), ..Rcpt::default() };
        let mut decision = decision();
        decision.recipients.push(Recipient { rcpt: rcpt("ann@example.org"), ..Recipient::default() });
        let asked = ["suzie@example.org", "ann@example.org", "old@example.org"];
        let stage = |address: &&str| StageRecord { rcpt: Some(rcpt(address)), ..StageRecord::default() };
        decision.stages = asked.iter().map(stage).collect();
        let named: Vec<_> = decision.addressees().collect();
        assert_eq!(named, ["suzie@example.org", "ann@example.org", "old@example.org"]);
        decision.recipients.push(Recipient {
            rcpt: rcpt("x@else.example"),
            decision: decision.id.clone(),
            ..Recipient::default()
        });
        assert_eq!(decision.addressees().collect::<Vec<_>>(), ["x@else.example"]);
    }

    #[test]
    fn a_login_is_found_also_where_it_was_refused() {
        let login = |user: &str| Some(Login { user: user.to_owned(), mechanism: "plain".to_owned() });
        let finds = |decision: &Decision, login: &str| {
            Query { login: Some(login.to_owned()), ..Query::default() }.matches(decision)
        };
        let mut decision = decision();
        assert!(!finds(&decision, "suzie"));
        decision.auth = login("suzie");
        assert!(finds(&decision, "Suzie") && !finds(&decision, "example.org"));
        decision.tried = login("ann@example.org");
        assert!(finds(&decision, "ann@example.org") && finds(&decision, "example.org"));
    }

    /// Whoever asks for an address is given what was kept about its domain.
    #[test]
    fn a_redacted_decision_is_found_by_its_domain() {
        let mut decision = decision();
        decision.mail = Some(Mail { sender: format!("{REDACTED}@Sender.example"), ..Mail::default() });
        let finds = |decision: &Decision, from: &str| {
            Query { from: Some(from.to_owned()), ..Query::default() }.matches(decision)
        };
        assert!(!finds(&decision, "joe@sender.example"), "it could be a strange sender's own name");
        decision.redacted = true;
        assert!(finds(&decision, "joe@sender.example") && finds(&decision, "<ann@sender.example>"));
        assert!(!finds(&decision, "joe@other.example") && !finds(&decision, "<>"));
    }

    #[test]
    fn a_word_is_looked_for_in_every_name_and_address() {
        for (word, found) in [
            ("suzie", true),
            ("SUZIE", true),
            ("sender.ex", true),
            ("bare-ip", true),
            ("reject", true),
            ("192.0.2", true),
            ("192.0.2.0/24", true),
            ("aaaaaaaaab", true),
            ("aaaaaaa", false),
            ("nobody", false),
        ] {
            let query = Query { word: Some(word.to_owned()), ..Query::default() };
            assert_eq!(query.matches(&decision()), found, "{word}");
        }
    }

    #[test]
    fn an_id_may_be_copied_from_a_reply() {
        for text in ["aaaaaaaaab", "(gp aaaaaaaaab)", " gp AAAAAAAAAB "] {
            assert!(Query::id(text).matches(&decision()), "{text}");
        }
    }

    #[test]
    fn what_is_found_twice_is_one_and_the_youngest_come_first() {
        let at = |id: &str, second: i64| Decision {
            id: id.to_owned(),
            at: Timestamp::from_second(second).unwrap(),
            ..Decision::default()
        };
        let found = |limit| {
            let (memory, file) = (vec![at("d", 4), at("c", 3)], vec![at("c", 3), at("b", 2), at("a", 1)]);
            let found = merge(memory, file, &Query { limit, ..Query::default() });
            found.into_iter().map(|found| found.id).collect::<Vec<_>>()
        };
        assert_eq!(found(0), ["d", "c", "b", "a"]);
        assert_eq!(found(3), ["d", "c", "b"]);
    }

    #[test]
    fn the_null_sender_is_found() {
        assert!(is_address("", "<>"));
        assert!(!is_address("a@b.example", "<>"));
    }
}
