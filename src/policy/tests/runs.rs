//! Verdicts, modes, effects, skips, budgets: how a stage is judged.

use super::*;

#[test]
fn verdicts_have_their_codes() {
    let table = [
        ("reject(\"r\", \"no\")", "550 5.7.1 no [x.r]"),
        ("reject(\"r\", \"5.5.2\", \"no\")", "550 5.5.2 no [x.r]"),
        ("reject(\"r\", 552, \"5.3.4\", \"no\")", "552 5.3.4 no [x.r]"),
        ("defer(\"r\", \"later\")", "451 4.7.1 later [x.r]"),
        ("defer(\"r\", 450, \"4.1.8\", \"later\")", "450 4.1.8 later [x.r]"),
        ("disconnect(\"r\", \"bye\")", "close 421 4.7.0 bye [x.r]"),
        ("disconnect(\"r\", 554, \"5.5.1\", \"bye\")", "close 554 5.5.1 bye [x.r]"),
        ("discard(\"r\", \"spamtrap\")", "discard x.r spamtrap"),
        ("let a = 1;", "pass"),
        ("return; reject(\"r\", \"no\")", "pass"),
    ];
    for (script, expected) in table {
        let mut rig = Rig::new(&[("10-x.rhai", &mail_policy(script))]);
        assert_eq!(told(&rig.mail()), expected, "{script}");
    }
}

/// `in` compares a text with each entry of an array: with texts at once, with others as their own `==` does.
#[test]
fn texts_are_found_among_whatever_an_array_holds() {
    let table = [
        ("b", "[\"a\", \"b\"]", "true"),
        ("b", "[]", "false"),
        ("B", "[\"a\", \"b\"]", "false"),
        ("sender@sender.test", "[(), mail.sender]", "true"),
        ("b@sender.test", "[mail.sender, [\"b@sender.test\"], #{}]", "false"),
        ("1", "[1]", "fault"),
        ("", "[1]", "false"),
    ];
    for (text, array, expected) in table {
        // Among other things, so that nobody can tell beforehand that some of them never match.
        let script = format!("let held = [0, {array}]; if \"{text}\" in held[1] {{ reject(\"r\", \"no\") }}");
        let judgement = Rig::new(&[("10-x.rhai", &mail_policy(&script))]).mail();
        let said = match told(&judgement).as_str() {
            "550 5.7.1 no [x.r]" => "true",
            "pass" => "false",
            _ => "fault",
        };
        assert_eq!(said, expected, "`{text}` in `{array}`");
    }
}

#[test]
fn at_connect_only_554_and_421_are_said() {
    for (script, expected) in [
        ("reject(\"r\", \"no\")", "554 5.7.1 no [x.r]"),
        ("defer(\"r\", \"later\")", "421 4.7.1 later [x.r]"),
        ("nope.nope", "421 4.7.0 a policy could not be evaluated, try again later [x.error]"),
    ] {
        let mut rig = Rig::new(&[(
            "10-x.rhai",
            &format!("fn connect(session) {{ let nope = noted(\"x\" + \".n\"); {script} }}"),
        )]);
        assert_eq!(told(&rig.judge(Moment::Connect)), expected, "{script}");
    }
}

/// A forgotten `return` cannot lose a verdict, and nothing in Rhai can hold it back.
#[test]
fn an_enforced_verdict_ends_everything() {
    let table = [
        "reject(\"r\", \"no\"); throw \"not reached\";",
        "try { reject(\"r\", \"no\") } catch {}",
        "try { reject(\"r\", \"no\") } catch (e) { return; }",
        "[3, 1, 2].sort(|a, b| { reject(\"r\", \"no\"); 1 });",
        "[1].filter(|a| reject(\"r\", \"no\"));",
        "for a in [1, 2] { deep(a) }",
        "let a = if true { reject(\"r\", \"no\") } else { 1 }; a",
        "switch 1 { 1 => reject(\"r\", \"no\"), _ => () }",
        "`${reject(\"r\", \"no\")}`",
    ];
    for script in table {
        let text = format!("{}\nfn deep(x) {{ if x == 2 {{ reject(\"r\", \"no\") }} }}", helo_policy(script));
        let mut rig =
            Rig::new(&[("10-x.rhai", &text), ("20-y.rhai", &helo_policy("reject(\"other\", \"x\")"))]);
        let judgement = rig.helo();
        assert_eq!(told(&judgement), "550 5.7.1 no [x.r]", "{script}");
        assert_eq!(events(&judgement), ["reject x.r"]);
    }
}

