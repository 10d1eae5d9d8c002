//! Policies change while mail flows.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Client, Gatepost, Load, Plan, Postfix, letter, until};

/// How soon a change has to be in effect.
const LIMIT: Duration = Duration::from_secs(2);
const POLICY: &str = "policies/10-helo.rhai";
const TEXT: &str = "HELO must be a fully qualified host name or an address literal";

/// The answer to an unqualified name.
fn answer(gatepost: &Gatepost) -> String {
    let mut client = Client::connect(gatepost.address()).unwrap();
    client.expect(220);
    let reply = client.ask("EHLO laptop");
    assert_eq!(client.ask("QUIT").code, 221);
    reply.to_string()
}

/// Replaces a file at once, as an editor does.
fn replace(gatepost: &Gatepost, text: &str) {
    let new = gatepost.path("policies/.10-helo.rhai.new");
    fs::write(&new, text).unwrap();
    fs::rename(new, gatepost.path(POLICY)).unwrap();
}

#[test]
fn an_edited_policy_is_in_effect_within_two_seconds_and_no_session_is_dropped() {
    let postfix = Postfix::holding();
    let plan = Plan::in_front_of(&postfix).own_policies().listener("limits: { sessions_per_ip: 1000 }");
    let gatepost = plan.start();
    let shipped = fs::read_to_string(gatepost.path(POLICY)).unwrap();
    assert!(shipped.contains(TEXT) && answer(&gatepost).contains(TEXT), "{}", answer(&gatepost));
    let load = Load::start(gatepost.address(), 10, 100_000, Duration::from_secs(60));
    // A transaction that began before the change ends with the rules that it began with.
    let mut old = gatepost.introduced();
    assert_eq!(old.ask("MAIL FROM:<joe@sender.example>").code, 250);
    load.await_acknowledged(100);

    replace(&gatepost, &shipped.replace(TEXT, "say your whole name"));
    until("the new answer", LIMIT, || answer(&gatepost).contains("say your whole name").then_some(()));
    until("the metric", LIMIT, || {
        (gatepost.metrics().sum("config_reloads_total", &[("kind", "policies")]) == 1).then_some(())
    });
    assert_eq!(old.ask("RCPT TO:<load@example.org>").code, 250);

    replace(&gatepost, "fn helo(session) { reject(");
    gatepost.logged(&["reload_refused", "10-helo.rhai:1:"]);
    assert!(answer(&gatepost).contains("say your whole name"), "the old rules stay");
    let (status, ready) = gatepost.get("/readyz").unwrap();
    assert!(status == 200 && ready.contains("refused"), "{status} {ready}");
    assert_eq!(gatepost.metrics().sum("config_last_reload_successful", &[("kind", "policies")]), 0);

    replace(&gatepost, &shipped);
    until("the shipped answer", LIMIT, || answer(&gatepost).contains(TEXT).then_some(()));
    assert_eq!(gatepost.metrics().sum("config_last_reload_successful", &[("kind", "policies")]), 1);
    assert_eq!(gatepost.get("/readyz").unwrap(), (200, "ready\n".to_owned()));

    let acknowledged = load.acknowledged();
    load.await_acknowledged(acknowledged + 100);
    let report = load.stop();
    assert_eq!((report.lost, report.refused.len()), (0, 0), "{:?}", report.refused);
    report.surplus_in(&postfix.queued());
    drop(old);
    gatepost.end_well();
}

/// What the refusal advises is done, and nothing else: of a script, and of the folder that holds all of them.
#[test]
fn policies_are_taken_when_a_mode_alone_is_mended() {
    let postfix = Postfix::holding();
    let gatepost = Plan::in_front_of(&postfix).own_policies().start();
    let shipped = fs::read_to_string(gatepost.path(POLICY)).unwrap();
    for (place, open, closed, text) in
        [(POLICY, 0o646, 0o644, "say your whole name"), ("policies", 0o757, 0o755, "say all of your name")]
    {
        let mode = |mode| fs::set_permissions(gatepost.path(place), Permissions::from_mode(mode)).unwrap();
        mode(open);
        fs::write(gatepost.path(POLICY), shipped.replace(TEXT, text)).unwrap();
        gatepost.logged(&["reload_refused", &format!("chmod o-w {}", gatepost.path(place).display())]);
        mode(closed);
        until("the new answer", LIMIT, || answer(&gatepost).contains(text).then_some(()));
        until("health", LIMIT, || (gatepost.get("/readyz").unwrap().1 == "ready\n").then_some(()));
    }
    gatepost.end_well();
}

