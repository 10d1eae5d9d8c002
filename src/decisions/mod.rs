//! Decisions: what was refused and what became of each transaction, with everything that led to it.
//!
//! A [`Decision`] is plain data, written as one line of JSON. The [`Recorder`] takes them off the sessions' path: a thread of
//! its own keeps the last ones in memory, bounded by number and octets, and writes them to a file if one is configured. A
//! [`Query`] finds them again, [`explain`](mod@explain) says in words what one means, [`replay`](mod@replay) asks other
//! policies about it.
//!
//! **Invariants.** Nothing here blocks a session: when the thread falls behind, decisions are dropped and counted. Memory and
//! files have bounds that do not depend on what clients send. A fact that was not recorded is missing in a replay, never
//! guessed.

mod dossier;
pub mod explain;
mod file;
mod moment;
mod query;
mod record;
mod recorder;
mod redact;
pub mod replay;
mod ring;
mod stages;

pub use self::dossier::{Dossier, Hearing, deciding, timestamp};
pub use self::file::{ReadError, Rotation, files, read, read_all};
pub use self::moment::moment;
pub use self::query::{OUTCOMES, Query, merge};
pub use self::record::{
    Checks, Client, Cost, Deciding, Decision, Effect, Fact, Fault, Header, Kind, Login, Mail, Rcpt, Read,
    Recipient, Rule, StageRecord, Tls, UpstreamPart, VERSION, VerdictRecord,
};
pub use self::recorder::{Headers, Recorder, Settings};
pub use self::redact::Redact;
