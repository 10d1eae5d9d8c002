//! iprev: does a name of the client's lead back to it (RFC 8601 3)?

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::timeout;

use super::Checker;
use super::results::{CheckResult, Iprev};
use crate::dns::{Failure, Kind, Resolver, reverse_name};

/// RFC 8601 3 and RFC 7208 5.5 advise to look at no more of a client's names.
const MAX_CLIENT_NAMES: usize = 10;

/// For everything together. The sessions of clients whose reverse zone does not answer wait no longer. More than one look-up
/// takes by default, so that the failure of one is kept, and the next session hears of it at once.
const BUDGET: Duration = Duration::from_secs(5);

impl Checker {
    /// The names of `client` that lead back to it: `pass`. Without any, those that it has: `fail`; `temperror` if that
    /// cannot be known now, `none` if it has no name.
    ///
    /// Nobody is asked about a loopback address, whose name says nothing.
    pub async fn iprev(&self, client: IpAddr) -> Iprev {
        let client = client.to_canonical();
        if client.is_loopback() || client.is_unspecified() {
            return Iprev::default();
        }
        let looking = look_up(&self.dns, client);
        timeout(BUDGET, looking).await.unwrap_or_else(|_| iprev(CheckResult::TempError, Vec::new()))
    }
}

async fn look_up(dns: &Resolver, client: IpAddr) -> Iprev {
    let mut names = match dns.lookup(Kind::Ptr, &reverse_name(client)).await {
        Ok(answers) => answers.records.to_texts(),
        Err(Failure::NoData | Failure::NxDomain) => return Iprev::default(),
        Err(Failure::Temporary(_)) => return iprev(CheckResult::TempError, Vec::new()),
    };
    names.truncate(MAX_CLIENT_NAMES);
    let kind = if client.is_ipv4() { Kind::A } else { Kind::Aaaa };
    let found = dns.lookup_all(names.iter().map(|name| (kind, name.clone())).collect()).await;
    let leads_back = |name: &&String| {
        found.iter().any(|((_, asked), found)| {
            asked == *name && found.as_ref().is_ok_and(|a| a.records.addresses().contains(&client))
        })
    };
    let confirmed: Vec<String> = names.iter().filter(leads_back).cloned().collect();
    let failed = found.iter().any(|(_, found)| matches!(found, Err(Failure::Temporary(_))));
    match (confirmed.is_empty(), failed) {
        (false, _) => iprev(CheckResult::Pass, confirmed),
        (true, true) => iprev(CheckResult::TempError, names),
        (true, false) => iprev(CheckResult::Fail, names),
    }
}

const fn iprev(result: CheckResult, names: Vec<String>) -> Iprev {
    Iprev { result, names }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::checks::{Clock, Settings};
    use crate::dns::responder::{Data, Fault, Responder, Zone};

    async fn checked(zone: Zone, client: &str) -> (Iprev, Duration) {
        let responder = Responder::start(zone).await.unwrap();
        let settings = crate::dns::Settings { timeout: Duration::from_secs(60), ..responder.settings() };
        let dns = Resolver::new(settings, Arc::new(())).unwrap();
        let checker = Checker::new(dns, Settings::default(), Clock::default());
        let begun = std::time::Instant::now();
        let found = checker.iprev(client.parse().unwrap()).await;
        (found, begun.elapsed())
    }

    fn named(client: &str, names: impl IntoIterator<Item = String>) -> Zone {
        let mut zone = Zone::new();
        for name in names {
            zone.add(&reverse_name(client.parse().unwrap()), Data::Ptr(name));
        }
        zone
    }

    #[tokio::test]
    async fn nobody_is_asked_about_loopback() {
        let mut zone = named("127.0.0.7", ["x.example".to_owned()]);
        zone.add("x.example", Data::A([127, 0, 0, 7].into()));
        assert_eq!(checked(zone, "::ffff:127.0.0.7").await.0, Iprev::default());
    }

    #[tokio::test]
    async fn ten_names_are_enough() {
        let zone = named("192.0.2.1", (0..100).map(|n| format!("n{n}.example")));
        let (found, _) = checked(zone, "192.0.2.1").await;
        assert_eq!((found.result, found.names.len()), (CheckResult::Fail, MAX_CLIENT_NAMES));
        assert_eq!(found.verified(), None);
    }

    #[tokio::test]
    async fn a_zone_that_never_answers_is_given_up() {
        let mut zone = named("192.0.2.1", ["silent.example".to_owned()]);
        zone.fault("silent.example", Fault::Drop);
        let (found, took) = checked(zone, "192.0.2.1").await;
        assert_eq!(found.result, CheckResult::TempError);
        assert!(took >= BUDGET && took < BUDGET * 4, "{took:?}");
    }
}
