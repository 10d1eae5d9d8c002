use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn rule<'n>(listener: &'n str, rule: &'n str, mode: &'static str) -> RuleLabels<'n> {
    RuleLabels { listener, stage: "helo", rule, action: "reject", mode }
}

fn names(exposition: &str) -> BTreeSet<&str> {
    exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

#[tokio::test]
async fn every_family_is_exposed_with_help_and_a_name_of_its_kind() {
    let metrics = Metrics::new();
    let (listener, upstream, policy) = (metrics.listener("mx"), metrics.upstream("main"), metrics.policy());
    let (_checks, _dns, _store) = (metrics.checks(), metrics.dns(), metrics.store());
    let (_quarantine, _decisions) = (metrics.quarantine(), metrics.decisions());
    metrics.facts().usable("zen.test", true);
    listener.sessions_limit(2);
    listener.offers_auth();
    listener.certificate("mx.pem", UNIX_EPOCH);
    upstream.up(true);
    upstream.address("127.0.0.1:25").up(true);
    policy.expect_policy("helo", "helo");
    policy.expect_rule(rule("mx", "helo.bare-ip", "enforce"), Some(550));
    policy.info("1");
    let text = metrics.encode().unwrap();

    for Description { name, .. } in descriptions() {
        assert!(names(&text).contains(&*format!("gatepost_{name}")), "{name} is missing");
    }
    assert!(names(&text).contains("process_resident_memory_bytes"));
    assert!(sum(&text, "gatepost_tokio_workers", &[]) >= 1.0);
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
    }
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP gatepost_")) {
        let (_, help) = line.split_once(' ').unwrap();
        assert!(help.ends_with('.'), "{line}");
    }
}

