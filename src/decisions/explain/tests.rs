use std::sync::Arc;

use super::super::record::{Fact, Mail, Rcpt, Read, Recipient, Rule, StageRecord, UpstreamPart};
use super::*;
use crate::checks::results::{CheckResult, Dkim, Dmarc, DmarcPolicy, MessageResults, Spf};
use crate::policy::question::{Answer, Lookup, Question};
use crate::policy::telling::RuleWords;

fn decided(source: &'static str, rule: &str, stage: &'static str) -> Decision {
    Decision {
        id: "7f3k2a7q4d".into(),
        listener: "mx".into(),
        outcome: "rejected",
        deciding: Some(Deciding {
            source,
            rule: rule.into(),
            stage,
            place: "60-dmarc.rhai:12".into(),
            ..Deciding::default()
        }),
        reply: "550 5.7.26 no (gp 7f3k2a7q4d)".into(),
        ..Decision::default()
    }
}

#[test]
fn dmarc_is_explained_with_all_that_it_stands_on() {
    let mut decision = decided("policy", "dmarc.reject", "message");
    decision.kind = Kind::Transaction;
    decision.checks.spf =
        Some(Spf { result: CheckResult::Pass, domain: "example.net".into(), ..Spf::default() }.into());
    let dkim = Dkim {
        result: CheckResult::Fail,
        domain: "bank.example".into(),
        selector: "s1".into(),
        reason: "body_changed",
        ..Dkim::default()
    };
    let dmarc = Dmarc {
        result: CheckResult::Fail,
        policy: DmarcPolicy::Reject,
        domain: "bank.example".into(),
        reason: "not_aligned",
        ..Dmarc::default()
    };
    decision.checks.message =
        Some(Arc::new(MessageResults { dkim: vec![dkim], dmarc, ..MessageResults::default() }));
    let words = RuleWords {
        why: "{author_domain} asks to refuse it.".into(),
        otherwise: "SPF passes for {author_domain}, or {nothing}.".into(),
        advice: "Add it to `trusted_sealers`.".into(),
    };
    decision.stages = vec![stage("dmarc.reject", Some(words))];
    decision.stages[0].facts.push(fact("dmarc", &[], Question::Dmarc, None));
    let explanation = explain(&decision);
    assert_eq!(explanation.headline, "The message was rejected by the rule dmarc.reject (60-dmarc.rhai:12).");
    assert_eq!(explanation.why[0], "bank.example asks to refuse it.");
    assert_eq!(
        explanation.why[1],
        "DMARC fail: bank.example publishes p=reject; SPF passed for example.net, which is not aligned; the DKIM body hash differs in the signature of bank.example (selector s1): the body was changed on the way."
    );
    assert!(
        explanation.otherwise.contains(&"SPF passes for bank.example, or `nothing`.".to_owned()),
        "{explanation:?}"
    );
    assert!(explanation.advice.iter().any(|line| line.contains("trusted_sealers")), "{explanation:?}");
    let page = explanation.to_string();
    assert!(
        page.starts_with("The message was rejected by the rule dmarc.reject (60-dmarc.rhai:12).\n"),
        "{page}"
    );
    assert!(page.lines().all(|line| line.chars().count() <= 120), "{page}");
}

/// The stage at which a rule of `60-dmarc.rhai` spoke.
fn stage(rule: &str, words: Option<RuleWords>) -> StageRecord {
    let rule = Rule {
        rule: rule.into(),
        outcome: "reject",
        place: "60-dmarc.rhai:12".into(),
        about: "One for all".into(),
        words: words.map(Arc::new),
        ..Rule::default()
    };
    StageRecord { stage: "mail", rules: vec![rule], ..StageRecord::default() }
}

fn fact(policy: &str, also: &[&str], question: Question, answer: Option<Answer>) -> Fact {
    let also = also.iter().map(|&policy| policy.into()).collect();
    Fact { policy: policy.into(), also, question, answer, took: Default::default() }
}

