//! A mail server in memory that follows a script: the upstream of transcripts and of tests.
//!
//! It keeps the order of commands that RFC 5321 asks for, answers what its [`Script`] says and otherwise accepts, and
//! writes down both what was said and which messages it took. There is no socket: [`Upstream`] is a [`Dial`], and
//! its time is tokio's, so that a stopped clock works.

mod sasl;
mod script;
mod serve;

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::task::JoinSet;

pub use self::script::{Act, Answer, Cue, Rule, Script};
use super::dial::{BoxFuture, Dial, Stream};

/// What one side may have in flight, as a socket's buffers would.
const IN_FLIGHT: usize = 64 * 1024;

/// Lines of a transcript that are kept.
const LINES: usize = 100_000;

/// Messages that are kept.
const MESSAGES: usize = 10_000;

/// A simulated upstream. Dropping it ends its connections.
#[derive(Debug)]
pub struct Upstream {
    stage: Arc<Stage>,
    connections: Mutex<JoinSet<()>>,
}

/// What a simulated upstream and its connections share.
#[derive(Debug)]
struct Stage {
    script: Mutex<Script>,
    record: Mutex<Record>,
    /// How many messages it and those beside it took.
    taken: Arc<AtomicUsize>,
}

/// What happened so far.
#[derive(Debug, Default)]
struct Record {
    transcript: Vec<String>,
    messages: Vec<Message>,
    /// The number of the last message among those of all upstreams beside each other.
    latest: usize,
    /// The addresses that were dialled.
    dialled: Vec<String>,
    connections: usize,
}

/// A message that a simulated upstream answered for with 2yz.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// What EHLO said last.
    pub helo: String,
    /// The attributes of XCLIENT and their values, as they were sent.
    pub xclient: Vec<(String, String)>,
    /// The attributes of XFORWARD and their values, as they were sent since the last transaction.
    pub xforward: Vec<(String, String)>,
    /// Whether it came under TLS.
    pub tls: bool,
    /// The argument of MAIL behind `FROM:`, parameters included.
    pub mail: String,
    /// The arguments of the accepted RCPTs behind `TO:`.
    pub rcpts: Vec<String>,
    /// The message, dots unstuffed.
    pub data: Vec<u8>,
    /// Whether it came by BDAT.
    pub chunked: bool,
}

impl Upstream {
    /// An upstream that follows `script`.
    pub fn new(script: Script) -> Self {
        Self::counting(script, Arc::default())
    }

    /// Another one, whose messages are counted together with those of this one.
    #[must_use]
    pub fn beside(&self, script: Script) -> Self {
        Self::counting(script, Arc::clone(&self.stage.taken))
    }

    fn counting(script: Script, taken: Arc<AtomicUsize>) -> Self {
        let stage = Stage { script: Mutex::new(script), record: Mutex::default(), taken };
        Self { stage: Arc::new(stage), connections: Mutex::default() }
    }

    /// What was said, on all connections, in order: `G: ` before what came from Gatepost, `U: ` before what the
    /// upstream said. A message is left out but for its final dot, and so is a chunk; a PROXY header is shown as a line, `(from ADDRESS)`
    /// before it a source that is not ours; `U: (close)`, `(reset)` and `(stall)` stand for what
    /// is not said.
    pub fn transcript(&self) -> Vec<String> {
        self.stage.record().transcript.clone()
    }

    /// The messages that were accepted, in order.
    pub fn messages(&self) -> Vec<Message> {
        self.stage.record().messages.clone()
    }

    /// The last message that was accepted, and its number among those of all upstreams [beside](Self::beside) it.
    pub fn last_message(&self) -> Option<(usize, Message)> {
        let record = self.stage.record();
        record.messages.last().map(|message| (record.latest, message.clone()))
    }

    /// How often it was dialled.
    pub fn dialled(&self) -> usize {
        self.stage.record().dialled.len()
    }

    /// How often it was dialled at this address.
    pub fn dialled_at(&self, address: &str) -> usize {
        self.stage.record().dialled.iter().filter(|dialled| *dialled == address).count()
    }

    /// How many connections it took.
    pub fn connections(&self) -> usize {
        self.stage.record().connections
    }

    /// Adds a rule while it runs, behind those there are.
    pub fn learn(&self, rule: Rule) {
        self.direct(|script| script.rules.push(rule));
    }

    /// Changes the script while it runs; the next answers follow it.
    pub fn direct(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.stage.script());
    }
}

impl Dial for Upstream {
    fn dial<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            self.stage.record().dialled(address);
            let scripted = self.stage.script().answer(Cue::Connect, address);
            let usual = Answer::reply("220 upstream.example ESMTP");
            let banner = scripted.unwrap_or_else(|| Act::Usual.into()).with_usual(&usual);
            if banner.0.contains(&Act::Refuse) {
                return refused(&banner).await;
            }
            self.stage.record().connections += 1;
            let (near, far) = duplex(IN_FLIGHT);
            let broken = Arc::new(AtomicBool::new(false));
            let far = serve::Peer::new(Arc::clone(&self.stage), Box::new(far), Arc::clone(&broken));
            let mut connections = lock(&self.connections);
            while connections.try_join_next().is_some() {}
            connections.spawn(far.serve(banner));
            Ok(Box::new(Near { stream: near, broken }) as Box<dyn Stream>)
        })
    }

    fn dial_from<'a>(
        &'a self,
        source: IpAddr,
        address: &'a str,
    ) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        self.stage.record().line('G', format!("(from {source})").as_bytes());
        self.dial(address)
    }
}

/// Waits as long as `answer` says, and refuses.
async fn refused(answer: &Answer) -> io::Result<Box<dyn Stream>> {
    for act in &answer.0 {
        match act {
            Act::Wait(delay) => tokio::time::sleep(*delay).await,
            _ => break,
        }
    }
    Err(io::ErrorKind::ConnectionRefused.into())
}

impl Stage {
    fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }
}

impl Record {
    fn line(&mut self, speaker: char, line: &[u8]) {
        if self.transcript.len() < LINES {
            self.transcript.push(format!("{speaker}: {}", String::from_utf8_lossy(line)));
        }
    }

    fn message(&mut self, message: Message, number: usize) {
        if self.messages.len() < MESSAGES {
            self.messages.push(message);
            self.latest = number;
        }
    }

    fn dialled(&mut self, address: &str) {
        if self.dialled.len() < LINES {
            self.dialled.push(address.to_owned());
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gatepost's end of a connection: a stream in memory that can also break as a socket does.
#[derive(Debug)]
struct Near {
    stream: DuplexStream,
    broken: Arc<AtomicBool>,
}

impl Near {
    fn check(&self) -> io::Result<()> {
        if self.broken.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Near {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = space.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, space))?;
        Poll::Ready(if space.filled().len() == before { self.check() } else { Ok(()) })
    }
}

impl AsyncWrite for Near {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
