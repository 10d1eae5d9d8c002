//! What the operator can ask of the running process, and order.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;

use super::health::{Phase, Reload};
use crate::decisions::Recorder;

/// An answer that takes its time.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who knows what goes on and takes orders. Everything here is for those who are admitted.
pub trait Office: fmt::Debug + Send + Sync {
    /// What is configured and how it does.
    fn status(&self) -> Status;

    /// The rules in force, in the order in which policies are asked.
    fn rules(&self) -> Vec<Rule>;

    /// The sessions that are open, the oldest first.
    fn sessions(&self) -> Vec<Session>;

    /// Who keeps the decisions.
    fn recorder(&self) -> &Arc<Recorder>;

    /// Reads configuration, policies and certificates again.
    ///
    /// # Errors
    /// Why nobody does it any more.
    fn reload(&self) -> Later<'_, Result<Vec<Reload>, String>>;

    /// Takes no more sessions, and ends when those under way have: as SIGTERM does.
    fn drain(&self);

    /// Forgets every answer of DNS; gives how many there were.
    fn clear_dns_cache(&self) -> usize;

    /// Which lines the log has from now on: a level, or directives; `None` for what is configured. Gives what then holds.
    ///
    /// # Errors
    /// It is no level.
    fn set_log_level(&self, level: Option<&str>) -> Result<String, String>;
}

/// What is configured and how it does.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Gatepost's version.
    pub version: &'static str,
    /// The process.
    pub pid: u32,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// The configuration file.
    pub config: String,
    /// Our name.
    pub hostname: String,
    /// The generation of policies in force.
    pub generation: String,
    /// How many rules it has.
    pub rules: usize,
    /// Where clients come in.
    pub listeners: Vec<ListenerStatus>,
    /// Where mail goes.
    pub upstreams: Vec<UpstreamStatus>,
    /// Whether the store of policies' memory is asked, or known to be down.
    pub store_up: bool,
    /// Whether the resolvers answer nothing any more, whoever's names they are asked for.
    pub dns_failing: bool,
    /// How many decisions were lost since the start.
    pub decisions_lost: u64,
    /// When some were lost last, in seconds since 1970; absent when none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decisions_lost_at: Option<u64>,
}

/// One listener.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// Where it listens, as configured.
    pub addresses: Vec<String>,
    /// The sessions that are open now.
    pub sessions: usize,
    /// How many there may be.
    pub sessions_limit: usize,
    /// When the first of its certificates ends, in seconds since 1970; absent without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates_end: Option<u64>,
}

/// One upstream.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamStatus {
    /// Its name.
    pub name: String,
    /// Where it is, as configured; none for a Maildir.
    pub addresses: Vec<String>,
    /// Whether it answered when it was last asked.
    pub up: bool,
    /// The keywords that clients may be offered because of it.
    pub offers: Vec<String>,
}

/// One rule, for one stage and action.
#[derive(Clone, Debug, Serialize)]
pub struct Rule {
    /// `policy.rule`.
    pub rule: String,
    /// The stage at which it speaks.
    pub stage: &'static str,
    /// What it does.
    pub action: &'static str,
    /// `enforce`, `shadow` or `off`.
    pub mode: &'static str,
    /// Whether it belongs to a gate.
    pub gate: bool,
    /// `file:line`.
    pub place: String,
    /// How often it fired since the start, in shadow too.
    pub hits: u64,
    /// When it fired last, in seconds since 1970; absent when it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_hit: Option<u64>,
    /// The median of the CPU time, in microseconds, that its policy took at this stage lately; absent when it was never asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_us: Option<u64>,
}

/// One open session.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    /// Its id, as in the log.
    pub id: String,
    /// The listener.
    pub listener: String,
    /// The client's address.
    pub client: String,
    /// What it calls itself; empty before HELO.
    pub helo: String,
    /// When it began, in seconds since 1970.
    pub since: u64,
    /// What policy was last asked about: `rcpt`; empty before the first question.
    pub stage: &'static str,
    /// The sender of the open transaction, or of the last one.
    pub sender: String,
}

/// The whole answer of `/status`: what the office says, and how the process feels.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) status: Status,
    pub(super) phase: Phase,
    /// What was refused when it was last reloaded, with the first reason.
    pub(super) refused: BTreeMap<&'static str, String>,
    /// The sections of the configuration that were changed and wait for the next start.
    pub(super) waiting: Vec<&'static str>,
}
