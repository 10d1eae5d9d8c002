//! The program as an operator meets it: exit status, what goes where, no colour where none is wanted.

// Clippy takes only functions marked as tests for tests; what they share may fail in the same way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "cli/handbook.rs"]
mod handbook;

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

/// None of them needs a configuration either.
#[test]
fn shells_editors_and_man_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let schema = gatepost(&["schema"], dir.path());
    assert_eq!(stdout(&schema), std::fs::read_to_string(here().join("config/schema.json")).unwrap());
    for shell in ["bash", "zsh", "fish"] {
        let script = gatepost(&["completions", shell], dir.path());
        assert_eq!(script.status.code(), Some(0), "{}", stderr(&script));
        let script = stdout(&script);
        assert!(script.contains("gatepost") && script.contains("quarantine"), "{shell}: {script}");
        // The others are seldom there.
        if shell == "bash" {
            let path = dir.path().join("completions");
            std::fs::write(&path, script + "\ncomplete -p gatepost\n").unwrap();
            let sourced = Command::new("bash").arg(&path).output().unwrap();
            assert!(
                sourced.status.success() && stdout(&sourced).contains("_gatepost"),
                "{}",
                stderr(&sourced)
            );
        }
    }
    assert_eq!(gatepost(&["completions", "tcsh"], dir.path()).status.code(), Some(2));
}

#[test]
fn what_is_written_to_begin_with_is_good_and_nothing_is_written_over() {
    let root = tempfile::tempdir().unwrap();
    for (mta, orders) in [
        ("postfix", "    127.0.0.1:10025 inet n - y - - smtpd\n      -o syslog_name=postfix/gatepost\n"),
        ("exim", "    hosts_proxy       = 127.0.0.1\n"),
        ("exchange", "    New-ReceiveConnector -Name \"From Gatepost\""),
        ("other", "Next: read "),
    ] {
        let dir = root.path().join(mta);
        let at = dir.to_str().unwrap();
        let names = ["--hostname", "mx.example.net", "--domain", "example.net", "--domain", ".example.net"];
        let written = gatepost(&[&["init", "--mta", mta, "--dir", at], &names[..]].concat(), root.path());
        assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
        assert!(stdout(&written).contains(orders), "{}", stdout(&written));
        assert!(!stdout(&written).contains("RemoteIPRanges    Gatepost's"), "explanations stay in the file");
        let file = dir.join("gatepost.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        for line in ["hostname: mx.example.net ", "domains: [example.net, .example.net]"] {
            assert!(text.contains(line), "{line}");
        }
        for command in ["check", "test"] {
            let output = gatepost(&["-c", file.to_str().unwrap(), command], root.path());
            assert_eq!(
                output.status.code(),
                Some(0),
                "{mta} {command}: {}{}",
                stderr(&output),
                stdout(&output)
            );
            assert!(stderr(&output).is_empty(), "no warning: {}", stderr(&output));
        }
        std::fs::write(&file, "mine").unwrap();
        let again = gatepost(&["init", "--mta", mta, "--dir", at], root.path());
        assert_eq!(again.status.code(), Some(1));
        assert!(
            stderr(&again).contains("gatepost.yaml is there already: nothing was written"),
            "{}",
            stderr(&again)
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }
}

#[test]
fn policies_that_are_there_stay_as_they_are() {
    let root = tempfile::tempdir().unwrap();
    let policies = root.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    std::fs::copy(here().join("policies/00-relay.rhai"), policies.join("00-relay.rhai")).unwrap();
    let written = gatepost(&["init", "--mta", "other", "--dir", root.path().to_str().unwrap()], root.path());
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    assert!(stdout(&written).starts_with("1 file written to "), "{}", stdout(&written));
    assert_eq!(std::fs::read_dir(&policies).unwrap().count(), 1);
    let wrong = gatepost(&["init", "--mta", "other", "--dir", "x", "--hostname", "a: b"], root.path());
    assert!(stderr(&wrong).contains("`a: b` is no name"), "{}", stderr(&wrong));
    assert!(!root.path().join("x").exists());
}

/// Each page is one that groff understands, and says what its command is for.
#[test]
fn there_is_a_page_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let page = stdout(&gatepost(&["man"], dir.path()));
    assert!(page.contains(".TH gatepost 1") && page.contains("gatepost\\-check(1)"), "{page}");
    let pages = dir.path().join("man1");
    let written = gatepost(&["man", pages.to_str().unwrap()], dir.path());
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    let files: Vec<_> = std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().path()).collect();
    let names: Vec<String> =
        files.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    for name in ["gatepost.1", "gatepost-check.1", "gatepost-quarantine.1", "gatepost-quarantine-list.1"] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
    for file in files {
        let drawn = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(&file).output().unwrap();
        assert!(
            drawn.status.success() && stderr(&drawn).is_empty(),
            "{}: {}",
            file.display(),
            stderr(&drawn)
        );
    }
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
        let log = logged(&output);
        assert!(log.starts_with("error: tests/config/bad/out-of-range.yaml:6:29: must be between"), "{log}");
        assert_eq!(log.lines().count(), 6, "{log}");
    }
}

