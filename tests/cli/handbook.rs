//! The pages for authors of policies do what they say: their examples are taken from the pages and run.

use std::fs;
use std::path::{Path, PathBuf};

use super::{gatepost, here, stderr, stdout};

/// A fenced block of a page.
#[derive(Debug)]
struct Block {
    /// What stands behind its fence.
    kind: String,
    text: String,
    /// The last file that the page named in front of it.
    file: String,
    /// The heading above it.
    section: String,
}

/// The blocks of a page, those in lists without their indentation.
fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut section, mut file) = (Vec::new(), String::new(), String::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            let indent = line.len() - line.trim_start().len();
            let inside = lines.by_ref().take_while(|line| line.trim_start() != "```");
            let text = inside.map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n").collect();
            blocks.push(Block {
                kind: kind.to_owned(),
                text,
                file: std::mem::take(&mut file),
                section: section.clone(),
            });
        } else if let Some(heading) = line.strip_prefix("## ") {
            heading.clone_into(&mut section);
        } else {
            let named =
                line.split('`').skip(1).step_by(2).filter(|word| word.contains('/') && word.contains('.'));
            file = named.last().map_or(file, str::to_owned);
        }
    }
    blocks
}

fn page(name: &str) -> Vec<Block> {
    blocks(&fs::read_to_string(here().join(name)).unwrap())
}

/// A folder with the shipped configuration and the shipped policies, as one begins with.
fn beginning() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["config", "policies", "policies/lib", "policies/tests"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
        for entry in fs::read_dir(here().join(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_file() {
                fs::copy(&entry, dir.path().join(folder).join(entry.file_name().unwrap())).unwrap();
            }
        }
    }
    dir
}

/// The configuration with the sections of `text` in place of, or behind, what it has of those names.
fn with_sections(config: &str, text: &str) -> String {
    let is_key = |line: &str| line.starts_with(|c: char| c.is_ascii_lowercase());
    let key = |line: &str| line.split(':').next().unwrap().to_owned();
    let replaced: Vec<_> = text.lines().filter(|line| is_key(line)).map(key).collect();
    let mut is_kept = true;
    let kept = config.lines().filter(|line| {
        if is_key(line) {
            is_kept = !replaced.contains(&key(line));
        }
        is_kept
    });
    kept.map(|line| format!("{line}\n")).collect::<String>() + text
}

fn runs(command: &str, expected: &str, dir: &Path) {
    let words: Vec<_> = command.split(' ').collect();
    let ["gatepost", arguments @ ..] = words.as_slice() else { panic!("{command}") };
    let output = gatepost(arguments, dir);
    assert_eq!(output.status.code(), Some(0), "{command}:\n{}{}", stdout(&output), stderr(&output));
    let said = stdout(&output) + &stderr(&output);
    assert_eq!(said.trim(), expected.trim(), "{command}");
}

/// Whoever does what the page says, sees what it shows.
#[test]
fn the_first_policy_of_ones_own() {
    let dir = beginning();
    let config = dir.path().join("config/gatepost.yaml");
    let (mut written, mut run) = (Vec::new(), 0);
    let page = page("policies/README.md");
    for block in page.iter().filter(|block| block.section.starts_with("The first one")) {
        match block.kind.as_str() {
            "yaml" => {
                let text = with_sections(&fs::read_to_string(&config).unwrap(), &block.text);
                fs::write(&config, text).unwrap();
            }
            "console" => {
                let (command, expected) = block.text.split_once('\n').unwrap();
                runs(command.strip_prefix("$ ").unwrap(), expected, dir.path());
                run += 1;
            }
            _ => {
                fs::write(dir.path().join(&block.file), &block.text).unwrap();
                written.push((block.file.as_str(), block.text.lines().count()));
            }
        }
    }
    assert_eq!((run, written.len()), (2, 2), "{written:?}");
    let (policy, lines) = written[0];
    assert!(policy == "policies/80-announce.rhai" && lines <= 10, "ten lines are promised: {written:?}");
    // The test can fail: without the rule, nothing is held.
    fs::write(dir.path().join(policy), "fn message(session, mail, message) { }\n").unwrap();
    assert_eq!(gatepost(&["test", "policies/tests/announce.smtp"], dir.path()).status.code(), Some(1));
}

