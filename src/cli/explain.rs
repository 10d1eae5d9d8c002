//! `gatepost explain`: why something was decided, by its id, by who wrote to whom, or for a message that never came.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::config::Loaded;
use crate::decisions::explain::explain;
use crate::decisions::{Decision, Query, merge, read_all};
use crate::units::parse_duration;

use super::Failure;
use super::endpoint::Endpoint;
use super::rehearse::{self, Rehearsal};
use super::screen::Screen;

/// Decisions that the process that serves gives at once at most.
const MOST: usize = 1_000;

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
    /// Decisions about this recipient: an address, or a domain; several with `--message` only
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
    /// At most so many, the youngest first; 0 for all in the files. Of those in memory only, no more than the last 1000
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
        None => recorded(&loaded, *wanted, screen)?,
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

/// From the memory of the process that serves, and from its files where that may not be all; from a file alone where one is named.
fn recorded(loaded: &Loaded, wanted: Wanted, screen: Screen) -> Result<Vec<Decision>, Failure> {
    let (named, query) = (wanted.file.clone(), query(wanted)?);
    if let Some(file) = named {
        return Ok(read_all(&file, &query)?.0);
    }
    let remembered = remembered(loaded, &query);
    let Some(file) = &loaded.settings.decisions.file else { return remembered };
    let found = remembered.unwrap_or_default();
    // The memory has the youngest.
    if query.limit > 0 && found.len() >= query.limit {
        return Ok(found);
    }
    match read_all(file, &query) {
        Ok((older, _)) => Ok(merge(found, older, &query)),
        Err(error) if found.is_empty() => Err(error.into()),
        Err(error) => {
            screen.details(|_| format!("{error}; this is what the process that serves remembers\n"));
            Ok(found)
        }
    }
}

/// What the process that serves remembers.
fn remembered(loaded: &Loaded, query: &Query) -> Result<Vec<Decision>, Failure> {
    let limit = if query.limit == 0 { MOST } else { query.limit.min(MOST) };
    let query = Query { limit, ..query.clone() };
    let query = serde_urlencoded::to_string(query).context("the question cannot be written")?;
    Endpoint::of(&loaded.settings)?.see(&format!("/decisions?{query}"))
}

fn query(wanted: Wanted) -> anyhow::Result<Query> {
    if wanted.to.len() > 1 {
        return Err(anyhow!("several recipients are for `--message` only: name one with `--to`"));
    }
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

/// A time, a day from its beginning, or so long ago.
fn since(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    if let Ok(midnight) = format!("{text}T00:00:00Z").parse() {
        return Ok(midnight);
    }
    let ago = parse_duration(text).map_err(|_| {
        anyhow!("`{text}` is no time: write it as `2026-11-29T12:00:00Z` or `2026-11-29`, in UTC, or as `2h` for two hours ago")
    })?;
    Timestamp::now().checked_sub(ago).map_err(|_| anyhow!("`{text}` ago is before all time"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_all_time_is_an_error() {
        assert!(since("2h").unwrap() < Timestamp::now());
        assert_eq!(since("2026-11-29").unwrap(), since("2026-11-29T00:00:00Z").unwrap());
        for text in ["8000000d", "yesterday"] {
            assert!(since(text).unwrap_err().to_string().contains(text));
        }
    }
}