#[test]
fn known_series_exist_with_zero() {
    let metrics = Metrics::new();
    metrics.listener("mx").offers_auth();
    metrics.upstream("main");
    metrics.checks();
    metrics.store();
    metrics.policy().expect_rule(rule("mx", "helo.bare-ip", "enforce"), Some(550));
    metrics.policy().expect_rule(rule("mx", "helo.not-fqdn", "shadow"), Some(550));
    let text = metrics.encode().unwrap();
    for series in [
        r#"gatepost_messages_total{listener="mx",outcome="quarantined"} 0"#,
        r#"gatepost_replies_total{class="5",listener="mx"} 0"#,
        r#"gatepost_upstream_replies_total{class="2",command="end_of_data",upstream="main"} 0"#,
        r#"gatepost_auth_total{listener="mx",mechanism="scram-sha-256",result="refused"} 0"#,
        r#"gatepost_upstream_ambiguous_total{upstream="main"} 0"#,
        r#"gatepost_spf_results_total{identity="helo",result="softfail"} 0"#,
        r#"gatepost_dmarc_results_total{disposition="reject",policy="reject",result="fail"} 0"#,
        r#"gatepost_rejections_total{code="550",listener="mx",rule="helo.bare-ip",source="policy",stage="helo"} 0"#,
        r#"gatepost_greylist_total{result="would_wait"} 0"#,
        r#"gatepost_store_operations_total{operation="remembered",result="down"} 0"#,
        r#"gatepost_store_displaced_total{table="greylist"} 0"#,
        r#"gatepost_config_reloads_total{kind="policies",outcome="failed"} 0"#,
        r#"gatepost_config_reloads_total{kind="certificates",outcome="failed"} 0"#,
        r#"gatepost_upstream_starttls_missing_total{mode="opportunistic",upstream="main"} 0"#,
    ] {
        assert!(text.lines().any(|line| line == series), "{series} is missing");
    }
    assert!(!text.contains(r#"rule="helo.not-fqdn",source="policy""#), "a shadow rule rejects nothing");
}

#[test]
fn a_session_moves_its_listener() {
    let metrics = Metrics::new();
    let mx = metrics.listener("mx");
    mx.connection(Admission::Accepted);
    mx.sessions_limit(2000);
    mx.session_started();
    mx.command("ehlo");
    mx.command("xclient");
    mx.auth("PLAIN", "ok");
    mx.auth("X-WHAT-A-CLIENT-SAYS", "refused");
    mx.reply(250);
    mx.rejection("rcpt", "upstream", "upstream", 550);
    mx.reply(550);
    mx.recipient(Outcome::Rejected);
    mx.message(Outcome::Accepted);
    mx.message_size(Outcome::Accepted, 5000);
    mx.message_recipients(Outcome::Accepted, 3);
    mx.added_latency(MILLISECOND);
    mx.limit("recipients");
    mx.tls_handshake("TLSv1.3", Some("X25519MLKEM768"));
    mx.tls_failed();
    let text = metrics.encode().unwrap();
    let moved = |metric: &str, labels: &[(&str, &str)]| sum(&text, &format!("gatepost_{metric}"), labels);
    assert_eq!(moved("connections_total", &[("outcome", "accepted")]), 1.0);
    assert_eq!(moved("sessions_limit", &[("listener", "mx")]), 2000.0);
    assert_eq!(moved("sessions_active", &[]), 1.0);
    assert_eq!(moved("commands_total", &[("command", "xclient")]), 1.0);
    assert_eq!(moved("auth_total", &[("mechanism", "plain"), ("result", "ok")]), 1.0);
    assert_eq!(moved("auth_total", &[("mechanism", "other"), ("result", "refused")]), 1.0);
    assert_eq!(moved("replies_total", &[("class", "5")]), moved("rejections_total", &[]));
    assert_eq!(moved("rejections_total", &[("rule", "upstream"), ("code", "550"), ("stage", "rcpt")]), 1.0);
    assert_eq!(moved("recipients_total", &[("outcome", "rejected")]), 1.0);
    assert_eq!(moved("messages_total", &[("outcome", "accepted")]), 1.0);
    assert_eq!(moved("message_size_bytes_sum", &[("outcome", "accepted")]), 5000.0);
    assert_eq!(moved("message_recipients_sum", &[]), 3.0);
    assert_eq!(moved("added_latency_seconds_count", &[]), 1.0);
    assert_eq!(moved("limits_total", &[("limit", "recipients")]), 1.0);
    assert_eq!(moved("tls_handshakes_total", &[("side", "client"), ("outcome", "ok")]), 1.0);
    assert_eq!(moved("tls_handshakes_total", &[("outcome", "failed")]), 1.0);

    mx.session_ended(MILLISECOND);
    let text = metrics.encode().unwrap();
    assert_eq!(sum(&text, "gatepost_sessions_active", &[]), 0.0);
    assert_eq!(sum(&text, "gatepost_session_duration_seconds_count", &[("listener", "mx")]), 1.0);
}

#[test]
fn upstream_policy_checks_and_dns_move() {
    let metrics = Metrics::new();
    let (upstream, policy) = (metrics.upstream("main"), metrics.policy());
    let (checks, dns) = (metrics.checks(), metrics.dns());
    upstream.up(true);
    upstream.connect("ok");
    let address = upstream.address("127.0.0.1:25");
    address.up(true);
    address.opened();
    address.opened();
    address.closed();
    upstream.reply("end_of_data", 2, MILLISECOND);
    upstream.reply("lhlo", 0, MILLISECOND);
    upstream.ambiguous();
    upstream.tls_handshake("TLSv1.9", Some("made-up"));
    upstream.tls_handshake("TLSv1.2", None);
    policy.decision(rule("mx", "helo.bare-ip", "shadow"));
    policy.duration("helo", &"helo".into(), MILLISECOND);
    policy.error("helo", "helo", "operations");
    checks.spf("mailfrom", "pass");
    checks.dkim("fail", "body");
    checks.dmarc("fail", "reject", "reject");
    checks.arc("pass", true);
    dns.lookup("txt", "miss", "ok", MILLISECOND);
    dns.lookup("txt", "hit", "ok", MILLISECOND);
    dns.cache_entries(9);
    let text = metrics.encode().unwrap();
    for (metric, labels, value) in [
        ("upstream_up", ("upstream", "main"), 1.0),
        ("upstream_address_up", ("address", "127.0.0.1:25"), 1.0),
        ("upstream_sessions_active", ("address", "127.0.0.1:25"), 1.0),
        ("upstream_connects_total", ("outcome", "ok"), 1.0),
        ("upstream_replies_total", ("command", "end_of_data"), 1.0),
        ("upstream_replies_total", ("class", "none"), 1.0),
        ("upstream_reply_duration_seconds_count", ("upstream", "main"), 2.0),
        ("upstream_ambiguous_total", ("upstream", "main"), 1.0),
        ("tls_handshakes_total", ("key_exchange", "other"), 1.0),
        ("tls_handshakes_total", ("version", "TLSv1.2"), 1.0),
        ("policy_decisions_total", ("mode", "shadow"), 1.0),
        ("policy_duration_seconds_count", ("policy", "helo"), 1.0),
        ("policy_errors_total", ("kind", "operations"), 1.0),
        ("spf_results_total", ("identity", "mailfrom"), 1.0),
        ("dkim_results_total", ("reason", "body"), 1.0),
        ("dmarc_results_total", ("disposition", "reject"), 1.0),
        ("arc_results_total", ("trusted", "true"), 1.0),
        ("dns_lookups_total", ("type", "txt"), 2.0),
        ("dns_lookup_duration_seconds_count", ("type", "txt"), 1.0),
    ] {
        assert_eq!(sum(&text, &format!("gatepost_{metric}"), &[labels]), value, "{metric}");
    }
    assert_eq!(sum(&text, "gatepost_dns_cache_entries", &[]), 9.0);
}

#[test]
fn name_servers_that_fail_are_told() {
    let metrics = Metrics::new();
    let dns = metrics.dns();
    let failing = || sum(&metrics.encode().unwrap(), "gatepost_dns_failing", &[]);
    for (fail, value) in [(false, 0.0), (true, 1.0), (false, 0.0)] {
        dns.servers_fail(fail);
        assert_eq!(failing(), value);
    }
}

#[test]
fn a_reload_tells_what_is_in_force() {
    let metrics = Metrics::new();
    let policy = metrics.policy();
    policy.info("1");
    policy.loaded("policies", UNIX_EPOCH + Duration::from_secs(100));
    policy.reload_failed("policies");
    let text = metrics.encode().unwrap();
    assert_eq!(sum(&text, "gatepost_config_last_reload_successful", &[("kind", "policies")]), 0.0);
    assert_eq!(sum(&text, "gatepost_config_last_reload_success_timestamp_seconds", &[]), 100.0);

    policy.info("2");
    policy.reloaded("policies", UNIX_EPOCH + Duration::from_secs(200));
    let text = metrics.encode().unwrap();
    assert_eq!(sum(&text, "gatepost_config_last_reload_successful", &[]), 1.0);
    assert_eq!(sum(&text, "gatepost_config_last_reload_success_timestamp_seconds", &[]), 200.0);
    assert_eq!(sum(&text, "gatepost_config_reloads_total", &[("outcome", "ok")]), 1.0);
    assert_eq!(sum(&text, "gatepost_config_reloads_total", &[("outcome", "failed")]), 1.0);
    assert_eq!(sum(&text, "gatepost_policy_info", &[]), 1.0, "one generation only");
}

#[test]
fn detached_handles_count_for_nobody() {
    ListenerMetrics::detached().session_started();
    UpstreamMetrics::detached().reply("rcpt", 5, MILLISECOND);
    PolicyMetrics::detached().info("1");
    CheckMetrics::detached().spf("helo", "pass");
    DnsMetrics::detached().cache_entries(1);
}

#[test]
fn the_store_moves() {
    let metrics = Metrics::new();
    let store = metrics.store();
    store.operation("rate", "ok", MILLISECOND);
    store.operation("greylist", "timeout", MILLISECOND);
    store.operation("greylist", "down", MILLISECOND);
    store.greylist("would_wait");
    store.up(true);
    store.table("greylist", 7, 2);
    store.table("greylist", 5, 1);
    store.flushed(true);
    store.flushed(false);
    let text = metrics.encode().unwrap();
    let moved = |metric: &str, labels: &[(&str, &str)]| sum(&text, &format!("gatepost_{metric}"), labels);
    assert_eq!(moved("store_operations_total", &[("operation", "rate"), ("result", "ok")]), 1.0);
    assert_eq!(moved("store_operations_total", &[("operation", "greylist"), ("result", "down")]), 1.0);
    assert_eq!(moved("store_operation_duration_seconds_count", &[("operation", "greylist")]), 1.0);
    assert_eq!(moved("greylist_total", &[("result", "would_wait")]), 1.0);
    assert_eq!(moved("store_up", &[]), 1.0);
    assert_eq!(moved("store_records", &[("table", "greylist")]), 5.0);
    assert_eq!(moved("store_displaced_total", &[("table", "greylist")]), 3.0);
    assert_eq!(moved("store_flushes_total", &[]), 2.0);
}
