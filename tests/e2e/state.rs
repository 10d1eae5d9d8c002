//! Policies' memory: one suite for every kind of store, several Gateposts on one Redis, and what survives `kill -9`.

mod suite;

use std::time::Duration;

use gatepost::metrics::StoreMetrics;
use gatepost::state::{Capacity, Password, Settings, Store, StoreError, Target, Trust};

use crate::harness::{AtTheDot, Client, Gatepost, Make, Plan, Redis, RedisCluster, Sink, until};

/// Runs the suite against the store of these settings.
fn suite(settings: &Settings) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(settings, StoreMetrics::detached()).unwrap();
        suite::run(&store).await;
    });
}

/// A server on this machine, with time enough for a busy one.
fn server(nodes: &[u16], target: Target) -> Settings {
    let host = if target.tls.is_some() { "localhost" } else { "127.0.0.1" };
    let nodes = nodes.iter().map(|port| (host.to_owned(), *port)).collect();
    Settings::Redis { target: Target { nodes, ..target }, deadline: Duration::from_secs(30) }
}

fn plain() -> Target {
    Target { nodes: Vec::new(), cluster: false, database: 0, tls: None, user: String::new(), password: None }
}

#[test]
fn the_suite_in_memory() {
    suite(&Settings::Memory(Capacity::default()));
}

#[test]
fn the_suite_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    suite(&Settings::Embedded(folder.path().join("deep/state"), Capacity::default()));
}

#[test]
fn the_suite_on_a_redis() {
    for redis in Make::here().map(Redis::of) {
        suite(&server(&[redis.port()], plain()));
        // Everything expires, and names nobody.
        let keys = redis.keys();
        assert!(keys.len() > 20, "{keys:?}");
        for key in &keys {
            assert!(redis.ask(&["PTTL", key]).parse::<i64>().unwrap() > 0, "{key} stays for ever");
            assert!(!key.contains("192.0.2") && !key.contains('@'), "{key}");
        }
    }
}

#[test]
fn the_suite_in_another_database_behind_a_password() {
    for redis in Make::here().map(|make| Redis::with_password(make, "open-sesame")) {
        let password = Some(Password::new("open-sesame"));
        suite(&server(&[redis.port()], Target { database: 3, password, ..plain() }));
        assert!(redis.ask(&["INFO", "keyspace"]).contains("db3:"));
    }
}

#[test]
fn the_suite_under_tls() {
    for (redis, authority) in Make::here().map(Redis::with_tls) {
        let authorities = std::fs::read(authority).unwrap();
        suite(&server(&[redis.port()], Target { tls: Some(Trust::Authorities(authorities)), ..plain() }));
        assert!(!redis.keys().is_empty());
    }
}

#[test]
fn the_suite_on_a_cluster() {
    for cluster in Make::here().map(RedisCluster::start) {
        let port = cluster.nodes()[0].port();
        suite(&server(&[port], Target { cluster: true, ..plain() }));
        for node in cluster.nodes() {
            assert!(!node.keys().is_empty(), "every node has some of the keys");
        }
    }
}

