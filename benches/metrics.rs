//! What a scrape costs with 200 rules at two listeners: `cargo bench --bench metrics`. The goal is 5 ms.
//!
//! A measurement: it prints, and ends with 1 if the goal is missed.

// A panic says what went wrong.
#![allow(clippy::unwrap_used)]

mod measure;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use gatepost::metrics::{Metrics, RuleLabels};
use measure::say;

const ROUNDS: u32 = 200;
const GOAL: Duration = Duration::from_millis(5);
/// Files of policies, with four rules each.
const POLICIES: usize = 50;
const LISTENERS: [&str; 2] = ["mx", "submission"];
const STAGES: [&str; 4] = ["helo", "mail", "rcpt", "message"];

fn main() -> ExitCode {
    let metrics = Metrics::new();
    let begin = figures(&metrics);
    let _handles = site(&metrics);
    let site = figures(&metrics);
    rules(&metrics);
    let rules = figures(&metrics);
    for (what, (time, series, octets)) in
        [("nothing", begin), ("two listeners and upstreams", site), ("and 200 rules", rules)]
    {
        println!("{what:28} {time:>9.2?} {series:>6} series {:>5} KiB", octets / 1024);
    }
    let milliseconds = rules.0.as_secs_f64() * 1000.0;
    let held = say("milliseconds for a scrape, less than 5", milliseconds, rules.0 < GOAL);
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The time of a scrape that nothing else on the machine disturbs, and how many series and octets it has.
fn figures(metrics: &Arc<Metrics>) -> (Duration, usize, usize) {
    let text = metrics.encode().unwrap();
    let time = |_| {
        let began = Instant::now();
        black_box(metrics.encode().unwrap());
        began.elapsed()
    };
    let fastest = (0..ROUNDS).map(time).min().unwrap_or_default();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    (fastest, series, text.len())
}

/// What a site has beside rules.
fn site(metrics: &Arc<Metrics>) -> impl Sized + use<> {
    for name in LISTENERS {
        let listener = metrics.listener(name);
        listener.sessions_limit(2000);
        listener.offers_auth();
        listener.certificate("mx.pem", UNIX_EPOCH);
    }
    for name in ["main", "lists"] {
        metrics.upstream(name).address("192.0.2.1:25").up(true);
    }
    metrics.facts().usable("zen.example.org", true);
    (metrics.checks(), metrics.dns(), metrics.store(), metrics.quarantine(), metrics.decisions())
}

fn rules(metrics: &Arc<Metrics>) {
    let policy = metrics.policy();
    for number in 0..POLICIES {
        for stage in STAGES {
            policy.expect_policy(stage, &format!("policy-{number}"));
            let rule = format!("policy-{number}.{stage}");
            for listener in LISTENERS {
                let labels = RuleLabels { listener, stage, rule: &rule, action: "reject", mode: "enforce" };
                policy.expect_rule(labels, Some(550));
                policy.decision(labels);
            }
        }
    }
}
