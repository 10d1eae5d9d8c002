//! What is taken out of decisions before they are kept.

mod alone;

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use self::alone::{LocalParts, Text, is_client, without_word};
use super::record::Decision;
use crate::checks::results::Spf;
use crate::serial::REDACTED as MARK;

/// What is taken out of decisions before they are kept, in memory or on disk.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Redact {
    /// Nothing.
    #[default]
    None,
    /// Local parts of addresses, wherever those stand: in the envelope, in header fields, in replies, in what was asked. Those of the
    /// envelope and of From also where they stand alone. Logins too.
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
const TEXTS: [&str; 9] = ["reply", "detail", "order", "effect", "message", "value", "url", "body", "reason"];

/// Keys under which names stand that were looked up or that files have, and what a domain says about a failure.
const EXPANDED: [&str; 3] = ["name", "other_names", "explanation"];

/// Where a value stands.
#[derive(Clone, Copy, Debug, Default)]
struct Place<'k> {
    key: &'k str,
    /// Within the facts, but for what policies count and remember by: there the same keys mean something else.
    in_facts: bool,
}

impl<'k> Place<'k> {
    fn below(self, key: &'k str) -> Self {
        Self { key, in_facts: (self.in_facts && key != "state") || key == "facts" }
    }

    /// What a text here is, if local parts may stand alone in it: it is nothing of ours.
    fn text(self) -> Option<Text> {
        Some(match self.key {
            "dns" | "mail_hosts" | "domain" | "subject" | "zone" | "name" | "other_names" | "host"
                if self.in_facts =>
            {
                Text::Name
            }
            "http_get" => Text::Url,
            "values" | "error" if self.in_facts => Text::Free,
            "url" => Text::Url,
            "reply" => Text::Reply,
            "effect" => Text::Behind(' '),
            "parameters" => Text::Behind('='),
            "fields" | "what" => Text::Behind(':'),
            "body" | "detail" | "envid" | "explanation" | "message" | "orcpt" | "order" | "value" => {
                Text::Free
            }
            _ => return None,
        })
    }
}

impl Redact {
    /// Takes it out of `json`, which is what `decision` is in JSON.
    pub(super) fn apply(self, decision: &Decision, json: &mut Value) {
        if self == Self::None {
            return;
        }
        let (expansions, alone) = (expansions(decision), LocalParts::of(decision));
        let source = decision.deciding.as_ref().map_or("", |deciding| deciding.source);
        let detail_is_ours = matches!(source, "limit" | "protocol");
        let mut logins: Vec<_> = logins(decision).flat_map(alone::lowered).collect();
        logins.sort_by_key(|login| std::cmp::Reverse(login.len()));
        let known = Known { logins, expansions, alone, detail_is_ours };
        take_out(json, Place::default(), &known);
        for whole in ["/auth/user", "/tried/user"] {
            if let Some(user) = json.pointer_mut(whole)
                && user.as_str().is_some_and(|user| !user.is_empty() && !user.contains('@'))
            {
                *user = Value::from(MARK);
            }
        }
        if let Some(json) = json.as_object_mut() {
            json.insert("redacted".to_owned(), Value::Bool(true));
        }
    }
}

/// What nobody would know for a local part or a login by its look.
#[derive(Debug, Default)]
struct Known<'d> {
    /// In lower case, the longest first.
    logins: Vec<String>,
    /// Names and texts that macros of SPF made, and the same without the local part.
    expansions: Vec<(&'d str, &'d str)>,
    alone: LocalParts,
    /// What the operator reads beyond the reply is ours, with figures in it.
    detail_is_ours: bool,
}

