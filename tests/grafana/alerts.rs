//! The alerts: what `promtool` says of them, their runbooks, and that each is tested firing and silent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::promql::{faults, selectors};
use crate::{path, read, text, yaml};

/// What has to be noticed by itself.
const WANTED: [&str; 15] = [
    "GatepostUpstreamDown",
    "GatepostNothingAccepted",
    "GatepostAcceptanceMismatch",
    "GatepostAmbiguousDelivery",
    "GatepostReloadFailed",
    "GatepostPolicyErrors",
    "GatepostRejectionJump",
    "GatepostUpstreamSlow",
    "GatepostAddedLatency",
    "GatepostSessionsNearLimit",
    "GatepostDnsFailing",
    "GatepostDnsblBlocked",
    "GatepostCertificateExpiring",
    "GatepostStoreDown",
    "GatepostDecisionsDropped",
];

/// The tests of alerts, some of which take a week of history.
const TESTS: [&str; 2] = ["alerts_test.yml", "alerts_week_test.yml"];

fn rules(alerts: &Value) -> impl Iterator<Item = &Value> {
    alerts["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap())
}

/// `promtool` with these words in front of a file.
#[track_caller]
pub(crate) fn promtool(words: [&str; 2], file: &Path) {
    let output = Command::new("promtool").args(words).arg(file).output();
    let output = output
        .unwrap_or_else(|error| panic!("promtool: {error}; tests/run installs Debian's package prometheus"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {words:?} {}:\n{said}", file.display());
}

#[test]
fn promtool_takes_them() {
    promtool(["check", "rules"], &path("alerts.yml"));
}

#[test]
fn promtool_sees_each_fire_and_be_silent() {
    for file in TESTS {
        promtool(["test", "rules"], &path(file));
    }
}

#[test]
fn they_ask_for_what_there_is() {
    for rule in rules(&yaml("alerts.yml")) {
        let expression = text(rule, "expr");
        assert!(!selectors(expression).is_empty(), "{expression}");
        assert_eq!(faults(expression), Vec::<String>::new(), "{expression}");
    }
}

#[test]
fn each_has_a_severity_a_summary_and_a_runbook() {
    let (alerts, runbooks) = (yaml("alerts.yml"), read("runbooks.md"));
    let headings: BTreeSet<_> = runbooks.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let mut names = BTreeSet::new();
    for rule in rules(&alerts) {
        let (name, annotations) = (text(rule, "alert"), &rule["annotations"]);
        names.insert(name);
        assert!(["critical", "warning"].contains(&text(&rule["labels"], "severity")), "{name}");
        for key in ["summary", "description"] {
            assert!(text(annotations, key).ends_with('.'), "{key} of {name}");
        }
        let runbook = format!("runbooks.md#{}", name.to_lowercase());
        assert_eq!(text(annotations, "runbook_url"), runbook);
        assert!(headings.contains(name), "no runbook for {name}");
    }
    let missing: Vec<_> = WANTED.iter().filter(|wanted| !names.contains(**wanted)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let stale: Vec<_> = headings.difference(&names).collect();
    assert!(stale.is_empty(), "runbooks of no alert: {stale:?}");
}

#[test]
fn each_is_tested_firing_and_silent() {
    let tests = TESTS.map(yaml);
    let mut seen: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    let cases = tests.iter().flat_map(|file| file["tests"].as_array().unwrap());
    for case in cases.flat_map(|test| test["alert_rule_test"].as_array().unwrap()) {
        let fires = !case["exp_alerts"].as_array().unwrap().is_empty();
        let (firing, silent) = seen.entry(text(case, "alertname")).or_default();
        *(if fires { firing } else { silent }) = true;
    }
    for rule in rules(&yaml("alerts.yml")) {
        let name = text(rule, "alert");
        assert_eq!(seen.get(name), Some(&(true, true)), "{name}: tested firing, silent");
    }
}

#[test]
fn runbooks_speak_of_events_that_the_log_has() {
    let runbooks = read("runbooks.md");
    let log = read("../config/README.md");
    let events = runbooks.split("event=").skip(1);
    let events =
        events.map(|rest| rest.split(|char: char| !char.is_ascii_lowercase() && char != '_').next().unwrap());
    let unknown: BTreeSet<_> = events.filter(|event| !log.contains(&format!("| {event} |"))).collect();
    assert_eq!(unknown, BTreeSet::new());
}
