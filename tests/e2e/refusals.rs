//! Mail that is not taken: in whose words, and what the operator then knows.

use std::time::Duration;

use crate::harness::{AtTheDot, Gatepost, Plan, Postfix, Reply, Sink, letter};

/// The id at the end of Gatepost's own refusals.
#[track_caller]
fn decision_id(reply: &Reply) -> String {
    let id = reply.text().rsplit_once(" (gp ").and_then(|(_, id)| id.strip_suffix(')').map(str::to_owned));
    let id = id.unwrap_or_else(|| panic!("no id: {reply}"));
    assert_eq!(id.len(), 10, "{reply}");
    id
}

fn refusals(gatepost: &Gatepost, rule: &str) -> u64 {
    gatepost.metrics().sum("rejections_total", &[("rule", rule)])
}

#[test]
fn an_unknown_recipient_is_refused_at_rcpt_in_postfix_own_words() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    let reply = client.ask("RCPT TO:<nobody@example.org>");
    assert_eq!(
        reply.to_string(),
        "550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown in virtual mailbox table"
    );
    // The others of the same transaction are not harmed.
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").to_string(), "250 2.1.5 Ok");
    assert_eq!(client.ask("QUIT").code, 221);
    let metrics = gatepost.metrics();
    assert_eq!(
        metrics.sum("rejections_total", &[("source", "upstream"), ("stage", "rcpt"), ("code", "550")]),
        1
    );
    assert_eq!(metrics.sum("upstream_replies_total", &[("command", "rcpt"), ("class", "5")]), 1);
    gatepost.end_well();
}

