//! `gatepost explain`: why something was decided, by its id, by who wrote to whom, or for a message that never came.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use jiff::Timestamp;

use crate::config::{self, Settings};
use crate::decisions::explain::explain;
use crate::decisions::{Decision, OUTCOMES, Query, merge, moment, read_all};

use super::Failure;
use super::endpoint::{At, Endpoint, glimpse};
use super::rehearse::{self, Rehearsal};
use super::screen::Screen;
use super::trace::network;

mod short;

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
    /// The id at the end of a refusal, `(gp 7f3k2a7q4d)`, in a Received field, or of a session
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Decisions about this sender: an address, or a domain; `<>` is the null sender
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Decisions about this recipient: an address, or a domain; several with `--message` only
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<String>,
    /// Decisions about this client: an address or a network
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    client: Option<IpNet>,
    /// Decisions about who logged in so, or was refused to: a name, or a domain
    #[arg(long, value_name = "USER")]
    login: Option<String>,
    /// Decisions of this rule, or of all rules of this policy, where it had a say: in shadow too, or for one recipient; also limits
    /// and breaches of the protocol
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Decisions with this outcome
    #[arg(long, value_name = "OUTCOME", value_parser = PossibleValuesParser::new(OUTCOMES))]
    outcome: Option<String>,
    /// The decision about the message that the upstream queued under this name
    #[arg(long, value_name = "ID")]
    queue_id: Option<String>,
    /// Not before this time, or as long ago as this: `2026-11-29T12:00:00Z`, `2h`
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Not after this time, written likewise; a day alone is its beginning
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// At most so many, the youngest first; 0 for all in the files. Of those in memory only, no more than the last 1000
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    limit: usize,
    /// Explain each, also where several are found; else those have one line each
    #[arg(long)]
    full: bool,
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
    #[command(flatten)]
    at: At,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Explains what is wanted. To judge a message takes the whole configuration, which `load` gives.
pub(super) fn run(
    config: Option<&Path>,
    wanted: Wanted,
    screen: Screen,
    load: impl FnOnce() -> Result<Settings, Failure>,
) -> Result<(), Failure> {
    let view = View {
        format: wanted.format,
        full: wanted.full || wanted.message.is_some(),
        limit: wanted.limit,
        id: wanted.id.as_deref().and_then(|id| Query::id(id).id),
    };
    let asked = wanted.from.iter().chain(&wanted.to).any(|address| has_local_part(address));
    let found = match wanted.message {
        Some(_) => rehearsed(load()?, wanted)?,
        None => recorded(config, wanted, screen)?,
    };
    if found.is_empty() {
        let hint = hint(config);
        let what = if view.id.is_some() { "there is no such decision" } else { "no decision is like that" };
        return Err(Failure::Untold(anyhow!("{what}; {hint}")));
    }
    if asked && found.iter().any(|decision| decision.redacted) {
        let note = "local parts were taken out before these were kept: they are found by their domains";
        screen.details(|_| format!("note: {note}\n"));
    }
    view.show(&found, screen)?;
    Ok(())
}

/// Why nothing may have been found.
fn hint(config: Option<&Path>) -> &'static str {
    let seen = config::find(config).ok().and_then(|path| config::glimpse(&path).ok());
    match seen {
        Some(seen) if seen.forgets => {
            "none is kept: `decisions.memory` is 0, and no `decisions.file` is configured"
        }
        _ => "it may be older than what is kept (`decisions.memory`, `decisions.file`)",
    }
}

/// Whether an address is asked for, and not a domain.
fn has_local_part(address: &str) -> bool {
    address.trim_start_matches('<').split_once('@').is_some_and(|(local, _)| !local.is_empty())
}

/// How what was found is shown.
#[derive(Debug)]
struct View {
    format: Format,
    full: bool,
    /// So many at most; 0 for all.
    limit: usize,
    /// The id that was asked for.
    id: Option<String>,
}

