//! Why a rule spoke: in the words of its policy, and by what that had in hand.

use super::super::record::{Decision, Fact, Read, Rule, StageRecord};
use super::{checks, files, lists, sentence};
use crate::policy::question::{Answer, Question};
use crate::policy::scene::client_network;
use crate::policy::telling::{BLANKS, RuleWords, filled};

/// A rule that decided, with what is recorded of it.
pub(super) struct Spoken<'d> {
    decision: &'d Decision,
    /// `policy.rule`.
    rule: &'d str,
    policy: &'d str,
    /// `file:line`.
    place: &'d str,
    /// The stage at which it spoke: an earlier one than that of the verdict where refusals wait for a recipient.
    stage: Option<&'d StageRecord>,
    record: Option<&'d Rule>,
}

impl<'d> Spoken<'d> {
    pub(super) fn of(decision: &'d Decision, rule: &'d str, place: &'d str) -> Self {
        let policy = rule.rsplit_once('.').map_or(rule, |(policy, _)| policy);
        // A limit of size speaks when the message is there, and was ordered before.
        let spoke =
            |asked: &&Rule| *asked.rule == *rule && (!asked.place.is_empty() || asked.words.is_some());
        let stages = decision.stages.iter().rev();
        let found = stages.filter_map(|stage| Some((stage, stage.rules.iter().find(spoke)?)));
        let (stage, record) = found.into_iter().next().unzip();
        Self { decision, rule, policy, place, stage, record }
    }

    /// Why it spoke: what its policy says of it, what the checks found, and what it asked and read.
    pub(super) fn why(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.said(|words| &words.why).into_iter().collect();
        if let Some(record) = self.record.filter(|record| lines.is_empty() && !record.about.is_empty()) {
            lines.push(format!("Its policy says: {}", sentence(&record.about)));
        }
        if self.facts().any(|fact| is_check(&fact.question)) {
            lines.extend(checks::words(self.decision));
        }
        lines.extend(self.facts().flat_map(|fact| self.answer(fact)));
        lines.extend(
            self.reads().map(|read| {
                format!("It read the {}: {}.", read.what, lists::shown(&read.value, &self.seen()))
            }),
        );
        if lines.is_empty() {
            lines.push(format!("Its policy says no more of it: the condition is at {}.", self.place));
        }
        lines
    }

    /// What would have had to be different, and what other rules would then have said.
    pub(super) fn otherwise(&self) -> Vec<String> {
        let own = self.needed();
        let rules = self.decision.stages.iter().flat_map(|stage| &stage.rules);
        let shadow = rules.filter(|other| *other.rule != *self.rule && other.outcome.starts_with("would_"));
        let shadow = shadow.map(|other| {
            let outcome = other.outcome.replacen("would_", "would ", 1);
            format!("Without it, {} {outcome} it if it were enforced.", other.rule)
        });
        std::iter::once(own).chain(shadow).collect()
    }

    /// What would have had to be different for it not to speak.
    pub(super) fn needed(&self) -> String {
        self.said(|words| &words.otherwise).unwrap_or_else(|| self.unsaid())
    }

    /// What to do if the sender is legitimate.
    pub(super) fn advice(&self) -> Vec<String> {
        let (rule, place) = (self.rule, self.place);
        let mut rules = self.decision.stages.iter().flat_map(|stage| &stage.rules);
        let is_gate = rules.any(|asked| asked.gate && *asked.rule == *rule);
        let soften = match is_gate {
            true => format!("It belongs to a gate, which nothing softens. The rule itself is at {place}."),
            false => format!(
                "To soften the rule while you look into it: `policies.modes: {{ \"{rule}\": shadow }}`. The rule itself is at {place}."
            ),
        };
        self.said(|words| &words.advice).into_iter().chain([soften]).collect()
    }

    /// What a rule without words of its own would have needed.
    fn unsaid(&self) -> String {
        let what = if self.facts().next().is_some() || self.reads().next().is_some() {
            "what its policy asked and read, or saw of the session,"
        } else {
            "what its policy saw of the session"
        };
        format!("Something of {what} would have had to be different: the condition is at {}.", self.place)
    }

    /// What its policy says, with what was decided about in place of the names in braces.
    fn said(&self, part: impl Fn(&RuleWords) -> &String) -> Option<String> {
        let text = part(self.record?.words.as_ref()?);
        let whole = filled(text, |name| self.fill(name));
        // A domain at the beginning stays as it is.
        let whole = if text.starts_with('{') { whole } else { sentence(whole) };
        (!text.is_empty()).then_some(whole)
    }

