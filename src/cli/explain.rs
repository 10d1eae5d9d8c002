//! `gatepost explain`: why something was decided, by its id, by who wrote to whom, or for a message that never came.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::config::Loaded;
use crate::decisions::explain::explain;
use crate::decisions::{Decision, Query, read_all};
use crate::units::parse_duration;

use super::Failure;
use super::endpoint::Endpoint;
use super::rehearse::{self, Rehearsal};
use super::screen::Screen;

/// How answers look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// What is to be explained.
#[derive(Args, Clone, Debug)]
pub(super) struct Wanted {
    /// The id at the end of a refusal, `(gp 7f3k2a9q4d)`, in a Received field, or of a session
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Decisions about this sender: an address, or a domain; `<>` is the null sender
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Decisions about this recipient: an address, or a domain
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<String>,
    /// Decisions about this client: an address or a network
    #[arg(long, value_name = "NETWORK")]
    client: Option<String>,
    /// Decisions of this rule, or of all rules of this policy; also limits and breaches of the protocol
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Decisions with this outcome, such as `rejected`
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// The decision about the message that the upstream queued under this name
    #[arg(long, value_name = "ID")]
    queue_id: Option<String>,
    /// Not before this time, or as long ago as this: `2026-11-29T12:00:00Z`, `2h`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most so many, the youngest first
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    limit: usize,
    /// Read this file of decisions in place of the configured one
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Judge this message as if it came now, without delivering it
    #[arg(long, value_name = "FILE", requires = "ip", conflicts_with_all = ["id", "file"])]
    message: Option<PathBuf>,
    /// The client's address, for `--message`
    #[arg(long, value_name = "ADDRESS", requires = "message")]
    ip: Option<IpAddr>,
    /// What the client calls itself, for `--message` [default: its address as a literal]
    #[arg(long, value_name = "NAME", requires = "message")]
    helo: Option<String>,
    /// The client speaks TLS, for `--message`
    #[arg(long, requires = "message")]
    tls: bool,
    /// The listener that it comes to, for `--message` [default: the first]
    #[arg(long, value_name = "NAME", requires = "message")]
    listener: Option<String>,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Explains what is wanted.
pub(super) fn run(loaded: Loaded, wanted: Box<Wanted>, screen: Screen) -> Result<(), Failure> {
    let format = wanted.format;
    let found = match wanted.message {
        Some(_) => rehearsed(loaded, *wanted)?,
        None => recorded(&loaded, *wanted)?,
    };
    if found.is_empty() {
        return Err(Failure::Untold(anyhow!("there is no such decision")));
    }
    show(&found, format, screen)?;
    Ok(())
}

fn show(found: &[Decision], format: Format, screen: Screen) -> anyhow::Result<()> {
    for (index, decision) in found.iter().enumerate() {
        let explanation = explain(decision);
        match format {
            Format::Json => screen.say_json(&serde_json::to_string(&explanation)?),
            Format::Text if index > 0 => screen.say(&format!("\n{}\n\n{explanation}", "-".repeat(72))),
            Format::Text => screen.say(explanation.to_string().trim_end()),
        }
    }
    Ok(())
}

/// From the memory of the process that serves; from its files where it knows nothing of it, is not there, or another file is named.
fn recorded(loaded: &Loaded, wanted: Wanted) -> Result<Vec<Decision>, Failure> {
    let (named, query) = (wanted.file.clone(), query(wanted)?);
    let remembered = match named {
        Some(_) => Ok(Vec::new()),
        None => remembered(loaded, &query),
    };
    let file = named.as_ref().or(loaded.settings.decisions.file.as_ref());
    match (remembered, file) {
        (Ok(found), None) => Ok(found),
        (Ok(found), Some(_)) if !found.is_empty() => Ok(found),
        (_, Some(file)) => Ok(read_all(file, &query)?.0),
        (Err(error), None) => Err(error),
    }
}

/// What the process that serves remembers.
fn remembered(loaded: &Loaded, query: &Query) -> Result<Vec<Decision>, Failure> {
    let query = serde_urlencoded::to_string(query).context("the question cannot be written")?;
    Endpoint::of(&loaded.settings)?.see(&format!("/decisions?{query}"))
}

fn query(wanted: Wanted) -> anyhow::Result<Query> {
    Ok(Query {
        id: wanted.id.as_deref().and_then(|id| Query::id(id).id),
        from: wanted.from,
        to: wanted.to.into_iter().next(),
        client: wanted.client,
        rule: wanted.rule,
        outcome: wanted.outcome,
        queue_id: wanted.queue_id,
        word: None,
        since: wanted.since.as_deref().map(since).transpose()?,
        limit: wanted.limit,
    })
}

/// A time, or so long ago.
fn since(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = parse_duration(text).map_err(|_| {
        anyhow!("`{text}` is no time: write it as `2026-11-29T12:00:00Z`, or as `2h` for two hours ago")
    })?;
    Ok(Timestamp::now() - ago)
}

fn rehearsed(loaded: Loaded, wanted: Wanted) -> anyhow::Result<Vec<Decision>> {
    let (Some(file), Some(ip)) = (wanted.message, wanted.ip) else { return Ok(Vec::new()) };
    let message = std::fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let literal = || match ip {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    };
    let rehearsal = Rehearsal {
        helo: wanted.helo.unwrap_or_else(literal),
        from: wanted.from,
        to: wanted.to,
        tls: wanted.tls,
        listener: wanted.listener,
        ip,
        message,
    };
    rehearse::run(loaded.settings, &rehearsal)
}