/// Every login that the decision knows of: that of the session, one that was refused, and those before.
fn logins(decision: &Decision) -> impl Iterator<Item = &str> {
    let last = decision.auth.iter().chain(&decision.tried).map(|login| &login.user);
    last.chain(&decision.logins).map(String::as_str)
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

/// Takes it out of what stands there.
fn take_out(value: &mut Value, at: Place<'_>, known: &Known<'_>) {
    match value {
        Value::String(text) => {
            if let Some(less) = without(text, at, known) {
                *text = less;
            }
        }
        Value::Array(all) => {
            // The first of a question to the DNS is the type of records.
            let ours = usize::from(at.in_facts && at.key == "dns");
            all.iter_mut().skip(ours).for_each(|value| take_out(value, at, known));
        }
        Value::Object(all) => all.iter_mut().for_each(|(key, value)| take_out(value, at.below(key), known)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text without what is to be taken out; `None` where it stays.
fn without(text: &str, at: Place<'_>, known: &Known<'_>) -> Option<String> {
    let key = at.key;
    if ADDRESSES.contains(&key)
        && let Some((_, domain)) = text.rsplit_once('@')
    {
        return Some(format!("{MARK}@{domain}"));
    }
    if key == "said" {
        return without_argument(text);
    }
    // The sender's name for the message (RFC 3461 4.4), in which many write down an address, each in its own way.
    if key == "envid" {
        return (!text.is_empty()).then(|| MARK.to_owned());
    }
    if key == "parameters" && text.get(..6).is_some_and(|name| name.eq_ignore_ascii_case("ENVID=")) {
        return Some(format!("ENVID={MARK}"));
    }
    // What policies count by and remember is whatever they put together, a login or a local part among it.
    if key == "key" {
        return (!is_client(text) && !text.is_empty()).then(|| MARK.to_owned());
    }
    let mut less = text.to_owned();
    if TEXTS.contains(&key) || EXPANDED.contains(&key) {
        known.expansions.iter().for_each(|(whole, masked)| less = less.replace(whole, masked));
    }
    less = ADDRESS.replace_all(&less, format!("${{1}}{MARK}${{2}}")).into_owned();
    if TEXTS.contains(&key) {
        known.logins.iter().for_each(|login| less = without_word(&less, login));
    }
    if let Some(kind) = at.text().filter(|_| key != "detail" || !known.detail_is_ours) {
        less = known.alone.taken_out(&less, kind);
    }
    (less != text).then_some(less)
}

/// A command that broke the grammar without what stands behind its verb, but for HELO and EHLO: where a local part ends is in doubt.
fn without_argument(text: &str) -> Option<String> {
    let verb: String = text.chars().take(4).collect();
    let names = ["HELO", "EHLO"].iter().any(|greeting| verb.eq_ignore_ascii_case(greeting));
    (!names).then(|| format!("{verb} {MARK}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::results::Asked;
    use crate::decisions::record::{self, Checks, Login};

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
    fn the_senders_name_for_a_message_is_gone_whatever_it_is() {
        let mut decision = serde_json::json!({
            "mail": { "envid": "joe.doe.42", "parameters": ["SIZE=5", "envid=joe.doe.42"] },
        });
        Redact::LocalPart.apply(&of(&decision), &mut decision);
        assert_eq!(decision["mail"]["envid"], MARK);
        assert_eq!(decision["mail"]["parameters"], serde_json::json!(["SIZE=5", format!("ENVID={MARK}")]));
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
    fn a_login_that_was_refused_is_gone_too() {
        let tried = Login { user: "joe".to_owned(), mechanism: "plain".to_owned() };
        let reply = "535 5.7.8 joe is unknown".to_owned();
        let decision = Decision { tried: Some(tried), reply, ..Decision::default() };
        let mut json = serde_json::to_value(&decision).unwrap();
        Redact::LocalPart.apply(&decision, &mut json);
        assert_eq!(
            (&json["tried"]["user"], &json["reply"]),
            (&MARK.into(), &"535 5.7.8 [redacted] is unknown".into())
        );
    }

    #[test]
    fn logins_of_the_session_are_gone_wherever_they_stand() {
        let login = |user: &str| Some(Login { user: user.to_owned(), ..Login::default() });
        let decision = Decision {
            auth: login("joe"),
            tried: login("ann@example.org"),
            logins: vec!["suzie".to_owned(), "joe".to_owned()],
            ..Decision::default()
        };
        let mut json = serde_json::json!({
            "auth": { "user": "joe" },
            "tried": { "user": "ann@example.org" },
            "reply": "535 5.7.8 neither Joe nor ann@example.org",
            "stages": [{
                "stage": "auth",
                "facts": [
                    { "question": { "dns": ["a", "suzie.logins.test"] } },
                    { "question": { "http_get": "https://web.example/joe/suzie" } },
                    { "question": { "http_get": "https://web.example/?user=ann%40example.org&ann" } },
                    { "question": { "http_get": "https://web.example:444/?user=ann%40example.org&ann" } },
                ],
                "effects": [{ "by": "own", "effect": "tag users=joe,suzie,ann" }],
                "verdict": { "action": "reject", "reply": "535 5.7.8 no suzie here" },
            }],
        });
        Redact::LocalPart.apply(&decision, &mut json);
        let expected = serde_json::json!({
            "redacted": true,
            "auth": { "user": MARK },
            "tried": { "user": "[redacted]@example.org" },
            "reply": "535 5.7.8 neither [redacted] nor [redacted]@example.org",
            "stages": [{
                "stage": "auth",
                "facts": [
                    { "question": { "dns": ["a", "[redacted].logins.test"] } },
                    { "question": { "http_get": "https://web.example/[redacted]/[redacted]" } },
                    { "question": { "http_get": "https:[redacted]%40example.org&[redacted]" } },
                    { "question": { "http_get": "https://web.example:[redacted]%40example.org&[redacted]" } },
                ],
                "effects": [{ "by": "own", "effect": "tag users=[redacted],[redacted],[redacted]" }],
                "verdict": { "action": "reject", "reply": "535 5.7.8 no [redacted] here" },
            }],
        });
        assert_eq!(json, expected);
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
    fn local_parts_that_stand_alone_are_gone_where_others_wrote() {
        let mut json = serde_json::json!({
            "mail": { "sender": "limit@sender.example", "parameters": ["ENVID=limit", "LIMIT"] },
            "deciding": { "source": "limit", "rule": "limit", "detail": "limit 5 of 5" },
            "header": { "fields": ["Limit: a limit\r\n"] },
            "recipients": [{ "address": "a@example.org", "reply": "550 5.1.1 no A here" }],
            "stages": [{
                "facts": [
                    { "question": { "dns": ["a", "a.users.test"] }, "answer": { "lookup": { "result": "limit", "values": ["for limit"] } } },
                    { "question": { "listed": [[{ "domain": "limit.users.test" }], [{ "name": "limit.test" }]] } },
                    { "question": { "http_post": { "url": "https://limit/limit", "body": "limit", "policy": "limit" } } },
                    { "question": { "state": { "policy": "limit", "ask": { "remember": { "name": "limit.limit", "key": "limit" } } } } },
                ],
                "reads": [{ "policy": "limit", "what": "list limit: limit", "value": "limit" }],
                "effects": [{ "by": "limit", "effect": "limit limit" }],
                "faults": [{ "policy": "limit", "kind": "limit", "message": "limit" }],
            }],
            "outcome": "limit",
        });
        let decision = Decision {
            mail: Some(record::Mail { sender: "limit@sender.example".to_owned(), ..Default::default() }),
            authors: vec!["a@example.org".to_owned()],
            deciding: Some(record::Deciding { source: "limit", ..Default::default() }),
            ..Decision::default()
        };
        Redact::LocalPart.apply(&decision, &mut json);
        let expected = serde_json::json!({
            "redacted": true,
            "mail": { "sender": "[redacted]@sender.example", "parameters": ["ENVID=[redacted]", "LIMIT"] },
            "deciding": { "source": "limit", "rule": "limit", "detail": "limit 5 of 5" },
            "header": { "fields": ["Limit: [redacted] [redacted]\r\n"] },
            "recipients": [{ "address": "[redacted]@example.org", "reply": "550 5.1.1 no [redacted] here" }],
            "stages": [{
                "facts": [
                    { "question": { "dns": ["a", "[redacted].users.test"] }, "answer": { "lookup": { "result": "limit", "values": ["for [redacted]"] } } },
                    { "question": { "listed": [[{ "domain": "[redacted].users.test" }], [{ "name": "[redacted].test" }]] } },
                    { "question": { "http_post": { "url": "https://limit/[redacted]", "body": "[redacted]", "policy": "limit" } } },
                    { "question": { "state": { "policy": "limit", "ask": { "remember": { "name": "limit.limit", "key": "[redacted]" } } } } },
                ],
                "reads": [{ "policy": "limit", "what": "list limit: [redacted]", "value": "[redacted]" }],
                "effects": [{ "by": "limit", "effect": "limit [redacted]" }],
                "faults": [{ "policy": "limit", "kind": "limit", "message": "[redacted]" }],
            }],
            "outcome": "limit",
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn every_name_of_a_file_loses_local_parts() {
        let mut json = serde_json::json!({ "stages": [{ "facts": [{ "answer": { "contents": { "parts": [
            { "name": "cv-suzie.pdf", "other_names": ["suzie.exe", "suzie@example.org.zip", "cv.pdf"] },
        ] } } }] }] });
        let authors = vec!["suzie@example.org".to_owned()];
        Redact::LocalPart.apply(&Decision { authors, ..Decision::default() }, &mut json);
        let part = json.pointer("/stages/0/facts/0/answer/contents/parts/0").unwrap();
        let expected = serde_json::json!({
            "name": "cv-[redacted].pdf",
            "other_names": ["[redacted].exe", "[redacted]@example.org.zip", "cv.pdf"],
        });
        assert_eq!(*part, expected);
    }

    #[test]
    fn nothing_is_taken_out_unless_asked() {
        let mut decision = serde_json::json!({ "mail": { "sender": "joe@sender.example" } });
        let before = decision.clone();
        Redact::None.apply(&of(&decision), &mut decision);
        assert_eq!(decision, before);
    }
}