    fn facts(&self) -> impl Iterator<Item = &'d Fact> + use<'d> {
        let policy = self.policy;
        self.stage.into_iter().flat_map(|stage| &stage.facts).filter(move |fact| fact.is_of(policy))
    }

    fn reads(&self) -> impl Iterator<Item = &'d Read> + use<'d> {
        let policy = self.policy;
        self.stage.into_iter().flat_map(|stage| &stage.reads).filter(move |read| *read.policy == *policy)
    }

    /// What was asked, and what the answer was. The results of checks are told elsewhere.
    fn answer(&self, fact: &Fact) -> Vec<String> {
        let Some(answer) = &fact.answer else { return Vec::new() };
        if let Answer::Contents(Some(contents)) = answer {
            let arrays: Vec<_> = self.reads().filter_map(|read| lists::values(&read.value)).collect();
            return files::words(contents, &arrays.concat());
        }
        let call = match fact.question.arguments() {
            none if none.is_empty() => fact.question.word().to_owned(),
            arguments => format!("{}({arguments})", fact.question.word()),
        };
        vec![format!("It asked {call}: {}.", answer.summary())]
    }

    /// What the rule may have looked for in a list: of a long one, only that is shown.
    fn seen(&self) -> Vec<String> {
        let decision = self.decision;
        let mut seen = vec![decision.helo.clone(), decision.client.ip.to_string()];
        let addresses = decision.sender().into_iter().chain(decision.addressees());
        for address in addresses {
            let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
            seen.extend([address, local, domain].map(str::to_lowercase));
        }
        let contents = self.facts().filter_map(|fact| match &fact.answer {
            Some(Answer::Contents(Some(contents))) => Some(contents),
            _ => None,
        });
        seen.extend(contents.flat_map(|contents| files::kinds(contents)));
        seen
    }

    /// What is known under this name.
    fn fill(&self, name: &str) -> String {
        let decision = self.decision;
        let known = match name {
            "client" => decision.client.ip.to_string(),
            "client_name" => decision.client.name.clone(),
            "client_network" => client_network(decision.client.ip),
            "helo" => decision.helo.clone(),
            "hostname" => decision.hostname.to_string(),
            "listener" => decision.listener.to_string(),
            "login" => decision.login().map(|login| login.user.clone()).unwrap_or_default(),
            "sender" => decision.sender().map(|sender| format!("<{sender}>")).unwrap_or_default(),
            "sender_domain" => decision.sender().map(domain).unwrap_or_default(),
            "recipient" => self.recipient().map(|rcpt| format!("<{rcpt}>")).unwrap_or_default(),
            "recipient_domain" => self.recipient().map(domain).unwrap_or_default(),
            "size" => size(decision),
            "spf_domain" => decision.checks.spf.as_ref().map(|spf| spf.domain.clone()).unwrap_or_default(),
            "author_domain" => decision
                .checks
                .message
                .as_ref()
                .map(|message| message.dmarc.domain.clone())
                .unwrap_or_default(),
            setting => self.setting(setting).unwrap_or_else(|| format!("`{setting}`")),
        };
        let otherwise = || BLANKS.iter().find(|(blank, _)| *blank == name).map_or("", |(_, words)| words);
        if known.is_empty() { otherwise().to_owned() } else { known }
    }

    /// The recipient in question; of a message the last one.
    fn recipient(&self) -> Option<&'d str> {
        let asked = self.stage.and_then(|stage| stage.rcpt.as_ref());
        let last = || self.decision.recipients.last().map(|recipient| &recipient.rcpt);
        asked.or_else(last).map(|rcpt| rcpt.address.as_str())
    }

    /// What a setting said, or the wish of a recipient's domain in its place.
    fn setting(&self, name: &str) -> Option<String> {
        let what = format!("setting {}.{name}", self.policy);
        let is_it = |read: &&Read| {
            read.what.strip_prefix(&what).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        self.reads().find(is_it).map(|read| lists::shown(&read.value, &self.seen()))
    }
}

const fn is_check(question: &Question) -> bool {
    matches!(
        question,
        Question::HeloSpf
            | Question::Spf
            | Question::Dkim
            | Question::Dmarc
            | Question::Arc
            | Question::Fcrdns
    )
}

fn domain(address: &str) -> String {
    address.rsplit_once('@').map(|(_, domain)| domain.to_owned()).unwrap_or_default()
}

/// Octets that came, or that were declared.
fn size(decision: &Decision) -> String {
    let declared = decision.mail.as_ref().map_or(0, |mail| mail.size);
    let size = if decision.size > 0 { decision.size } else { declared };
    if size > 0 { size.to_string() } else { String::new() }
}