/// Level and message of each line of a log of JSON.
fn logged(output: &Output) -> String {
    let line = |line: &str| {
        let object: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let word = |key: &str| object[key].as_str().unwrap().to_owned();
        assert!(word("event").starts_with("start_"), "{line}");
        format!("{}: {}\n", word("level").to_lowercase(), word("message"))
    };
    stderr(output).lines().map(line).collect()
}

/// In the form that is configured, whatever else is wrong; and to somebody, where nothing is to be logged.
#[test]
fn what_is_wrong_at_the_start_stands_in_the_log_in_the_form_of_all_its_lines() {
    let folder = small();
    let file = folder.path().join("gatepost.yaml");
    let whole = std::fs::read_to_string(&file).unwrap();
    assert!(!whole.contains("\nlog:"), "{whole}");
    let odd = "trusted_networks: [0.0.0.0/0]\n";
    let says = |more: &str| {
        std::fs::write(&file, format!("{whole}{odd}{more}")).unwrap();
        gatepost(&["-c", "gatepost.yaml", "run"], folder.path())
    };
    let log = logged(&says("nonsense: 1\n"));
    assert!(log.contains("warn: gatepost.yaml"), "{log}");
    assert!(
        log.contains("error: gatepost.yaml") && log.ends_with("cannot be used: 1 error and 1 warning\n"),
        "{log}"
    );
    let text = stderr(&says("nonsense: 1\nlog: { format: text }\n"));
    assert!(text.contains("ERROR") && !text.starts_with('{') && text.contains("start_refused"), "{text}");
    let silent = stderr(&says("nonsense: 1\nlog: { level: off }\n"));
    assert!(silent.ends_with("cannot be used: 1 error and 1 warning\n"), "{silent}");
}

/// What cannot be had shows only when it is tried, and is said in the same form as what is wrong with the file.
#[test]
fn what_cannot_be_listened_on_is_named_with_its_place() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (name, address) in
        [("port-in-use", format!("127.0.0.1:{port}")), ("no-such-address", format!("192.0.2.1:{port}"))]
    {
        let folder = small();
        let file = folder.path().join("gatepost.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("127.0.0.1:0"), "{text}");
        std::fs::write(&file, text.replace("127.0.0.1:0", &address)).unwrap();
        let output = gatepost(&["-c", "gatepost.yaml", "run"], folder.path());
        assert_eq!(output.status.code(), Some(1));
        // The number is another each time.
        compare(&format!("{name}.expected"), &logged(&output).replace(&port.to_string(), "PORT"));
    }
}

