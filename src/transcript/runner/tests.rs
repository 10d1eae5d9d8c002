use std::fs;

use super::*;

const GATE: &str = "\
const GATE = true;
fn rcpt(session, mail, rcpt) {
    if !rcpt.is_ours { reject(\"denied\", \"5.7.1\", \"relaying denied\"); }
}
";

/// A folder with transcripts, and one with a gate for policies.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("policies")).unwrap();
        fs::write(folder.path().join("policies/00-relay.rhai"), GATE).unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn run(&self, paths: &[&str]) -> Result<Report, TestError> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| self.0.path().join(path)).collect();
        let options = Options {
            filter: None,
            hostname: "mx.example.org".to_owned(),
            domains: vec!["example.org".to_owned()],
            trusted_networks: Vec::new(),
            policies: Sources { dir: self.0.path().join("policies"), ..Sources::default() },
        };
        run_paths(&paths, &options)
    }

    /// What is shown of the failures, without the folder's own path.
    fn failures(&self, text: &str) -> String {
        fs::write(self.0.path().join("x.smtp"), text).unwrap();
        let report = self.run(&["x.smtp"]).unwrap();
        report.failures(false).replace(&format!("{}/", self.0.path().display()), "")
    }
}

const OPEN: &str = "S: 220 ...\nC: EHLO client.example.net\nS: 250 ...\n";
const ENVELOPE: &str = "\
S: 220 ...
C: HELO client.example.net
S: 250 ...
C: MAIL FROM:<a@example.net>
S: 250 ...
C: RCPT TO:<b@example.org>
S: 250 ...
C: DATA
S: 354 ...
";

#[test]
fn folders_are_searched_and_each_file_runs_once() {
    let folder = Folder::with(&[
        ("t/a.smtp", OPEN),
        ("t/deep/er/b.smtp", OPEN),
        ("t/c.smtp", "S: 554 ...\n"),
        ("t/world.txt", "nonsense"),
    ]);
    let report = folder.run(&["t", "t/a.smtp"]).unwrap();
    assert_eq!(report.to_string(), "2 passed, 1 failed");
}

#[test]
fn nothing_to_run_is_an_error() {
    let folder = Folder::with(&[("t/a.txt", "")]);
    assert!(matches!(folder.run(&["t"]), Err(TestError::Nothing)));
    assert!(matches!(folder.run(&["none"]), Err(TestError::Unreadable(..))));
}

#[test]
fn what_differs_is_shown_with_its_place() {
    let folder = Folder::with(&[]);
    let shown = folder.failures("S: 220 ...\nC: NOOP\nS: 550 5.5.1 ...\n");
    let expected = "\
x.smtp:3: Gatepost said something else
    S: 220 mx.example.org ESMTP Gatepost
    C: NOOP
  - S: 550 5.5.1 ...
  + S: 250 2.0.0 ok

";
    assert_eq!(shown, expected);
}

#[test]
fn every_question_can_be_answered_with_no() {
    let folder = Folder::with(&[]);
    let message = "C: Subject: x\nC:\nC: .\nS: 250 ...\n";
    let cases = [
        ("S: <closed>", "x.smtp:4: the connection is still open"),
        ("C: NOOP\nS: <silence>", "x.smtp:5: Gatepost was not silent"),
        ("G: MAIL...", "x.smtp:4: the upstream did not hear this"),
        ("C: X\nS: 500 ...\nrule relay.denied", "x.smtp:6: the rule is another"),
        ("shadow relay.denied", "x.smtp:4: no rule relay.denied spoke in shadow"),
        ("outcome accepted", "x.smtp:4: the outcome is another"),
        ("offered 8BITMIMES", "x.smtp:4: the last reply does not offer this"),
        ("not offered PIPELINING", "x.smtp:4: the last reply offers PIPELINING"),
        ("upstream got 1 message", "x.smtp:4: the number of messages is another"),
        ("upstream connections 1", "x.smtp:4: the number of connections is another"),
        ("delivered identical", "x.smtp:4: the upstream got no message"),
        ("header Subject", "x.smtp:4: the upstream got no message"),
        ("wait 6m\nS: 421 ...\nwithin 1m", "x.smtp:6: it took 360s, which is more than 60s"),
    ];
    for (question, failure) in cases {
        let shown = folder.failures(&format!("{OPEN}{question}\n"));
        assert!(shown.starts_with(failure), "{question}: {shown}");
    }
    let cases = [
        ("upstream never RCPT...", "x.smtp:14: the upstream heard `RCPT TO:<b@example.org>`"),
        ("delivered\n| Subject: x", "x.smtp:14: the message is another"),
        ("header Subject: y", "x.smtp:14: there is no such field"),
        ("no header Subject", "x.smtp:14: there is a field `Subject: x`"),
        ("headers Subject 2", "x.smtp:14: the number of Subject fields is another"),
    ];
    for (question, failure) in cases {
        let shown = folder.failures(&format!("{ENVELOPE}{message}{question}\n"));
        assert!(shown.starts_with(failure), "{question}: {shown}");
    }
}

