//! iprev: does a name of the client's lead back to it (RFC 8601 3)?

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::timeout;

use super::Checker;
use super::results::{CheckResult, Iprev};
use crate::dns::{Failure, Kind, Resolver, reverse_name};

/// RFC 8601 3 and RFC 7208 5.5 advise to look at no more of a client's names.
const MAX_CLIENT_NAMES: usize = 10;

/// For everything together. The sessions of clients whose reverse zone does not answer wait no longer.
const BUDGET: Duration = Duration::from_secs(3);

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
