//! A small authoritative DNS server in the same process, on a loopback port of its own: for unit tests, for transcripts and
//! for end-to-end tests.
//!
//! It serves one [`Zone`] of arbitrary names over UDP and TCP, with faults where the zone says so, and counts what it is
//! asked. It lives as long as its [`Responder`] and needs a tokio runtime.

mod broken;
mod zone;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::resolver::canonical;
pub use zone::{Data, DataError, Fault, Zone};

/// Answers that may be on their way at once; queries beyond that are dropped.
const MAX_ANSWERS: usize = 1024;
/// TCP connections at once; further ones wait.
const MAX_CONNECTIONS: usize = 64;
/// Names that are counted one by one.
const MAX_COUNTED: usize = 65_536;
const TCP_IDLE: Duration = Duration::from_secs(30);
/// UDP answers to clients that announce no larger size (RFC 1035 4.2.1).
const PLAIN_UDP_SIZE: usize = 512;
const BIND_ATTEMPTS: usize = 16;

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Responder {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

#[derive(Debug)]
struct Shared {
    zone: Mutex<Zone>,
    counts: Mutex<Counts>,
    answers: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Counts {
    total: u64,
    by_name: HashMap<String, u64>,
}

impl Responder {
    /// Starts serving `zone` on 127.0.0.1, UDP and TCP at the same free port.
    ///
    /// # Errors
    /// No port could be bound.
    pub async fn start(zone: Zone) -> io::Result<Self> {
        let (udp, tcp) = bind().await?;
        let address = udp.local_addr()?;
        let shared = Arc::new(Shared {
            zone: Mutex::new(zone),
            counts: Mutex::default(),
            answers: Arc::new(Semaphore::new(MAX_ANSWERS)),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        });
        let tasks = [
            AbortOnDropHandle::new(tokio::spawn(serve_udp(Arc::clone(&shared), Arc::new(udp)))),
            AbortOnDropHandle::new(tokio::spawn(serve_tcp(Arc::clone(&shared), tcp))),
        ];
        Ok(Self { address, shared, _tasks: tasks })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Settings of a resolver that asks this server and nobody else.
    pub fn settings(&self) -> super::Settings {
        super::Settings { servers: vec![self.address], ..super::Settings::default() }
    }

    /// Changes the zone; later queries see it.
    pub fn change(&self, change: impl FnOnce(&mut Zone)) {
        change(&mut lock(&self.shared.zone));
    }

    /// How many queries asked for this name, of whatever type, over UDP and TCP together.
    pub fn queries(&self, name: &str) -> u64 {
        let name = canonical(name);
        lock(&self.shared.counts).by_name.get(&name).copied().unwrap_or(0)
    }

    /// How many queries came in all.
    pub fn total_queries(&self) -> u64 {
        lock(&self.shared.counts).total
    }
}

async fn bind() -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempt = 0;
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if attempt == BIND_ATTEMPTS => return Err(error),
            Err(_) => attempt += 1,
        }
    }
}

async fn serve_udp(shared: Arc<Shared>, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; 4096];
    loop {
        let Ok((len, peer)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let Some(answer) = buffer.get(..len).and_then(|query| shared.answer(query, Transport::Udp)) else {
            continue;
        };
        for forged in &answer.before {
            let _ = socket.send_to(forged, peer).await;
        }
        if answer.delay.is_zero() {
            // A lost datagram is what UDP promises.
            let _ = socket.send_to(&answer.bytes, peer).await;
        } else if let Ok(permit) = Arc::clone(&shared.answers).try_acquire_owned() {
            tokio::spawn(send_later(Arc::clone(&socket), answer, peer, permit));
        }
    }
}

async fn send_later(socket: Arc<UdpSocket>, answer: Answer, peer: SocketAddr, _permit: OwnedSemaphorePermit) {
    sleep(answer.delay).await;
    let _ = socket.send_to(&answer.bytes, peer).await;
}

async fn serve_tcp(shared: Arc<Shared>, listener: TcpListener) {
    while let Ok(permit) = Arc::clone(&shared.connections).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(serve_connection(Arc::clone(&shared), stream, permit));
    }
}

