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
async fn a_session_belongs_to_the_client_that_a_hop_speaks_for() {
    let filter = Filter { client: Some("198.51.100.0/24".parse().unwrap()), ..Filter::default() };
    let mut follower = follow(filter);
    within(identity("192.0.2.9", "cccccccccc"), async {
        say(Speaker::Gatepost, "NOOP");
        speaks_for("198.51.100.7".parse().unwrap());
        say(Speaker::Gatepost, "RSET");
    })
    .await;
    let Some(Shown::Line { identity, line, .. }) = follower.next().await else { panic!("a line") };
    assert_eq!((&*line, identity.client.to_string()), ("G: RSET", "198.51.100.7".to_owned()));
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

/// What happens in a session, as a follower hears of it.
fn event(session: &str, what: What) -> Event {
    Event { identity: Arc::new(identity("192.0.2.9", session)), at: Timestamp::now(), what }
}

fn waiting() -> (broadcast::Sender<Event>, Follower) {
    let (send, events) = broadcast::channel(8);
    let filter = Filter { verdict: Some("reject".into()), ..Filter::default() };
    (send, Follower::new(filter, events))
}

fn rejected() -> What {
    What::Rule { rule: "relay.denied".into(), verdict: "reject".into(), place: String::new() }
}

#[tokio::test]
async fn sessions_whose_end_was_lost_leave_room_for_others() {
    let (send, mut follower) = waiting();
    let mut shown = Vec::new();
    for number in 0..5_000 {
        send.send(event(&format!("lost{number}"), What::Said(Speaker::Client, "NOOP".into()))).unwrap();
        while let Ok(Some(next)) = tokio::time::timeout(std::time::Duration::ZERO, follower.next()).await {
            shown.push(next);
        }
    }
    assert!(
        shown.iter().all(|shown| *shown == Shown::Dropped { events: 1 }),
        "what was kept back is counted"
    );
    assert_eq!(shown.len(), 5_000 - 2_048);
    send.send(event("last", rejected())).unwrap();
    drop(send);
    let mut seen = false;
    while let Some(next) = follower.next().await {
        seen |= matches!(next, Shown::Line { .. });
    }
    assert!(seen, "a session that began later is shown");
}

#[tokio::test]
async fn who_missed_something_twice_forgets_who_was_silent_since() {
    let (send, mut follower) = waiting();
    send.send(event("silent", What::Said(Speaker::Client, "NOOP".into()))).unwrap();
    let mut dropped = Vec::new();
    for _ in 0..2 {
        while tokio::time::timeout(std::time::Duration::ZERO, follower.next()).await.is_ok() {}
        for number in 0..20 {
            send.send(event(&format!("other{number}"), What::Closed)).unwrap();
        }
        dropped.extend(follower.next().await);
    }
    assert_eq!(dropped, [Shown::Dropped { events: 12 }, Shown::Dropped { events: 13 }]);
}

#[tokio::test]
async fn what_is_kept_back_has_a_bound_in_octets() {
    let (send, mut follower) = waiting();
    for number in 0..2_000 {
        for _ in 0..8 {
            let line = "x".repeat(LONGEST);
            send.send(event(&format!("s{number}"), What::Said(Speaker::Client, line))).unwrap();
        }
        while tokio::time::timeout(std::time::Duration::ZERO, follower.next()).await.is_ok() {}
    }
    assert!(follower.kept_back() <= 4 << 20, "{}", follower.kept_back());
    send.send(event("s0", rejected())).unwrap();
    send.send(event("s1999", rejected())).unwrap();
    drop(send);
    assert_eq!(follower.next().await, Some(Shown::Dropped { events: 8 }), "the oldest went first");
    let mut lines = 0;
    while let Some(next) = follower.next().await {
        assert!(matches!(next, Shown::Line { .. }), "{next:?}");
        lines += 1;
    }
    assert_eq!(lines, 1 + 9);
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
