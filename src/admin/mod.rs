//! The operator's side door: metrics and health over HTTP, and for those who are admitted what goes on and orders.
//!
//! | path | answer |
//! | --- | --- |
//! | `/metrics` | every metric, as Prometheus reads it |
//! | `/healthz` | 200 while the process lives |
//! | `/readyz` | 200 while new mail is welcome, else 503; the lines say why |
//! | `/` | the page for the operator's browser; what it shows it asks for below, with the token |
//! | `/status` | what is configured and how it does |
//! | `/rules` | every rule with its mode, its place and how often it fired |
//! | `/sessions` | the sessions that are open |
//! | `/decisions` | the decisions in memory as they are kept, the youngest first: `?id=`, `from`, `to`, `client`, `rule`, `outcome`, `queue_id`, `since`, `word` (any of these, or a part of a name or address), `limit` (100, at most 1,000) |
//! | `/decisions/summaries` | the same in short |
//! | `/explain/ID` | the decisions with this id, explained, for people; with `Accept: application/json` for programs |
//! | `/trace` | sessions as they go on, a line each: `?client=`, `from`, `to`, `rule`, `verdict`; with `Accept: application/json` in JSON; at most eight at once, for at most an hour |
//! | `/reloads` | the last reloads, and what each of them changed |
//! | POST `/reload` | reads configuration, policies and certificates again, and says what came of it; with `?wait=no` at once that it was heard |
//! | POST `/drain` | ends as SIGTERM does |
//! | POST `/cache/clear` | forgets the answers of DNS |
//!
//! The first three are for everybody; the rest is for the UNIX socket and for those who know the token
//! ([`access`]).
//!
//! It is made to be slow for nobody but its own clients: a connection carries one request and ends after
//! [`CONNECTION_TIME`], or later if it may ask for what is guarded; there are at most [`CONNECTIONS`] of either, and when there are
//! more, the oldest goes first. So a client that dawdles costs a scrape nothing, and strangers cut off nobody who was admitted.

mod access;
mod client;
mod crowd;
mod door;
mod health;
mod office;
mod page;
mod records;
mod routes;

pub use self::access::{Access, Token};
pub use self::client::{Answered, AskError, Asked, ask, follow};
pub use self::crowd::{CONNECTION_TIME, CONNECTIONS};
pub use self::door::{Entry, Place, Served, open, serve};
pub use self::health::{Health, Reload, Reloaded};
pub use self::office::{Later, ListenerStatus, Office, Rule, Session, Status, UpstreamStatus};
pub use self::records::known_verdict;

#[cfg(test)]
mod tests;
