//! The page of metrics, and the words that labels have from the start.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::sync::LazyLock;
use std::time::UNIX_EPOCH;

use gatepost::checks::results::Dkim;
use gatepost::metrics::{Description, Metrics, PREFIX, RuleLabels, descriptions};

use crate::{path, read};

/// What is chosen by the operator in a fresh process of these tests, by the label.
const CHOSEN: &[(&str, &str)] = &[
    ("listener", "a listener of the configuration"),
    ("upstream", "an upstream of the configuration"),
    ("address", "one of its addresses, as written there"),
    ("rule", "`policy.rule`; of other sources the limit, the protocol rule or the command"),
    ("policy", "a policy: the name of its file"),
    ("list", "a DNS list, as scripts and settings write it; `other` for the rest"),
    ("certificate", "the name of its file"),
    ("generation", "the policies' generation"),
    ("version", "of Gatepost, or of TLS"),
    ("stage", "`connect` `helo` `auth` `mail` `rcpt` `data` `message` `violation` `close`"),
    ("source", "`policy` `limit` `protocol` `upstream` `internal`"),
    ("code", "the reply's three digits"),
    ("action", "what a rule orders: `reject`, `defer`, `discard`...; `would_reject`... in shadow"),
    ("mode", "`enforce` `shadow`"),
];

/// Families whose label of this name has words of its own, not those that the operator chose.
const OF_ITS_OWN: &[(&str, &str)] = &[
    ("dmarc_results_total", "policy"),
    ("tls_handshakes_total", "version"),
    ("upstream_starttls_missing_total", "mode"),
];

/// The words of each label of each family, as a fresh process has them; of what the operator chooses there are none.
pub(crate) static WORDS: LazyLock<BTreeMap<(&'static str, &'static str), BTreeSet<String>>> =
    LazyLock::new(|| {
        let exposition = fresh();
        let mut words = BTreeMap::new();
        for description in descriptions() {
            for label in description.labels {
                if chosen(description.name, label).is_none() {
                    words.insert((description.name, *label), values(&exposition, description.name, label));
                }
            }
        }
        words
    });

/// How the operator, or nobody in advance, decides about a label.
pub(crate) fn chosen(family: &str, label: &str) -> Option<&'static str> {
    let own = OF_ITS_OWN.contains(&(family, label));
    CHOSEN.iter().find(|(name, _)| *name == label && !own).map(|(_, what)| *what)
}

/// The family of a sample's name, without the prefix: `..._bucket`, `..._sum` and `..._count` are those of a histogram.
pub(crate) fn family(sample: &str) -> Option<&'static Description> {
    let name = sample.strip_prefix(PREFIX)?;
    descriptions().iter().find(|family| {
        let rest = name.strip_prefix(family.name);
        match family.kind {
            "histogram" => matches!(rest, Some("_bucket" | "_sum" | "_count")),
            _ => rest == Some(""),
        }
    })
}

/// Everything that a process with one of each exposes before anything happened.
fn fresh() -> String {
    let metrics = Metrics::new();
    let listener = metrics.listener("NAME");
    listener.sessions_limit(1);
    listener.offers_auth();
    listener.certificate("NAME", UNIX_EPOCH);
    let upstream = metrics.upstream("NAME");
    upstream.up(true);
    upstream.address("NAME").up(true);
    let policy = metrics.policy();
    policy.expect_policy("helo", "NAME");
    let rule =
        RuleLabels { listener: "NAME", stage: "helo", rule: "NAME", action: "reject", mode: "enforce" };
    policy.expect_rule(rule, Some(550));
    policy.info("1");
    let _checks = (metrics.checks(), metrics.dns(), metrics.facts());
    let _keepers = (metrics.store(), metrics.quarantine(), metrics.decisions());
    metrics.facts().usable("NAME", true);
    metrics.encode().unwrap()
}

/// The values of a label in an exposition, in their order there.
fn values(exposition: &str, family: &str, label: &str) -> BTreeSet<String> {
    let start = format!("{PREFIX}{family}");
    let samples = exposition.lines().filter_map(|line| line.strip_prefix(&*start));
    samples.filter_map(|rest| value(rest, label)).map(str::to_owned).collect()
}

