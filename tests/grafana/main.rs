//! `grafana/`: dashboards and alerts ask for metrics, labels and words that there are, every metric is on a dashboard, every alert
//! has its runbook and its tests, and the page of metrics is what the program declares.
//!
//! `GATEPOST_BLESS=1 cargo test --test grafana` writes `grafana/metrics.md` anew.

// Clippy takes only functions marked as tests for tests; what they share may fail in the same way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod alerts;
mod dashboards;
mod metrics;
mod promql;
mod provisioning;

use std::fs;
use std::path::{Path, PathBuf};

/// A file or folder of `grafana/`.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana").join(name)
}

/// The text of a file of `grafana/`.
#[track_caller]
fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("grafana/{name}: {error}"))
}

/// What a YAML file of `grafana/` says.
#[track_caller]
fn yaml(name: &str) -> serde_json::Value {
    serde_yaml::from_str(&read(name)).unwrap_or_else(|error| panic!("grafana/{name}: {error}"))
}

/// What a field says that is a text.
#[track_caller]
fn text<'v>(value: &'v serde_json::Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}
