//! Ten thousand sessions that wait for facts at the same time: `cargo bench --bench sessions`.
//!
//! Each is a real session over a stream in memory, with a policy at `connect` that asks for two facts; a stub answers each after
//! 50 ms. Ideally all sessions wait at the same time, and each for both of its facts at once: then all are done after 50 ms, or, if
//! that is longer, after what the same sessions take where facts are there at once. The goals:
//!
//! - they are done within four times the ideal time;
//! - the process has no more threads than the workers, and the one that waits for their end.
//!
//! A measurement: it prints, and ends with 1 if a goal is missed.

// It runs on what it made itself; a panic says which of it is wrong.
#![allow(clippy::unwrap_used)]

#[path = "measure/house.rs"]
mod house;
mod measure;

use std::fs;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gatepost::policy::question::{Answer, Lookup, Question};
use gatepost::proxy::{End, Listener, Peer, drive};
use gatepost::upstream::BoxFuture;
use house::{Stream, Stub, listener, visit};
use measure::say;
use tokio::io::duplex;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

const SESSIONS: usize = 10_000;
/// How long the stub takes for a fact.
const DELAY: Duration = Duration::from_millis(50);
/// The best of so many rounds counts.
const ROUNDS: usize = 3;
const ASKS: &str = "fn connect(session) {
    let name = dns_txt(`${session.client.port}.one.test`);
    let other = dns_a(`${session.client.port}.two.test`);
    if name.result != \"ok\" || other.result != \"ok\" { reject(\"unknown\", \"no\"); }
}\n";

fn main() -> ExitCode {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
    let round = |delay: Duration| {
        let house = House::new(delay);
        let took = runtime.block_on(house.serve());
        (took, house.facts.most.load(Ordering::Relaxed))
    };
    let best = |delay| (0..ROUNDS).map(|_| round(delay)).min().unwrap();
    let (alone, _) = best(Duration::ZERO);
    let (waiting, together) = best(DELAY);
    let threads = fs::read_dir("/proc/self/task").unwrap().count();
    let ideal = alone.max(DELAY);
    println!("{SESSIONS} sessions with two facts of {DELAY:?} each, {workers} workers");
    println!(
        "  where facts are there at once {alone:>10.2?}\n  waiting for them              {waiting:>10.2?}"
    );
    println!("  facts under way at once, at most {together}");
    let ratio = waiting.as_secs_f64() / ideal.as_secs_f64();
    let mut held = say("to the ideal time, at most 4", ratio, ratio <= 4.0);
    held &= say("threads beside the workers, at most 1", (threads - workers) as f64, threads <= workers + 1);
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the sessions share.
struct House {
    listener: Arc<Listener>,
    facts: Arc<Counted>,
}

/// How many facts are under way, and how many were at most.
#[derive(Default)]
struct Counted {
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl House {
    fn new(delay: Duration) -> Self {
        let facts: Arc<Counted> = Arc::default();
        let counted = Arc::clone(&facts);
        let answer = move |_: &Question| -> BoxFuture<'static, Answer> {
            let counted = Arc::clone(&counted);
            Box::pin(async move {
                let under_way = counted.under_way.fetch_add(1, Ordering::Relaxed) + 1;
                counted.most.fetch_max(under_way, Ordering::Relaxed);
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                counted.under_way.fetch_sub(1, Ordering::Relaxed);
                Answer::from(Lookup { result: "ok", values: Vec::new() })
            })
        };
        Self { listener: Arc::new(listener(ASKS, Arc::new(Stub(answer)))), facts }
    }

    /// The time until the last of the sessions has said goodbye.
    async fn serve(&self) -> Duration {
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for number in 0..SESSIONS {
            let (client, server) = duplex(1024);
            let address = (Ipv4Addr::new(192, 0, 2, 1), u16::try_from(number).unwrap()).into();
            let session =
                drive(Stream(server), Peer::new(address), None, Arc::clone(&self.listener), End::default());
            tokio::spawn(session);
            clients.spawn(visit(client));
        }
        while let Some(welcome) = clients.join_next().await {
            assert!(welcome.unwrap(), "it was refused");
        }
        began.elapsed()
    }
}