#[test]
fn sighup_reads_what_did_not_change_and_puts_nothing_new_in_force() {
    let postfix = Postfix::holding();
    let gatepost = Plan::in_front_of(&postfix).own_policies().start();
    assert_eq!(gatepost.metrics().sum("config_reloads_total", &[("kind", "policies")]), 0);
    gatepost.signal(Signal::HUP);
    gatepost.counted("config_reloads_total", &[], 1);
    assert!(!gatepost.log().contains("policies reloaded"), "{}", gatepost.log());
    assert_eq!(
        gatepost.introduced().deliver("joe@sender.example", "load@example.org", &letter("x")).code,
        250
    );
    gatepost.end_well();
}

#[test]
fn a_list_is_read_again_when_it_changes() {
    let postfix = Postfix::holding();
    let script = "/// Nobody on the list.\nfn mail(session, mail) {\n    if mail.sender in list(\"unwanted\") \
                  { reject(\"unwanted\", \"we do not want this\"); }\n}\n";
    let gatepost = Plan::in_front_of(&postfix)
        .policy("30-list.rhai", script)
        .file("unwanted.txt", "# nobody yet\n")
        .section("policies: { dir: \"@POLICIES@\", lists: { unwanted: { file: unwanted.txt } } }")
        .start();
    let code = || gatepost.introduced().ask("MAIL FROM:<spam@sender.example>").code;
    assert_eq!(code(), 250);
    fs::write(gatepost.path("unwanted.txt"), "spam@sender.example\n").unwrap();
    until("the list", LIMIT, || (code() == 550).then_some(()));
    // One bad line, and the old list stays.
    fs::write(gatepost.path("unwanted.txt"), "joe@sender.example\nno such thing\n").unwrap();
    gatepost.logged(&["reload_refused", "unwanted.txt:2", "is no address, domain or network"]);
    assert_eq!(code(), 550);
    fs::write(gatepost.path("unwanted.txt"), "joe@sender.example\n").unwrap();
    until("the next list", LIMIT, || (code() == 250).then_some(()));
    gatepost.end_well();
}

/// The tests of the policies decide, with a mistake that no check finds: the rule says the opposite.
#[test]
fn policies_whose_tests_fail_are_not_taken() {
    let postfix = Postfix::holding();
    let script = |unwanted: &str| {
        format!(
            "fn mail(session, mail) {{ if mail.sender == \"{unwanted}\" {{ reject(\"unwanted\", \"no\"); }} }}\n"
        )
    };
    let test = "domains example.org\nS: 220 ...\nC: EHLO mail.example.net\nS: 250 ...\nC: MAIL FROM:<spam@sender.example>\nS: 550 ...\nrule list.unwanted\n";
    let gatepost = Plan::in_front_of(&postfix)
        .file("mine/00-relay.rhai", &fs::read_to_string("policies/00-relay.rhai").unwrap())
        .file("mine/30-list.rhai", &script("spam@sender.example"))
        .file("mine/tests/list.smtp", test)
        .section("policies: { dir: mine, require_tests: true }")
        .start();
    let code = || gatepost.introduced().ask("MAIL FROM:<spam@sender.example>").code;
    assert_eq!(code(), 550);
    fs::write(gatepost.path("mine/30-list.rhai"), script("spm@sender.example")).unwrap();
    gatepost.logged(&[
        "reload_refused",
        "policies.require_tests",
        "list.smtp:6: Gatepost said something else",
    ]);
    assert_eq!(code(), 550, "the old rules stay");
    assert!(gatepost.get("/readyz").unwrap().1.contains("refused"));
    assert_eq!(gatepost.metrics().sum("config_last_reload_successful", &[("kind", "policies")]), 0);
    // The test is mended, and no policy is touched.
    fs::write(gatepost.path("mine/tests/list.smtp"), test.replace("spam@", "spm@")).unwrap();
    until("the new rules", LIMIT * 5, || (code() == 250).then_some(()));
    assert_eq!(gatepost.get("/readyz").unwrap(), (200, "ready\n".to_owned()));
    gatepost.end_well();
}

