//! What names may be, which words are taken, and which codes a verdict has. What a script may call stands in
//! [`language`](super::language).

use super::judgement::Action;
use crate::session::stage::Stage;
use crate::smtp::reply::EnhancedCode;

/// The stages at which a policy of a domain's own has a say.
pub(super) const TENANT_STAGES: [Stage; 2] = [Stage::Rcpt, Stage::Message];

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

/// The stage whose function has this name.
pub(super) fn stage_named(name: &str) -> Option<Stage> {
    Stage::ALL.into_iter().find(|stage| stage.name() == name)
}

/// The codes of a verdict that names none; 250 where nothing is refused.
pub(super) const fn default_codes(action: Action) -> (u16, EnhancedCode) {
    match action {
        Action::Reject => (550, EnhancedCode::new(5, 7, 1)),
        Action::Defer => (451, EnhancedCode::new(4, 7, 1)),
        Action::Disconnect => (421, EnhancedCode::new(4, 7, 0)),
        Action::LimitSize => (552, EnhancedCode::new(5, 3, 4)),
        _ => (250, EnhancedCode::new(2, 0, 0)),
    }
}

/// The code that goes over the wire: at `connect` only 554 and 421 are allowed (RFC 5321 3.1), and a login is refused with codes of
/// its own (RFC 4954 6).
pub(super) const fn code_at(stage: Stage, code: u16) -> u16 {
    match (stage, code) {
        (Stage::Connect, 500..) => 554,
        (Stage::Connect, 400..) => 421,
        (Stage::Auth, 550) => 535,
        (Stage::Auth, 451) => 454,
        _ => code,
    }
}

/// The enhanced code that goes with it: what a verdict has by default means something else at `auth`.
pub(super) const fn enhanced_at(stage: Stage, enhanced: EnhancedCode) -> EnhancedCode {
    match (stage, enhanced.class, enhanced.subject, enhanced.detail) {
        (Stage::Auth, 5, 7, 1) => EnhancedCode::new(5, 7, 8),
        (Stage::Auth, 4, 7, 1) => EnhancedCode::new(4, 7, 0),
        _ => enhanced,
    }
}

/// Whether this can be the name of a tag.
pub(super) fn is_tag(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Whether this can be the name of a rule, of a policy, or of a setting: it becomes a label and a key.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}