/// Rhai would call what a text names, verdicts too: one that no check at load has seen. What the checks cannot know is refused here.
#[test]
fn no_text_names_a_function() {
    for call in [
        "[\"r\"].reduce(m[1], \"no\")",
        "[\"r\"].reduce_rev(m[1], \"no\")",
        "[\"spf\"].map(m[2])",
        "[\"spf\"].filter(m[2])",
        "[\"spf\"].some(m[2])",
        "[\"spf\"].all(m[2])",
        "[\"r\", \"no\"].reduce(m[1])",
        "[\"r\", \"no\"].reduce_rev(m[1])",
        "[\"r\", \"no\"].sort(m[1])",
        "[\"r\", \"no\"].dedup(m[1])",
        "[\"spf\"].drain(m[2])",
        "[\"spf\"].retain(m[2])",
    ] {
        let script = format!("let m = [0, \"reject\", \"skip\"]; {call}");
        let mut rig = Rig::new(&[("10-x.rhai", &helo_policy(&script))]);
        let judgement = rig.helo();
        let expected = "451 4.7.0 a policy could not be evaluated, try again later [x.error]";
        assert_eq!(told(&judgement), expected, "{call}");
        assert!(format!("{:?}", judgement.errors).contains("takes a closure"), "{call}");
    }
}

/// A text that is looked for may have the name of a function.
#[test]
fn a_text_in_an_array_is_found() {
    for (call, index) in [
        ("[\"a\", [], \"skip\"].index_of(\"skip\")", 2),
        ("[\"skip\", \"a\", \"skip\"].index_of(\"skip\", 1)", 2),
        ("[\"skip\", \"a\", \"skip\"].index_of(\"skip\", -3)", 0),
        ("[\"a\"].index_of(\"skip\", -9)", -1),
        ("[address(\"a@b.test\")].index_of(\"a@b.test\")", 0),
    ] {
        let script = format!("if {call} == {index} {{ reject(\"r\", \"found\"); }}");
        let mut rig = Rig::new(&[("10-x.rhai", &helo_policy(&script))]);
        assert_eq!(told(&rig.helo()), "550 5.7.1 found [x.r]", "{call}");
    }
}

#[test]
fn a_verdict_knows_its_file_and_line() {
    let script =
        "//! Doc.\n\nfn helo(session) {\n    deep(session);\n}\nfn deep(s) {\n    reject(\"r\", \"no\");\n}";
    let mut rig = Rig::new(&[("10-x.rhai", script)]);
    let Verdict::Refuse(refusal) = rig.helo().verdict else { panic!() };
    assert_eq!(refusal.reason.place.as_deref(), Some("10-x.rhai:7"));
}

#[test]
fn policies_are_asked_in_the_order_of_their_files() {
    let note = |name: &str| {
        helo_policy(&format!("note(\"seen\", \"{name}\"); tag(\"last\", noted(\"b.\" + \"seen\"))"))
    };
    let mut rig =
        Rig::new(&[("30-b.rhai", &note("b")), ("20-c.rhai", &note("c")), ("40-a.rhai", &note("a"))]);
    let judgement = rig.helo();
    let order: Vec<_> = judgement.timings.iter().map(|timing| timing.policy.to_string()).collect();
    assert_eq!(order, ["c", "b", "a"]);
    assert_eq!(rig.memory.tags(&rig.mail), [("last".to_owned(), "b".to_owned())]);
}

