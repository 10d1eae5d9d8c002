//! Memory that outlives sessions: asked once, when a script gets there, each mode with keys of its own.

use super::*;

fn asked(policy: &str, occurrence: usize, ask: Ask) -> Question {
    Question::State(StateQuestion { policy: policy.into(), occurrence, ask })
}

fn per_minute(rule: &str, shadow: bool, key: &str, count: u32) -> Ask {
    let limits = vec![RateLimit { count, period: Duration::from_secs(60) }];
    Ask::Rate { rule: rule.into(), shadow, key: key.to_owned(), limits }
}

const OVER: Answer = Answer::Rate(RateAnswer { result: "over", count: 3, retry_after: 17 });

fn in_mode(mode: Mode) -> impl FnOnce(&mut Sources) {
    move |sources| _ = sources.modes.insert("x".to_owned(), mode)
}

#[test]
fn a_rate_is_counted_once_however_often_the_script_runs() {
    let script = mail_policy(
        "let r = rate(\"r\", \"k\", \"3/m\");
         dns_a(\"a.test\"); dns_a(\"b.test\");
         if r.result == \"over\" { defer(\"r\", `${r.count} ${r.retry_after}`); }",
    );
    let mut rig = Rig::new(&[("10-x.rhai", &script)]);
    let question = asked("x", 0, per_minute("x.r", false, "k", 3));
    assert_eq!(told(&rig.mail()), "pass");
    assert_eq!(rig.asked.iter().filter(|asked| **asked == question).count(), 1);
    rig.knows(question.clone(), OVER);
    assert_eq!(told(&rig.mail()), "451 4.7.1 3 17 [x.r]", "the next stage counts anew");
    assert_eq!(rig.asked.iter().filter(|asked| **asked == question).count(), 2);
}

#[test]
fn equal_questions_of_one_run_are_several() {
    let script = mail_policy("for n in 0..3 { rate(\"r\", \"k\", \"3/m\"); } defer(\"r\", \"t\");");
    let mut rig = Rig::new(&[("10-x.rhai", &script)]);
    rig.mail();
    let expected: Vec<_> = (0..3).map(|n| asked("x", n, per_minute("x.r", false, "k", 3))).collect();
    assert_eq!(rig.asked, expected);
}

/// What one policy was told is not what another hears, which may ask after somebody has remembered something.
#[test]
fn each_policy_asks_for_itself() {
    let trap = "fn mail(session, mail) { remembered(\"hit\", \"k\"); remember(\"hit\", \"k\", \"1h\"); }";
    let other = mail_policy("remembered(\"x.hit\", \"k\");");
    let mut rig = Rig::new(&[("10-x.rhai", trap), ("20-y.rhai", &other)]);
    rig.mail();
    let name = || "x.hit".to_owned();
    let key = || "k".to_owned();
    let ask = || Ask::Remembered { name: name(), shadow: false, key: key() };
    let keep = Duration::from_secs(3_600);
    let expected = [
        asked("x", 0, ask()),
        asked("x", 0, Ask::Remember { name: name(), shadow: false, key: key(), keep }),
        asked("y", 0, ask()),
    ];
    assert_eq!(rig.asked, expected);
}

#[test]
fn a_rate_has_the_mode_of_its_rule_and_off_is_not_counted() {
    let script = mail_policy(
        "if rate(\"r\", \"k\", \"3/m\").result == \"over\" { defer(\"r\", \"t\"); } rate(\"free\", \"k\", \"3/m\");",
    );
    let both = |shadow| {
        vec![
            asked("x", 0, per_minute("x.r", shadow, "k", 3)),
            asked("x", 0, per_minute("x.free", shadow, "k", 3)),
        ]
    };
    for (mode, expected) in
        [(Mode::Enforce, both(false)), (Mode::Shadow, both(true)), (Mode::Off, Vec::new())]
    {
        let mut rig = Rig::with(&[("10-x.rhai", &script)], in_mode(mode));
        rig.mail();
        assert_eq!(rig.asked, expected, "{mode:?}");
    }
    let skips = "fn helo(session) { skip(\"x.r\"); }";
    let mut rig = Rig::new(&[("05-s.rhai", skips), ("10-x.rhai", &script)]);
    rig.helo();
    rig.mail();
    assert_eq!(rig.asked, [asked("x", 0, per_minute("x.free", false, "k", 3))], "a skipped rule is off");
}

#[test]
fn greylisting_takes_addresses_and_what_lasts_of_them() {
    let script = "fn rcpt(session, mail, rcpt) {
        let seen = greylist(session.client.ip, mail.sender, rcpt, \"5m\", \"35d\");
        if seen.result == \"wait\" { defer(\"wait\", `${seen.remaining}`); }
        greylist(\"Sender.Test\", \"A@b.test\", \"c@d.test\", \"5m\", \"35d\", 0);
    }";
    let mut rig = Rig::new(&[("10-x.rhai", script)]);
    rig.mail = mail("bounce-17@sender.test");
    assert_eq!(told(&rig.rcpt("to@example.org")), "451 4.7.1 300 [x.wait]");
    let seen = |client: &str, sender: &str, recipient: &str, passes| {
        asked(
            "x",
            0,
            Ask::Greylist {
                space: "x".into(),
                shadow: false,
                client: client.to_owned(),
                sender: sender.to_owned(),
                recipient: recipient.to_owned(),
                delay: Duration::from_secs(300),
                keep: Duration::from_secs(35 * 24 * 3_600),
                passes,
            },
        )
    };
    let first = seen("192.0.2.0/24", "bounce-#@sender.test", "to@example.org", 5);
    assert_eq!(rig.asked, std::slice::from_ref(&first));
    rig.knows(first, Answer::Greylist(GreylistAnswer { result: "pass", remaining: 0 }));
    rig.asked.clear();
    assert_eq!(told(&rig.rcpt("to@example.org")), "pass");
    assert_eq!(rig.asked.last(), Some(&seen("sender.test", "a@b.test", "c@d.test", 0)));
}

/// It is earnest as soon as one rule is: then people do wait.
#[test]
fn greylisting_is_in_shadow_when_all_rules_are() {
    let script = "const MODE = \"shadow\"; fn rcpt(session, mail, rcpt) {
        if greylist(\"k\", \"a\", \"b\", \"5m\", \"35d\").result == \"wait\" { defer(\"wait\", \"t\"); }
    }";
    for (key, shadow) in [(None, true), (Some("x.wait"), false)] {
        let mut rig = Rig::with(&[("10-x.rhai", script)], |sources| {
            sources.modes.extend(key.map(|key| (key.to_owned(), Mode::Enforce)));
        });
        rig.rcpt("to@example.org");
        let is_shadow = rig.asked.iter().map(|question| match question {
            Question::State(StateQuestion { ask: Ask::Greylist { shadow, .. }, .. }) => *shadow,
            other => panic!("{other:?}"),
        });
        assert_eq!(is_shadow.collect::<Vec<_>>(), [shadow], "{key:?}");
    }
}

/// An experiment may not feed an enforcing rule, nor lose what it learns itself.
#[test]
fn what_a_shadow_remembers_only_shadows_are_told() {
    let trap = "fn mail(session, mail) { remember(\"hit\", \"k\", \"24h\"); }";
    let reader = mail_policy("if remembered(\"x.hit\", \"k\").result == \"no\" { tag(\"told\", \"no\"); }");
    for (own, readers, told) in [
        (Mode::Enforce, Mode::Enforce, Some(false)),
        (Mode::Enforce, Mode::Shadow, Some(false)),
        (Mode::Shadow, Mode::Enforce, None),
        (Mode::Shadow, Mode::Shadow, Some(true)),
        (Mode::Off, Mode::Enforce, None),
    ] {
        let mut rig = Rig::with(&[("10-x.rhai", trap), ("20-y.rhai", &reader)], |sources| {
            sources.modes.insert("x".to_owned(), own);
            sources.modes.insert("y".to_owned(), readers);
        });
        let judgement = rig.mail();
        let withheld = judgement.withheld.iter().any(|withheld| withheld.effect == "remember x.hit k");
        assert_eq!(withheld, own == Mode::Shadow);
        let space = rig.asked.iter().find_map(|question| match question {
            Question::State(StateQuestion { ask: Ask::Remembered { shadow, .. }, .. }) => Some(*shadow),
            _ => None,
        });
        assert_eq!(space, told, "{own:?} {readers:?}");
        if told.is_none() && readers == Mode::Enforce {
            assert_eq!(rig.memory.tags(&rig.mail), [("told".to_owned(), "no".to_owned())]);
        }
    }
}

#[test]
fn what_cannot_be_asked_is_the_scripts_fault() {
    for (call, kind) in [
        ("rate(\"r\", \"k\", `${setting(\"limit\")}`)", FaultKind::Script),
        (
            "let k = \"0123456789abcdef\"; for n in 0..7 { k += k; } remember(\"n\", k, \"1h\")",
            FaultKind::Size,
        ),
        ("for n in 0..9 { rate(\"r\", \"k\", \"1/m\"); }", FaultKind::Facts),
    ] {
        let script = format!(
            "const SETTINGS = #{{ limit: \"many\" }};\n{}",
            mail_policy(&format!("{call}; defer(\"r\", \"t\");"))
        );
        let mut rig = Rig::with(&[("10-x.rhai", &script)], |sources| sources.budget.facts = 8);
        let judgement = rig.mail();
        assert_eq!(judgement.errors.first().map(|error| error.kind), Some(kind), "{call}: {judgement:?}");
    }
}
