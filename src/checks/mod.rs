//! SPF, DKIM, DMARC and ARC. mail-auth verifies signatures and policies, and lives only here; what goes in and comes out
//! are plain values.
//!
//! mail-auth is kept from the network: it sees a book of DNS answers, stops where the book has none, and runs again once
//! our resolver has looked up what was missing. So every query has our budget, our cache and our metrics, a check is a
//! function of its answers, and records that mail-auth would read too generously can be read by us first.
//!
//! A check never refuses anything and never fails: what cannot be found out is `temperror`.

mod arc;
pub mod authres;
pub mod body;
mod book;
mod clock;
mod dkim;
mod dmarc;
mod iprev;
mod keys;
mod message;
mod names;
mod records;
pub mod results;
pub mod seal;
mod signature;
mod spf;
mod tags;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use mail_auth::MessageAuthenticator;

pub use clock::Clock;
pub use message::MessageCheck;

use self::results::CheckResult;
use crate::dns::Resolver;

/// Signatures beyond that are not looked at: nobody who means well signs so often.
pub const MAX_SIGNATURES: u32 = 20;

/// What is checked, and how much may be spent on it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Our own name, which SPF records may refer to.
    pub hostname: String,
    /// Check SPF.
    pub spf: bool,
    /// Check DKIM.
    pub dkim: bool,
    /// Check DMARC.
    pub dmarc: bool,
    /// Check ARC.
    pub arc: bool,
    /// Whose ARC seals count, in A-labels and lower case: `example.org` is itself, `.example.org` everything below it.
    pub trusted_sealers: Vec<String>,
    /// Who seals what is forwarded, if anybody does.
    pub seal: Option<Arc<seal::Sealer>>,
    /// How many DKIM signatures are verified, from the top, at most [`MAX_SIGNATURES`]: each may cost a query. Those that are broken
    /// or of another body cost none and do not count.
    pub max_signatures: usize,
    /// What a signature is that leaves out a part of the body (`l=`): `neutral` or `policy`. It never counts.
    pub partial_body: CheckResult,
    /// The time for one SPF check, DNS included.
    pub spf_budget: Duration,
    /// The time for all DKIM signatures of a message, and for its ARC chain.
    pub dkim_budget: Duration,
    /// The time for DMARC.
    pub dmarc_budget: Duration,
    /// The time for DKIM, DMARC and ARC of a message together.
    pub message_budget: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: String::from("localhost"),
            spf: true,
            dkim: true,
            dmarc: true,
            arc: true,
            trusted_sealers: Vec::new(),
            seal: None,
            max_signatures: 8,
            partial_body: CheckResult::Neutral,
            spf_budget: Duration::from_secs(20),
            dkim_budget: Duration::from_secs(20),
            dmarc_budget: Duration::from_secs(20),
            message_budget: Duration::from_secs(30),
        }
    }
}

/// Does the checks; one for the process.
#[derive(Clone)]
pub struct Checker {
    dns: Resolver,
    mail_auth: MessageAuthenticator,
    settings: Settings,
    clock: Clock,
}

impl Checker {
    /// A checker that looks names up with `dns` and takes the time of signatures from `clock`.
    pub fn new(dns: Resolver, settings: Settings, clock: Clock) -> Self {
        let mail_auth = MessageAuthenticator(dns.wire().clone());
        Self { dns, mail_auth, settings, clock }
    }
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checker").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod suites;
#[cfg(test)]
mod tests;