/// Who the server is, and whether we may in: both are errors, and never a "no".
#[test]
fn a_server_that_is_a_stranger_or_takes_us_for_one_is_an_error() {
    let (secret, (tls, _)) = (Redis::with_password(Make::Redis, "open-sesame"), Redis::with_tls(Make::Redis));
    let wrong = Some(Password::new("open-barley"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (what, settings) in [
        ("no password", server(&[secret.port()], plain())),
        ("another password", server(&[secret.port()], Target { password: wrong, ..plain() })),
        ("an authority of its own", server(&[tls.port()], Target { tls: Some(Trust::System), ..plain() })),
        ("no TLS", server(&[tls.port()], plain())),
    ] {
        runtime.block_on(async {
            let store = Store::open(&settings, StoreMetrics::detached()).unwrap();
            let error = suite::anything(&store).await.unwrap_err();
            assert!(!format!("{error} {error:?} {store:?}").contains("barley"), "{what}: {error}");
        });
    }
}

/// A server that lets nobody in is one that is down, until it does.
#[test]
fn a_server_that_changes_its_mind_is_used_again() {
    let redis = Redis::start();
    assert_eq!(redis.ask(&["CONFIG", "SET", "requirepass", "open-sesame"]), "OK");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&server(&[redis.port()], plain()), StoreMetrics::detached()).unwrap();
        let begin = std::time::Instant::now();
        while suite::anything(&store).await != Err(StoreError::Down) {
            assert!(begin.elapsed() < Duration::from_secs(60), "it is asked for ever");
        }
        let let_in = ["-a", "open-sesame", "--no-auth-warning", "CONFIG", "SET", "requirepass", ""];
        assert_eq!(redis.ask(&let_in), "OK");
        while suite::anything(&store).await.is_err() {
            assert!(begin.elapsed() < Duration::from_secs(60), "it is never asked again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

// === several Gateposts ===

/// A policy that lets so many through, whoever they are.
fn limited(limits: &str) -> String {
    format!(
        "fn mail(session, mail) {{
    let sent = rate(\"many\", \"all\", \"{limits}\");
    if sent.result == \"over\" {{ defer(\"many\", 450, \"4.7.1\", `over after ${{sent.count}}`); }}
    if sent.result == \"error\" {{ tag(\"store\", \"down\"); }}
}}"
    )
}

fn beside(redis: &Redis, sink: &Sink) -> Plan {
    Plan::in_front_of_server(sink.address())
        .section(format!("state: {{ at: \"{}\", timeout: 30s }}", redis.url()))
        .listener("limits: { sessions: 2000, sessions_per_ip: 2000 }")
        .own_policies()
}

#[test]
fn two_gateposts_hold_one_limit_exactly_under_a_thousand_clients() {
    Make::here().for_each(hold_one_limit);
}

fn hold_one_limit(make: Make) {
    const CLIENTS: usize = 1_000;
    const LIMIT: usize = 60;
    gatepost::server::raise_limit();
    let (redis, sink) = (Redis::of(make), Sink::start(AtTheDot::Take));
    let plan = beside(&redis, &sink).policy("90-count.rhai", &limited("60/h"));
    let gateposts = [plan.start(), plan.start()];
    let mut clients: Vec<_> = (0..CLIENTS).map(|n| gateposts[n % 2].introduced()).collect();
    // All of them speak before the first is listened to.
    for client in &mut clients {
        client.send(b"MAIL FROM:<a@sender.example>\r\n").unwrap();
    }
    let replies: Vec<_> = clients.iter_mut().map(|client| client.reply().unwrap()).collect();
    let accepted = replies.iter().filter(|reply| reply.code == 250).count();
    let over = replies.iter().filter(|reply| reply.text().contains("over after 60")).count();
    assert_eq!((accepted, over), (LIMIT, CLIENTS - LIMIT));
    drop(clients);
    // The shipped policies spare clients on this machine.
    let asked = gateposts.iter().map(|gatepost| {
        gatepost.metrics().sum("store_operations_total", &[("operation", "rate"), ("result", "ok")])
    });
    assert_eq!(asked.sum::<u64>(), CLIENTS as u64);
    gateposts.into_iter().for_each(Gatepost::end_well);
}

/// Whether a transaction gets past RCPT.
fn attempt(gatepost: &Gatepost) -> u16 {
    let mut client: Client = gatepost.introduced();
    assert_eq!(client.ask("MAIL FROM:<a@sender.example>").code, 250);
    let code = client.ask("RCPT TO:<b@example.org>").code;
    assert_eq!(client.ask("QUIT").code, 221);
    code
}

/// Greylisting without the shipped policy's mercy for this machine.
const GREY: &str = "fn rcpt(session, mail, rcpt) {
    if greylist(session.client.ip, mail.sender, rcpt, \"2s\", \"1d\").result == \"wait\" { defer(\"wait\", \"come again\"); }
}";

#[test]
fn who_waited_at_one_gatepost_is_known_at_the_other() {
    let (redis, sink) = (Redis::start(), Sink::start(AtTheDot::Take));
    let plan = beside(&redis, &sink).policy("90-grey.rhai", GREY);
    let [one, other] = [plan.start(), plan.start()];
    assert_eq!(attempt(&one), 451);
    assert_eq!(attempt(&other), 451, "it has not waited yet");
    until("the delay to be over", Duration::from_secs(20), || (attempt(&other) == 250).then_some(()));
    assert_eq!(attempt(&one), 250);
    assert_eq!(one.metrics().sum("greylist_total", &[("result", "wait")]), 1);
    assert_eq!(one.metrics().sum("greylist_total", &[("result", "known")]), 1);
    assert_eq!(other.metrics().sum("greylist_total", &[("result", "pass")]), 1);
    one.end_well();
    other.end_well();
}

#[test]
fn while_redis_is_away_policies_go_on_and_when_it_is_back_so_do_they() {
    let (mut redis, sink) = (Redis::start(), Sink::start(AtTheDot::Take));
    let plan = Plan::in_front_of_server(sink.address())
        .section(format!("state: {{ at: \"{}\", timeout: 2s }}", redis.url()))
        .own_policies()
        .policy("90-count.rhai", &limited("2/h"));
    let gatepost = plan.start();
    let said = |gatepost: &Gatepost| {
        let mut client = gatepost.introduced();
        let reply = client.ask("MAIL FROM:<a@sender.example>");
        assert_eq!(client.ask("QUIT").code, 221);
        reply.code
    };
    assert_eq!([said(&gatepost), said(&gatepost), said(&gatepost)], [250, 250, 450]);
    assert_eq!(gatepost.metrics().sum("store_up", &[]), 1);
    redis.kill();
    // The policy stands open, and soon nobody waits for the store.
    until("the store to be left alone", Duration::from_secs(60), || {
        assert_eq!(said(&gatepost), 250);
        (gatepost.metrics().sum("store_up", &[]) == 0).then_some(())
    });
    assert_eq!(said(&gatepost), 250);
    gatepost.logged(&["store_down", "redis"]);
    let failed = gatepost.metrics().sum("store_operations_total", &[("result", "error")])
        + gatepost.metrics().sum("store_operations_total", &[("result", "timeout")]);
    assert!(failed >= 5, "{failed}");
    assert!(gatepost.metrics().sum("store_operations_total", &[("result", "down")]) > 0);

    // Empty, and without our scripts.
    redis.start_again();
    until("the store to be asked again", Duration::from_secs(60), || {
        said(&gatepost);
        (gatepost.metrics().sum("store_up", &[]) == 1).then_some(())
    });
    gatepost.logged(&["store_up"]);
    until("the limit to hold again", Duration::from_secs(60), || (said(&gatepost) == 450).then_some(()));
    gatepost.end_well();
}

#[test]
fn kill_minus_nine_loses_a_second_at_most() {
    let sink = Sink::start(AtTheDot::Take);
    let plan = Plan::in_front_of_server(sink.address())
        .section("state: embedded:state")
        .own_policies()
        .policy("90-count.rhai", &limited("2/h"))
        .policy("91-grey.rhai", GREY)
        .policy("92-tick.rhai", "fn helo(session) { remember(\"tick\", session.id, \"1h\"); }");
    let mut gatepost = plan.start();
    assert_eq!([attempt(&gatepost), attempt(&gatepost)], [451, 451]);
    // They come once a second, as long as there is something to write. The next may have begun before; the one after it has not.
    let flushed = |gatepost: &Gatepost| gatepost.metrics().sum("store_flushes_total", &[("result", "ok")]);
    let before = flushed(&gatepost);
    until("two more writes", Duration::from_secs(60), || {
        drop(gatepost.introduced());
        (flushed(&gatepost) >= before + 2).then_some(())
    });
    gatepost.kill();

    gatepost.start_again();
    let mut client = gatepost.introduced();
    let reply = client.ask("MAIL FROM:<a@sender.example>");
    assert!(reply.code == 450 && reply.text().contains("over after 2"), "{reply}");
    drop(client);
    for table in ["greylist", "memory"] {
        until(table, Duration::from_secs(20), || {
            (gatepost.metrics().sum("store_records", &[("table", table)]) > 0).then_some(())
        });
    }
    gatepost.end_well();
}
