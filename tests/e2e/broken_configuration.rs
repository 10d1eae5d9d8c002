//! A configuration that cannot be used: everything that is wrong, at once, in words.

use std::fs;
use std::process::Output;

use crate::harness::{command, copy, folder, repository};

const BROKEN: &str = "hostname: mx.example.org
listeners:
  mx:
    listen: [\"127.0.0.1:2525\"]
    upstream: mane
    limits: { message_size: 50 }
upstreams:
  main: { address: \"maildir:box\" }
domains: [example.org]
domians: [example.net]
policies: { dir: policies }
";

/// Status 1 and these words; never a trace of the program's own trouble.
#[track_caller]
fn refuses(output: &Output, words: &[&str]) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for word in words {
        assert!(errors.contains(word), "{word} is not in:\n{errors}");
    }
    for word in ["panicked", "backtrace", "RUST_BACKTRACE", "unwrap"] {
        assert!(!errors.contains(word), "{word} is in:\n{errors}");
    }
}

fn gatepost(folder: &std::path::Path, what: &str) -> Output {
    command(folder).args([what, "-c", "gatepost.yaml"]).env("RUST_BACKTRACE", "1").output().unwrap()
}

#[test]
fn every_mistake_in_the_configuration_is_shown_at_once() {
    let folder = folder("broken");
    copy(&repository().join("policies"), &folder.path().join("policies"));
    fs::write(folder.path().join("gatepost.yaml"), BROKEN).unwrap();
    for what in ["run", "check"] {
        refuses(
            &gatepost(folder.path(), what),
            &["gatepost.yaml:5", "gatepost.yaml:6", "gatepost.yaml:10", "main", "domains"],
        );
    }
}

#[test]
fn every_mistake_in_the_policies_is_shown_at_once() {
    let folder = folder("broken");
    copy(&repository().join("policies"), &folder.path().join("policies"));
    let good = BROKEN.replace("mane", "main").replace("message_size: 50 ", "message_size: 50MiB ");
    let good = good.replace("domians: [example.net]\n", "");
    fs::write(folder.path().join("gatepost.yaml"), good).unwrap();
    assert!(gatepost(folder.path(), "check").status.success());

    fs::write(folder.path().join("policies/70-first.rhai"), "fn helo(session) { rejekt(\"a\", \"b\") \n")
        .unwrap();
    fs::write(folder.path().join("policies/71-second.rhai"), "let x = 1;\n").unwrap();
    fs::write(folder.path().join("policies/72-third.rhai"), "fn reject(a, b) {}\nfn helo(session) {}\n")
        .unwrap();
    for what in ["run", "check"] {
        refuses(&gatepost(folder.path(), what), &["70-first.rhai:", "71-second.rhai:1", "72-third.rhai:1"]);
    }
}

#[test]
fn an_empty_folder_of_policies_is_not_an_open_relay() {
    let folder = folder("broken");
    fs::create_dir(folder.path().join("policies")).unwrap();
    let good = BROKEN.replace("mane", "main").replace("message_size: 50 ", "message_size: 50MiB ");
    fs::write(folder.path().join("gatepost.yaml"), good.replace("domians: [example.net]\n", "")).unwrap();
    for what in ["run", "check"] {
        refuses(&gatepost(folder.path(), what), &["relay"]);
    }
}

#[test]
fn a_port_that_is_taken_and_a_file_that_is_missing_are_said_in_words() {
    let folder = folder("broken");
    copy(&repository().join("policies"), &folder.path().join("policies"));
    refuses(&gatepost(folder.path(), "run"), &["gatepost.yaml"]);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let good = BROKEN.replace("mane", "main").replace("message_size: 50 ", "message_size: 50MiB ");
    let good = good
        .replace("domians: [example.net]\n", "")
        .replace("127.0.0.1:2525", &taken.local_addr().unwrap().to_string());
    fs::write(folder.path().join("gatepost.yaml"), good).unwrap();
    refuses(&gatepost(folder.path(), "run"), &[&taken.local_addr().unwrap().to_string(), "in use"]);
}