/// What a policy of the operator's own gets without a word about its rules, and nothing of what other policies had in hand.
#[test]
fn a_rule_without_words_is_explained_by_what_its_policy_asked_and_read() {
    let answer = || Some(Answer::from(Lookup { result: "none", values: Vec::new() }));
    let hosts = |name: &str| Question::MailHosts(name.to_owned());
    let read =
        |policy: &str, what: &str| Read { policy: policy.into(), what: what.into(), value: "no".into() };
    let mut spoke = stage("own.rule", None);
    spoke.facts = vec![
        fact("own", &[], hosts("mine.example"), answer()),
        fact("", &["greylist", "own"], hosts("ours.example"), answer()),
        fact("greylist", &[], hosts("others.example"), answer()),
        fact("", &["greylist"], hosts("remembered.example"), answer()),
    ];
    spoke.reads = vec![read("lists", "list deny_senders: x"), read("own", "list partners: x")];
    let mut decision = decided("policy", "own.rule", "mail");
    decision.stages = vec![spoke];
    let explanation = explain(&decision);
    assert_eq!(
        explanation.why,
        [
            "Its policy says: One for all.",
            "It asked mail_hosts(mine.example): none.",
            "It asked mail_hosts(ours.example): none.",
            "It read the list partners: x: no."
        ]
    );
    // Further down stands what all policies of the stage did, each with whose it was.
    let page = explanation.to_string();
    for line in [
        "fact for own: mail_hosts mine.example: none (",
        "fact for greylist, own: mail_hosts ours.example: none (",
        "read by lists: list deny_senders: x: no\n",
    ] {
        assert!(page.contains(&format!("    {line}")), "{line} in {page}");
    }
    let otherwise = "Something of what its policy asked and read, or saw of the session, would have had to be different: the condition is at 60-dmarc.rhai:12.";
    assert_eq!(explanation.otherwise, [otherwise]);
}

/// With `refuse_at: rcpt` the verdict is at a stage at which the rule was not asked.
#[test]
fn a_refusal_that_waited_for_a_recipient_is_explained_where_it_was_spoken() {
    let mut decision = decided("policy", "own.rule", "rcpt");
    let verdict = crate::decisions::record::VerdictRecord { rule: "own.rule".into(), ..Default::default() };
    decision.stages = vec![stage("own.rule", None), StageRecord { verdict, ..StageRecord::default() }];
    assert_eq!(explain(&decision).why, ["Its policy says: One for all."]);
}

#[test]
fn each_source_names_what_the_operator_looks_for() {
    let item = |source, rule: &str| Item::of(&decided(source, rule, "rcpt"));
    let limit = Item::Limit { limit: "recipients".into(), key: "listeners.mx.limits.recipients".into() };
    assert_eq!(item("limit", "recipients"), limit);
    let event = Item::Protocol { event: "bare-lf".into(), clause: "RFC 5321 2.3.8".into() };
    assert_eq!(item("protocol", "bare-lf"), event);
    assert_eq!(item("internal", "unreachable"), Item::Internal { trouble: "unreachable".into() });
    assert_eq!(
        item("policy", "dmarc.error"),
        Item::Fault { policy: "dmarc".into(), place: "60-dmarc.rhai:12".into() }
    );
    let Item::Upstream { step, reply, .. } = item("upstream", "rcpt") else { panic!("it was the upstream") };
    assert_eq!((step.as_str(), reply.as_str()), ("rcpt", "550 5.7.26 no (gp 7f3k2a7q4d)"));
    assert!(!item("limit", "nonsense").is_known() && !item("protocol", "nonsense").is_known());
}

