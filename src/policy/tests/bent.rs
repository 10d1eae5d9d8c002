//! What exceptions, wishes of domains and tenants make of a judgement.

use super::*;
use crate::policy::judgement::{Action, Excused};
use crate::policy::sources::{DomainSource, ExceptionSource};

const HELO: &str = "fn helo(session) { reject(\"bare\", \"no\"); }";

fn exception(target: &str, mode: Mode) -> ExceptionSource {
    ExceptionSource {
        target: target.to_owned(),
        mode,
        clients: Vec::new(),
        recipients: Vec::new(),
        listeners: Vec::new(),
        until: None,
        why: "old scanner".to_owned(),
    }
}

#[test]
fn an_exception_holds_for_its_clients_and_listeners_only() {
    for (clients, listeners, passes) in [
        (&["192.0.2.0/24"][..], &["mx"][..], true),
        (&["192.0.2.0/24"], &[], true),
        (&[], &["mx"], true),
        (&[], &[], true),
        (&["198.51.100.0/24"], &["mx"], false),
        (&["192.0.2.0/24"], &["other"], false),
    ] {
        let mut rig = Rig::with(&[("10-helo.rhai", HELO)], |sources| {
            sources.listeners.push(("other".to_owned(), Selection::All));
            sources.exceptions.push(ExceptionSource {
                clients: clients.iter().map(|net| net.parse().unwrap()).collect(),
                listeners: listeners.iter().map(|&name| name.to_owned()).collect(),
                ..exception("helo.bare", Mode::Off)
            });
        });
        let judgement = rig.helo();
        assert_eq!(judgement.verdict == Verdict::Pass, passes, "{clients:?} {listeners:?}");
        let excused = Excused { rule: "helo.bare".into(), mode: Mode::Off, why: "old scanner".into() };
        assert_eq!(judgement.excused, if passes { vec![excused] } else { Vec::new() });
    }
}

#[test]
fn a_softened_rule_in_shadow_is_seen_and_never_made_harder() {
    for (configured, excepted, seen) in [
        (Mode::Enforce, Mode::Shadow, Some(Mode::Shadow)),
        (Mode::Shadow, Mode::Off, None),
        (Mode::Off, Mode::Shadow, None),
    ] {
        let mut rig =
            Rig::with(&[("10-helo.rhai", HELO), ("11-other.rhai", "fn helo(session) {}")], |sources| {
                sources.modes.insert("helo".to_owned(), configured);
                sources.exceptions.push(exception("helo", excepted));
            });
        let judgement = rig.helo();
        assert_eq!(judgement.verdict, Verdict::Pass);
        let events: Vec<_> = judgement.events.iter().map(|event| (event.action, event.mode)).collect();
        assert_eq!(
            events,
            seen.map(|mode| (Action::Reject, mode)).into_iter().collect::<Vec<_>>(),
            "{configured:?}"
        );
    }
}

#[test]
fn an_exception_for_a_policy_softens_its_effects_and_faults_too() {
    let script =
        "fn mail(session, mail) { tag(\"a\", \"b\"); note(\"n\", 1); }\nfn helo(session) { throw \"x\"; }";
    let mut rig = Rig::with(&[("10-x.rhai", script)], |sources| {
        sources.exceptions.push(exception("x", Mode::Shadow));
    });
    let judgement = rig.mail();
    assert_eq!(judgement.withheld.len(), 1, "{judgement:?}");
    let judgement = rig.helo();
    assert_eq!(
        (judgement.errors.len(), judgement.verdict),
        (1, Verdict::Pass),
        "in shadow a fault touches no mail"
    );
}

#[test]
fn an_exception_by_recipient_needs_all_recipients_at_message() {
    let script = "fn message(session, mail, message) { reject(\"late\", \"no\"); }\nfn rcpt(session, mail, rcpt) { reject(\"early\", \"no\"); }";
    for (recipients, passes) in [
        (&["a@example.org"][..], true),
        (&["a@example.org", "b@example.org"], false),
        (&["b@example.org"], false),
        (&[], false),
    ] {
        let mut rig = Rig::with(&[("50-x.rhai", script)], |sources| {
            sources.exceptions.push(ExceptionSource {
                recipients: vec!["a@example.org".to_owned()],
                ..exception("x", Mode::Off)
            });
        });
        assert_eq!(rig.rcpt("a@example.org").verdict, Verdict::Pass);
        assert_ne!(rig.rcpt("b@example.org").verdict, Verdict::Pass);
        let rcpt =
            |address: &&str| Arc::new(RcptScene { address: recipient(address), ..RcptScene::default() });
        rig.mail.recipients = recipients.iter().map(rcpt).collect();
        assert_eq!(rig.message("From: a@b.test").verdict == Verdict::Pass, passes, "{recipients:?}");
    }
}