impl View {
    fn show(&self, found: &[Decision], screen: Screen) -> anyhow::Result<()> {
        let most = if self.limit == 0 { found.len() } else { self.limit };
        let mut shown: Vec<_> = found.iter().take(most).collect();
        // Of a transaction, what its own id leads to comes before what became of its recipients.
        shown.sort_by_key(|decision| self.id.as_ref() != Some(&decision.id));
        let is_meant = shown.first().is_some_and(|first| self.id.as_ref() == Some(&first.id));
        match (self.format, shown.as_slice()) {
            (Format::Json, all) => {
                for decision in all {
                    screen.say_json(&serde_json::to_string(&explain(decision))?);
                }
            }
            (Format::Text, [first, rest @ ..]) if self.full || rest.is_empty() => {
                screen.say(explain(first).to_string().trim_end());
                for decision in rest {
                    screen.say(&format!(
                        "\n{}\n\n{}",
                        "-".repeat(72),
                        explain(decision).to_string().trim_end()
                    ));
                }
            }
            (Format::Text, [first, rest @ ..]) if is_meant => {
                screen.say(explain(first).to_string().trim_end());
                screen.say("\nIn the same transaction");
                rest.iter().for_each(|decision| screen.say(&format!("  {}", short::line(decision))));
            }
            (Format::Text, several) => {
                several.iter().for_each(|decision| screen.say(&short::line(decision)));
                screen.say("\n`gatepost explain ID` explains one of them, `--full` all");
            }
        }
        if found.len() > most {
            let more = most.saturating_mul(2);
            screen
                .details(|_| format!("note: there are more; `--limit {more}` shows more, `--limit 0` all\n"));
        }
        Ok(())
    }
}

/// From the memory of the process that serves, and from its files where that may not be all; from a file alone where one is named.
fn recorded(config: Option<&Path>, wanted: Wanted, screen: Screen) -> Result<Vec<Decision>, Failure> {
    let (named, at, query) = (wanted.file.clone(), wanted.at.clone(), query(wanted)?);
    if let Some(file) = named {
        return Ok(read_all(&file, &query)?.0);
    }
    let (endpoint, file) = sources(config, &at, screen);
    let remembered = endpoint.and_then(|endpoint| remembered(&endpoint, &query));
    let Some(file) = &file else { return remembered };
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

/// Whom to ask, and the file that is configured. What is wrong with the configuration is shown, but where a socket is named: then it is
/// not needed.
fn sources(config: Option<&Path>, at: &At, screen: Screen) -> (Result<Endpoint, Failure>, Option<PathBuf>) {
    if let Some(endpoint) = at.endpoint() {
        let file = config::find(config).ok().and_then(|path| config::glimpse(&path).ok()?.decisions);
        return (Ok(endpoint), file);
    }
    match glimpse(config, screen) {
        Ok(seen) => (Endpoint::of(&seen, screen), seen.decisions),
        Err(failure) => (Err(failure), None),
    }
}

/// What the process that serves remembers.
fn remembered(endpoint: &Endpoint, query: &Query) -> Result<Vec<Decision>, Failure> {
    let limit = if query.limit == 0 { MOST } else { query.limit.min(MOST) };
    let query = Query { limit, ..query.clone() };
    let query = serde_urlencoded::to_string(query).context("the question cannot be written")?;
    endpoint.see(&format!("/decisions?{query}"))
}

fn query(wanted: Wanted) -> anyhow::Result<Query> {
    if wanted.to.len() > 1 {
        return Err(anyhow!("several recipients are for `--message` only: name one with `--to`"));
    }
    Ok(Query {
        id: wanted.id.as_deref().and_then(|id| Query::id(id).id),
        from: wanted.from,
        to: wanted.to.into_iter().next(),
        client: wanted.client.map(|network| network.to_string()),
        login: wanted.login,
        rule: wanted.rule,
        outcome: wanted.outcome,
        queue_id: wanted.queue_id,
        word: None,
        since: wanted.since,
        until: wanted.until,
        // With one more it shows whether there are more.
        limit: if wanted.limit == 0 { 0 } else { wanted.limit.saturating_add(1) },
    })
}

fn rehearsed(settings: Settings, wanted: Wanted) -> anyhow::Result<Vec<Decision>> {
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
    rehearse::run(settings, &rehearsal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_a_domain() {
        for (text, expected) in [
            ("joe@x.example", true),
            ("<joe@x.example>", true),
            ("@x.example", false),
            ("x.example", false),
            ("<>", false),
        ] {
            assert_eq!(has_local_part(text), expected, "{text}");
        }
    }
}