#[test]
fn a_strangers_text_does_not_act_on_the_terminal() {
    let mut decision = decided("policy", "helo.bare-ip", "helo");
    decision.helo = "evil\u{1b}[31m\u{202e}".into();
    decision.reply = "550 \u{1b}]0;x\u{7}".into();
    let page = explain(&decision).to_string();
    assert!(!page.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{page:?}");
}

#[test]
fn what_an_operator_may_copy_runs_nothing_of_a_strangers() {
    for (sender, offered) in [
        ("joe@sender.example", true),
        ("$(reboot)@x.example", false),
        ("--help@x.example", false),
        ("", false),
    ] {
        let mut decision = decided("policy", "helo.bare-ip", "mail");
        decision.mail = Some(Mail { sender: sender.into(), ..Mail::default() });
        let advice = explain(&decision).advice.join("\n");
        assert_eq!(advice.contains("gatepost explain --from"), offered, "{advice}");
    }
}

fn recipient(outcome: &'static str, decision: &str) -> Recipient {
    let rcpt = Rcpt { address: "bob@elsewhere.example".into(), ..Rcpt::default() };
    Recipient {
        rcpt,
        outcome,
        rule: "relay.denied".into(),
        decision: decision.into(),
        ..Recipient::default()
    }
}

#[test]
fn a_client_that_leaves_after_a_refusal_is_not_said_to_be_broken() {
    for event in ["quit", "rset", "no-valid-rcpt"] {
        let mut decision = decided("protocol", event, "data");
        decision.recipients = vec![recipient("accepted", ""), recipient("rejected", "cpparjxugf")];
        let page = explain(&decision).to_string();
        assert!(
            page.contains("<bob@elsewhere.example> was refused by relay.denied: `gatepost explain"),
            "{page}"
        );
        assert!(page.contains("cpparjxugf") && !page.contains("mended"), "{page}");
        assert!(page.contains("would have had to be accepted"), "{page}");
    }
    let page = explain(&decided("protocol", "quit", "data")).to_string();
    assert!(page.contains("the client's own wish") && !page.contains("mended"), "{page}");
    let page = explain(&decided("protocol", "bad-path", "mail")).to_string();
    assert!(page.contains("has to be mended"), "{page}");
}

#[test]
fn a_decision_does_not_point_at_itself() {
    for event in ["need-helo", "need-mail", "no-valid-rcpt"] {
        let mut decision = decided("protocol", event, "rcpt");
        decision.session = "mgk5ocn6q2".into();
        decision.recipients = vec![recipient("rejected", &decision.id)];
        let advice = explain(&decision).advice.join("\n");
        assert!(
            advice.contains("`gatepost explain mgk5ocn6q2`") && !advice.contains(&decision.id),
            "{advice}"
        );
    }
}

/// The log of the upstream has its words, and the step at which it said them.
#[test]
fn what_the_upstream_said_is_told_with_its_step() {
    let explained = |step: &str, said: &str, heard: &str| {
        let mut decision = decided("upstream", step, "rcpt");
        decision.recipients = vec![recipient("rejected", &decision.id)];
        decision.reply = heard.to_owned();
        decision.upstream =
            Some(UpstreamPart { name: "main".into(), reply: said.to_owned(), ..UpstreamPart::default() });
        explain(&decision).to_string().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for (step, said, heard, told) in [
        ("rcpt", "550 5.1.1 no", "550 5.1.1 no", "was rejected by the upstream main, in its own words."),
        ("rcpt", "550 5.1.1 no", "550 5.1.1 no", "It answered RCPT with `550 5.1.1 no`."),
        (
            "mail",
            "553 5.1.8 no",
            "553 5.1.8 no",
            "because the upstream main refused the sender, in its own words.",
        ),
        ("mail", "553 5.1.8 no", "553 5.1.8 no", "It answered MAIL with `553 5.1.8 no`."),
        ("data", "554 5.7.1 no", "554 5.7.1 no", "because the upstream main refused DATA, in its own words."),
        ("end-of-data", "554 5.7.1 no", "554 5.7.1 no", "It answered the message with `554 5.7.1 no`."),
        ("banner", "554 5.7.1 no", "554 5.7.1 no", "It greeted Gatepost with `554 5.7.1 no`."),
        ("mail", "421 4.3.2 bye", "451 4.3.2 bye", "It answered MAIL with `421 4.3.2 bye`."),
        ("mail", "421 4.3.2 bye", "451 4.3.2 bye", "so it heard 451 with the same text."),
        ("rcpt", "450 4.3.2 bye", "421 4.3.2 bye", "so the client heard 421 with the same text."),
    ] {
        let page = explained(step, said, heard);
        assert!(page.contains(told), "{told}: {page}");
    }
    for (said, heard) in [("421 4.3.2 bye", ""), ("450 4.3.2 bye", ""), ("421 4.3.2 bye", "421 4.3.2 bye")] {
        let page = explained("rcpt", said, heard);
        assert!(!page.contains("heard 4"), "nothing else was heard: {page}");
    }
}

#[test]
fn nobody_is_told_to_soften_a_gate() {
    let mut decision = decided("policy", "relay.denied", "rcpt");
    decision.stages = vec![stage("relay.denied", None)];
    decision.stages[0].rules[0].gate = true;
    let page = explain(&decision).to_string();
    assert!(page.contains("a gate, which nothing softens") && !page.contains("policies.modes"), "{page}");
    decision.stages.clear();
    assert!(explain(&decision).to_string().contains("policies.modes"));
}

#[test]
fn what_was_seen_and_what_is_allowed_is_told_and_whose_limit_it_is() {
    let mut decision = decided("limit", "upstream_size", "mail");
    let figures = "the client declared 2000000 octets, and 1000000 are taken";
    decision.deciding.as_mut().unwrap().detail = figures.into();
    let page = explain(&decision).to_string();
    assert!(
        page.starts_with(
            "The client was rejected at MAIL by the limit upstream_size, which the upstream sets.\n"
        ),
        "{page}"
    );
    assert!(page.contains("The client declared 2000000 octets, and 1000000 are taken."), "{page}");
    assert!(!page.contains("limits.message_size"), "a higher limit of ours would not help: {page}");
}

#[test]
fn what_broke_the_grammar_is_shown() {
    let mut decision = decided("protocol", "bad-path", "violation");
    decision.deciding.as_mut().unwrap().said = "MAIL FROM:<a@@b\u{202e}\u{1b}>".into();
    let page = explain(&decision).to_string();
    assert!(
        page.starts_with(
            "The client's command was rejected during the session: bad-path (RFC 5321 4.1.2).\n"
        ),
        "{page}"
    );
    assert!(page.contains(r"It said `MAIL FROM:<a@@b\u{202e}\u{1b}>`."), "{page}");
}
