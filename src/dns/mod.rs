//! DNS: the resolver with its caches and budgets, and a small responder that answers for tests and transcripts.
//!
//! [`Resolver`] gives typed answers ([`Answers`]) or says why there are none ([`Failure`]). It keeps positive answers for
//! their time to live, negative ones as RFC 2308 says, and failures for a few seconds, all in one cache that is bounded by
//! bytes. [`responder::Responder`] is the other side of the wire: an authoritative server in the same process with
//! arbitrary records and faults.

mod answer;
mod health;
mod observe;
mod resolver;
pub mod responder;

pub use answer::{Answers, Exchange, Failure, Kind, MailHosts, Records, Trouble, reverse_name};
pub use observe::{Lookup, Observe, Outcome};
pub(crate) use resolver::Found;
pub use resolver::{DnsError, Resolver, Settings};

#[cfg(test)]
mod tests;
