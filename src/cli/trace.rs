//! `gatepost trace`: sessions as they go on, as lines of a transcript.

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use ipnet::IpNet;
use std::net::IpAddr;

use crate::admin;
use crate::tap::Filter;
use crate::units::parse_duration;

use super::Failure;
use super::endpoint::{At, Endpoint};
use super::screen::{Format, Screen};

/// Which sessions are wanted: those that have all of this in them, each shown from its beginning.
#[derive(Args, Clone, Debug)]
pub(super) struct Wanted {
    /// The client is in this network
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    client: Option<IpNet>,
    /// A transaction has this sender: an address, or a domain; `<>` is the null sender
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// A transaction has this recipient: an address, or a domain
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// This rule spoke, in shadow too, or one of this policy; also limits and breaches of the protocol
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// A rule did this: `reject`, `defer`, `would_reject`; `rejected` and `deferred` of what no policy refused
    #[arg(long, value_name = "VERDICT", value_parser = verdict)]
    verdict: Option<String>,
    /// End after this time; else it goes on until it is interrupted, at most an hour
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
    #[command(flatten)]
    at: At,
    /// How the lines look
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| "write it as 192.0.2.9, 192.0.2.0/24 or 2001:db8::/32".to_owned())
}

fn verdict(text: &str) -> Result<String, String> {
    admin::known_verdict(text).map(|()| text.to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|_| "write it as 30s or 10m".to_owned())
}

impl Wanted {
    /// Where to ask.
    pub(super) const fn at(&self) -> &At {
        &self.at
    }
}

/// Shows the sessions that are wanted, until they or the time are over.
pub(super) fn run(endpoint: &Endpoint, wanted: Wanted, screen: Screen) -> Result<(), Failure> {
    let Wanted { client, from, to, rule, verdict, time, format, at: _ } = wanted;
    let filter = Filter { client, from, to, rule, verdict };
    let query = serde_urlencoded::to_string(&filter).context("the filter cannot be written")?;
    let ended = endpoint.follow(&format!("/trace?{query}"), format, time, |line| screen.say(line))?;
    match ended {
        // What was asked for is over.
        true => Ok(()),
        false => Err(anyhow!("Gatepost ended, or said that this is enough").into()),
    }
}
