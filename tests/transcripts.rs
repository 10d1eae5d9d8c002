//! Every transcript of the project goes as it says: the protocol, the attacks and faults, and the shipped policies.

// Functions that tests call are not tests to clippy; a panic is how they report.
#![allow(clippy::expect_used)]

use std::path::{Path, PathBuf};

use gatepost::policy::Sources;
use gatepost::transcript::{Options, run_paths};

/// Runs the transcripts below `folder` of the project.
fn run(folder: &str) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let options = Options {
        hostname: "mx.example.org".to_owned(),
        domains: vec!["example.org".to_owned()],
        trusted_networks: Vec::new(),
        policies: Sources { dir: project.join("policies"), ..Sources::default() },
        filter: None,
    };
    let paths: [PathBuf; 1] = [project.join(folder)];
    let report = run_paths(&paths, &options).expect("the transcripts can be run");
    assert!(report.is_success(), "{}{report}", report.failures(false));
    println!("{report}");
}

#[test]
fn the_protocol() {
    run("tests/transcripts");
}

#[test]
fn the_shipped_policies() {
    run("policies/tests");
}