/// Compares with a file of `tests/cli`; with `GATEPOST_BLESS=1` it is written anew.
fn compare(name: &str, found: &str) {
    let path = here().join("tests/cli").join(name);
    if std::env::var_os("GATEPOST_BLESS").is_some() {
        return std::fs::write(path, found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(path).unwrap_or_default(), "{name}");
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
    assert!(said.starts_with("config/gatepost.yaml is good: 1 listener, 1 upstream, 21 policies"), "{said}");
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
}

#[test]
fn check_looks_into_the_policies() {
    let output = gatepost(&["check", "--config", "tests/config/good/minimal.yaml"], here());
    assert_eq!(output.status.code(), Some(1), "a folder without a relay gate is an open relay");
    assert!(stderr(&output).contains("the policies cannot be used: 1 error"), "{}", stderr(&output));
}

/// The example for a host with two customers, installed as its first lines say.
fn hosting() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    copy(&here().join("config/examples/hosting"), root.path());
    copy_files(&here().join("policies"), &root.path().join("policies"));
    copy_files(&here().join("policies/lib"), &root.path().join("policies/lib"));
    copy_files(&here().join("tests/config/tls"), &root.path().join("tls"));
    let key = root.path().join("tls/mx.key");
    std::fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    root
}

/// The files of a folder, and those of the folders in it.
fn copy(from: &Path, to: &Path) {
    copy_files(from, to);
    let entries = std::fs::read_dir(from).unwrap().map(Result::unwrap);
    for folder in entries.filter(|entry| entry.path().is_dir()) {
        copy(&folder.path(), &to.join(folder.file_name()));
    }
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let entries = std::fs::read_dir(from).unwrap().map(Result::unwrap);
    for file in entries.filter(|entry| entry.path().is_file()) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn the_example_for_two_customers_does_as_its_tests_say() {
    let root = hosting();
    let gatepost =
        |arguments: &[&str]| gatepost(&[&["-c", "gatepost.yaml"], arguments].concat(), root.path());
    let checked = gatepost(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    let tested = gatepost(&["test"]);
    assert_eq!(tested.status.code(), Some(0), "{}{}", stderr(&tested), stdout(&tested));
    assert_eq!(stdout(&tested), "14 passed, 0 failed\n");

    let some = gatepost(&["test", "--filter", "announce", "--format", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&stdout(&some)).unwrap();
    assert_eq!(answer, serde_json::json!({ "passed": 2, "failed": 0, "failures": [] }));
    let none = gatepost(&["test", "--filter", "no such test"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("there are no such transcripts"), "{}", stderr(&none));

    let rules = stdout(&gatepost(&["rules"]));
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = rules.lines().map(words).collect();
    for expected in [
        "relay.denied rcpt enforce (gate) default 00-relay.rhai:21 reject 550: Refuse to carry mail that is neither for us nor from us, also by a route within an address of ours.",
        "example.com/orders.not-a-partner rcpt enforce default domains/example.com/10-orders.rhai:15 reject 550: A mailbox that stands in the table takes mail from the domains behind it alone.",
        "helo.not-fqdn off clients 198.51.100.20/32 2027-06-30 the clinic's old scanner says only its bare name; it goes in summer",
        "headers.no-date off recipients example.com the shop's tills send no Date",
        "example.com recipients.too-many shadow",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}\n{rules}");
    }
    let unresolved = lines.iter().find(|line| line.starts_with("helo.unresolved")).unwrap();
    assert!(unresolved.starts_with("helo.unresolved helo shadow MODES 10-helo.rhai:"), "{unresolved}");
}

#[test]
fn a_failing_test_is_data_too() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("wrong.smtp"), "S: 220 ...\nC: NOOP\nS: 500 no\n").unwrap();
    let path = root.path().join("wrong.smtp");
    let output = gatepost(&["test", "--format", "json", path.to_str().unwrap()], here());
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&answer["passed"], &answer["failed"]), (&0.into(), &1.into()));
    let failure = &answer["failures"][0];
    assert_eq!((&failure["line"], &failure["message"]), (&3.into(), &"Gatepost said something else".into()));
    assert!(failure["details"].as_str().unwrap().contains("- S: 500 no"), "{failure}");
}