#[test]
fn a_domain_has_settings_and_modes_of_its_own() {
    let script = "const SETTINGS = #{ max: 5 };\nfn rcpt(session, mail, rcpt) { if rcpt.setting(\"max\") > 4 { reject(\"large\", \"no\"); } }\n\
                  fn data(session, mail) { if mail.recipients.some(|r| r.setting(\"max\") == 3) { reject(\"three\", \"no\"); } }";
    let mut rig = Rig::with(&[("25-size.rhai", script)], |sources| {
        let three = [("size".to_owned(), [("max".to_owned(), Setting::Integer(3))].into())];
        let off = [("size".to_owned(), Mode::Off)];
        sources.domains.insert(
            "example.net".to_owned(),
            DomainSource { settings: three.into(), ..DomainSource::default() },
        );
        sources
            .domains
            .insert(".example.com".to_owned(), DomainSource { modes: off.into(), ..DomainSource::default() });
    });
    assert_ne!(rig.rcpt("a@example.org").verdict, Verdict::Pass);
    assert_ne!(rig.rcpt("a@example.com").verdict, Verdict::Pass);
    assert_eq!(rig.rcpt("a@sub.example.com").verdict, Verdict::Pass, "off for what is below the domain");
    assert_eq!(rig.data().verdict, Verdict::Pass);
    assert_eq!(rig.rcpt("a@example.net").verdict, Verdict::Pass);
    assert_ne!(rig.data().verdict, Verdict::Pass);
}

#[test]
fn a_rule_that_is_off_for_all_but_one_domain_is_asked_there() {
    let script = "fn rcpt(session, mail, rcpt) { reject(\"no\", \"no\"); }";
    let mut rig = Rig::with(&[("25-x.rhai", script)], |sources| {
        sources.modes.insert("x".to_owned(), Mode::Off);
        let own = [("x.no".to_owned(), Mode::Enforce)];
        sources
            .domains
            .insert("example.net".to_owned(), DomainSource { modes: own.into(), ..DomainSource::default() });
    });
    assert_eq!(rig.rcpt("a@example.org").verdict, Verdict::Pass);
    assert_ne!(rig.rcpt("a@example.net").verdict, Verdict::Pass);
}

#[test]
fn a_tenant_is_asked_after_the_others_and_about_its_own_recipients() {
    let common = "fn rcpt(session, mail, rcpt) { note(\"seen\", rcpt.domain); }";
    let own = "fn rcpt(session, mail, rcpt) { if noted(\"common.seen\") == \"example.net\" { reject(\"no\", \"no\"); } }\n\
               fn message(session, mail, message) { reject(\"late\", \"no\"); }";
    let mut rig = Rig::new(&[("90-common.rhai", common), ("domains/example.net/10-own.rhai", own)]);
    assert_eq!(rig.rcpt("a@example.org").verdict, Verdict::Pass);
    let judgement = rig.rcpt("a@example.net");
    let rules: Vec<_> = judgement.events.iter().map(|event| (&*event.rule, &*event.place)).collect();
    assert_eq!(rules, [("example.net/own.no", "domains/example.net/10-own.rhai:1")]);
    assert_eq!(rig.message("From: a@b.test").verdict, Verdict::Pass, "a message to example.org");
    rig.mail.recipients =
        vec![Arc::new(RcptScene { address: recipient("x@example.net"), ..RcptScene::default() })];
    assert_ne!(rig.message("From: a@b.test").verdict, Verdict::Pass);
    assert_eq!(rig.policies.speaker("mx", "example.net"), Some("example.net"));
    assert_eq!(rig.policies.speaker("mx", "example.org"), None);
}
