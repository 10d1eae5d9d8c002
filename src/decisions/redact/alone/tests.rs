use super::*;
use crate::decisions::record::{Fact, Mail, Rcpt, Recipient, StageRecord};
use crate::policy::question::{Listable, Zone};

fn to(address: &str) -> Recipient {
    Recipient { rcpt: Rcpt { address: address.to_owned(), ..Rcpt::default() }, ..Recipient::default() }
}

fn from(sender: &str, recipient: &str) -> Decision {
    Decision {
        mail: Some(Mail { sender: sender.to_owned(), ..Mail::default() }),
        recipients: vec![to(recipient)],
        hostname: "mx.example.org".into(),
        ..Decision::default()
    }
}

#[track_caller]
fn is(decision: &Decision, kind: Text, text: &str, expected: &str) {
    assert_eq!(LocalParts::of(decision).taken_out(text, kind), expected, "{text}");
}

#[test]
fn names_that_a_policy_put_together_lose_the_local_part() {
    let decision = from("Joe@sender.example", "suzie.q+news@example.org");
    for (name, expected) in [
        ("joe.example.org", "[redacted].example.org"),
        ("joe._spf.sender.example", "[redacted]._spf.sender.example"),
        ("suzie.q.users.example.net", "[redacted].users.example.net"),
        ("suzie.q+news.users.example.net", "[redacted].users.example.net"),
        ("a.joe-b.example.net", "a.[redacted]-b.example.net"),
        ("joey.example.net", "joey.example.net"),
        ("joe", "[redacted]"),
    ] {
        is(&decision, Text::Name, name, expected);
    }
}

/// Whoever chooses a local part like a domain of ours, or a list's, cannot make that unreadable.
#[test]
fn names_that_everybody_knows_stay() {
    let mut decision = from("example@mail.sender.example", "org@example.org");
    decision.helo = "example.client.example".to_owned();
    let zone = |name: &str, known| Zone { name: name.to_owned(), known };
    let zones = vec![zone("example.list.test", true), zone("org.computed.test", false)];
    let question = Question::Listed(vec![Listable::Domain("org.net".to_owned())], zones);
    let fact = Fact {
        policy: "own".into(),
        also: Vec::new(),
        question,
        answer: None,
        took: std::time::Duration::ZERO,
    };
    decision.stages = vec![StageRecord { facts: vec![fact], ..StageRecord::default() }];
    for name in [
        "example.org",
        "sender.example",
        "_dmarc.mail.sender.example",
        "example.client.example",
        "example.list.test",
        "zen.spamhaus.org",
        "192.0.2.9",
        "2001:db8::/32",
    ] {
        is(&decision, Text::Name, name, name);
    }
    is(&decision, Text::Name, "org.computed.test", "[redacted].computed.test");
    is(&decision, Text::Name, "example.example.org", "[redacted].example.org");
}

#[test]
fn urls_lose_it_behind_the_host() {
    let mut decision = from("o'brien@sender.example", "web@example.org");
    decision.authors = vec!["Jürgen@sender.example".to_owned()];
    for (url, expected) in [
        (
            "https://web.example/users/web?x=Web#web",
            "https://web.example/users/[redacted]?x=[redacted]#[redacted]",
        ),
        ("https://web.example", "https://web.example"),
        ("https://web.example?q=a%2Fo%27brien", "https://web.example?q=a%2F[redacted]"),
        ("http://10.0.0.1:8080/J%C3%BCrgen/jürgen", "http://10.0.0.1:8080/[redacted]/[redacted]"),
        ("/web", "/[redacted]"),
    ] {
        is(&decision, Text::Url, url, expected);
    }
    is(&decision, Text::Name, "xn--jrgen-kva.users.example", "[redacted].users.example");
}

#[test]
fn capitals_beyond_ascii_hide_nothing() {
    let decision = from("JÜRGEN+News@sender.example", "Örjan@example.org");
    for text in
        ["JÜRGEN", "jürgen", "Jürgen+news", "jÜrgen+NEWS", "J%C3%9CRGEN", "j%c3%bcrgen", "Örjan", "örjan"]
    {
        is(&decision, Text::Free, text, "[redacted]");
    }
}

#[test]
fn what_is_sent_as_json_loses_it() {
    let decision = from(r#""odd \"one\""@sender.example"#, "suzie@example.org");
    is(
        &decision,
        Text::Free,
        r#"{"user":"odd \"one\"","to":"suzie"}"#,
        r#"{"user":"[redacted]","to":"[redacted]"}"#,
    );
    is(&decision, Text::Free, r#"no odd "one" here"#, "no [redacted] here");
}

#[test]
fn replies_keep_their_codes_and_their_id() {
    let decision = from("550@sender.example", "gp@example.org");
    is(
        &decision,
        Text::Reply,
        "550 5.5.0 550 and GP are unknown (gp 7f3k2a7q4d)",
        "550 5.5.0 [redacted] and [redacted] are unknown (gp 7f3k2a7q4d)",
    );
    is(&decision, Text::Reply, "550 550 is unknown", "550 [redacted] is unknown");
    is(&decision, Text::Reply, "550", "550");
}

#[test]
fn names_of_fields_and_settings_stay() {
    let decision = from("setting@sender.example", "subject@example.org");
    is(&decision, Text::Behind(':'), "Subject: for subject\r\n", "Subject: for [redacted]\r\n");
    is(&decision, Text::Behind(':'), "setting size.max_size", "setting size.max_size");
    is(&decision, Text::Behind(':'), "list setting: setting", "list setting: [redacted]");
}

#[test]
fn what_hides_nothing_is_not_looked_for() {
    for (sender, recipient) in
        [("", "postmaster"), ("+@x.example", "\"\"@example.org"), ("redacted@x.example", "\".\"@y.example")]
    {
        let decision = from(sender, recipient);
        is(&decision, Text::Free, "[redacted]: a+b. \"\"", "[redacted]: a+b. \"\"");
    }
    is(&from("", "postmaster"), Text::Free, "the postmaster", "the [redacted]");
}

#[test]
fn words_are_found_wherever_they_stand_alone() {
    for (text, word, expected) in [
        ("joe", "joe", "[redacted]"),
        ("JOE joey xjoe joe.joe", "joe", "[redacted] joey xjoe [redacted].[redacted]"),
        ("ab-b-b", "b-b", "ab-[redacted]"),
        ("%4ajoe 4ajoe", "joe", "%4a[redacted] 4ajoe"),
        ("Äjoe joeä joe", "joe", "Äjoe joeä [redacted]"),
        ("", "joe", ""),
        ("joe", "", "joe"),
    ] {
        assert_eq!(without_word(text, word), expected, "{text}");
    }
}
