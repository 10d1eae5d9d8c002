//! A listener with a policy of its own and facts of anybody's, whose sessions are streams in memory.

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use bytes::Bytes;
use gatepost::checks::MessageCheck;
use gatepost::checks::results::{Iprev, MessageResults, Sealable, Spf};
use gatepost::facts::Subject;
use gatepost::message::edit::NewField;
use gatepost::message::header::Header;
use gatepost::message::spool::{self, Spooler};
use gatepost::metrics::Metrics;
use gatepost::policy::question::{Answer, Question};
use gatepost::policy::sources::Selection;
use gatepost::policy::{Policies, Sources};
use gatepost::proxy::{
    Border, Client, DEFAULT_HEADER_LIMIT, Facts, Listener, Manners, Presence, Routes, Tarpits, Tracing,
};
use gatepost::session::{AuthTerms, Inquiries, Limits, Terms, Timeouts};
use gatepost::tls;
use gatepost::upstream::{BoxFuture, Kind, Target, TcpDial, Upstream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

const RELAY: &str = "const GATE = true;\nfn rcpt(session, mail, rcpt) { reject(\"denied\", \"no\"); }\n";

/// Whether the client was greeted; then it leaves.
pub(crate) async fn visit(mut client: DuplexStream) -> bool {
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n") {
        if client.read_buf(&mut said).await.unwrap() == 0 {
            return false;
        }
    }
    // A client that was refused need not hear this.
    let _ = client.write_all(b"QUIT\r\n").await;
    client.read_to_end(&mut said).await.unwrap();
    said.starts_with(b"220 ")
}

/// A listener with this policy behind a gate that lets nothing through.
pub(crate) fn listener(policy: &str, facts: Arc<dyn Facts>) -> Listener {
    let metrics = Metrics::new();
    let kind = Kind::Maildir("/nonexistent".into());
    let target = Target { name: "main".to_owned(), hostname: "mx.example.org".to_owned(), kind };
    let upstream = Upstream::new(target, Arc::new(TcpDial), metrics.upstream("main"));
    let memory = spool::Settings { dir: None, memory: 1 << 20, memory_per_message: 1 << 20 };
    Listener {
        name: "mx".into(),
        terms: terms(),
        starttls: false,
        header_limit: DEFAULT_HEADER_LIMIT,
        normalise: Vec::new(),
        authserv_id: "mx.example.org".to_owned(),
        received_spf: false,
        border: Border::new(["example.org".to_owned()], Vec::new()),
        manners: Manners::default(),
        policies: Arc::new(ArcSwap::new(Arc::new(policies(policy)))),
        routes: Routes::from(upstream),
        facts,
        spooler: Arc::new(Spooler::new(memory).unwrap()),
        presence: Arc::new(Presence::default()),
        quarantine: None,
        tarpits: Tarpits::new(1),
        journal: Arc::new(Tracing),
        metrics: metrics.listener("mx"),
        policy_metrics: metrics.policy(),
        check_metrics: metrics.checks(),
    }
}

fn terms() -> Terms {
    Terms {
        hostname: "mx.example.org".to_owned(),
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        tls_required: false,
        auth: AuthTerms::default(),
        inquiries: Inquiries::default(),
        quarantine_address: None,
    }
}

fn policies(policy: &str) -> Policies {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("00-relay.rhai"), RELAY).unwrap();
    fs::write(dir.path().join("50-asks.rhai"), policy).unwrap();
    let listeners = vec![("mx".to_owned(), Selection::All)];
    Policies::load(&Sources { dir: dir.path().to_owned(), listeners, ..Sources::default() }).unwrap()
}

/// Facts that are answered by a function, and no checks.
pub(crate) struct Stub<F>(pub(crate) F);

impl<F> fmt::Debug for Stub<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stub")
    }
}

impl<F: Fn(&Question) -> BoxFuture<'static, Answer> + Send + Sync> Facts for Stub<F> {
    fn answer<'a>(&'a self, _: &'a Subject, question: &'a Question) -> BoxFuture<'a, Answer> {
        (self.0)(question)
    }

    fn known(&self, _: &Question) -> Option<Answer> {
        None
    }

    fn iprev(&self, _: IpAddr) -> BoxFuture<'static, Iprev> {
        Box::pin(async { Iprev::default() })
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn warm(&self, _: &Bytes) {}

    fn seals(&self) -> bool {
        false
    }

    fn seal(&self, _: &Header, _: &Sealable, _: &str) -> Option<[NewField; 3]> {
        None
    }

    fn conclude<'a>(&'a self, _: MessageCheck, _: &'a Spf) -> BoxFuture<'a, MessageResults> {
        Box::pin(async { MessageResults::default() })
    }
}

/// A stream in memory as a client's.
pub(crate) struct Stream(pub(crate) DuplexStream);

impl Client for Stream {
    async fn start_tls(self) -> io::Result<(Self, tls::Info)> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
