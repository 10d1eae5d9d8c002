//! Lists that are asked by DNS (RFC 5782).

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::dns::{Failure, Found, Kind, Resolver, reverse_name};
use crate::metrics::FactMetrics;
use crate::policy::question::{Listable, Listed, MAX_SUBJECTS, Zone};

/// Look-ups of one question, enough for the hosts of all URLs of a message at four lists; what is beyond is an error.
const MAX_LOOKUPS: usize = 4 * MAX_SUBJECTS * (PARENTS.len() + 1);
/// For each look-up, whatever the resolver's own patience.
const DEADLINE: Duration = Duration::from_secs(10);
/// Labels of a host name that a list of domains may be about: `evil.test` and `evil.co.test`, beside the whole name.
const PARENTS: [usize; 2] = [2, 3];
/// How often lists are tested.
const TEST_EVERY: Duration = Duration::from_secs(3600);
/// How soon a list is tested that a reload brought.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What each of `zones` says about each of `subjects`.
pub(super) async fn listed(
    resolver: &Resolver,
    metrics: &FactMetrics,
    subjects: &[Listable],
    zones: &[Zone],
) -> Vec<Listed> {
    let pairs: Vec<_> =
        zones.iter().flat_map(|zone| subjects.iter().map(move |subject| (zone, subject))).collect();
    let mut asked = HashSet::new();
    let all = pairs.iter().flat_map(|(zone, subject)| names(subject, &zone.name));
    let asks = all.filter(|name| asked.insert(name.clone())).take(MAX_LOOKUPS);
    let answers = ask_all(resolver, asks).await;
    let one = |(zone, subject): (&Zone, &Listable)| {
        let listed = told(zone, subject, &answers);
        let outcome = match (&listed.error, listed.codes.is_empty()) {
            (Some(_), _) => "error",
            (None, true) => "not_listed",
            (None, false) => "listed",
        };
        metrics.listed(zone.known.then_some(&zone.name), outcome);
        listed
    };
    pairs.into_iter().map(one).collect()
}

