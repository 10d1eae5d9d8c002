use super::*;

fn identity(client: &str, session: &str) -> Identity {
    Identity { session: session.into(), listener: "mx".into(), client: client.parse().unwrap() }
}

async fn dialogue() {
    replied(220, || b"220 mx.example.org\r\n".to_vec());
    heard(b"EHLO a.example\r\nMAIL FROM:<joe@sender.example>\r\n");
    tell(|| What::Sender("joe@sender.example".into()));
    heard(b"RCPT TO:<suzie@example.org>\r\n");
    tell(|| What::Recipient("suzie@example.org".into()));
    tell(|| What::Rule {
        rule: "relay.denied".into(),
        verdict: "reject".into(),
        place: "00-relay.rhai:7".into(),
    });
    replied(550, || b"550 5.7.1 no\r\n".to_vec());
    tell(|| What::Closed);
}

/// All that a follower with this filter is shown of a dialogue.
async fn shown(filter: Filter, session: &str) -> Vec<String> {
    let mut follower = follow(filter);
    within(identity("192.0.2.9", session), dialogue()).await;
    let mut lines = Vec::new();
    while let Ok(Some(next)) =
        tokio::time::timeout(std::time::Duration::from_millis(50), follower.next()).await
    {
        match next {
            Shown::Line { identity, line, .. } if identity.session == session => lines.push(line),
            _ => {}
        }
    }
    lines
}

#[tokio::test]
async fn a_session_is_shown_as_a_transcript() {
    let lines = shown(Filter::default(), "aaaaaaaaaa").await;
    let expected = [
        "S: 220 mx.example.org",
        "C: EHLO a.example",
        "C: MAIL FROM:<joe@sender.example>",
        "C: RCPT TO:<suzie@example.org>",
        "rule relay.denied # reject 00-relay.rhai:7",
        "S: 550 5.7.1 no",
        "S: <closed>",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_filter_shows_the_whole_session_or_nothing_of_it() {
    let wants = |key: &str, value: &str| -> Filter {
        serde_json::from_value(serde_json::json!({ key: value })).unwrap()
    };
    for (number, (key, value, wanted)) in [
        ("client", "192.0.2.0/24", true),
        ("client", "198.51.100.0/24", false),
        ("from", "sender.example", true),
        ("from", "other.example", false),
        ("to", "suzie@example.org", true),
        ("to", "sam@example.org", false),
        ("rule", "relay", true),
        ("rule", "relay.denied", true),
        ("rule", "helo", false),
        ("verdict", "reject", true),
        ("verdict", "defer", false),
    ]
    .into_iter()
    .enumerate()
    {
        let lines = shown(wants(key, value), &format!("session{number}")).await;
        assert_eq!(lines.len(), if wanted { 7 } else { 0 }, "{key} {value}: {lines:?}");
    }
}

#[tokio::test]
async fn who_does_not_keep_up_hears_how_much_is_missing() {
    let mut follower = follow(Filter::default());
    within(identity("192.0.2.9", "bbbbbbbbbb"), async {
        for _ in 0..WAITING + 100 {
            say(Speaker::Gatepost, "NOOP");
        }
    })
    .await;
    let first = follower.next().await.unwrap();
    assert!(matches!(first, Shown::Dropped { events } if events >= 100), "{first:?}");
}

#[tokio::test]
async fn outside_a_session_nothing_is_told() {
    let _follower = follow(Filter::default());
    say(Speaker::Upstream, "220 probe");
    heard(b"QUIT\r\n");
}

#[test]
fn lines_are_bounded() {
    assert!(cut(&"é".repeat(LONGEST)).len() <= LONGEST + 4);
}
