//! What is taken out of decisions before they are kept.

use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;
use regex::Regex;
use serde_json::Value;

use super::record::Decision;
use crate::checks::results::Spf;
use crate::serial::REDACTED as MARK;

/// What is taken out of decisions before they are kept, in memory or on disk.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Redact {
    /// Nothing.
    #[default]
    None,
    /// Local parts of addresses, wherever they stand: in the envelope, in header fields, in replies, in what was asked. Logins too.
    LocalPart,
}

/// A local part with its `@`, in text, in a URL (`%40`) or in xtext (`+40`, RFC 3461 4). What precedes an address (`<`, a space) is
/// no part of it; `=` is (`bounce+suzie=example.org@lists.example`), but behind the names under which addresses commonly stand.
#[allow(clippy::expect_used)] // A constant: the test below compiles it.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    let label = r"((?i:\bauth|\bsmtp\.[a-z]+|\bheader\.[a-z]+|\benvelope-from|\bi)=)?";
    let local = r#"(?:"(?:[^"\\]|\\.)*"|[^\s<>@,;:"()\[\]]+?)"#;
    Regex::new(&format!("{label}{local}(@|%40|\\+40)")).expect("the pattern of an address compiles")
});

/// Keys under which one address stands alone.
const ADDRESSES: [&str; 4] = ["sender", "recipient", "address", "user"];
/// Keys under which text stands that policies and servers wrote, logins perhaps in it.
const TEXTS: [&str; 8] = ["reply", "detail", "effect", "message", "value", "url", "body", "reason"];

/// Keys under which names stand that were looked up, and what a domain says about a failure.
const EXPANDED: [&str; 2] = ["name", "explanation"];

impl Redact {
    /// Takes it out of `json`, which is what `decision` is in JSON.
    pub(super) fn apply(self, decision: &Decision, json: &mut Value) {
        if self == Self::None {
            return;
        }
        let login = decision.auth.as_ref().map_or("", |auth| &auth.user);
        take_out(json, "", &Known { login, expansions: expansions(decision) });
        if let Some(user) = json.pointer_mut("/auth/user")
            && !login.is_empty()
            && !login.contains('@')
        {
            *user = Value::from(MARK);
        }
        if let Some(json) = json.as_object_mut() {
            json.insert("redacted".to_owned(), Value::Bool(true));
        }
    }
}

/// What nobody would know for a local part or a login by its look.
#[derive(Debug, Default)]
struct Known<'d> {
    login: &'d str,
    /// Names and texts that macros of SPF made, and the same without the local part.
    expansions: Vec<(&'d str, &'d str)>,
}

/// What macros of SPF have put local parts into. The longest first, since one may be in another.
fn expansions(decision: &Decision) -> Vec<(&str, &str)> {
    let checks = [&decision.checks.helo_spf, &decision.checks.spf];
    let mut found: Vec<_> = checks.into_iter().flatten().flat_map(|spf| expansions_of(spf)).collect();
    found.retain(|(whole, _)| !whole.is_empty());
    found.sort_by_key(|(whole, _)| std::cmp::Reverse(whole.len()));
    found
}

fn expansions_of(spf: &Spf) -> impl Iterator<Item = (&str, &str)> {
    let names = spf.lookups.iter().filter_map(|asked| Some((&*asked.name, asked.name_less.as_deref()?)));
    names.chain(spf.explanation_less.as_deref().map(|less| (&*spf.explanation, less)))
}

