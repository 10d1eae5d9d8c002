//! Stop and rerun: how facts get to scripts.

use super::*;

fn a(name: &str) -> Question {
    Question::Dns(RecordType::A, name.to_owned())
}

#[test]
fn a_missing_fact_stops_the_script_and_its_orders() {
    let script = mail_policy(
        "tag(\"t\", \"v\");
         let one = dns_a(\"One.test.\");
         note(\"n\", noted(\"x.n\") + \"+\");
         let two = dns_a(\"two.test\");
         if two.values.len() == 2 && one.result == \"ok\" { reject(\"r\", `${noted(\"x.n\")} ${two.values[1]}`); }",
    );
    let mut rig = Rig::new(&[("10-x.rhai", &script)]);
    rig.knows_lookup(a("two.test"), "ok", &["192.0.2.7", "192.0.2.8"]);
    assert_eq!(told(&rig.mail()), "550 5.7.1 + 192.0.2.8 [x.r]");
    assert_eq!(rig.asked, [a("one.test"), a("two.test")]);
    rig.mail();
    assert_eq!(rig.asked.len(), 2, "the session remembers");
}

#[test]
fn only_the_policy_that_asked_runs_again() {
    let counts =
        mail_policy("tag(\"runs\", noted(\"x.runs\") + \"i\"); note(\"runs\", noted(\"x.runs\") + \"i\");");
    let asks = mail_policy("dns_a(\"a.test\"); dns_a(\"b.test\");");
    let mut rig = Rig::new(&[("10-x.rhai", &counts), ("20-y.rhai", &asks)]);
    rig.mail();
    assert_eq!(rig.memory.tags(&rig.mail), [("runs".to_owned(), "i".to_owned())]);
}

#[test]
fn facts_live_as_long_as_what_they_are_about() {
    let script = "fn helo(session) { fcrdns(session); }
        fn mail(session, mail) { mail.spf; mail.helo_spf; dns_txt(\"x.test\"); now(); }";
    let mut rig = Rig::new(&[("10-x.rhai", script)]);
    let round = |rig: &mut Rig, expected: &[Question]| {
        rig.asked.clear();
        rig.helo();
        rig.mail();
        assert_eq!(rig.asked, expected);
    };
    let txt = Question::Dns(RecordType::Txt, "x.test".to_owned());
    round(&mut rig, &[Question::Fcrdns, Question::Spf, Question::HeloSpf, txt, Question::Now]);
    round(&mut rig, &[Question::Now]);
    rig.memory.end_transaction();
    round(&mut rig, &[Question::Spf, Question::Now]);
    rig.memory.forget_helo();
    round(&mut rig, &[Question::Spf, Question::HeloSpf, Question::Now]);
}

/// DNS may be back before the client tries again in the same session.
#[test]
fn failures_are_not_remembered() {
    let script = mail_policy("if dns_a(\"a.test\").result == \"error\" { defer(\"r\", \"t\"); } mail.spf;");
    let mut rig = Rig::new(&[("10-x.rhai", &script)]);
    rig.knows_lookup(a("a.test"), "error", &[]);
    assert_eq!(told(&rig.mail()), "451 4.7.1 t [x.r]");
    rig.knows_lookup(a("a.test"), "ok", &[]).knows_spf(CheckResult::TempError, "");
    assert_eq!(told(&rig.mail()), "pass");
    assert_eq!(told(&rig.mail()), "pass");
    assert_eq!(rig.asked, [a("a.test"), a("a.test"), Question::Spf, Question::Spf]);
}

/// A name that cannot exist is an error at once, and never a silent no.
#[test]
fn a_name_that_dns_cannot_hold_is_an_error() {
    let long = "x".repeat(64);
    for name in ["", ".", "a..b", "a b", &long, &"x.".repeat(130), "192.0.2"] {
        let script = mail_policy(&format!(
            "if dns_ptr(\"\" + \"{name}\").result == \"error\" {{ reject(\"r\", \"t\"); }}"
        ));
        let mut rig = Rig::new(&[("10-x.rhai", &script)]);
        assert_eq!(told(&rig.mail()), "550 5.7.1 t [x.r]", "{name}");
        assert!(rig.asked.is_empty());
        if name != "192.0.2" {
            let script = mail_policy(&format!(
                "if mail_hosts(\"{name}\").result == \"error\" {{ reject(\"r\", \"t\"); }}"
            ));
            let mut rig = Rig::new(&[("10-x.rhai", &script)]);
            assert_eq!(told(&rig.mail()), "550 5.7.1 t [x.r]", "{name}");
        }
    }
}

#[test]
fn there_is_an_end_to_facts() {
    let script = mail_policy("for i in 0..1000 { dns_a(`a${i}.test`); }");
    let mut rig = Rig::with(&[("10-x.rhai", &script)], |sources| {
        sources.budget.time = Duration::from_secs(30);
        sources.on_error = OnError::Pass;
    });
    let judgement = rig.mail();
    assert_eq!((rig.asked.len(), judgement.errors[0].kind), (64, FaultKind::Facts));
    assert!(told(&judgement).starts_with("451 4.7.0"));
}

#[test]
fn a_judgement_tells_the_facts_that_it_rests_on() {
    let script = "fn helo(session) { dns_a(\"a.test\"); dns_a(\"a.test\"); }
        fn mail(session, mail) { dns_a(\"a.test\"); now(); mail.spf; }";
    let mut rig = Rig::new(&[("10-x.rhai", script)]);
    rig.knows_spf(CheckResult::Fail, "v=spf1 -all");
    let told = |judgement: &Judgement| -> Vec<String> {
        let one = |fact: &FactTrace| {
            let (word, arguments) = (fact.question.word(), fact.question.arguments());
            format!("{}:{word}({arguments}) {} {:?}", fact.policy, fact.answer.summary(), fact.took)
        };
        judgement.facts.iter().map(one).collect()
    };
    let helo = rig.helo();
    assert_eq!(told(&helo), ["x:dns_a(a.test) ok (192.0.2.1) Some(5ms)"]);
    let mail = rig.mail();
    let expected = [
        "x:now() 1800000000 Some(5ms)",
        "x:mail.spf() fail (sender.test) Some(5ms)",
        ":dns_a(a.test) ok (192.0.2.1) None",
    ];
    assert_eq!(told(&mail), expected);
}

/// Whoever explains a rule looks for what its own policy had in hand, and for nothing else.
#[test]
fn a_judgement_tells_which_policies_had_a_fact_in_hand() {
    let first = "fn helo(session) { dns_a(\"a.test\"); } fn mail(session, mail) { dns_txt(\"b.test\"); }";
    let second = mail_policy("dns_a(\"a.test\"); dns_txt(\"b.test\");");
    let silent = mail_policy("reject(\"r\", \"t\");");
    let mut rig = Rig::new(&[("10-x.rhai", first), ("20-y.rhai", &second), ("30-z.rhai", &silent)]);
    rig.helo();
    let judgement = rig.mail();
    let told = |fact: &FactTrace| format!("{} {}+{}", fact.question.word(), fact.policy, fact.also.join(","));
    let told: Vec<_> = judgement.facts.iter().map(told).collect();
    assert_eq!(told, ["dns_txt x+y", "dns_a +y"]);
}

#[test]
fn a_judgement_tells_what_each_policy_read() {
    let asks = |name: &str| mail_policy(&format!("mail.sender in list(\"{name}\"); dns_a(\"a.test\");"));
    let files =
        [("10-x.rhai", asks("one")), ("20-y.rhai", asks("two")), ("30-z.rhai", mail_policy("now();"))];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let mut rig = Rig::with(&files, |sources| {
        for name in ["one", "two"] {
            let list = EntrySource::Inline(vec!["far.test".to_owned()]);
            sources.lists.insert(name.to_owned(), list.into());
        }
    });
    let judgement = rig.mail();
    let told = |trace: &ReadTrace| {
        let reads: Vec<_> = trace.reads.iter().map(|read| format!("{} {}", read.what, read.value)).collect();
        format!("{}: {}", trace.policy, reads.join(", "))
    };
    let told: Vec<_> = judgement.reads.iter().map(told).collect();
    assert_eq!(told, ["x: list one: sender@sender.test no", "y: list two: sender@sender.test no"]);
}

/// An answer that never comes cannot keep a stage going for ever.
#[test]
fn a_question_that_is_never_answered_ends_in_a_fault() {
    let rig = Rig::new(&[("10-x.rhai", &mail_policy("dns_a(\"a.test\")"))]);
    let scene = Scene { session: Arc::new(session()), moment: Moment::Mail(Arc::new(mail("a@b.test"))) };
    let mut run = rig.policies.begin(scene, &rig.memory);
    let mut rounds = 0;
    while run.step() != Step::Done {
        rounds += 1;
        assert!(rounds <= 64);
    }
    assert_eq!(run.finish(&mut Memory::default()).errors[0].kind, FaultKind::Facts);
}

#[test]
fn facts_can_be_asked_in_closures_and_behind_properties() {
    let script = mail_policy(
        "if mail.recipients.len() == 0 && [\"a.test\", \"b.test\"].all(|name| dns_a(name).result == \"ok\") && mail.spf.result == \"pass\" {
            reject(\"r\", \"t\");
        }",
    );
    let mut rig = Rig::new(&[("10-x.rhai", &script)]);
    assert_eq!(told(&rig.mail()), "550 5.7.1 t [x.r]");
    assert_eq!(rig.asked, [a("a.test"), a("b.test"), Question::Spf]);
}

/// `sort` swallows the errors of its comparison; the question is asked all the same.
#[test]
fn a_question_in_a_comparison_is_not_lost() {
    let script = mail_policy(
        "let names = [\"a.test\", \"b.test\"];
         names.sort(|x, y| if dns_a(x).result == \"ok\" { 1 } else { -1 });
         reject(\"r\", names[0]);",
    );
    let mut rig = Rig::new(&[("10-x.rhai", &script)]);
    rig.mail();
    assert!(!rig.asked.is_empty());
}

#[test]
fn an_answer_of_another_kind_is_a_failure_and_no_no() {
    let script = mail_policy(
        "if mail.spf.result == \"temperror\" && dns_a(\"a.test\").result == \"error\" { reject(\"r\", \"t\"); }",
    );
    let mut rig = Rig::new(&[("10-x.rhai", &script)]);
    rig.knows(Question::Spf, Answer::Now(1)).knows(a("a.test"), Answer::Now(1));
    assert_eq!(told(&rig.mail()), "550 5.7.1 t [x.r]");
}

#[test]
fn the_memory_has_room_for_so_many_facts() {
    let script = mail_policy("for i in 0..60 { dns_a(`${mail.id}-${i}.test`); }");
    let mut rig =
        Rig::with(&[("10-x.rhai", &script)], |sources| sources.budget.time = Duration::from_secs(30));
    for round in 0..40 {
        rig.mail.id = format!("m{round}");
        assert_eq!(told(&rig.mail()), "pass");
        assert!(rig.memory.facts.len() <= 1_024);
    }
}
