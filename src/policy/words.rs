//! The host's words on one page: what a script may call, where, and what must be written out.

use super::judgement::Action;
use crate::session::stage::Stage;
use crate::smtp::reply::EnhancedCode;

/// A function of the host's that means more than its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) name: &'static str,
    pub(super) nature: Nature,
    /// What its first argument names; it must be written out as a text.
    pub(super) names: Option<Named>,
    /// The stages at which it can be used.
    pub(super) stages: &'static [Stage],
}

/// What a word does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Nature {
    /// Ends the script.
    Verdict(Action),
    /// Orders something and goes on.
    Effect,
    /// Reads what belongs to the policy or the session.
    Read,
    /// Asks the world outside.
    Fact,
    /// Computes.
    Function,
}

/// What the literal first argument of a word names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Named {
    Rule,
    /// One to eight policies or rules.
    Target,
    Setting,
    List,
    Regex,
    /// A reason of RFC 9990 for not following a DMARC policy.
    Override,
}

const ANY: &[Stage] = &Stage::ALL;
/// Nothing can be refused once the session is over.
const BEFORE_CLOSE: &[Stage] = &[
    Stage::Connect,
    Stage::Helo,
    Stage::Auth,
    Stage::Mail,
    Stage::Rcpt,
    Stage::Data,
    Stage::Message,
    Stage::Violation,
];
const IN_TRANSACTION: &[Stage] = &[Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Message];
const BEFORE_BODY: &[Stage] = &[Stage::Rcpt, Stage::Data];
const AT_MESSAGE: &[Stage] = &[Stage::Message];

/// Every word but the plain functions, which need no rules of their own.
pub(super) const WORDS: [Word; 19] = [
    word("reject", Nature::Verdict(Action::Reject), Some(Named::Rule), BEFORE_CLOSE),
    word("defer", Nature::Verdict(Action::Defer), Some(Named::Rule), BEFORE_CLOSE),
    word("disconnect", Nature::Verdict(Action::Disconnect), Some(Named::Rule), BEFORE_CLOSE),
    word("discard", Nature::Verdict(Action::Discard), Some(Named::Rule), IN_TRANSACTION),
    word("limit_size", Nature::Effect, Some(Named::Rule), BEFORE_BODY),
    word("skip", Nature::Effect, Some(Named::Target), BEFORE_CLOSE),
    word("override_dmarc", Nature::Effect, Some(Named::Override), AT_MESSAGE),
    word("note", Nature::Effect, None, BEFORE_CLOSE),
    word("tag", Nature::Effect, None, BEFORE_CLOSE),
    word("setting", Nature::Read, Some(Named::Setting), ANY),
    word("list", Nature::Read, Some(Named::List), ANY),
    word("noted", Nature::Read, None, ANY),
    word("dns_a", Nature::Fact, None, BEFORE_CLOSE),
    word("dns_aaaa", Nature::Fact, None, BEFORE_CLOSE),
    word("dns_mx", Nature::Fact, None, BEFORE_CLOSE),
    word("dns_txt", Nature::Fact, None, BEFORE_CLOSE),
    word("dns_ptr", Nature::Fact, None, BEFORE_CLOSE),
    word("mail_hosts", Nature::Fact, None, BEFORE_CLOSE),
    word("matches", Nature::Function, Some(Named::Regex), ANY),
];

/// Facts without arguments of their own; kept apart because nothing but their nature is checked.
pub(super) const PLAIN_FACTS: [&str; 3] = ["fcrdns", "now", "random"];

/// What scripts may not say, and why.
pub(super) const FORBIDDEN: [(&str, &str); 10] = [
    ("eval", "a script cannot write scripts"),
    ("Fn", "functions are called by their names"),
    ("call", "functions are called by their names"),
    ("curry", "functions are called by their names"),
    ("import", "files in policies/lib are there under their own names: `net::f(x)`"),
    ("export", "every function of a file in policies/lib can be used"),
    ("print", "nobody would read it; use `note` or `tag`"),
    ("debug", "nobody would read it; use `note` or `tag`"),
    ("sleep", "a script never waits"),
    ("timestamp", "the time is a fact: `now()`"),
];

/// The rule under which a policy's failure is counted; no rule of a script may have this name.
pub(super) const ERROR_RULE: &str = "error";

/// Reasons that RFC 9990 knows for not following a DMARC policy.
pub(super) const OVERRIDES: [&str; 5] =
    ["local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder"];

const fn word(name: &'static str, nature: Nature, names: Option<Named>, stages: &'static [Stage]) -> Word {
    Word { name, nature, names, stages }
}

/// The word with this name.
pub(super) fn find(name: &str) -> Option<&'static Word> {
    WORDS.iter().find(|word| word.name == name)
}

/// The parameters of a stage's function, or `None` where a stage has none.
pub(super) const fn parameters(stage: Stage) -> &'static [&'static str] {
    match stage {
        Stage::Connect | Stage::Helo | Stage::Auth | Stage::Close => &["session"],
        Stage::Mail | Stage::Data => &["session", "mail"],
        Stage::Rcpt => &["session", "mail", "rcpt"],
        Stage::Message => &["session", "mail", "message"],
        Stage::Violation => &["session", "event"],
    }
}

/// The stage whose function has this name.
pub(super) fn stage_named(name: &str) -> Option<Stage> {
    Stage::ALL.into_iter().find(|stage| stage.name() == name)
}

/// The codes of a verdict that names none.
pub(super) const fn default_codes(action: Action) -> (u16, EnhancedCode) {
    match action {
        Action::Reject => (550, EnhancedCode::new(5, 7, 1)),
        Action::Defer => (451, EnhancedCode::new(4, 7, 1)),
        Action::Disconnect => (421, EnhancedCode::new(4, 7, 0)),
        Action::Discard => (250, EnhancedCode::new(2, 0, 0)),
        Action::LimitSize => (552, EnhancedCode::new(5, 3, 4)),
    }
}

/// The code that goes over the wire: at `connect` only 554 and 421 are allowed (RFC 5321 3.1).
pub(super) const fn code_at(stage: Stage, code: u16) -> u16 {
    match (stage, code / 100) {
        (Stage::Connect, 5) => 554,
        (Stage::Connect, 4) => 421,
        _ => code,
    }
}

/// Whether this can be the name of a rule, of a policy, or of a setting: it becomes a label and a key.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}
