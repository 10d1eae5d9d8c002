//! Policies that misbehave in every way that scripts have: the client hears 451 in bounded time and memory, or the set is not taken,
//! and the next session is served.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Gatepost, Plan, Postfix, letter, until};

/// What a policy does when the sender is called so.
const BAD: [(&str, &str); 17] = [
    ("loop", "loop { }"),
    ("while", "let n = 0; while true { n += 1; }"),
    ("deep", "deeper(1);"),
    ("text", "let text = \"x\"; loop { text += text; }"),
    ("pad", "let text = \"x\"; text.pad(9000000000000000, \"y\");"),
    ("replace", "let text = \"a\"; text.pad(32768, \"a\"); let by = text; text.replace(\"a\", by);"),
    ("join", "let text = \"a\"; text.pad(32768, \"a\"); let all = []; all.pad(4096, 1); join(all, text);"),
    ("array", "let all = [1]; loop { all.append(all); }"),
    ("nested", "let all = []; loop { all = [all, all]; }"),
    ("map", "let all = #{}; let n = 0; loop { n += 1; all[`${n}`] = n; }"),
    ("throw", "throw \"up\";"),
    ("type", "note(\"n\", \"many\"); if noted(\"bad.n\") > 5 { reject(\"never\", \"never\"); }"),
    ("range", "for n in 0..9223372036854775807 { }"),
    ("reply", "note(\"end\", \"\\r\\n250 yes\"); reject(\"reply\", \"no\" + noted(\"bad.end\"));"),
    ("tag", "note(\"end\", \"\\r\\nX: y\"); tag(\"t\", \"no\" + noted(\"bad.end\"));"),
    ("facts", "let n = 0; loop { n += 1; dns_a(`${n}.example`); }"),
    ("catch", "try { loop { } } catch { }"),
];
/// For the budget of one stage, on a machine that has other things to do.
const SOON: Duration = Duration::from_secs(20);

fn bad_policy() -> String {
    let arms: String =
        BAD.iter().map(|(name, does)| format!("        \"{name}\" => {{ {does} }}\n")).collect();
    format!(
        "fn mail(session, mail) {{\n    switch mail.sender.local_part {{\n{arms}        _ => ()\n    }}\n}}\n\
         fn deeper(n) {{ deeper(n + 1) }}\n\
         fn message(session, mail, message) {{\n    if message.subject == \"header\" {{\n        \
         note(\"end\", \"\\r\\nX-Evil: b\");\n        message.prepend_header(\"X-Mine\", \"a\" + noted(\"bad.end\"));\n    }}\n}}\n"
    )
}

fn is_served(gatepost: &Gatepost) {
    let reply = gatepost.introduced().deliver("joe@sender.example", "load@example.org", &letter("good"));
    assert_eq!(reply.code, 250, "{reply}");
}

#[test]
fn whatever_a_script_does_the_client_hears_451_and_the_next_is_served() {
    let postfix = Postfix::holding();
    let gatepost = Plan::in_front_of(&postfix).policy("50-bad.rhai", &bad_policy()).start();
    is_served(&gatepost);
    let before = gatepost.resident_memory();
    for (name, does) in BAD {
        let mut client = gatepost.introduced();
        let asked = Instant::now();
        let reply = client.ask(&format!("MAIL FROM:<{name}@sender.example>")).to_string();
        assert!(reply.starts_with("451 4.7.0"), "{name}: {does}: {reply}");
        assert!(!reply.contains("250"), "{name}: {reply}");
        assert!(asked.elapsed() < SOON, "{name} took {:?}", asked.elapsed());
        // This session goes on, and so does the next.
        assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250, "{name}");
        is_served(&gatepost);
    }
    let reply = gatepost.introduced().deliver("joe@sender.example", "load@example.org", &letter("header"));
    assert!(reply.to_string().starts_with("451 4.7.0"), "{reply}");
    is_served(&gatepost);
    let grown = gatepost.peak_memory().saturating_sub(before);
    assert!(grown < 128 * 1024, "{grown} KiB more");
    let errors = gatepost.metrics().sum("policy_errors_total", &[("policy", "bad")]);
    assert_eq!(errors, BAD.len() as u64 + 1);
    gatepost.end_well();
}

#[test]
fn what_must_not_be_loaded_is_refused_and_the_old_policies_stay() {
    let postfix = Postfix::holding();
    let gatepost = Plan::in_front_of(&postfix).policy("50-bad.rhai", "fn helo(session) { }\n").start();
    let file = gatepost.path("policies/50-bad.rhai");
    let large = format!("fn helo(session) {{\n{}}}\n", "    note(\"k\", 1);\n".repeat(600_000));
    assert!(large.len() > 10 << 20);
    let refused = [
        ("fn helo(session) { import \"/etc/passwd\" as p; p::f(); }", "50-bad.rhai:1:"),
        ("fn helo(session) { eval(\"reject()\"); }", "eval"),
        ("fn helo(session) { reject(\"x\", \"no\\r\\n250 yes\"); }", "a control character"),
        (large.as_str(), "50-bad.rhai"),
    ];
    for (number, (text, told)) in (1..).zip(refused) {
        let asked = Instant::now();
        fs::write(&file, text).unwrap();
        gatepost.signal(Signal::HUP);
        until("the refusal", SOON, || {
            let refusals = gatepost.log().matches("reload_refused").count();
            (refusals >= number && gatepost.log().contains(told)).then_some(())
        });
        assert!(asked.elapsed() < SOON, "{told}: {:?}", asked.elapsed());
        is_served(&gatepost);
    }
    assert!(gatepost.peak_memory() < 512 * 1024, "{} KiB", gatepost.peak_memory());
    fs::write(&file, "fn mail(session, mail) { reject(\"new\", \"new\"); }").unwrap();
    until("the next good set", SOON, || {
        (gatepost.introduced().ask("MAIL FROM:<joe@sender.example>").code == 550).then_some(())
    });
    gatepost.end_well();
}