#[test]
fn relaying_is_refused_with_an_id_that_leads_to_the_rule() {
    let postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    gatepost.counted("upstream_connects_total", &[], 1);
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    for stranger in [
        "<victim@elsewhere.example>",
        "<victim%elsewhere.example@[127.0.0.1]>",
        "<@example.org:victim@elsewhere.example>",
        "<\"victim@elsewhere.example\"@elsewhere.example>",
    ] {
        let reply = client.ask(&format!("RCPT TO:{stranger}"));
        assert_eq!(reply.class(), 5, "{stranger}: {reply}");
        decision_id(&reply);
    }
    let reply = client.ask("RCPT TO:<other@elsewhere.example>");
    assert!(reply.to_string().starts_with("550 5.7.1 relaying denied (gp "), "{reply}");
    let line = gatepost.logged(&["\"event\":\"refused\"", &decision_id(&reply)]);
    for part in ["relay.denied", "00-relay.rhai:", "\"client\":\"127.0.0.1\"", "client.example.net"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(refusals(&gatepost, "relay.denied") >= 1);
    drop(client);
    assert_eq!(gatepost.metrics().sum("upstream_connects_total", &[]), 1, "the probe at the start only");
    gatepost.end_well();
    assert!(!postfix.log().contains(" mail="), "Postfix was asked: {}", postfix.log());
}

#[test]
fn an_upstream_that_is_away_costs_no_mail() {
    let mut postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    let mut client = gatepost.introduced();
    let sent = letter("later");
    postfix.kill();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    let reply = client.ask("RCPT TO:<suzie@example.org>");
    assert_eq!(reply.class(), 4, "{reply}");
    decision_id(&reply);
    assert_eq!(gatepost.metrics().sum("upstream_up", &[]), 0);
    postfix.start_again();
    assert_eq!(client.ask("RSET").code, 250);
    let reply = client.deliver("joe@sender.example", "suzie@example.org", &sent);
    assert_eq!(reply.code, 250, "{reply}");
    postfix.delivered("suzie", 1);
    assert_eq!(gatepost.metrics().sum("upstream_up", &[]), 1);
    gatepost.end_well();
}

#[test]
fn an_upstream_lost_between_rcpt_and_data_is_found_again() {
    let mut postfix = Postfix::delivering();
    let gatepost = Plan::in_front_of(&postfix).start();
    let mut client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<joe@sender.example>").code, 250);
    assert_eq!(client.ask("RCPT TO:<suzie@example.org>").code, 250);
    postfix.kill();
    postfix.start_again();
    let sent = letter("replayed");
    assert_eq!(client.ask("DATA").code, 354);
    client.send(&crate::harness::stuffed(&sent)).unwrap();
    client.expect(250);
    postfix.logged(&["client=unknown[127.0.0.1]"]);
    postfix.delivered("suzie", 1);
    gatepost.end_well();
}

#[test]
fn a_message_whose_fate_is_unknown_is_deferred_and_counted() {
    let sink = Sink::start(AtTheDot::HangUp);
    let gatepost = Plan::in_front_of_server(sink.address()).start();
    let mut client = gatepost.introduced();
    let reply = client.deliver("joe@sender.example", "suzie@example.org", &letter("lost"));
    assert_eq!(reply.class(), 4, "{reply}");
    decision_id(&reply);
    assert_eq!(gatepost.metrics().sum("upstream_ambiguous_total", &[]), 1);
    gatepost.logged(&["\"event\":\"transaction\"", "\"outcome\":\"deferred\""]);
    gatepost.end_well();
}

#[test]
fn without_the_client_s_address_nothing_goes_upstream() {
    let sink = Sink::start(AtTheDot::Take);
    let plan = Plan::with_upstream(&format!("{{ address: \"{}\", tls: {{ mode: off }} }}", sink.address()));
    let gatepost = plan.start();
    let mut client = gatepost.introduced();
    let reply = client.deliver("joe@sender.example", "suzie@example.org", &letter("anonymous"));
    assert!(reply.to_string().starts_with("451 4.3.5 "), "{reply}");
    assert_eq!(sink.taken(), []);
    drop(client);
    gatepost.end_well();
}

#[test]
fn a_script_that_fails_defers_and_says_where() {
    let postfix = Postfix::delivering();
    let broken = "/// Fails for one sender.\nfn mail(session, mail) {\n    if mail.sender.local_part == \"broken\" { throw \"no\"; }\n    \
                  if mail.sender.local_part == \"endless\" { loop {} }\n}\n";
    let gatepost = Plan::in_front_of(&postfix).policy("70-broken.rhai", broken).start();
    let mut client = gatepost.introduced();
    for sender in ["broken", "endless"] {
        let reply = client.ask(&format!("MAIL FROM:<{sender}@sender.example>"));
        assert!(reply.to_string().starts_with("451 4.7.0 "), "{sender}: {reply}");
    }
    gatepost.logged(&["70-broken.rhai:3:"]);
    assert_eq!(gatepost.metrics().sum("policy_errors_total", &[("policy", "broken"), ("stage", "mail")]), 2);
    // Everyone else is served.
    let reply = client.deliver("joe@sender.example", "suzie@example.org", &letter("fine"));
    assert_eq!(reply.code, 250, "{reply}");
    gatepost.end_well();
}

#[test]
fn a_client_that_goes_away_within_its_message_leaves_nothing() {
    let postfix = Postfix::holding();
    let gatepost = Plan::in_front_of(&postfix).listener("limits: { sessions_per_ip: 1000 }").start();
    let before = gatepost.open_files();
    for _ in 0..300 {
        let mut client = gatepost.introduced();
        client.ask("MAIL FROM:<joe@sender.example>");
        assert_eq!(client.ask("RCPT TO:<load@example.org>").code, 250);
        assert_eq!(client.ask("DATA").code, 354);
        client.send(b"From: joe@sender.example\r\nSubject: [half]\r\n\r\nhalf a line").unwrap();
        client.reset();
    }
    gatepost.counted("messages_total", &[("outcome", "aborted")], 300);
    assert_eq!(postfix.queued(), []);
    crate::harness::until("its files to be closed", Duration::from_secs(30), || {
        (gatepost.open_files() <= before + 4).then_some(())
    });
    gatepost.end_well();
}

/// Row 179 of the catalogue of attacks: the message is there, its client does not know it, and comes again (RFC 1047).
#[test]
fn a_client_that_is_lost_behind_its_dot_is_noted_with_the_upstream_s_words() {
    let sink = Sink::start(AtTheDot::TakeLate);
    let gatepost = Plan::in_front_of_server(sink.address()).start();
    let mut client = gatepost.introduced();
    for command in ["MAIL FROM:<joe@sender.example>", "RCPT TO:<suzie@example.org>", "DATA"] {
        assert!(client.ask(command).class() < 4);
    }
    client.send(&[&letter("lost")[..], b".\r\n"].concat()).unwrap();
    crate::harness::until("the message to be there", Duration::from_secs(30), || {
        (sink.taken().len() == 1).then_some(())
    });
    client.reset();
    gatepost.logged(&["acked_upstream_client_gone", "queued as SINK"]);
    gatepost.counted("messages_total", &[("outcome", "accepted")], 1);
    gatepost.end_well();
}

#[test]
fn the_second_address_of_an_upstream_is_used_when_the_first_is_dead() {
    let postfix = Postfix::delivering();
    let (dead, alive) = (crate::harness::free_port(), postfix.address());
    let addresses = format!("[\"127.0.0.1:{dead}\", \"{alive}\"]");
    let gatepost = Plan::with_upstream(&format!("{{ address: {addresses}, tls: {{ mode: off }} }}")).start();
    let reply = gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", &letter("second"));
    assert_eq!(reply.code, 250, "{reply}");
    gatepost.end_well();
}