/// The answers that come in time.
async fn ask_all(resolver: &Resolver, names: impl Iterator<Item = String>) -> BTreeMap<String, Found> {
    let mut lookups = JoinSet::new();
    for name in names {
        let resolver = resolver.clone();
        lookups.spawn(async move {
            let found = timeout(DEADLINE, resolver.lookup(Kind::A, &name)).await;
            Some((name, found.ok()?))
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(done) = lookups.join_next().await {
        answers.extend(done.ok().flatten());
    }
    answers
}

/// The names under which `zone` has an entry for `subject`.
fn names(subject: &Listable, zone: &str) -> Vec<String> {
    match subject {
        Listable::Address(ip) => vec![format!("{}.{zone}", reversed(*ip))],
        Listable::Domain(domain) => {
            let labels: Vec<_> = domain.split('.').collect();
            let parents = PARENTS.into_iter().filter(|count| *count < labels.len());
            let parent = |count| labels.get(labels.len() - count..).unwrap_or_default().join(".");
            let mut names: Vec<_> = parents.map(parent).collect();
            names.push(domain.clone());
            names.into_iter().map(|name| format!("{name}.{zone}")).collect()
        }
    }
}

/// Octets or nibbles in reverse (RFC 5782 2.1, 2.4).
fn reversed(ip: IpAddr) -> String {
    let name = reverse_name(ip);
    let name = name.strip_suffix(".in-addr.arpa").or_else(|| name.strip_suffix(".ip6.arpa")).unwrap_or(&name);
    name.to_owned()
}

fn told(zone: &Zone, subject: &Listable, answers: &BTreeMap<String, Found>) -> Listed {
    let mut listed =
        Listed { zone: zone.name.clone(), subject: subject.to_string(), codes: Vec::new(), error: None };
    for name in names(subject, &zone.name) {
        match answers.get(&name).map(codes) {
            Some(Ok(codes)) => codes.into_iter().for_each(|code| {
                if !listed.codes.contains(&code) {
                    listed.codes.push(code);
                }
            }),
            Some(Err(error)) => listed.error = Some(error),
            None => listed.error = Some("no answer in time".to_owned()),
        }
    }
    listed
}

/// The codes of an answer. One that no list gives makes the whole answer an error: a resolver that invents addresses, or a
/// list that tells us to go away, must not refuse anybody's mail.
fn codes(found: &Found) -> Result<Vec<Ipv4Addr>, String> {
    let answers = match found {
        Ok(answers) => answers,
        Err(Failure::NoData | Failure::NxDomain) => return Ok(Vec::new()),
        Err(Failure::Temporary(trouble)) => return Err(trouble.to_string()),
    };
    let addresses = answers.records.addresses();
    let code = |ip: &IpAddr| match ip {
        IpAddr::V4(code) if is_code(*code) => Ok(*code),
        ip => Err(format!("the answer {ip} is no listing")),
    };
    addresses.iter().map(code).collect()
}

/// 127.255.255.x says why the list does not answer us; 127.0.1.255 that it lists no addresses, only domains.
fn is_code(code: Ipv4Addr) -> bool {
    match code.octets() {
        [127, 255, 255, _] | [127, 0, 1, 255] => false,
        octets => octets[0] == 127,
    }
}

// === tests of lists ===

/// Tests the lists that `zones` names through our resolver: at once, when there are others, and every hour.
pub async fn test_lists<Z: IntoIterator<Item = String>>(
    resolver: Resolver,
    metrics: FactMetrics,
    zones: impl Fn() -> Z,
) {
    let mut tested = Vec::new();
    let mut age = Duration::ZERO;
    loop {
        let wanted: Vec<String> = zones().into_iter().collect();
        if wanted != tested || age >= TEST_EVERY {
            test_all(&resolver, &metrics, &tested, &wanted).await;
            (tested, age) = (wanted, Duration::ZERO);
        }
        sleep(LOOK_EVERY).await;
        age += LOOK_EVERY;
    }
}

/// Tests all of `wanted`; of those of `tested` that are not among them there is nothing to say any more.
pub(super) async fn test_all(
    resolver: &Resolver,
    metrics: &FactMetrics,
    tested: &[String],
    wanted: &[String],
) {
    for gone in tested.iter().filter(|zone| !wanted.contains(zone)) {
        metrics.forget_list(gone);
    }
    for zone in wanted {
        let usable = test(resolver, zone).await;
        metrics.usable(zone, usable.is_ok());
        if let Err(why) = usable {
            tracing::warn!(event = "dnsbl_unusable", list = zone, why, "the list cannot be relied on");
        }
    }
}

/// Whether a list has the entries that each list must have and must not have (RFC 5782 5), seen through our resolver.
///
/// # Errors
/// Why it cannot be relied on.
pub async fn test(resolver: &Resolver, zone: &str) -> Result<(), String> {
    let entry = |name: &'static str| {
        let name = format!("{name}.{zone}");
        async move { codes(&resolver.lookup(Kind::A, &name).await) }
    };
    let (address, domain) = (entry("2.0.0.127").await, entry("test").await);
    let (no_address, no_domain) = (entry("1.0.0.127").await, entry("invalid").await);
    let is_listed =
        |entry: &Result<Vec<Ipv4Addr>, String>| entry.as_ref().is_ok_and(|codes| !codes.is_empty());
    if is_listed(&no_address) || is_listed(&no_domain) {
        return Err("it lists what no list may list: everything would be listed".to_owned());
    }
    if is_listed(&address) || is_listed(&domain) {
        return Ok(());
    }
    let why = [address, no_address, domain, no_domain].into_iter().find_map(Result::err);
    Err(match why {
        Some(why) => format!("{why}; public resolvers are often refused, run one of your own"),
        None => "its test entries are missing (127.0.0.2, or `test` for domains)".to_owned(),
    })
}