/// A configuration with two policies and a test of one of them.
fn small() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let config = "hostname: mx.example.org\nlisteners: { mx: { listen: \"127.0.0.1:0\", upstream: main } }\n\
                  upstreams: { main: { address: \"maildir:mail\" } }\ndomains: [example.org]\n";
    write("gatepost.yaml", config);
    write(
        "policies/00-relay.rhai",
        "const GATE = true;\nfn rcpt(session, mail, rcpt) {\n    if rcpt.is_ours { return; }\n    reject(\"denied\", \"no\");\n}\n",
    );
    write(
        "policies/10-bare.rhai",
        "fn helo(session) {\n    if session.helo == \"bare\" {\n        reject(\"bare\", \"no\");\n    }\n}\n",
    );
    write("policies/tests/bare.smtp", "S: 220 ...\nC: EHLO bare\nS: 550 ...\nrule bare.bare\n");
    root
}

#[test]
fn coverage_says_what_no_test_reached() {
    let root = small();
    // Neither an effect without a rule nor a policy of a transcript's own is a rule of the set.
    std::fs::write(root.path().join("policies/20-slow.rhai"), "fn helo(session) { tarpit(\"1s\"); }\n")
        .unwrap();
    let own = "policy 30-own.rhai\n| fn helo(session) { reject(\"own\", \"no\"); }\n\nS: 220 ...\nC: EHLO x.example\nS: 550 ...\nrule own.own\n";
    std::fs::write(root.path().join("policies/tests/own.smtp"), own).unwrap();
    let output = gatepost(&["-c", "gatepost.yaml", "test", "--coverage"], root.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected = "\
2 passed, 0 failed
00-relay.rhai: 0 of 2 lines, never reached: 3-4
10-bare.rhai: 2 of 2 lines
20-slow.rhai: 1 of 1 lines
1 of 2 rules, never spoke: relay.denied
";
    assert_eq!(stdout(&output), expected);
    let output = gatepost(&["-c", "gatepost.yaml", "test", "--coverage", "--format", "json"], root.path());
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(answer["coverage"]["silent_rules"], serde_json::json!(["relay.denied"]));
    assert_eq!(answer["coverage"]["files"][0]["unreached"], serde_json::json!([3, 4]));
}

/// Each line of the shipped policies is run by a transcript of theirs, and each rule speaks in one.
#[test]
fn the_shipped_policies_are_covered() {
    let output = gatepost(&["test", "--coverage", "--format", "json"], here());
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let none = serde_json::json!([]);
    assert_eq!(answer["coverage"]["silent_rules"], none);
    let files = answer["coverage"]["files"].as_array().unwrap();
    assert!(files.len() > 20, "{files:?}");
    let missed: Vec<_> = files.iter().filter(|file| file["unreached"] != none).collect();
    assert!(missed.is_empty(), "no transcript in policies/tests comes by: {missed:?}");
}

#[test]
fn tests_run_again_when_something_changes() {
    let root = small();
    let mut watching = Command::new(env!("CARGO_BIN_EXE_gatepost"))
        .args(["-c", "gatepost.yaml", "test", "--watch"])
        .current_dir(root.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watching.stdout.take().unwrap()));
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!([next(), next()], ["1 passed, 0 failed", "waiting for a change"]);
    let policy = root.path().join("policies/10-bare.rhai");
    std::fs::write(&policy, "fn helo(session) { }\n").unwrap();
    assert_eq!([next(), next()], ["0 passed, 1 failed", "waiting for a change"]);
    std::fs::write(root.path().join("policies/tests/bare.smtp"), "S: 220 ...\nC: EHLO bare\nS: 250 ...\n")
        .unwrap();
    assert_eq!([next(), next()], ["1 passed, 0 failed", "waiting for a change"]);
    watching.kill().unwrap();
    watching.wait().unwrap();
}