/// Every other example of the page loads: whole policies, lines of a function, sections of the configuration.
#[test]
fn the_examples_of_the_page_about_policies_load() {
    let mut seen = 0;
    for block in page("policies/README.md").iter().filter(|block| !block.section.starts_with("The first one"))
    {
        let dir = beginning();
        let config = dir.path().join("config/gatepost.yaml");
        let lists = "policies: { dir: ../policies, lists: { partners: [partner.example] } }\n";
        let sections = if block.kind == "yaml" {
            // Its files are beside the configuration.
            for file in files_of(&block.text) {
                fs::write(dir.path().join("config").join(file), "").unwrap();
            }
            block.text.replacen("policies:\n", "policies:\n  dir: ../policies\n", 1)
        } else {
            assert_eq!(block.kind, "rhai", "a block of another kind wants a test of its own: {block:?}");
            let is_whole = block.text.contains("fn ");
            let text = if is_whole {
                block.text.clone()
            } else {
                format!("fn rcpt(session, mail, rcpt) {{\n{}}}\n", block.text)
            };
            fs::write(dir.path().join("policies/90-partners.rhai"), text).unwrap();
            lists.to_owned()
        };
        fs::write(&config, with_sections(&fs::read_to_string(&config).unwrap(), &sections)).unwrap();
        let output = gatepost(&["check", "--deny", "warnings"], dir.path());
        assert_eq!(output.status.code(), Some(0), "{}\n{}{}", block.text, stdout(&output), stderr(&output));
        seen += 1;
    }
    assert!(seen >= 3, "{seen}");
}

/// The first policy that a reader sees does no harm when DNS is down.
#[test]
fn the_first_example_defers_what_it_cannot_tell() {
    let page = page("policies/README.md");
    for (spf, answer, rule) in [
        ("v=spf1 ip4:192.0.2.1 -all", "250 ...", "none"),
        ("v=spf1 -all", "550 5.7.1 write from your own server ...", "partners.not-the-partner"),
        ("servfail", "451 4.7.0 SPF cannot be checked now ...", "partners.cannot-tell"),
    ] {
        let dir = beginning();
        fs::write(dir.path().join("policies/90-partners.rhai"), &page[0].text).unwrap();
        let transcript = format!(
            "include policies/tests/shipped.world\npolicies only relay, protocol, partners\nlist partners partner.example\n\
             dns partner.example TXT {spf}\n\nS: 220 ...\nC: EHLO mail.sender.example\nS: 250 ...\n\
             C: MAIL FROM:<a@partner.example>\nS: {answer}\nrule {rule}\n"
        );
        fs::write(dir.path().join("x.smtp"), transcript).unwrap();
        runs("gatepost test x.smtp", "1 passed, 0 failed", dir.path());
    }
}

fn files_of(text: &str) -> Vec<PathBuf> {
    let named = text.split("file: ").skip(1).map(|rest| rest.split([' ', '}', '\n']).next().unwrap());
    named.map(PathBuf::from).collect()
}

/// The transcript that the page about transcripts begins with is one, and passes.
#[test]
fn the_example_of_the_page_about_transcripts_passes() {
    let dir = beginning();
    let block = page("tests/transcripts/README.md").into_iter().find(|block| block.kind == "text").unwrap();
    let text = block.text.replacen(
        "domains example.org\n",
        "domains example.org\npolicies only relay, protocol\n",
        1,
    );
    fs::write(dir.path().join("x.smtp"), text).unwrap();
    runs("gatepost test x.smtp", "1 passed, 0 failed", dir.path());
}