#[test]
fn a_rule_in_shadow_does_not_disarm_the_rules_behind_it() {
    let script = "const MODES = #{ a: \"shadow\", c: \"off\" };
        fn helo(session) { reject(\"a\", \"1\"); defer(\"b2\", \"x\"); reject(\"c\", \"2\"); reject(\"b\", \"3\"); reject(\"d\", \"4\"); }";
    let mut rig = Rig::with(&[("10-x.rhai", script)], |sources| {
        sources.modes.insert("x.b2".to_owned(), Mode::Shadow);
    });
    let judgement = rig.helo();
    assert_eq!(told(&judgement), "550 5.7.1 3 [x.b]");
    assert_eq!(events(&judgement), ["would_reject x.a", "would_defer x.b2", "reject x.b"]);
    let after: Vec<_> = judgement.events.iter().map(|event| event.after.as_deref()).collect();
    assert_eq!(after, [None, Some("x.a"), None]);
    assert_eq!(judgement.events[0].place.as_ref(), "10-x.rhai:2");
}

#[test]
fn a_rule_in_shadow_is_counted_once_a_run() {
    let script = "const MODE = \"shadow\"; fn helo(session) { for i in 0..100 { reject(\"a\", `${i}`); } }";
    let mut rig = Rig::new(&[("10-x.rhai", script)]);
    assert_eq!(events(&rig.helo()), ["would_reject x.a"]);
}

#[test]
fn a_policy_that_is_off_is_not_asked() {
    let mut rig = Rig::with(
        &[("10-x.rhai", &helo_policy("nope(); reject(\"a\", \"1\");\n} fn nope() {"))],
        |sources| {
            sources.modes.insert("x".to_owned(), Mode::Off);
        },
    );
    let judgement = rig.helo();
    assert!(judgement.timings.is_empty() && judgement.events.is_empty());
}

/// Recorded, not applied; notes are seen by policies in shadow only.
#[test]
fn effects_in_shadow_are_recorded_and_not_applied() {
    let shadow = "const MODE = \"shadow\";
        fn mail(session, mail) { tag(\"t\", \"v\"); skip(\"late\"); note(\"k\", \"secret\"); }
        fn rcpt(session, mail, rcpt) { limit_size(\"big\", 5); }
        fn message(session, mail, message) { message.prepend_header(\"X-A\", \"b\"); override_dmarc(\"other\"); }";
    let late = "fn mail(session, mail) { reject(\"r\", `<${noted(\"x.k\")}>`); }";
    let twin = "const MODE = \"shadow\"; fn mail(session, mail) { if noted(\"x.k\") == \"secret\" { reject(\"r\", \"seen\"); } }";
    let mut rig = Rig::new(&[("10-x.rhai", shadow), ("15-twin.rhai", twin), ("20-late.rhai", late)]);
    let judgement = rig.mail();
    assert_eq!(told(&judgement), "550 5.7.1 <> [late.r]");
    assert_eq!(events(&judgement), ["would_reject twin.r", "reject late.r"]);
    let withheld = |judgement: &Judgement| -> Vec<String> {
        judgement.withheld.iter().map(|one| format!("{}: {}", one.by, one.effect)).collect()
    };
    assert_eq!(withheld(&judgement), ["x: tag t=v", "x: skip late"]);
    let judgement = rig.rcpt("a@example.org");
    assert_eq!(withheld(&judgement), ["x.big: limit_size 5"]);
    let judgement = rig.message("From: a@b.test");
    assert_eq!(withheld(&judgement), ["x: prepend_header X-A", "x: override_dmarc other"]);
    assert!(judgement.effects.headers.is_empty() && judgement.effects.dmarc_override.is_none());
    assert!(rig.memory.tags(&rig.mail).is_empty() && rig.memory.size_limit(&rig.mail).is_none());
}

#[test]
fn faults_have_a_kind_and_a_place() {
    let table = [
        ("noted(\"x\" + \".n\").hello", FaultKind::Script, "10-x.rhai:2:19"),
        ("let a = noted(\"x\" + \".n\"); a.foo", FaultKind::Script, ""),
        ("let n = 5; n += 0; n in list(\"l\")", FaultKind::Script, "10-x.rhai:2:22"),
        ("let n = 5; n += 0; n == `5`", FaultKind::Script, "10-x.rhai:2:22"),
        ("let t = `5`; t += ``; if t > 4 { 1 }", FaultKind::Script, "10-x.rhai:2:28"),
        ("if #{}.missing > 4 { 1 }", FaultKind::Script, "10-x.rhai:2:16"),
        ("throw \"mine\"", FaultKind::Thrown, "10-x.rhai:2:1"),
        ("throw", FaultKind::Thrown, "10-x.rhai:2:1"),
        ("deep()", FaultKind::Thrown, "10-x.rhai:5:13"),
        ("net::fail(1)", FaultKind::Thrown, "lib/net.rhai:1:14"),
        ("loop {}", FaultKind::Operations, "10-x.rhai:2:6"),
        ("let n = 5;\nspin()", FaultKind::Operations, "10-x.rhai:3:1"),
        ("net::spin()", FaultKind::Operations, "10-x.rhai:2:6"),
        ("[1, 2].sort(|a, b| { loop {} })", FaultKind::Operations, "10-x.rhai:1:18"),
        ("down()", FaultKind::Depth, "10-x.rhai:2:1"),
        ("let a = \"xxxxxxxx\"; loop { a += a; }", FaultKind::Size, ""),
        ("let a = []; loop { a.push(1); }", FaultKind::Size, ""),
        ("note(\"k\", sha256(\"\") + grow(\"x\", 11))", FaultKind::Size, "10-x.rhai:2:1"),
        ("for i in 0..65 { note(`k${i}`, 1) }", FaultKind::Size, "10-x.rhai:2:18"),
        ("bytes(`5 ` + `apples`)", FaultKind::Script, "10-x.rhai:2:1"),
        ("reject(\"r\", \"a\" + \"\\r\\n250 fine\")", FaultKind::Script, "10-x.rhai:2:1"),
        ("tag(\"a\" + \" b\", \"c\")", FaultKind::Script, "10-x.rhai:2:1"),
    ];
    let rest = "\nfn spin() { loop {} }\nfn deep() { throw 5 }\nfn down() { down() }\nfn grow(t, n) { for i in 0..n { t += t } t }";
    for (script, kind, place) in table {
        let text = format!("{}{rest}", helo_policy(script));
        let files =
            [("10-x.rhai", text.as_str()), ("lib/net.rhai", "fn fail(x) { throw x }\nfn spin() { loop {} }")];
        let mut rig = Rig::with(&files, |sources| {
            sources.lists.insert("l".to_owned(), EntrySource::Inline(vec![]).into());
            sources.budget.time = Duration::from_secs(30);
        });
        let judgement = rig.helo();
        let [fault] = judgement.errors.as_slice() else { panic!("{script}: {judgement:?}") };
        assert_eq!(fault.kind, kind, "{script}: {fault:?}");
        assert!(place.is_empty() || fault.place == place, "{script}: {fault:?}");
        assert!(!fault.message.contains("(line"), "{script}: {fault:?}");
        assert_eq!(
            told(&judgement),
            "451 4.7.0 a policy could not be evaluated, try again later [x.error]",
            "{script}"
        );
    }
}

/// What is left of a script that was stopped is nothing to a library that is loaded on the same thread.
#[test]
fn a_set_loads_where_a_script_was_stopped() {
    let judgement = Rig::new(&[("10-x.rhai", &helo_policy("loop {}"))]).helo();
    assert_eq!(judgement.errors[0].kind, FaultKind::Operations);
    let policy = helo_policy("reject(\"r\", net::word())");
    let library = "const WORD = \"t\";\nfn word() { \"t\" }";
    let mut rig = Rig::new(&[("10-x.rhai", &policy), ("lib/net.rhai", library)]);
    assert_eq!(told(&rig.helo()), "550 5.7.1 t [x.r]");
}

/// What a policy behind it uses up before its turn, be it all at once, is not taken from a policy that waits for an answer.
#[test]
fn nobody_fails_for_what_another_one_did_ahead() {
    let asks = helo_policy("dns_a(session.helo).result; for n in 0..20 { noted(\"burns.\" + \"k\"); }");
    let burns = helo_policy(
        "note(\"k\", 1); let text = \"a\"; text.pad(250000, \"a\"); loop { text.replace(\"a\", \"b\"); text.replace(\"b\", \"a\"); }",
    );
    let mut rig = Rig::with(&[("10-asks.rhai", &asks), ("20-burns.rhai", &burns)], |sources| {
        sources.budget.time = Duration::from_millis(2);
        sources.budget.operations = u64::MAX;
    });
    let judgement = rig.helo();
    let failed: Vec<_> = judgement.errors.iter().map(|fault| (&*fault.policy, fault.kind)).collect();
    assert_eq!(failed, [("burns", FaultKind::Time)]);
}

#[test]
fn what_a_failed_run_ordered_is_dropped() {
    let mut rig =
        Rig::with(&[("10-x.rhai", &helo_policy("tag(\"t\", \"v\"); note(\"k\", 1); throw 1"))], |sources| {
            sources.on_error = OnError::Pass;
        });
    let judgement = rig.helo();
    assert_eq!((told(&judgement).as_str(), judgement.errors.len()), ("pass", 1));
    assert!(rig.memory.tags(&rig.mail).is_empty());
}

/// Gates and budgets always defer, the rest as `on_error` says, and what is all in shadow never touches mail.
#[test]
fn who_fails_and_how_decides_whether_mail_passes() {
    let table = [
        ("", "throw 1", OnError::Defer, "451"),
        ("", "throw 1", OnError::Pass, "pass"),
        ("", "noted(\"x\" + \".n\").hello", OnError::Pass, "pass"),
        ("", "loop {}", OnError::Pass, "451"),
        ("", "dig()", OnError::Pass, "451"),
        ("const GATE = true;", "throw 1", OnError::Pass, "451"),
        ("const MODE = \"shadow\";", "throw 1", OnError::Defer, "pass"),
        ("const MODE = \"shadow\";", "loop {}", OnError::Defer, "pass"),
        ("const MODES = #{ r: \"shadow\" };", "throw 1", OnError::Defer, "pass"),
    ];
    for (top, body, on_error, expected) in table {
        let script = format!(
            "{top}\n{}\nfn dig() {{ dig() }} ",
            helo_policy(&format!("{body};\nreject(\"r\", \"t\");"))
        );
        let mut rig = Rig::with(&[("10-x.rhai", &script)], |sources| sources.on_error = on_error);
        let judgement = rig.helo();
        assert_eq!(judgement.errors.len(), 1, "{script}");
        assert!(told(&judgement).starts_with(expected), "{script}: {}", told(&judgement));
    }
}

#[test]
fn time_is_a_budget_that_shadow_cannot_use_up() {
    let busy = "const MODE = \"shadow\";\nfn helo(session) { loop {} }";
    let strict = helo_policy("reject(\"r\", \"t\")");
    let mut rig = Rig::with(&[("10-busy.rhai", busy), ("20-x.rhai", &strict)], |sources| {
        sources.budget.time = Duration::from_millis(5);
        sources.budget.operations = u64::MAX;
    });
    let judgement = rig.helo();
    assert_eq!(judgement.errors[0].kind, FaultKind::Time);
    assert_eq!(told(&judgement), "550 5.7.1 t [x.r]");
    assert!(judgement.timings[0].spent >= Duration::from_millis(5), "{:?}", judgement.timings);

    let busy = helo_policy("loop {}");
    let mut rig = Rig::with(&[("10-busy.rhai", &busy)], |sources| {
        sources.budget.time = Duration::from_millis(5);
        sources.budget.operations = u64::MAX;
        sources.on_error = OnError::Pass;
    });
    assert!(told(&rig.helo()).starts_with("451"));
}

#[test]
fn a_panic_of_our_own_is_a_fault_like_others() {
    let mut rig = Rig::new(&[("10-x.rhai", &helo_policy("sha256(\"x\")"))]);
    let policies = Arc::get_mut(&mut rig.policies).unwrap();
    policies
        .engine
        .register_fn("sha256", |_: rhai::ImmutableString| -> rhai::ImmutableString { panic!("on purpose") });
    let judgement = rig.helo();
    assert_eq!(judgement.errors[0].kind, FaultKind::Panic);
    assert!(told(&judgement).starts_with("451"));
    assert!(told(&rig.helo()).starts_with("451"), "and the next run works as well");
}

/// Connect and violation for the session, helo until the next HELO, mail for the transaction, rcpt for the recipient.
#[test]
fn a_skip_holds_for_its_scope() {
    let late = "fn mail(session, mail) { reject(\"r\", \"t\"); } fn helo(session) { reject(\"h\", \"t\"); }";
    let skipper = "fn helo(session) { if session.helo == \"good.test\" { skip(\"late\"); } }";
    let mut rig = Rig::new(&[("10-skipper.rhai", skipper), ("20-late.rhai", late)]);
    assert_eq!(told(&rig.mail()), "550 5.7.1 t [late.r]");
    rig.session.helo = "good.test".to_owned();
    assert_eq!(told(&rig.helo()), "pass");
    assert_eq!(told(&rig.mail()), "pass");
    rig.memory.end_transaction();
    assert_eq!(told(&rig.mail()), "pass");
    rig.memory.forget_helo();
    assert_eq!(told(&rig.mail()), "550 5.7.1 t [late.r]");
}

#[test]
fn a_skipped_rule_is_as_off() {
    let script = "fn helo(session) { skip(\"x.a\"); reject(\"a\", \"t\"); reject(\"b\", \"t\"); }";
    let mut rig = Rig::new(&[("10-x.rhai", script)]);
    let judgement = rig.helo();
    assert_eq!((told(&judgement).as_str(), events(&judgement).len()), ("550 5.7.1 t [x.b]", 1));
}

/// One allow-listed recipient must not open the door for the others.
#[test]
fn a_recipients_skip_counts_later_only_if_all_have_it() {
    let skipper =
        "fn rcpt(session, mail, rcpt) { if rcpt.local_part.starts_with(\"vip\") { skip(\"late\"); } }";
    let late = "fn rcpt(session, mail, rcpt) { if rcpt.local_part == \"bad\" { reject(\"r\", \"t\"); } }
        fn data(session, mail) { reject(\"d\", \"t\"); }
        fn message(session, mail, message) { reject(\"m\", \"t\"); }";
    let files = [("10-skipper.rhai", skipper), ("20-late.rhai", late)];
    let mut rig = Rig::new(&files);
    assert_eq!(told(&rig.data()), "550 5.7.1 t [late.d]", "no recipient at all");
    rig.rcpt("vip@example.org");
    rig.rcpt("VIP2@example.org");
    assert_eq!(told(&rig.data()), "pass");
    assert_eq!(told(&rig.message("From: a@b.test")), "pass");
    assert_eq!(told(&rig.rcpt("bad@example.org")), "550 5.7.1 t [late.r]");
    rig.rcpt("clerk@example.org");
    assert_eq!(told(&rig.message("From: a@b.test")), "550 5.7.1 t [late.m]");
    rig.memory.end_transaction();
    rig.mail.recipients.pop();
    assert_eq!(told(&rig.data()), "550 5.7.1 t [late.d]", "forgotten with the transaction");
}

/// A name that was skipped under an older generation may be a gate now.
#[test]
fn a_gate_is_never_skipped() {
    let skipper = "fn connect(session) { skip(\"late\", \"late.r\"); }";
    let late = "fn helo(session) { reject(\"r\", \"t\"); }";
    let mut rig = Rig::new(&[("10-skipper.rhai", skipper), ("20-late.rhai", late)]);
    rig.judge(Moment::Connect);
    assert_eq!(told(&rig.helo()), "pass");
    let memory = rig.memory.clone();
    let mut rig = Rig::new(&[("20-late.rhai", &format!("const GATE = true; {late}"))]);
    rig.memory = memory;
    assert_eq!(told(&rig.helo()), "550 5.7.1 t [late.r]");
}

#[test]
fn notes_live_as_long_as_their_stage() {
    let script = "fn connect(session) { note(\"c\", 1); }
        fn helo(session) { note(\"h\", true); }
        fn mail(session, mail) { note(\"m\", \"text\"); tag(\"saw\", `${noted(\"x.c\")} ${noted(\"x.h\")} ${noted(\"x.m\")}`); }
        fn rcpt(session, mail, rcpt) { note(\"r\", rcpt.local_part); }
        fn data(session, mail) { tag(\"rcpts\", join(mail.recipients.map(|r| r.noted(\"x.r\")), \"+\")); }";
    let mut rig = Rig::new(&[("10-x.rhai", script)]);
    rig.judge(Moment::Connect);
    rig.helo();
    rig.mail();
    rig.rcpt("a@example.org");
    rig.rcpt("b@example.org");
    rig.data();
    let tag = |rig: &Rig, name: &str| {
        rig.memory.tags(&rig.mail).into_iter().find(|(tag, _)| tag == name).map(|(_, value)| value)
    };
    assert_eq!(tag(&rig, "saw").unwrap(), "1 true text");
    assert_eq!(tag(&rig, "rcpts").unwrap(), "a+b");
    rig.memory.forget_helo();
    rig.mail();
    assert_eq!(tag(&rig, "saw").unwrap(), "1  text");
}

#[test]
fn the_smallest_size_limit_of_the_accepted_recipients_counts() {
    let script = "fn rcpt(session, mail, rcpt) { limit_size(\"big\", rcpt.local_part.len() * 100); }
        fn data(session, mail) { limit_size(\"all\", 1000); }";
    let mut rig = Rig::new(&[("10-x.rhai", script)]);
    rig.rcpt("aaaaa@example.org");
    rig.rcpt("aaa@example.org");
    rig.rcpt("a@far.test");
    rig.data();
    let limit = rig.memory.size_limit(&rig.mail).unwrap();
    assert_eq!((limit.octets, &*limit.rule, &*limit.place), (300, "x.big", "10-x.rhai:1"));
    rig.mail.recipients.clear();
    assert_eq!(rig.memory.size_limit(&rig.mail).unwrap().octets, 1000);
    rig.memory.end_transaction();
    assert_eq!(rig.memory.size_limit(&rig.mail), None);
}

#[test]
fn header_edits_are_ordered_by_the_final_run_only() {
    let script = "fn message(session, mail, message) {
        message.prepend_header(\"X-One\", \"a\");
        message.remove_header(\"X-Spam\");
        if message.dmarc.result == \"pass\" { message.append_header(\"X-Two\", \"b\"); }
        override_dmarc(\"mailing_list\");
    }";
    let mut rig = Rig::new(&[("10-x.rhai", script)]);
    let effects = rig.message("From: a@b.test").effects;
    let told: Vec<_> = effects
        .headers
        .iter()
        .map(|edit| match edit {
            HeaderEdit::Prepend(field) => format!("+{}", String::from_utf8_lossy(field.as_bytes())),
            HeaderEdit::Append(field) => format!("_{}", String::from_utf8_lossy(field.as_bytes())),
            HeaderEdit::Remove(name) => format!("-{name}"),
        })
        .collect();
    assert_eq!(told, ["+X-One: a\r\n", "-x-spam", "_X-Two: b\r\n"]);
    assert_eq!(effects.dmarc_override.as_deref(), Some("mailing_list"));
    assert_eq!(rig.asked, [Question::Dmarc]);
}

#[test]
fn a_forged_header_is_a_fault() {
    for script in [
        "message.prepend_header(\"X-A\", \"b\" + \"\\r\\nBcc: c\")",
        "message.append_header(\"X\" + \" A\", \"b\")",
    ] {
        let mut rig =
            Rig::new(&[("10-x.rhai", &format!("fn message(session, mail, message) {{ {script} }}"))]);
        assert!(told(&rig.message("From: a@b.test")).starts_with("451"), "{script}");
    }
}

#[test]
fn a_listener_takes_its_policies_only() {
    let files = [("10-x.rhai", helo_policy("reject(\"r\", \"t\")"))];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let mut rig = Rig::with(&files, |sources| {
        sources.listeners.push(("submission".to_owned(), Selection::Except(vec!["x".to_owned()])));
    });
    assert_eq!(told(&rig.helo()), "550 5.7.1 t [x.r]");
    rig.session.listener = "submission".into();
    assert_eq!(told(&rig.helo()), "pass");
    rig.session.listener = "nobody-knows".into();
    assert_eq!(told(&rig.helo()), "550 5.7.1 t [x.r]");
}

#[test]
fn a_run_that_is_dropped_leaves_nothing() {
    let mut rig = Rig::new(&[("10-x.rhai", &helo_policy("tag(\"a\", \"b\")"))]);
    let scene = Scene { session: Arc::new(rig.session.clone()), moment: Moment::Helo };
    let mut run = rig.policies.begin(scene, &rig.memory);
    assert_eq!(run.step(), Step::Done);
    drop(run);
    assert!(rig.memory.tags(&rig.mail).is_empty());
    rig.helo();
    assert_eq!(rig.memory.tags(&rig.mail).len(), 1);
}

#[test]
fn a_stage_without_functions_asks_nobody() {
    let mut rig = Rig::new(&[]);
    let judgement = rig.judge(Moment::Connect);
    assert_eq!((told(&judgement).as_str(), judgement.timings.len()), ("pass", 0));
    assert_eq!(told(&rig.judge(Moment::Close)), "pass");
}

#[test]
fn a_failing_close_is_only_reported() {
    let mut rig = Rig::new(&[("10-x.rhai", "fn close(session) { throw 1 }")]);
    let judgement = rig.judge(Moment::Close);
    assert_eq!((told(&judgement).as_str(), judgement.errors.len()), ("pass", 1));
}

#[test]
fn effects_without_a_rule_are_counted_in_the_name_of_their_policy() {
    let mut rig = Rig::new(&[(
        "50-way.rhai",
        r#"fn rcpt(session, mail, rcpt) { rcpt.redirect("b@ours.test"); tarpit("5s"); tarpit("2s"); }"#,
    )]);
    let judgement = rig.rcpt("a@ours.test");
    assert_eq!(
        judgement.effects.redirect.as_ref().map(ToString::to_string).as_deref(),
        Some("<b@ours.test>")
    );
    assert_eq!(judgement.effects.tarpit, Some(Duration::from_secs(5)));
    let applied: Vec<_> =
        judgement.applied.iter().map(|it| format!("{} {} {}", it.by, it.effect, it.place)).collect();
    assert_eq!(
        applied,
        [
            "way redirect a@ours.test to b@ours.test 50-way.rhai:1",
            "way tarpit 5s 50-way.rhai:1",
            "way tarpit 2s 50-way.rhai:1"
        ]
    );
    let known: Vec<_> = rig.policies.rules().iter().filter(|rule| *rule.policy == *"way").collect();
    let lines: Vec<_> =
        known.iter().map(|rule| format!("{} {} {}", rule.rule, rule.stage, rule.action.name())).collect();
    assert_eq!(lines, ["way rcpt redirect", "way rcpt tarpit"]);
}

#[test]
fn a_verdict_in_shadow_marks_what_is_behind_it_and_an_effect_does_not() {
    let mut rig = Rig::new(&[(
        "50-mine.rhai",
        r#"
        const MODES = #{ "first": "shadow", "second": "shadow" };
        fn helo(session) { score("points", 1); reject("first", "no"); score("more", 1); reject("second", "no"); }
        "#,
    )]);
    let judgement = rig.helo();
    let after =
        |event: &judgement::RuleEvent| format!("{} {}", event.rule, event.after.as_deref().unwrap_or("-"));
    assert_eq!(
        judgement.events.iter().map(after).collect::<Vec<_>>(),
        ["mine.points -", "mine.first -", "mine.more mine.first", "mine.second mine.first"]
    );
}

#[test]
fn scores_and_addresses_have_bounds() {
    for (line, part) in [
        (r#"score("points", 0.0 / 0.0);"#, "a score is a number"),
        (r#"score("points", 1000001);"#, "a score is a number"),
        (r#"tarpit(rcpt.local_part);"#, "is no duration"),
        (r#"rcpt.redirect("b@" + "theirs.test");"#, "redirect_domains"),
        (r#"rcpt.redirect("b@" + "[192.0.2.1]");"#, "redirect_domains"),
        (r#"rcpt.redirect("\u00f6@ours.test");"#, "SMTPUTF8"),
        (r#"rcpt.redirect("b" + "");"#, "is no address"),
    ] {
        let script = format!("fn rcpt(session, mail, rcpt) {{ {line} }}");
        let mut rig = Rig::new(&[("50-mine.rhai", &script)]);
        let judgement = rig.rcpt("a@ours.test");
        let [fault] = judgement.errors.as_slice() else { panic!("{line}: {:?}", judgement.errors) };
        assert!(fault.message.contains(part), "{line}: {}", fault.message);
    }
}

#[test]
fn what_a_policy_does_to_its_parameters_is_its_own() {
    for first in [
        "session = 5;",
        "take(session);",
        "[1].filter(|n| session.helo == `${n}`);",
        "[1].filter(|n| { session = n; true });",
        "let more = 1; if more == 1 { let session = #{ helo: `5` }; session.helo += `5`; }",
        "session = #{ helo: `5` }; throw 1",
        "session.set_tag(7);",
        "exit();",
    ] {
        let first = helo_policy(first);
        let second = helo_policy("if [1, session].pop().tag == 0 { reject(\"seen\", session.helo); }");
        let mut rig = Rig::with(&[("10-a.rhai", &first), ("20-b.rhai", &second)], |sources| {
            sources.on_error = OnError::Pass;
        });
        for _ in 0..2 {
            assert_eq!(told(&rig.helo()), "550 5.7.1 client.sender.test [b.seen]", "{first}");
        }
    }
}