/// Takes it out of what stands under `key`.
fn take_out(value: &mut Value, key: &str, known: &Known<'_>) {
    match value {
        Value::String(text) => {
            if let Some(less) = without(text, key, known) {
                *text = less;
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|value| take_out(value, key, known)),
        Value::Object(all) => all.iter_mut().for_each(|(key, value)| take_out(value, key, known)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text without what is to be taken out; `None` where it stays.
fn without(text: &str, key: &str, known: &Known<'_>) -> Option<String> {
    if ADDRESSES.contains(&key)
        && let Some((_, domain)) = text.rsplit_once('@')
    {
        return Some(format!("{MARK}@{domain}"));
    }
    if key == "said" {
        return without_argument(text);
    }
    // What policies count by and remember is whatever they put together, a login or a local part among it.
    if key == "key" {
        let is_client = text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok();
        return (!is_client && !text.is_empty()).then(|| MARK.to_owned());
    }
    let mut less = text.to_owned();
    if TEXTS.contains(&key) || EXPANDED.contains(&key) {
        known.expansions.iter().for_each(|(whole, masked)| less = less.replace(whole, masked));
    }
    less = ADDRESS.replace_all(&less, format!("${{1}}{MARK}${{2}}")).into_owned();
    if TEXTS.contains(&key) {
        less = without_word(&less, known.login);
    }
    (less != text).then_some(less)
}

/// A command that broke the grammar without what stands behind its verb, but for HELO and EHLO: where a local part ends is in doubt.
fn without_argument(text: &str) -> Option<String> {
    let verb: String = text.chars().take(4).collect();
    let names = ["HELO", "EHLO"].iter().any(|greeting| verb.eq_ignore_ascii_case(greeting));
    (!names).then(|| format!("{verb} {MARK}"))
}

/// `text` without `word` where it stands alone.
fn without_word(text: &str, word: &str) -> String {
    if word.is_empty() {
        return text.to_owned();
    }
    let (mut less, mut rest) = (String::new(), text);
    let joins = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    while let Some((before, behind)) = rest.split_once(word) {
        let last = before.chars().next_back().or_else(|| less.chars().next_back());
        let alone = !joins(last) && !joins(behind.chars().next());
        less.push_str(before);
        less.push_str(if alone { MARK } else { word });
        rest = behind;
    }
    less + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::results::Asked;
    use crate::decisions::record::{Checks, Login};

    fn of(json: &Value) -> Decision {
        let login =
            json["auth"]["user"].as_str().map(|user| Login { user: user.to_owned(), ..Login::default() });
        Decision { auth: login, ..Decision::default() }
    }

    #[test]
    fn local_parts_are_gone_wherever_they_stand() {
        let mut decision = serde_json::json!({
            "auth": { "user": "joe" },
            "mail": { "sender": "Joe.Doe+x@sender.example", "parameters": ["AUTH=joe@sender.example"] },
            "reply": "550 5.1.1 <suzie@example.org>, \"odd one\"@example.org and suzie@example.org are unknown",
            "header": { "fields": [["from", " Joe <joe@sender.example>"]] },
            "size": 3,
        });
        Redact::LocalPart.apply(&of(&decision), &mut decision);
        let text = decision.to_string();
        for gone in ["joe", "Joe.Doe", "suzie", "odd one"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
        assert!(text.contains("[redacted]@sender.example") && text.contains("\"redacted\":true"), "{text}");
    }

    #[test]
    fn an_address_within_an_address_is_gone_too() {
        let inner = "bounce+suzie=example.org@lists.example";
        let mut decision = serde_json::json!({
            "mail": { "sender": inner, "parameters": ["AUTH=bounce+suzie=example.org@lists.example"] },
            "recipients": [{ "address": "\"suzie@home\"@example.org", "orcpt": "rfc822;suzie+40example.org" }],
            "reply": format!("550 <{inner}> and smtp.mailfrom={inner} are unknown"),
            "stages": [{ "rcpt": { "address": "suzie=x@example.org" }, "facts": [
                { "question": { "http_get": "https://web.example/?rcpt=suzie%40example.org" } },
                { "question": { "state": { "ask": { "greylist": { "sender": inner, "client": "192.0.2.0/24" } } } } },
            ] }],
        });
        Redact::LocalPart.apply(&of(&decision), &mut decision);
        let text = decision.to_string();
        assert!(!text.contains("suzie") && !text.contains("bounce"), "{text}");
        assert_eq!(decision["mail"]["sender"], "[redacted]@lists.example");
        assert_eq!(decision["mail"]["parameters"][0], "AUTH=[redacted]@lists.example");
        assert!(
            text.contains("smtp.mailfrom=[redacted]@lists.example") && text.contains("192.0.2.0/24"),
            "{text}"
        );
    }

    #[test]
    fn what_a_malformed_command_said_is_gone() {
        for (said, expected) in [
            ("MAIL FROM:<joe doe@x.example>", "MAIL [redacted]"),
            ("rcpt to:suzie@@example.org", "rcpt [redacted]"),
            ("EHLO a b", "EHLO a b"),
        ] {
            let mut decision = serde_json::json!({ "deciding": { "rule": "bad-path", "said": said } });
            Redact::LocalPart.apply(&of(&decision), &mut decision);
            assert_eq!(decision["deciding"]["said"], expected);
        }
    }

    #[test]
    fn logins_are_gone_from_facts_and_texts() {
        let ask =
            |key: &str| serde_json::json!({ "state": { "ask": { "rate": { "rule": "a.b", "key": key } } } });
        let mut decision = serde_json::json!({
            "auth": { "user": "mail" },
            "reply": "450 4.7.1 mail sends too much mailings",
            "stages": [{ "stage": "mail", "facts": [
                { "question": ask("mail") }, { "question": ask("192.0.2.9") }, { "question": ask("mail 192.0.2.9") },
            ], "effects": [{ "by": "a", "effect": "tag user=mail" }] }],
        });
        Redact::LocalPart.apply(&of(&decision), &mut decision);
        assert_eq!(decision["auth"]["user"], MARK);
        assert_eq!(decision["reply"], "450 4.7.1 [redacted] sends too much mailings");
        let stage = &decision["stages"][0];
        assert_eq!(stage["stage"], "mail", "a word of ours stays");
        assert_eq!(stage["effects"][0]["effect"], "tag user=[redacted]");
        let keys: Vec<_> =
            (0..3).map(|fact| &stage["facts"][fact]["question"]["state"]["ask"]["rate"]["key"]).collect();
        assert_eq!(keys, [MARK, "192.0.2.9", MARK]);
    }

    #[test]
    fn what_macros_made_of_a_local_part_is_gone_from_names_and_texts() {
        let asked = |name: &str, less: Option<&str>| Asked {
            name: name.to_owned(),
            name_less: less.map(Into::into),
            ..Asked::default()
        };
        let spf = Spf {
            lookups: vec![
                asked("a.example", None),
                asked("bad.a.example", Some("[redacted].a.example")),
                asked("strong.bad.a.example", Some("[redacted].a.example")),
                asked("reject", Some("[redacted]")),
            ],
            explanation: "not for strong".to_owned(),
            explanation_less: Some("not for [redacted]".into()),
            ..Spf::default()
        };
        let reply = "550 5.7.23 not for strong; see strong.bad.a.example".to_owned();
        let checks = Checks { spf: Some(spf.into()), ..Checks::default() };
        let decision = Decision { checks, reply, outcome: "rejected", ..Decision::default() };
        let mut json = serde_json::to_value(&decision).unwrap();
        assert!(!json.to_string().contains("_less"), "{json}");
        Redact::LocalPart.apply(&decision, &mut json);
        let names: Vec<_> = (0..4).map(|at| &json["checks"]["spf"]["lookups"][at]["name"]).collect();
        assert_eq!(names, ["a.example", "[redacted].a.example", "[redacted].a.example", "[redacted]"]);
        assert_eq!(json["checks"]["spf"]["explanation"], "not for [redacted]");
        assert_eq!(json["reply"], "550 5.7.23 not for [redacted]; see [redacted].a.example");
        assert_eq!(json["outcome"], "rejected", "a word of ours stays");
    }

    #[test]
    fn nothing_is_taken_out_unless_asked() {
        let mut decision = serde_json::json!({ "mail": { "sender": "joe@sender.example" } });
        let before = decision.clone();
        Redact::None.apply(&of(&decision), &mut decision);
        assert_eq!(decision, before);
    }
}