fn value<'l>(sample: &'l str, label: &str) -> Option<&'l str> {
    let (_, labels) = sample.split_once('{')?;
    let mut pairs = labels.split("\",").filter_map(|pair| pair.split_once("=\""));
    pairs.find(|(name, _)| *name == label).map(|(_, value)| value.split('"').next().unwrap_or_default())
}

fn page() -> String {
    let mut page = "# Metrics\n\nWhat Gatepost exposes at `/metrics`, made from what the program declares \
                    (`GATEPOST_BLESS=1 cargo test --test grafana` writes it anew).\nEvery name begins with `gatepost_`; \
                    `process_...` is beside them, as Prometheus' client libraries have it. Label values are words of\n\
                    the program and names that you chose, never anything from mail. Series whose labels are known in \
                    advance are there with 0 from the start.\n\n| metric | kind | labels | |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for Description { name, kind, labels, help, .. } in descriptions() {
        let labels = if labels.is_empty() { String::new() } else { format!("`{}`", labels.join("` `")) };
        writeln!(page, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
    }
    page.push_str("\n## Labels\n\n| label | values |\n| --- | --- |\n");
    for (label, what) in CHOSEN {
        writeln!(page, "| `{label}` | {what} |").unwrap();
    }
    page.push_str(
        "\nThe others have these from the start:\n\n| metric | label | values |\n| --- | --- | --- |\n",
    );
    for ((name, label), words) in &*WORDS {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        writeln!(page, "| `{name}` | `{label}` | {} |", words.join(" ")).unwrap();
    }
    page.push_str("\n## Buckets\n\nUpper bounds; times are in seconds, sizes in octets.\n\n| metric | |\n| --- | --- |\n");
    for Description { name, buckets, .. } in descriptions().iter().filter(|family| !family.buckets.is_empty())
    {
        let bounds: Vec<_> = buckets.iter().map(f64::to_string).collect();
        writeln!(page, "| `{name}` | {} |", bounds.join(", ")).unwrap();
    }
    page
}

#[test]
fn the_page_of_metrics_is_what_is_declared() {
    let page = page();
    if std::env::var_os("GATEPOST_BLESS").is_some() {
        fs::write(path("metrics.md"), &page).unwrap();
    }
    assert!(
        read("metrics.md") == page,
        "grafana/metrics.md is not what is declared: run `GATEPOST_BLESS=1 cargo test --test grafana`"
    );
}

#[test]
fn every_label_whose_words_are_known_has_them_from_the_start() {
    for ((name, label), words) in &*WORDS {
        assert!(!words.is_empty(), "{name} has no series with a {label} from the start");
    }
}

#[test]
fn every_reason_of_dkim_is_counted_from_the_start() {
    let known = &WORDS[&("dkim_results_total", "reason")];
    let missing: Vec<_> = Dkim::REASONS.iter().filter(|reason| !known.contains(**reason)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// One listener more may not cost more than this, whatever its clients do: a site has a handful.
const SERIES_OF_A_LISTENER: usize = 500;

#[test]
fn a_listener_and_a_rule_cost_a_bounded_number_of_series() {
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let metrics = Metrics::new();
    let policy = metrics.policy();
    let begin = series(&metrics.encode().unwrap());
    metrics.listener("mx").offers_auth();
    let listener = series(&metrics.encode().unwrap());
    assert!(listener - begin <= SERIES_OF_A_LISTENER, "{begin} {listener}");
    for number in 0..200 {
        let rule = format!("policy{}.rule{number}", number / 4);
        let labels =
            RuleLabels { listener: "mx", stage: "helo", rule: &rule, action: "reject", mode: "enforce" };
        policy.expect_rule(labels, Some(550));
    }
    let rules = series(&metrics.encode().unwrap());
    assert_eq!(rules - listener, 2 * 200, "a decision and a rejection of each rule");
}
