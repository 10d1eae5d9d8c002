//! The whole room against simulated upstreams, on a stopped clock.

mod addresses;
mod auth;
mod chunks;
mod connections;
mod dialogue;
mod faults;
mod identities;
mod introduction;
mod pipelining;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::simulated::{self, Script};
use super::*;
use crate::message::spool::{Settings, Spooler};
use crate::metrics::Metrics;
use crate::smtp::command::Command;

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(6),
    reply: Duration::from_secs(6),
    end_of_data: Duration::from_secs(6),
};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nbody\r\n";

/// An upstream of ours and the simulated server behind it.
struct World {
    server: Arc<simulated::Upstream>,
    upstream: Arc<Upstream>,
    metrics: Arc<Metrics>,
}

impl World {
    /// Without identity and TLS.
    fn plain(script: Script) -> Self {
        Self::new(script, Identity::None, TlsMode::Off)
    }

    fn new(script: Script, identity: Identity, tls: TlsMode) -> Self {
        Self::at(&["mta.example:25"], script, identity, tls)
    }

    fn at(addresses: &[&str], script: Script, identity: Identity, tls: TlsMode) -> Self {
        Self::with(remote(addresses, identity, tls), script)
    }

    fn with(remote: Remote, script: Script) -> Self {
        let server = Arc::new(simulated::Upstream::new(script));
        let target = Target {
            name: "main".to_owned(),
            hostname: "gate.example.org".to_owned(),
            kind: Kind::Smtp(remote),
        };
        let dial = Arc::<simulated::Upstream>::clone(&server);
        let metrics = Metrics::new();
        let upstream = Upstream::new(target, dial, metrics.upstream("main"));
        Self { server, upstream, metrics }
    }

    fn session(&self) -> Session {
        self.upstream.session(client())
    }

    /// Sends one message in a session of its own, to `<r1@example.org>`; what the client hears at the end, as one line.
    async fn send(&self) -> String {
        let mut session = self.session();
        let heard = send_in(&mut session, &["r1"], MESSAGE).await;
        session.quit().await;
        heard
    }

    /// The transcript as one text, with the lines that `wanted` lets through.
    fn said(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.server.transcript().into_iter().filter(|line| wanted(line)).collect::<Vec<_>>().join("\n")
    }

    /// The value of the metric `name` with `labels` beside the upstream's.
    fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        let text = self.metrics.encode().unwrap();
        let is_it = |line: &&str| {
            line.starts_with(&format!("gatepost_{name}{{"))
                && line.contains(r#"upstream="main""#)
                && labels.iter().all(|label| line.contains(label))
        };
        let values =
            text.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        values.sum()
    }

    /// What Gatepost said.
    fn commands(&self) -> String {
        self.said(|line| line.starts_with("G: ")).replace("G: ", "")
    }
}

/// SMTP at these addresses, the first of them first.
fn remote(addresses: &[&str], identity: Identity, tls: TlsMode) -> Remote {
    let addresses = addresses.iter().map(|&address| address.to_owned()).collect();
    let (balance, protocol) = (Balance::First, Protocol::Smtp);
    Remote { addresses, balance, protocol, identity, tls, timeouts: TIMEOUTS }
}

/// One message from `<s@example.org>`; the reply to the first thing that is not accepted, or the last.
async fn send_in(session: &mut Session, rcpts: &[&str], message: &[u8]) -> String {
    for name in rcpts {
        match session.rcpt(&mail("s"), &rcpt(name)).await {
            Ok(reply) if reply.is_completed() => {}
            Ok(reply) => return fault::one_line(&reply),
            Err(failure) => return heard(&failure),
        }
    }
    match session.deliver(&outgoing(message)).await {
        Ok(receipt) => fault::one_line(receipt.reply()),
        Err(failure) => heard(&failure),
    }
}

fn heard(failure: &Failure) -> String {
    fault::one_line(&failure.reply())
}

fn client() -> Client {
    Client {
        ip: "192.0.2.1".parse().unwrap(),
        port: 40112,
        local: Some("198.51.100.25:25".parse().unwrap()),
        name: ClientName::Unknown,
        helo: "client.example".to_owned(),
        esmtp: true,
        login: None,
    }
}

fn mail(name: &str) -> MailCommand {
    mail_line(&format!("MAIL FROM:<{name}@example.org>"))
}

fn mail_line(line: &str) -> MailCommand {
    match Command::parse(line.as_bytes(), false).unwrap() {
        Command::Mail(mail) => mail,
        other => panic!("{other:?}"),
    }
}

fn rcpt(name: &str) -> RcptCommand {
    match Command::parse(format!("RCPT TO:<{name}@example.org>").as_bytes(), false).unwrap() {
        Command::Rcpt(rcpt) => rcpt,
        other => panic!("{other:?}"),
    }
}

/// `message` with its first half as the header: where that ends is nothing to the upstream side.
fn outgoing(message: &[u8]) -> Outgoing {
    let settings = Settings { dir: None, memory: 1 << 26, memory_per_message: 1 << 26 };
    let mut spool = Spooler::new(settings).unwrap().begin();
    let (header, body) = message.split_at(message.len() / 2);
    spool.write(body).unwrap();
    Outgoing { header: Bytes::copy_from_slice(header), body: spool.seal().unwrap() }
}

/// Runs `work` and says how long it took by the stopped clock.
async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    (work.await, begun.elapsed())
}
