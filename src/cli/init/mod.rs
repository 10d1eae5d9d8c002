//! `gatepost init`: a configuration to begin with, the shipped policies and a test, for the mail server that is there.
//!
//! The configurations are the examples of `config/examples`, with names put in. Nothing that is there is written over.

mod shipped;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::config;
use crate::policy::Policies;

use super::Failure;
use super::screen::{Screen, count};
use shipped::{LIBRARIES, POLICIES};

/// The mail server that Gatepost is to stand in front of.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Mta {
    /// Postfix on this machine, which is told the client by XCLIENT.
    Postfix,
    /// Exim on this machine, which is told the client by a PROXY header.
    Exim,
    /// Exchange on another machine, which cannot be told.
    Exchange,
    /// Any other that speaks SMTP.
    Other,
}

impl Mta {
    const fn example(self) -> &'static str {
        match self {
            Self::Postfix => include_str!("../../../config/examples/postfix.yaml"),
            Self::Exim => include_str!("../../../config/examples/exim.yaml"),
            Self::Exchange => include_str!("../../../config/examples/exchange.yaml"),
            Self::Other => include_str!("../../../config/examples/other.yaml"),
        }
    }
}

/// What is to be written, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    /// The mail server behind Gatepost
    #[arg(long, value_enum, value_name = "MTA")]
    mta: Mta,
    /// The folder that takes it
    #[arg(long, value_name = "DIR", default_value = "/etc/gatepost")]
    dir: PathBuf,
    /// Our full name in the DNS [default: the example's, mx.example.org]
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// A domain whose mail the server takes; several may be given [default: the example's, example.org]
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<String>,
}

/// What the examples have in the places of names.
const HOSTNAME: &str = "${GATEPOST_HOSTNAME:-mx.example.org}";
const DOMAINS: &str = "domains: [example.org, .example.org]";
/// What stands before the lines that belong into the mail server's files, in the examples' comments.
const SNIPPET: &str = "#       ";

/// A test to begin with.
const TEST: &str = "\
# Nobody sends mail through us to strangers. Run it with: gatepost test
client 192.0.2.1

S: 220 ...
C: EHLO mail.example.net
S: 250 ...
C: MAIL FROM:<>
S: 250 ...
C: RCPT TO:<bob@elsewhere.example>
S: 550 5.7.1 ...
rule relay.denied
";

/// Writes it all, and shows what to do next.
///
/// # Errors
/// Something of it is there already, the folder cannot be written, or a name is none; nothing was written over.
pub(super) fn init(wanted: &Wanted, screen: Screen) -> Result<(), Failure> {
    let files = files(wanted)?;
    let there: Vec<String> = files
        .iter()
        .map(|(path, _)| path)
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect();
    if let Some(first) = there.first() {
        let others = there.len() - 1;
        let others = if others == 0 { String::new() } else { format!(", and so are {others} others") };
        return Err(anyhow::anyhow!("{first} is there already{others}: nothing was written").into());
    }
    for (path, text) in &files {
        write(path, text)?;
    }
    screen.say(&format!("{} written to {}", count(files.len(), "file"), wanted.dir.display()));
    let configuration = wanted.dir.join("gatepost.yaml");
    verify(&configuration, screen)?;
    tell(wanted, &configuration, screen);
    Ok(())
}

/// Every file with its text. Policies that are there already are the operator's: then there are none.
fn files(wanted: &Wanted) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut files = vec![(wanted.dir.join("gatepost.yaml"), configuration(wanted)?)];
    let policies = wanted.dir.join("policies");
    if !policies.exists() {
        files.extend(POLICIES.iter().map(|(name, text)| (policies.join(name), (*text).to_owned())));
        files.extend(
            LIBRARIES.iter().map(|(name, text)| (policies.join("lib").join(name), (*text).to_owned())),
        );
        files.push((policies.join("tests/relay.smtp"), TEST.to_owned()));
    }
    Ok(files)
}

/// The example with the names that were given.
fn configuration(wanted: &Wanted) -> anyhow::Result<String> {
    let mut text = wanted.mta.example().to_owned();
    if let Some(hostname) = &wanted.hostname {
        text = text.replace(HOSTNAME, named(hostname)?);
    }
    if !wanted.domains.is_empty() {
        let domains =
            wanted.domains.iter().map(|domain| named(domain)).collect::<anyhow::Result<Vec<_>>>()?;
        text = text.replace(DOMAINS, &format!("domains: [{}]", domains.join(", ")));
    }
    Ok(text)
}

/// A name that can stand in YAML as it is; what else is wrong with it, the look at the whole will say.
fn named(name: &str) -> anyhow::Result<&str> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || !name.chars().all(fits) {
        bail!("`{name}` is no name of a host or domain");
    }
    Ok(name)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be written", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(cannot)?;
    }
    let mut file =
        File::options().write(true).create_new(true).mode(0o644).open(path).with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)
}

/// Whether what was written can be used.
fn verify(path: &Path, screen: Screen) -> Result<(), Failure> {
    let checked = config::load(path).and_then(|loaded| Policies::load(&loaded.settings.policies).map(|_| ()));
    checked.map_err(|found| {
        screen.diagnostics(&found);
        anyhow::anyhow!("{} has to be corrected before it can be used", path.display()).into()
    })
}

fn tell(wanted: &Wanted, configuration: &Path, screen: Screen) {
    let shown = configuration.display();
    let snippet: Vec<&str> = wanted
        .mta
        .example()
        .lines()
        .filter_map(|line| line.strip_prefix(SNIPPET))
        .filter(|line| is_order(line))
        .collect();
    if !snippet.is_empty() {
        screen.say(&format!("\nFor the mail server, explained at the top of {shown}:\n"));
        snippet.iter().for_each(|line| screen.say(&format!("    {line}")));
    }
    screen.say(&format!("\nNext: read {shown}, set what is still the example's, and then"));
    for command in ["check", "doctor", "run"] {
        screen.say(&format!("    gatepost -c {shown} {command}"));
    }
}

/// Whether a line of an example's comment belongs into the mail server's files: the explanations behind them go further to the right.
fn is_order(line: &str) -> bool {
    !line.starts_with("      ")
}
