//! What was said and asked at one stage, as it is kept.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Rcpt, str_is_empty};
use crate::policy::question::{Answer, Question};
use crate::policy::telling::RuleWords;
use crate::serial::{Word, is_default, micros, time, word};

/// One stage at which policies were asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageRecord {
    /// The stage.
    #[serde(deserialize_with = "word::deserialize")]
    pub stage: Word,
    /// When they were asked.
    #[serde(with = "time")]
    pub at: Timestamp,
    /// How long it took, facts included.
    #[serde(rename = "took_us", with = "micros")]
    pub took: Duration,
    /// The breach of the protocol at `violation`; else empty.
    #[serde(skip_serializing_if = "str::is_empty", deserialize_with = "word::deserialize")]
    pub event: Word,
    /// Whether TLS was active.
    #[serde(skip_serializing_if = "is_default")]
    pub tls: bool,
    /// Whether the client had introduced itself.
    #[serde(skip_serializing_if = "is_default")]
    pub helo: bool,
    /// Whether it had logged in.
    #[serde(skip_serializing_if = "is_default")]
    pub auth: bool,
    /// Commands that had failed by then.
    #[serde(skip_serializing_if = "is_default")]
    pub errors: u64,
    /// Recipients that had been refused in the session by then.
    #[serde(skip_serializing_if = "is_default")]
    pub recipients_refused: u64,
    /// Transactions begun in the session by then.
    #[serde(skip_serializing_if = "is_default")]
    pub transactions: u64,
    /// The recipient in question at `rcpt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rcpt: Option<Rcpt>,
    /// Recipients that had been accepted by then.
    #[serde(skip_serializing_if = "is_default")]
    pub accepted: usize,
    /// What each policy cost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Cost>,
    /// Every rule that has a say at this stage, with what it said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// The facts that were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
    /// Settings and lists that were read, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Read>,
    /// What was ordered beside the verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// The scripts that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// What came out.
    pub verdict: VerdictRecord,
}

/// What a policy cost at one stage.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// The policy.
    pub policy: Arc<str>,
    /// CPU time of its script, reruns included.
    #[serde(rename = "cost_us", with = "micros")]
    pub spent: Duration,
}

/// What a rule said at one stage.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// `policy.rule`.
    pub rule: Arc<str>,
    /// `enforce`, `shadow` or `off`.
    #[serde(deserialize_with = "word::deserialize")]
    pub mode: Word,
    /// Its policy is a gate, which nothing softens.
    #[serde(skip_serializing_if = "is_default")]
    pub gate: bool,
    /// What it did: an action (`reject`), what it would have done (`would_reject`), `passed`, `off`, `skipped`, `failed`, or
    /// `not_asked` where an earlier policy had spoken.
    #[serde(deserialize_with = "word::deserialize")]
    pub outcome: Word,
    /// `file:line` of what it said, or of where it could.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub place: Arc<str>,
    /// What its policy says of it, where it spoke: the first line of its documentation.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub about: Arc<str>,
    /// What its policy has to say to the operator, where it spoke, or may speak later: RULES.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<Arc<RuleWords>>,
    /// The rule in shadow that spoke earlier in the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Arc<str>>,
}

/// A fact that a policy asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// The policy that asked first; empty for one that the session remembered.
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub policy: Arc<str>,
    /// The other policies that had the answer in hand; all of them for one that the session remembered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Arc<str>>,
    /// What was asked.
    pub question: Question,
    /// The answer. Absent for the results of checks, which are in the decision's `checks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// From the question to the answer; 0 for one that was remembered.
    #[serde(default, rename = "took_us", with = "micros", skip_serializing_if = "Duration::is_zero")]
    pub took: Duration,
}

/// A setting or list that a policy read.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Read {
    /// The policy that read it.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub policy: Arc<str>,
    /// What was read, such as `setting size.max_size` or `list partners`.
    pub what: String,
    /// What it said.
    pub value: String,
}

/// What a policy ordered beside its verdict.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Effect {
    /// The policy, or `policy.rule`.
    pub by: Arc<str>,
    /// The effect in words, such as `tag dmarc=quarantine`.
    pub effect: String,
    /// It was not applied, as its policy or rule is in shadow.
    #[serde(skip_serializing_if = "is_default")]
    pub shadow: bool,
}

/// A script that failed.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fault {
    /// The policy.
    pub policy: Arc<str>,
    /// How: `script`, `thrown`, `time`, `operations`, `facts`, `size`, `depth` or `panic`.
    #[serde(deserialize_with = "word::deserialize")]
    pub kind: Word,
    /// `file:line:column`.
    pub place: String,
    /// What happened.
    pub message: String,
}

/// What came out of a stage.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerdictRecord {
    /// `pass`, `reject`, `defer`, `disconnect`, `discard` or `quarantine`.
    #[serde(deserialize_with = "word::deserialize")]
    pub action: Word,
    /// The rule that said so; empty for `pass`.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub rule: Arc<str>,
    /// The reply, without id; empty where there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reply: String,
}

impl Fact {
    /// Whether `policy` had it in hand.
    pub fn is_of(&self, policy: &str) -> bool {
        std::iter::once(&self.policy).chain(&self.also).any(|asker| **asker == *policy)
    }
}
