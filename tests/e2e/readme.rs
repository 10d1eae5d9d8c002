//! The README's first steps, run as a script in a clean clone.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::first_steps::started_in;
use crate::harness::{Program, Prometheus, SOON, copy, folder, repository, until};

/// What was committed last, as `git clone` gives it to somebody.
fn cloned() -> TempDir {
    let folder = folder("clone");
    if repository().join(".git").exists() {
        // The repository may belong to another user than the one who runs the tests.
        let git = Program::new("git").words("-c safe.directory=* clone --quiet").arg(repository());
        git.arg(folder.path()).succeed();
        assert!(!folder.path().join("target").exists() && !folder.path().join("var").exists());
    } else {
        eprintln!("{} is no clone: its files are copied instead", repository().display());
        copy_sources(folder.path());
    }
    folder
}

/// All that is in the folder of the project, but what `.gitignore` names.
fn copy_sources(to: &Path) {
    for entry in fs::read_dir(repository()).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        let left = ["target", "var", ".git"].iter().any(|made| name == *made);
        match path.is_dir() {
            _ if left => {}
            true => copy(&path, &to.join(name)),
            false => drop(fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}

/// What stands in the shell blocks of a README under this heading.
fn commands(readme: &Path, heading: &str) -> String {
    let text = fs::read_to_string(readme).unwrap();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.collect()
}

/// `cargo run --release` is the program that is being tested; the ports are free ones.
#[test]
fn what_the_readme_says_happens() {
    follow_the_readme(cloned());
}

/// A tarball has no `.git`.
#[test]
fn what_the_readme_says_happens_without_git_too() {
    let folder = folder("copy");
    copy_sources(folder.path());
    follow_the_readme(folder);
}

fn follow_the_readme(folder: TempDir) {
    let gatepost = started_in(folder);
    let prometheus = Prometheus::scraping(gatepost.admin());
    let commands = commands(&gatepost.path("README.md"), "Try it");
    let (serve, commands) = commands.split_once('\n').unwrap();
    assert_eq!(serve, "cargo run --release");
    let commands = commands
        .replace(":2525", &format!(":{}", gatepost.address().port()))
        .replace(":9925", &format!(":{}", gatepost.admin().port()));
    let cargo = format!("cargo() {{ shift 3; {} \"$@\"; }}", env!("CARGO_BIN_EXE_gatepost"));
    let output = Command::new("bash")
        .args(["-exuo", "pipefail", "-c", &format!("{cargo}\n{}", expecting_a_refusal(&commands))])
        .current_dir(gatepost.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "Authentication-Results: mx.example.org; spf=none smtp.helo=client.example.net",
        "Hello Bob",
        "< 550 5.7.1 relaying denied (gp ",
        "The recipient <bob@elsewhere.example> was rejected by the rule relay.denied (00-relay.rhai:",
        "rule=\"relay.denied\",source=\"policy\",stage=\"rcpt\"} 1",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    // The panel of the dashboard that shows refusals by rule moves.
    until("the graph to move", SOON, || {
        prometheus
            .value("sum(gatepost_rejections_total{rule=\"relay.denied\"})")
            .filter(|value| *value == 1.0)
    });
    drop(prometheus);
    gatepost.end_well();
}

/// The client that is refused says so with its exit status, which ends no script of ours.
fn expecting_a_refusal(commands: &str) -> String {
    commands.replace("| tee refused.txt", "| tee refused.txt || true")
}
