//! A message that never came, judged as if it came: the real session, checks, policies and DNS, and an upstream that takes
//! everything and keeps nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow, bail};
use arc_swap::ArcSwap;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, ReadBuf, duplex, split,
};

use crate::checks::{Checker, Clock};
use crate::config::Settings;
use crate::config::ready;
use crate::decisions::{Decision, Headers, Kind};
use crate::dns::Resolver;
use crate::facts::World;
use crate::message::header::Header;
use crate::message::spool::Spooler;
use crate::metrics::Metrics;
use crate::policy::Policies;
use crate::proxy::{self, Border, Client, End, Entry, Journal, Listener, Manners, Peer, Routes, Tarpits};
use crate::smtp::data::DotStuffer;
use crate::tls;
use crate::upstream::simulated::{self, Script};
use crate::upstream::{Balance, Identity, Protocol, Remote, Target, Timeouts, TlsMode, Upstream};

/// Octets that are on their way at once.
const PIPE: usize = 64 << 10;
/// What the upstream offers: all that a message may need.
const OFFERED: [&str; 6] = ["PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"];

/// Who sends what to whom.
#[derive(Debug)]
pub(super) struct Rehearsal {
    pub(super) ip: IpAddr,
    pub(super) helo: String,
    /// `None`: the author of the message.
    pub(super) from: Option<String>,
    /// None: `postmaster` of the first of our domains.
    pub(super) to: Vec<String>,
    pub(super) tls: bool,
    pub(super) listener: Option<String>,
    pub(super) message: Vec<u8>,
}

/// What is decided about it: every refusal, or the transaction that passed.
pub(super) fn run(settings: Settings, rehearsal: &Rehearsal) -> anyhow::Result<Vec<Decision>> {
    let policies = Policies::load(&settings.policies).map_err(|found| {
        let all: Vec<_> = found.iter().map(|one| one.one_line()).collect();
        anyhow!("the policies cannot be used: {}", all.join("; "))
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let collected = Arc::new(Collected::default());
        let default_rcpt = settings.domains.iter().find(|domain| !domain.starts_with(['*', '.']));
        let default_rcpt = default_rcpt.map(|domain| format!("postmaster@{domain}"));
        let listener = listener(settings, policies, rehearsal, &collected)?;
        let (client, server) = duplex(PIPE);
        let peer = Peer::new(SocketAddr::new(rehearsal.ip, 49_152));
        let info = rehearsal.tls.then(tls_info);
        let session = proxy::drive(Rehearsed(server), peer, info, listener, End::default());
        let (_, said) = tokio::join!(session, dialogue(client, rehearsal, default_rcpt));
        said?;
        Ok(collected.telling())
    })
}

/// The decisions so far.
#[derive(Debug, Default)]
struct Collected(Mutex<Vec<Decision>>);

impl Journal for Collected {
    fn record(&self, _: &Entry<'_>) {}

    fn keeps_decisions(&self) -> Option<Headers> {
        Some(Headers::Read)
    }

    fn keep(&self, decision: Box<Decision>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(*decision);
    }
}

impl Collected {
    /// The refusals; without any, the transaction.
    fn telling(&self) -> Vec<Decision> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused: Vec<_> = all
            .iter()
            .filter(|decision| {
                decision.kind == Kind::Refusal || matches!(decision.outcome, "rejected" | "deferred")
            })
            .cloned()
            .collect();
        let told = if refused.is_empty() { all.into_iter().map(without_upstream).collect() } else { refused };
        told.into_iter().map(rehearsed).collect()
    }
}

/// Marked as what it is, without the id in its reply: whoever asks for that finds nothing.
fn rehearsed(mut decision: Decision) -> Decision {
    decision.rehearsal = true;
    let id = format!(" (gp {})", decision.id);
    decision.reply = decision.reply.replace(&id, "");
    decision
}

/// Without what the stand-in for the upstream said: nobody has been asked.
fn without_upstream(decision: Decision) -> Decision {
    Decision { upstream: None, reply: String::new(), ..decision }
}

fn listener(
    settings: Settings,
    policies: Policies,
    rehearsal: &Rehearsal,
    journal: &Arc<Collected>,
) -> anyhow::Result<Arc<Listener>> {
    let metrics = Metrics::new();
    let resolver = Resolver::new(settings.dns.clone(), Arc::new(()))?;
    let checker = Arc::new(Checker::new(resolver.clone(), settings.checks.clone(), Clock::default()));
    let wanted = chosen(settings.listeners, rehearsal.listener.as_deref())?;
    let upstream = upstream(&wanted.upstream, &settings.hostname, &metrics);
    Ok(Arc::new(Listener {
        name: wanted.name.as_str().into(),
        starttls: false,
        header_limit: wanted.header_limit,
        normalise: wanted.normalise,
        authserv_id: settings.authserv_id,
        received_spf: settings.received_spf,
        border: Border::new(settings.domains.iter().cloned(), settings.trusted_networks),
        manners: Manners::default(),
        policies: Arc::new(ArcSwap::from_pointee(policies)),
        routes: Routes::new(upstream, Vec::new()),
        facts: Arc::new(World::new(resolver, checker, Clock::default())),
        spooler: Arc::new(Spooler::new(settings.spool)?),
        presence: Arc::default(),
        quarantine: None,
        tarpits: Tarpits::new(0),
        journal: Arc::clone(journal) as _,
        metrics: metrics.listener(&wanted.name),
        policy_metrics: metrics.policy(),
        check_metrics: metrics.checks(),
        terms: wanted.terms,
    }))
}