/// Nobody keeps more than three generations of policies by dawdling in a transaction.
#[test]
fn a_transaction_older_than_three_generations_ends() {
    let postfix = Postfix::holding();
    let gatepost = Plan::in_front_of(&postfix).own_policies().start();
    let reload = |count| {
        let generation = || gatepost.metrics().lines_with("gatepost_policy_info{");
        let before = generation();
        fs::write(gatepost.path("policies/lib/late.rhai"), format!("// {count}\n")).unwrap();
        until("another generation", LIMIT, || (generation() != before).then_some(()));
    };
    let transaction = || {
        let mut client = gatepost.introduced();
        assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
        client
    };
    let (mut first, mut idle) = (transaction(), gatepost.introduced());
    reload(1);
    let mut second = transaction();
    reload(2);
    let _third = transaction();
    assert_eq!(first.ask("RCPT TO:<load@example.org>").code, 250, "three are kept");
    reload(3);
    let reply = first.ask("NOOP").to_string();
    assert!(reply.starts_with("421 4.3.2"), "{reply}");
    assert_eq!(second.ask("RCPT TO:<load@example.org>").code, 250);
    assert_eq!(
        idle.deliver("joe@sender.example", "load@example.org", &letter("x")).code,
        250,
        "it held none"
    );
    gatepost.end_well();
}

/// Two sets of policies change places as fast as they can while they are read again and again: whatever is in force is one of them,
/// whole, or the one before.
#[test]
fn a_folder_that_is_swapped_under_a_reload_never_makes_a_mixed_set() {
    let postfix = Postfix::holding();
    let relay = fs::read_to_string("policies/00-relay.rhai").unwrap();
    let notes = |set: u8| format!("fn helo(session) {{ note(\"set\", {set}); }}\n");
    let tells = |set: u8| {
        format!(
            "fn helo(session) {{\n    if noted(\"first.set\") != {set} {{ throw \"mixed\"; }}\n    \
             reject(\"set\", \"set {set}\");\n}}\n"
        )
    };
    let mut plan = Plan::in_front_of(&postfix).section("policies: { dir: mine }");
    for (folder, set) in [("mine", 1), ("other", 2)] {
        plan = plan
            .file(&format!("{folder}/00-relay.rhai"), &relay)
            .file(&format!("{folder}/10-first.rhai"), &notes(set))
            .file(&format!("{folder}/20-second.rhai"), &tells(set));
    }
    let gatepost = plan.start();
    let answer = || {
        let mut client = Client::connect(gatepost.address()).unwrap();
        client.expect(220);
        client.ask("EHLO mail.sender.example").to_string()
    };
    let swap = || {
        for (from, to) in [("mine", "away"), ("other", "mine"), ("away", "other")] {
            fs::rename(gatepost.path(from), gatepost.path(to)).unwrap();
        }
    };
    assert!(answer().contains("set 1"), "{}", answer());
    for _ in 0..60 {
        gatepost.signal(Signal::HUP);
        swap();
        let said = answer();
        assert!(said.contains("set 1") || said.contains("set 2"), "{said}");
    }
    // An even number of times: the first set is in its place, and within two seconds in force.
    gatepost.signal(Signal::HUP);
    until("the set that is there", LIMIT, || answer().contains("set 1").then_some(()));
    swap();
    until("the other set", LIMIT, || answer().contains("set 2").then_some(()));
    assert_eq!(gatepost.metrics().sum("policy_errors_total", &[]), 0);
    gatepost.end_well();
}
