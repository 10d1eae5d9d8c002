//! The DNS: whether the resolver answers, tells the truth, and is one that lists speak to; and what it says of our own name.

use std::net::IpAddr;

use tokio::task::JoinHandle;

use super::finding::Finding;
use crate::config::Settings;
use crate::dns::{Failure, Kind, Resolver, reverse_name};
use crate::facts;

/// A name that nobody has. Not one below `invalid`, which resolvers answer without asking anybody (RFC 6761 6.4).
const NOBODY: &str = "nobody-has-this-name.example.com";

/// All of it, unless the resolver is away.
pub(super) async fn all(settings: &Settings, zones: &[String], resolver: &Resolver) -> Vec<Finding> {
    let mut found = Vec::new();
    match resolver.lookup(Kind::A, NOBODY).await {
        Err(Failure::NxDomain | Failure::NoData) => {
            found.push(Finding::ok("dns", "the resolver answers"));
        }
        Ok(answers) => {
            let invented = answers.records.to_texts().join(", ");
            let message =
                format!("the resolver invents answers: it gives {invented} for {NOBODY}, which nobody has");
            found.push(Finding::fail(
                "dns",
                message,
                "run a resolver of your own (unbound), and name it in `dns.servers`",
            ));
        }
        Err(Failure::Temporary(trouble)) => {
            let message = format!("the resolver does not answer: {trouble}");
            return vec![Finding::fail(
                "dns",
                message,
                "name one that does in `dns.servers`; best is one on this machine",
            )];
        }
    }
    found.extend(own_name(&settings.hostname, resolver).await);
    if zones.is_empty() {
        found.push(Finding::ok("dnsbl", "the policies ask no list in the DNS"));
    }
    // At once, since each may take as long as several look-ups.
    let tests: Vec<_> = zones.iter().map(|zone| test(resolver.clone(), zone.clone())).collect();
    for (zone, tested) in zones.iter().zip(tests) {
        found.push(match tested.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(()) => {
                Finding::ok("dnsbl", format!("{zone} lists its test entry, and not what no list may list"))
            }
            Err(why) => Finding::fail(
                "dnsbl",
                format!("{zone} cannot be relied on: {why}"),
                "until then, what policies ask of it is `error`, and refuses nobody",
            ),
        });
    }
    found
}

fn test(resolver: Resolver, zone: String) -> JoinHandle<Result<(), String>> {
    tokio::spawn(async move { facts::test(&resolver, &zone).await })
}

/// Other servers look whether our address has our name, and our name that address.
async fn own_name(hostname: &str, resolver: &Resolver) -> Vec<Finding> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for kind in [Kind::A, Kind::Aaaa] {
        if let Ok(answers) = resolver.lookup(kind, hostname).await {
            addresses.extend(answers.records.addresses());
        }
    }
    if addresses.is_empty() {
        let message = format!("{hostname} has no address");
        let advice = "give it one in the DNS (A, AAAA), or correct `hostname`: others look it up";
        return vec![Finding::warn("hostname", message, advice)];
    }
    let mut found = Vec::new();
    for address in addresses {
        let names = resolver.lookup(Kind::Ptr, &reverse_name(address)).await;
        let names = names.map(|answers| answers.records.to_texts()).unwrap_or_default();
        found.push(if names.iter().any(|name| name.eq_ignore_ascii_case(hostname)) {
            Finding::ok("hostname", format!("{hostname} is {address}, and {address} is {hostname}"))
        } else {
            let message = format!(
                "{hostname} is {address}, and {address} is {}",
                if names.is_empty() { "nameless".to_owned() } else { names.join(", ") }
            );
            Finding::warn(
                "hostname",
                message,
                "have whoever gave you the address set its PTR record, if mail leaves from it",
            )
        });
    }
    found
}
