//! The README's first steps, run as a script.

use std::fs;
use std::process::Command;

use crate::first_steps::shipped;
use crate::harness::{Prometheus, SOON, repository, until};

/// What stands in its shell blocks under this heading.
fn commands(heading: &str) -> String {
    let text = fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.collect()
}

/// `cargo run --release` is the program that is being tested; the ports are free ones.
#[test]
fn what_the_readme_says_happens() {
    let gatepost = shipped();
    let prometheus = Prometheus::scraping(gatepost.admin());
    let commands = commands("Try it");
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
