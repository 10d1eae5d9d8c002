//! The thread that keeps decisions.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::file::{Rotation, Trouble, Writer};
use super::query::Query;
use super::record::Decision;
use super::redact::Redact;
use super::ring::{Ring, select};
use crate::metrics::DecisionMetrics;

/// Decisions that may wait for the thread; more are dropped.
const WAITING: usize = 1_024;
/// Octets that are written at once.
const BATCH: usize = 256 << 10;
/// How long a line may wait for the disk.
const LATEST: Duration = Duration::from_millis(200);
/// How often the log hears that decisions cannot be written.
const COMPLAIN: Duration = Duration::from_secs(60);
/// How long somebody who asks waits for what was decided just before.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the end waits for what was decided last to be on disk.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often it looks whether there is room in the queue.
const RETRY: Duration = Duration::from_millis(5);

/// How decisions are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// So many in memory; 0 for none.
    pub memory: usize,
    /// Octets that those may take.
    pub memory_size: u64,
    /// The file that they are written to as well; `None` for nowhere.
    pub file: Option<PathBuf>,
    /// When that file is put aside.
    pub rotation: Rotation,
    /// What is taken out of them.
    pub redact: Redact,
    /// What is kept of the header of a message.
    pub headers: Headers,
}

/// What is kept of the headers of messages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Headers {
    /// Nothing but its size.
    None,
    /// The fields that policies read, up to 16 KiB.
    #[default]
    Read,
    /// All of it, up to 64 KiB.
    All,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory: 10_000,
            memory_size: 32 << 20,
            file: None,
            rotation: Rotation::default(),
            redact: Redact::default(),
            headers: Headers::default(),
        }
    }
}

impl Settings {
    /// Whether decisions are kept anywhere.
    pub const fn wanted(&self) -> bool {
        self.memory > 0 || self.file.is_some()
    }
}

/// Keeps decisions, on a thread of its own.
#[derive(Debug)]
pub struct Recorder {
    settings: Settings,
    ring: Arc<Mutex<Ring>>,
    orders: SyncSender<Order>,
    metrics: DecisionMetrics,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Order {
    Keep(Box<Decision>),
    /// Everything before it is to be kept; then say so.
    Settle(SyncSender<()>),
    /// The same, and that is all.
    End(SyncSender<()>),
}

impl Recorder {
    /// Starts the thread. With nothing to keep it waits for ever.
    ///
    /// # Errors
    /// The file cannot be opened, or there is no thread to be had.
    pub fn start(settings: Settings, metrics: DecisionMetrics) -> io::Result<Self> {
        let octets = usize::try_from(settings.memory_size).unwrap_or(usize::MAX);
        let ring = Arc::new(Mutex::new(Ring::new(settings.memory, octets)));
        let writer =
            settings.file.clone().map(|path| Writer::begin(path, settings.rotation.clone())).transpose()?;
        let (orders, inbox) = mpsc::sync_channel(WAITING);
        let keeper = Keeper {
            ring: Arc::clone(&ring),
            redact: settings.redact,
            writer,
            metrics: metrics.clone(),
            complained: None,
        };
        let thread = thread::Builder::new().name("decisions".to_owned()).spawn(move || keeper.run(&inbox))?;
        Ok(Self { settings, ring, orders, metrics, thread: Mutex::new(Some(thread)) })
    }

    /// How it keeps them.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Keeps `decision`, or drops it and counts that when the thread has fallen behind. Never blocks.
    pub fn keep(&self, decision: Box<Decision>) {
        match self.orders.try_send(Order::Keep(decision)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.metrics.dropped("queue", 1),
        }
    }

    /// The decisions in memory that `query` wants, the youngest first, with what was decided before the call. Blocks for as long as it
    /// takes to read them: to be called where that harms nobody.
    pub fn find(&self, query: &Query) -> Vec<Decision> {
        self.settle();
        let lines = lock(&self.ring).lines();
        select(lines, query)
    }

    /// Waits until everything is kept that was handed in before; for two seconds at most, however long the disk takes.
    pub fn settle(&self) {
        let (done, settled) = mpsc::sync_channel(1);
        let _ = self.ordered(Order::Settle(done), &settled, PATIENCE);
    }