fn chosen(listeners: Vec<ready::Listener>, name: Option<&str>) -> anyhow::Result<ready::Listener> {
    let mut listeners = listeners.into_iter();
    let found = listeners.find(|listener| name.is_none_or(|name| listener.name == name));
    found.with_context(|| format!("there is no listener `{}`", name.unwrap_or_default()))
}

/// An upstream that takes everything, without a network.
fn upstream(name: &str, hostname: &str, metrics: &Metrics) -> Arc<Upstream> {
    let script = Script { extensions: OFFERED.map(str::to_owned).into(), ..Script::default() };
    let remote = Remote {
        addresses: vec!["127.0.0.1:25".to_owned()],
        balance: Balance::First,
        protocol: Protocol::Smtp,
        identity: Identity::None,
        tls: TlsMode::Off,
        timeouts: Timeouts::default(),
    };
    let kind = crate::upstream::Kind::Smtp(remote);
    let target = Target { name: name.to_owned(), hostname: hostname.to_owned(), kind };
    Upstream::new(target, Arc::new(simulated::Upstream::new(script)), metrics.upstream(name))
}

fn tls_info() -> tls::Info {
    tls::Info {
        version: "TLSv1.3",
        cipher: "TLS_AES_256_GCM_SHA384".to_owned(),
        group: Some("X25519MLKEM768".to_owned()),
        sni: None,
        client: None,
    }
}

/// Says what a mail server would say, up to the first refusal that ends it.
async fn dialogue(
    client: DuplexStream,
    rehearsal: &Rehearsal,
    default_rcpt: Option<String>,
) -> anyhow::Result<()> {
    let sender = match &rehearsal.from {
        Some(sender) => sender.trim_matches(['<', '>']).to_owned(),
        None => {
            author(&rehearsal.message).context("the message names no author: say with --from who sends it")?
        }
    };
    let mut recipients = rehearsal.to.clone();
    if recipients.is_empty() {
        recipients.extend(default_rcpt);
    }
    if recipients.is_empty() {
        bail!("say with --to who is to get it");
    }
    let (reader, mut writer) = split(client);
    let mut reader = BufReader::new(reader);
    let wide = if rehearsal.message.is_ascii() { "" } else { " BODY=8BITMIME" };
    let commands = [format!("EHLO {}", rehearsal.helo), format!("MAIL FROM:<{sender}>{wide}")];
    let mut going = reply(&mut reader).await? < 400;
    for command in commands {
        going = going && ask(&mut writer, &mut reader, &command).await? < 400;
    }
    let mut accepted = false;
    for recipient in recipients.iter().filter(|_| going) {
        let command = format!("RCPT TO:<{}>", recipient.trim_matches(['<', '>']));
        accepted |= ask(&mut writer, &mut reader, &command).await? < 400;
    }
    if accepted && ask(&mut writer, &mut reader, "DATA").await? == 354 {
        writer.write_all(&stuffed(&rehearsal.message)).await?;
        reply(&mut reader).await?;
    }
    // Whoever was refused with 421 is not listened to any more.
    let _ = writer.write_all(b"QUIT\r\n").await;
    let _ = writer.shutdown().await;
    Ok(())
}

async fn ask(
    writer: &mut (impl AsyncWrite + Unpin),
    reader: &mut (impl AsyncBufReadExt + Unpin),
    line: &str,
) -> anyhow::Result<u16> {
    writer.write_all(format!("{line}\r\n").as_bytes()).await?;
    reply(reader).await
}

/// The code of the next reply; 421 when the connection is over.
async fn reply(reader: &mut (impl AsyncBufReadExt + Unpin)) -> anyhow::Result<u16> {
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await? == 0 {
            return Ok(421);
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line.get(..3).and_then(|code| code.parse().ok()).unwrap_or(421));
        }
    }
}

/// The author of the message, as its reader sees it.
fn author(message: &[u8]) -> Option<String> {
    let header = Header::of_message(message, usize::MAX)?;
    let first = header.from_addresses().list.into_iter().next()?;
    Some(format!("{}@{}", first.local_part, first.domain))
}

/// The message as it goes over the wire, whatever its line ends are in the file.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = message
        .split(|octet| *octet == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .collect::<Vec<_>>()
        .join(&b"\r\n"[..]);
    let mut wire = Vec::with_capacity(text.len() + 5);
    let mut stuffer = DotStuffer::new();
    stuffer.stuff(&text, &mut wire);
    stuffer.finish(&mut wire);
    wire
}

/// The session's end of the pipe.
#[derive(Debug)]
struct Rehearsed(DuplexStream);

impl Client for Rehearsed {
    async fn start_tls(self) -> std::io::Result<(Self, tls::Info)> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

impl AsyncRead for Rehearsed {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Rehearsed {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
