//! What a function needs in any case is asked for together.

use super::*;

fn a(name: &str) -> Question {
    Question::Dns(RecordType::A, name.to_owned())
}

/// What `script` asks in each step at `mail`, when everything that it asks for is answered before the next one.
fn steps(script: &str) -> Vec<Vec<Question>> {
    let rig = Rig::new(&[("10-x.rhai", &mail_policy(script))]);
    let scene = Scene { session: Arc::new(session()), moment: Moment::Mail(Arc::new(mail("a@b.test"))) };
    let mut run = rig.policies.begin(scene, &rig.memory);
    let mut steps = Vec::new();
    while let Step::Ask(questions) = run.step() {
        for question in &questions {
            run.answer(question.clone(), unknown(question), Duration::ZERO);
        }
        steps.push(questions);
        assert!(steps.len() < 100, "{steps:?}");
    }
    assert_eq!(run.finish(&mut Memory::default()).errors, [], "{script}");
    steps
}

#[test]
fn what_is_asked_before_an_answer_is_looked_at_is_asked_together() {
    let (one, two) = (|| a("one.test"), || a("two.test"));
    for (script, expected) in [
        (
            "let x = dns_a(\"one.test\"); let y = dns_a(\"two.test\"); x.result + y.result",
            vec![vec![one(), two()]],
        ),
        ("dns_a(\"one.test\"); mail.spf; dns_a(\"two.test\");", vec![vec![one(), Question::Spf, two()]]),
        ("let all = [\"one.test\", \"two.test\"].map(|n| dns_a(n)); all[1].result", vec![vec![one(), two()]]),
        // The second question depends on the first answer, or may do so.
        ("if dns_a(\"one.test\").result == \"ok\" { dns_a(\"two.test\"); }", vec![vec![one()], vec![two()]]),
        ("let x = dns_a(\"one.test\"); if x.values.len() > 9 { dns_a(\"two.test\"); }", vec![vec![one()]]),
        (
            "let x = dns_a(\"one.test\"); let y = `${x.result}`; dns_a(\"two.test\");",
            vec![vec![one()], vec![two()]],
        ),
        // Asked twice, it is asked once.
        ("dns_a(\"one.test\"); dns_a(\"one.test\");", vec![vec![one()]]),
        // An answer that nobody can read yet is no failure that a script could catch.
        ("try { dns_a(\"one.test\").result } catch { reject(\"r\", \"t\"); }", vec![vec![one()]]),
        // What changes something, or costs much, has its turn when the script gets there with all answers.
        (
            "dns_a(\"one.test\"); now(); dns_a(\"two.test\");",
            vec![vec![one()], vec![Question::Now], vec![two()]],
        ),
    ] {
        assert_eq!(steps(script), expected, "{script}");
    }
}

#[test]
fn nothing_that_happens_is_asked_ahead() {
    let asked = steps(
        "dns_a(\"one.test\"); rate(\"r\", \"k\", \"1/h\"); http_post(\"https://api.test/\", #{}); if false { reject(\"r\", \"t\"); }",
    );
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(
        matches!(&asked[1][..], [Question::State(_)]) && matches!(&asked[2][..], [Question::HttpPost { .. }])
    );
}

/// Each fact counts once, asked ahead or not, and there is an end to what is asked at once.
#[test]
fn facts_asked_together_count_as_often_as_one_by_one() {
    let asked = steps("for i in 0..64 { dns_a(`a${i}.test`); }");
    assert_eq!(asked.iter().map(Vec::len).collect::<Vec<_>>(), [16, 16, 16, 16]);
    let mut rig = Rig::new(&[("10-x.rhai", &mail_policy("for i in 0..65 { dns_a(`a${i}.test`); }"))]);
    assert_eq!(rig.mail().errors[0].kind, FaultKind::Facts);
    assert_eq!(rig.asked.len(), 64);
}

/// The run goes on with the first answer; what is still under way is waited for where it is looked at.
#[test]
fn an_answer_under_way_is_waited_for_where_it_is_needed() {
    let rig = Rig::new(&[(
        "10-x.rhai",
        &mail_policy(
            "let x = dns_a(\"one.test\"); let y = dns_a(\"two.test\"); tag(\"t\", x.result); y.result",
        ),
    )]);
    let scene = Scene { session: Arc::new(session()), moment: Moment::Mail(Arc::new(mail("a@b.test"))) };
    let mut run = rig.policies.begin(scene, &rig.memory);
    assert_eq!(run.step(), Step::Ask(vec![a("one.test"), a("two.test")]));
    run.answer(a("one.test"), unknown(&a("one.test")), Duration::ZERO);
    assert_eq!(run.step(), Step::Ask(vec![a("two.test")]));
    run.answer(a("two.test"), unknown(&a("two.test")), Duration::ZERO);
    assert_eq!(run.step(), Step::Done);
    let facts = run.finish(&mut Memory::default()).facts;
    assert_eq!(facts.iter().map(|fact| &*fact.policy).collect::<Vec<_>>(), ["x", "x"]);
}

/// A world that knows everything but the address of `slow.test`.
#[derive(Debug)]
struct NearlyAll;

impl question::Known for NearlyAll {
    fn known(&self, question: &Question) -> Option<Answer> {
        (*question != a("slow.test")).then(|| unknown(question))
    }
}

#[test]
fn nobody_is_asked_for_what_is_known() {
    let script = "dns_a(\"one.test\").result; dns_a(\"slow.test\").result; dns_a(\"two.test\").result;";
    let rig = Rig::new(&[("10-x.rhai", &mail_policy(script))]);
    let scene = Scene { session: Arc::new(session()), moment: Moment::Mail(Arc::new(mail("a@b.test"))) };
    let mut run = rig.policies.begin_knowing(scene, &rig.memory, || Arc::new(NearlyAll));
    assert_eq!(run.step(), Step::Ask(vec![a("slow.test")]));
    run.answer(a("slow.test"), unknown(&a("slow.test")), Duration::from_millis(5));
    assert_eq!(run.step(), Step::Done);
    let judgement = run.finish(&mut Memory::default());
    let facts: Vec<_> = judgement.facts.iter().map(|fact| (fact.question.clone(), fact.took)).collect();
    let at_once = Some(Duration::ZERO);
    let waited = Some(Duration::from_millis(5));
    assert_eq!(facts, [(a("one.test"), at_once), (a("slow.test"), waited), (a("two.test"), at_once)]);
}

#[test]
fn what_is_known_counts_as_a_fact_too() {
    let script = "for n in 0..500 { dns_a(`n${n}.test`).result; }";
    let rig = Rig::new(&[("10-x.rhai", &mail_policy(script))]);
    let scene = Scene { session: Arc::new(session()), moment: Moment::Mail(Arc::new(mail("a@b.test"))) };
    let mut run = rig.policies.begin_knowing(scene, &rig.memory, || Arc::new(NearlyAll));
    assert_eq!(run.step(), Step::Done);
    let errors = run.finish(&mut Memory::default()).errors;
    assert_eq!(errors.first().map(|fault| fault.kind), Some(FaultKind::Facts), "{errors:?}");
}
