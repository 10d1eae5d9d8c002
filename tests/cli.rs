//! The program as an operator meets it: exit status, what goes where, no colour where none is wanted.

// Clippy takes only functions marked as tests for tests; what they share may fail in the same way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::process::{Command, Output};

fn gatepost(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gatepost"))
        .args(arguments)
        .current_dir(directory)
        .env("RUST_BACKTRACE", "full")
        .env_remove("NO_COLOR")
        .output()
        .unwrap()
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn help_and_version_are_answers() {
    let help = gatepost(&["--help"], here());
    assert_eq!(help.status.code(), Some(0));
    for word in ["run", "check", "test", "--config"] {
        assert!(stdout(&help).contains(word), "{word}");
    }
    let version = gatepost(&["--version"], here());
    assert_eq!(stdout(&version), format!("gatepost {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_not_understood_is_usage() {
    for arguments in [&["--nonsense"][..], &["chekc"], &["check", "extra"], &["-c"]] {
        let output = gatepost(arguments, here());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stdout(&output).is_empty());
    }
    assert!(stderr(&gatepost(&["chekc"], here())).contains("check"), "the nearest command is named");
}

/// Neither needs a configuration: what the language is does not depend on one.
#[test]
fn definitions_are_written_for_editors_and_shown_to_people() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("made/definitions");
    let written = gatepost(&["definitions", target.to_str().unwrap()], dir.path());
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    let own = std::fs::read_to_string(target.join("gatepost.d.rhai")).unwrap();
    assert!(own.contains("fn get helo(session: Session) -> String;"), "{own}");
    let shown = gatepost(&["definitions", "--reference"], dir.path());
    assert_eq!(shown.status.code(), Some(0));
    let page = std::fs::read_to_string(here().join("policies/reference.md")).unwrap();
    assert_eq!(stdout(&shown), page);
    assert_eq!(gatepost(&["definitions"], dir.path()).status.code(), Some(2));
}

/// A folder with a configuration that is good, and a policy with one warning and perhaps more.
fn with_policy(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    std::fs::copy(here().join("policies/00-relay.rhai"), policies.join("00-relay.rhai")).unwrap();
    std::fs::write(policies.join("10-x.rhai"), text).unwrap();
    let config = "hostname: mx.example.org\nlisteners: { mx: { listen: 127.0.0.1:2525, upstream: main } }\n\
                  upstreams: { main: { address: 127.0.0.1:10025 } }\ndomains: [example.org]\n";
    std::fs::write(dir.path().join("gatepost.yaml"), config).unwrap();
    dir
}

#[test]
fn warnings_can_be_denied() {
    let dir = with_policy("fn helo(session) {}\nfn unused() { 1 }\n");
    let check =
        |arguments: &[&str]| gatepost(&[&["check", "-c", "gatepost.yaml"], arguments].concat(), dir.path());
    let lenient = check(&[]);
    assert_eq!(lenient.status.code(), Some(0), "{}", stderr(&lenient));
    assert!(stderr(&lenient).contains("warning: no stage's function ever calls this"));
    let strict = check(&["--deny", "warnings"]);
    assert_eq!(strict.status.code(), Some(1));
    assert!(
        stderr(&strict).ends_with("error: warnings are denied, and gatepost.yaml has 1 warning\n"),
        "{}",
        stderr(&strict)
    );
    let config = std::fs::read_to_string(dir.path().join("gatepost.yaml")).unwrap();
    std::fs::write(dir.path().join("gatepost.yaml"), config + "policies: { deny_warnings: true }\n").unwrap();
    assert_eq!(check(&[]).status.code(), Some(1));
}

#[test]
fn check_speaks_to_programs() {
    let dir = with_policy("fn helo(session) { session.hello }\n");
    let json = gatepost(&["check", "-c", "gatepost.yaml", "--format", "json"], dir.path());
    assert_eq!(json.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(told[0]["line"], 1, "{told}");
    assert_eq!(told[0]["column"], 28, "{told}");
    assert_eq!(told[0]["help"], "did you mean `helo`?", "{told}");
    let github = gatepost(&["check", "-c", "gatepost.yaml", "--format", "github"], dir.path());
    let shown = stdout(&github);
    assert!(
        shown.starts_with("::error file=") && shown.contains("10-x.rhai,line=1,col=28,endColumn=33::"),
        "{shown}"
    );
    std::fs::write(dir.path().join("policies/10-x.rhai"), "fn helo(session) {}\n").unwrap();
    let good = gatepost(&["check", "-c", "gatepost.yaml", "--format", "json"], dir.path());
    assert_eq!((good.status.code(), stdout(&good).as_str()), (Some(0), "[]\n"));
}

#[test]
fn check_shows_everything_and_says_no() {
    let output = gatepost(&["check", "-c", "tests/config/bad/out-of-range.yaml"], here());
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).is_empty());
    let shown = stderr(&output);
    assert!(shown.contains("  |                             ^^^\n"), "{shown}");
    assert!(
        shown.ends_with("error: tests/config/bad/out-of-range.yaml cannot be used: 5 errors\n"),
        "{shown}"
    );
    assert!(!shown.contains('\u{1b}'), "no colour in a pipe");
}

#[test]
fn run_keeps_source_lines_out_of_a_log() {
    for arguments in [
        &["-c", "tests/config/bad/out-of-range.yaml"][..],
        &["run", "-c", "tests/config/bad/out-of-range.yaml"],
    ] {
        let output = gatepost(arguments, here());
        assert_eq!(output.status.code(), Some(1));
        let log = stderr(&output);
        assert!(log.starts_with("error: tests/config/bad/out-of-range.yaml:6:29: must be between"), "{log}");
        assert_eq!(log.lines().count(), 6, "{log}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let output = gatepost(&["check", "-c", "none.yaml"], here());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).starts_with("error: cannot be read: No such file or directory"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("--> none.yaml"));
}

#[test]
fn without_a_file_the_places_that_were_tried_are_named() {
    if Path::new("/etc/gatepost/gatepost.yaml").exists() {
        return;
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let output = gatepost(&[], elsewhere.path());
    assert_eq!(output.status.code(), Some(1));
    let shown = stderr(&output);
    assert!(
        shown.contains("/etc/gatepost/gatepost.yaml") && shown.contains("config/gatepost.yaml"),
        "{shown}"
    );
    assert_eq!(shown.lines().count(), 1, "no backtrace: {shown}");
}

#[test]
fn check_says_yes_to_what_is_shipped() {
    let output = gatepost(&["check"], here());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.starts_with("config/gatepost.yaml is good: 1 listener, 1 upstream, 13 policies"), "{said}");
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
}

#[test]
fn check_looks_into_the_policies() {
    let output = gatepost(&["check", "--config", "tests/config/good/minimal.yaml"], here());
    assert_eq!(output.status.code(), Some(1), "a folder without a relay gate is an open relay");
    assert!(stderr(&output).contains("the policies cannot be used: 1 error"), "{}", stderr(&output));
}