#[test]
fn every_cut_is_played() {
    let folder = Folder::with(&[]);
    // In single octets, the banner is out before the line is complete.
    let text = "split whole 1\nC: NOOP\nS: 220 ...\nS: 250 ...\n";
    assert_eq!(folder.failures(text), "");
    let failing = "split whole 3\npolicy 10-odd.rhai\n| fn helo(session) { if session.helo.len() > 3 { reject(\"x\", \"long\"); } }\n\
        S: 220 ...\nC: EHLO abcd\nS: 550 ...\nC: QUIT\nS: 250 ...\n";
    assert!(folder.failures(failing).starts_with("x.smtp:8: Gatepost said something else\n"));
    let only_cut = failing.replace("split whole 3", "split 3");
    assert!(
        folder.failures(&only_cut).starts_with("x.smtp:8: Gatepost said something else (in segments of 3)\n")
    );
}

#[test]
fn policies_of_a_transcript_are_its_own() {
    let policy = "policy 10-mine.rhai\n| fn mail(session, mail) { reject(\"no\", setting(\"word\")); }\n| const SETTINGS = #{ word: \"no\" };\n";
    let said = |world: &str, reply: &str| format!("{world}{OPEN}C: MAIL FROM:<a@example.net>\nS: {reply}\n");
    let folder = Folder::with(&[]);
    assert_eq!(folder.failures(&said(policy, "550 5.7.1 no (gp ...)")), "");
    assert_eq!(
        folder.failures(&said(&format!("{policy}setting mine.word never\n"), "550 5.7.1 never (gp ...)")),
        ""
    );
    assert_eq!(folder.failures(&said(&format!("{policy}mode mine shadow\n"), "250 ...")), "");
    assert_eq!(folder.failures(&said(&format!("{policy}policies except mine\n"), "250 ...")), "");
    assert_eq!(folder.failures(&said("", "250 ...")), "");
}

#[test]
fn broken_policies_and_transcripts_are_shown_as_diagnostics() {
    let folder = Folder::with(&[]);
    let shown = folder.failures(&format!("policy 10-mine.rhai\n| fn mail(session, mail) {{\n{OPEN}"));
    assert!(shown.starts_with("error: ") && shown.contains("x.smtp:2"), "{shown}");
    let shown = folder.failures("clint 192.0.2.1\nS: 220 ...\n");
    assert!(shown.starts_with("error: unknown directive `clint`\n --> x.smtp:1:1\n"), "{shown}");
    let shown = folder.failures(&format!("policies only helo\n{OPEN}"));
    assert!(shown.starts_with("error: "), "a set of policies without a gate: {shown}");
}

#[test]
fn a_failed_policy_says_where() {
    let folder = Folder::with(&[]);
    let text = format!(
        "policy 10-mine.rhai\n| fn mail(session, mail) {{ throw \"up\"; }}\n{OPEN}C: MAIL FROM:<a@example.net>\nS: 250 ...\n"
    );
    let shown = folder.failures(&text);
    assert!(shown.contains("a policy failed: ") && shown.contains("10-mine.rhai:1:"), "{shown}");
}

/// The copy that is loaded is gone when somebody reads of it.
#[test]
fn what_is_wrong_with_a_policy_is_told_at_its_place() {
    let folder = Folder::with(&[]);
    let shown = folder.failures(&format!(
        "# A policy.\npolicy 10-mine.rhai\n| fn mail(session, mail) {{\n# a comment\n  |   rejcet(\"no\", \"no\");\n| }}\n{OPEN}"
    ));
    assert!(shown.contains("there is no function `rejcet`") && shown.contains("--> x.smtp:5:7"), "{shown}");
    assert!(shown.contains("  |   rejcet("), "{shown}");
    // In the folder itself, and in the world that the transcript makes.
    fs::write(folder.0.path().join("policies/20-odd.rhai"), "fn helo(session) { rejcet(); }\n").unwrap();
    let own = "policy 10-mine.rhai\n| fn mail(session, mail) { reject(\"no\", \"no\"); }\n";
    for policies in [own, ""] {
        let shown = folder.failures(&format!("{policies}{OPEN}"));
        let (first, rest) = shown.split_once("\n\n").unwrap();
        assert!(first.contains("its policies cannot be used") && first.contains("x.smtp"), "{shown}");
        assert!(rest.contains("--> policies/20-odd.rhai:1:20"), "{shown}");
    }
}
