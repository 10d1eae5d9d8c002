//! What the tests stand on: real programs in temporary folders on free ports, and clients to talk to them.
//!
//! Nothing here waits for a fixed time: what has to happen is polled for, with a deadline ([`until`]).

mod browser;
mod client;
mod dns;
mod dovecot;
mod dovecot_lmtp;
mod exim;
mod gatepost;
mod haproxy;
mod load;
mod mail;
mod metrics;
mod plan;
mod ports;
mod postfix;
mod programs;
mod prometheus;
mod redis;
mod scanners;
mod server;
mod sink;
mod tls;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

pub(crate) use browser::{Browser, keep_picture};
pub(crate) use client::{Client, Reply, stuffed};
pub(crate) use dns::Dns;
pub(crate) use dovecot::Dovecot;
pub(crate) use dovecot_lmtp::DovecotLmtp;
pub(crate) use exim::Exim;
pub(crate) use gatepost::{Gatepost, Launch, command};
pub(crate) use haproxy::HaProxy;
pub(crate) use load::Load;
pub(crate) use mail::{AddedFields, letter, letter_of};
pub(crate) use metrics::Exposition;
pub(crate) use plan::{Plan, copy, repository};
pub(crate) use ports::free_port;
pub(crate) use postfix::Postfix;
pub(crate) use programs::Program;
pub(crate) use prometheus::Prometheus;
pub(crate) use redis::{Make, Redis, RedisCluster};
pub(crate) use scanners::{Clamd, Rspamd};
pub(crate) use sink::{AtTheDot, Sink, Taken};
pub(crate) use tls::{Authority, Issuer, NAME};

/// How long anything may take that is expected to happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The answer of `probe` as soon as it has one; fails the test when that takes longer than `limit`.
#[track_caller]
pub(crate) fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begin.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A folder for one test, which servers that run under another user can reach.
pub(crate) fn folder(purpose: &str) -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::Permissions::from_mode(0o755);
    let prefix = format!("gatepost-{purpose}-");
    tempfile::Builder::new().prefix(&prefix).permissions(open).tempdir().unwrap()
}

/// Sends a signal to a process that a test has started.
pub(crate) fn signal(process: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// The last lines of a file, for the message of a test that fails.
pub(crate) fn tail(file: &Path, lines: usize) -> String {
    let text = what_is_in(file);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The first lines of a file that have these words, for the message of a test that fails.
pub(crate) fn lines_with(file: &Path, words: &str) -> String {
    let text = what_is_in(file);
    text.lines().filter(|line| line.contains(words)).take(20).collect::<Vec<_>>().join("\n")
}

fn what_is_in(file: &Path) -> String {
    std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