    /// Ends the thread, once it has kept everything; after five seconds it is left to itself, and the log says what is lost. What is
    /// handed in later is dropped.
    pub fn finish(&self) {
        self.finish_within(FAREWELL);
    }

    fn finish_within(&self, patience: Duration) {
        let Some(thread) = lock(&self.thread).take() else { return };
        let (done, ended) = mpsc::sync_channel(1);
        if self.ordered(Order::End(done), &ended, patience) == Err(RecvTimeoutError::Timeout) {
            let error = "the disk does not answer";
            tracing::error!(
                event = "decisions_not_written",
                error,
                "what was decided last is not in the file"
            );
            return;
        }
        let _ = thread.join();
    }

    /// Hands in an order and waits for the thread to have done it; both together for so long.
    fn ordered(
        &self,
        mut order: Order,
        done: &Receiver<()>,
        patience: Duration,
    ) -> Result<(), RecvTimeoutError> {
        let until = Instant::now() + patience;
        while let Err(refused) = self.orders.try_send(order) {
            let TrySendError::Full(back) = refused else { return Err(RecvTimeoutError::Disconnected) };
            if Instant::now() >= until {
                return Err(RecvTimeoutError::Timeout);
            }
            order = back;
            thread::sleep(RETRY);
        }
        done.recv_timeout(until.saturating_duration_since(Instant::now()))
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What runs on the thread.
#[derive(Debug)]
struct Keeper {
    ring: Arc<Mutex<Ring>>,
    redact: Redact,
    writer: Option<Writer>,
    metrics: DecisionMetrics,
    complained: Option<Instant>,
}

impl Keeper {
    fn run(mut self, inbox: &Receiver<Order>) {
        // Lines that wait for the disk, and since when.
        let (mut lines, mut since) = (0_u64, Instant::now());
        loop {
            let order = if lines == 0 {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                inbox.recv_timeout(LATEST.saturating_sub(since.elapsed()))
            };
            match order {
                Ok(Order::Keep(mut decision)) => {
                    decision.drop_unsaid();
                    if lines == 0 {
                        since = Instant::now();
                    }
                    lines += self.keep(&decision);
                    if self.writer.as_ref().is_some_and(|writer| writer.waiting() < BATCH) {
                        continue;
                    }
                    self.write(std::mem::take(&mut lines));
                }
                Ok(Order::Settle(done)) => {
                    self.write(std::mem::take(&mut lines));
                    let _ = done.try_send(());
                }
                Err(RecvTimeoutError::Timeout) => self.write(std::mem::take(&mut lines)),
                Ok(Order::End(done)) => {
                    self.write(lines);
                    let _ = done.try_send(());
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return self.write(lines),
            }
        }
    }

    /// Keeps one; gives how many lines wait for the disk because of it.
    fn keep(&mut self, decision: &Decision) -> u64 {
        let Ok(line) = self.line(decision) else {
            self.metrics.dropped("format", 1);
            return 0;
        };
        self.metrics.recorded();
        let waits = self.writer.as_mut().map(|writer| writer.add(&line));
        lock(&self.ring).push(line);
        u64::from(waits.is_some())
    }

    fn line(&self, decision: &Decision) -> serde_json::Result<Bytes> {
        if self.redact == Redact::None {
            return serde_json::to_vec(decision).map(Bytes::from);
        }
        let mut value = serde_json::to_value(decision)?;
        self.redact.apply(decision, &mut value);
        serde_json::to_vec(&value).map(Bytes::from)
    }

    fn write(&mut self, lines: u64) {
        let Some(writer) = self.writer.as_mut().filter(|_| lines > 0) else { return };
        let Err(trouble) = writer.flush() else { return };
        if matches!(trouble, Trouble::NotWritten(_)) {
            self.metrics.dropped("disk", lines);
        }
        if self.complained.is_some_and(|last| last.elapsed() <= COMPLAIN) {
            return;
        }
        self.complained = Some(Instant::now());
        match trouble {
            Trouble::NotWritten(error) => {
                tracing::error!(event = "decisions_not_written", %error, "decisions cannot be written to their file");
            }
            Trouble::NotPutAside(error) => {
                tracing::error!(event = "decisions_not_put_aside", %error, "the file of decisions is full and grows, as it cannot be put aside");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Metrics, sum};

    fn decision(id: &str) -> Box<Decision> {
        Box::new(Decision { id: id.to_owned(), ..Decision::default() })
    }

    #[test]
    fn what_was_kept_is_found_at_once_and_is_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let metrics = Metrics::new();
        let settings = Settings { file: Some(path.clone()), ..Settings::default() };
        let recorder = Recorder::start(settings, metrics.decisions()).unwrap();
        for id in ["aaaaaaaaaa", "bbbbbbbbbb"] {
            recorder.keep(decision(id));
        }
        assert_eq!(recorder.find(&Query::id("bbbbbbbbbb")).len(), 1);
        assert_eq!(super::super::file::read_all(&path, &Query::default()).unwrap().0.len(), 2);
        recorder.keep(decision("cccccccccc"));
        recorder.finish();
        assert_eq!(super::super::file::read_all(&path, &Query::default()).unwrap().0.len(), 3);
        recorder.keep(decision("dddddddddd"));
        let text = metrics.encode().unwrap();
        assert_eq!(sum(&text, "gatepost_decisions_total", &[]), 3.0);
        assert_eq!(sum(&text, "gatepost_decisions_dropped_total", &[("reason", "queue")]), 1.0);
    }

    #[test]
    fn a_thread_that_is_behind_costs_decisions_and_no_time() {
        let metrics = Metrics::new();
        let recorder = Recorder::start(Settings::default(), metrics.decisions()).unwrap();
        let busy = lock(&recorder.ring);
        for _ in 0..WAITING + 10 {
            recorder.keep(decision("aaaaaaaaaa"));
        }
        drop(busy);
        let dropped =
            sum(&metrics.encode().unwrap(), "gatepost_decisions_dropped_total", &[("reason", "queue")]);
        assert!((8.0..=10.0).contains(&dropped), "{dropped}");
    }

    /// Whether something ends while the thread hangs, with a full queue or an empty one.
    fn ends_while_it_hangs(waiting: usize, what: fn(&Recorder)) -> bool {
        let metrics = Metrics::new();
        let recorder = Arc::new(Recorder::start(Settings::default(), metrics.decisions()).unwrap());
        let busy = lock(&recorder.ring);
        recorder.keep(decision("aaaaaaaaaa"));
        // With this one in hand it waits for the memory, and takes no more out of the queue.
        while sum(&metrics.encode().unwrap(), "gatepost_decisions_total", &[]) < 1.0 {
            thread::yield_now();
        }
        for _ in 0..waiting {
            recorder.keep(decision("aaaaaaaaaa"));
        }
        let (asks, (done, settled)) = (Arc::clone(&recorder), mpsc::channel());
        let asking = thread::spawn(move || {
            what(&asks);
            let _ = done.send(());
        });
        let answer = settled.recv_timeout(10 * PATIENCE);
        drop(busy);
        asking.join().unwrap();
        answer.is_ok()
    }

    #[test]
    fn who_asks_while_the_thread_hangs_gets_an_answer() {
        assert!(ends_while_it_hangs(WAITING + 10, Recorder::settle));
    }

    #[test]
    fn the_end_does_not_wait_for_a_thread_that_hangs() {
        for waiting in [0, WAITING + 10] {
            assert!(ends_while_it_hangs(waiting, |recorder| recorder.finish_within(RETRY)));
        }
    }

    #[test]
    fn a_disk_that_fails_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Metrics::new();
        let settings = Settings { file: Some(folder.path().join("d")), ..Settings::default() };
        let recorder = Recorder::start(settings, metrics.decisions()).unwrap();
        drop(folder);
        recorder.keep(decision("aaaaaaaaaa"));
        assert_eq!(recorder.find(&Query::default()).len(), 1);
        let dropped =
            sum(&metrics.encode().unwrap(), "gatepost_decisions_dropped_total", &[("reason", "disk")]);
        assert_eq!(dropped, 1.0);
    }
}