async fn serve_connection(shared: Arc<Shared>, mut stream: TcpStream, _permit: OwnedSemaphorePermit) {
    while let Ok(Ok(query)) = timeout(TCP_IDLE, read_framed(&mut stream)).await {
        let Some(answer) = shared.answer(&query, Transport::Tcp) else {
            return;
        };
        sleep(answer.delay).await;
        if write_framed(&mut stream, &answer.bytes).await.is_err() {
            return;
        }
    }
}

/// RFC 1035 4.2.2: over TCP each message has its length in front.
async fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write_framed(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let len = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&len.to_be_bytes());
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Transport {
    Udp,
    Tcp,
}

/// Bytes to send, after a while.
#[derive(Debug)]
struct Answer {
    /// What is sent first, over UDP.
    before: Vec<Vec<u8>>,
    bytes: Vec<u8>,
    delay: Duration,
}

impl Answer {
    const fn now(bytes: Vec<u8>) -> Self {
        Self { before: Vec::new(), bytes, delay: Duration::ZERO }
    }
}

impl Shared {
    /// What to say to `query`; nothing when it is not a query, or is to be dropped.
    fn answer(&self, query: &[u8], transport: Transport) -> Option<Answer> {
        let query = Message::from_vec(query).ok()?;
        let question = query.queries.first()?;
        lock(&self.counts).count(canonical(&question.name().to_ascii()));
        let zone = lock(&self.zone);
        let mut message = zone.answer(&query);
        let (mut delay, mut before) = (Duration::ZERO, Vec::new());
        match zone.fault_of(question) {
            None => {}
            Some(Fault::Delay(time)) => delay = time,
            Some(Fault::Drop) => return None,
            Some(Fault::ServFail) => message = refusal(&query, ResponseCode::ServFail),
            Some(Fault::Refused) => message = refusal(&query, ResponseCode::Refused),
            Some(Fault::Garbage) => return Some(Answer::now(vec![0xff; 24])),
            Some(Fault::LoopedName) => return Some(Answer::now(broken::looped_name(&query)?)),
            Some(Fault::BadLength) => return Some(Answer::now(broken::bad_length(&query)?)),
            Some(Fault::OtherQuestion) => message = broken::other_question(&query),
            Some(Fault::Forged) => before = broken::forged(&query),
            Some(Fault::TruncateAlways) => message = message.truncate(),
            Some(Fault::WrongId) => message.metadata.id = message.metadata.id.wrapping_add(1),
            Some(Fault::Truncate { .. }) if transport == Transport::Udp => message = message.truncate(),
            Some(Fault::Truncate { tcp: true }) => {}
            Some(Fault::Truncate { tcp: false }) => return None,
        }
        drop(zone);
        let bytes = encode(&message, size_limit(&query, transport))?;
        Some(Answer { before, bytes, delay })
    }
}

impl Counts {
    fn count(&mut self, name: String) {
        self.total += 1;
        if self.by_name.len() < MAX_COUNTED || self.by_name.contains_key(&name) {
            *self.by_name.entry(name).or_default() += 1;
        }
    }
}

fn size_limit(query: &Message, transport: Transport) -> usize {
    match transport {
        Transport::Tcp => usize::from(u16::MAX),
        Transport::Udp => {
            query.edns.as_ref().map_or(PLAIN_UDP_SIZE, |edns| edns.max_payload().into()).max(PLAIN_UDP_SIZE)
        }
    }
}

fn encode(message: &Message, limit: usize) -> Option<Vec<u8>> {
    let bytes = message.to_vec().ok()?;
    if bytes.len() <= limit { Some(bytes) } else { message.truncate().to_vec().ok() }
}

/// An empty answer to `query`, to be filled.
fn empty_answer(query: &Message) -> Message {
    let mut message = Message::response(query.metadata.id, OpCode::Query);
    message.metadata.recursion_desired = query.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.add_queries(query.queries.iter().cloned());
    message
}

fn refusal(query: &Message, code: ResponseCode) -> Message {
    let mut message = empty_answer(query);
    message.metadata.response_code = code;
    message
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
