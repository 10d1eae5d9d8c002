//! `gatepost replay`: recorded decisions, asked of other policies.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, anyhow};

use crate::config::Loaded;
use crate::decisions;
use crate::decisions::replay::{Recorded, Report, replay};
use crate::policy::{Policies, Sources};

use super::Failure;
use super::explain::Format;
use super::screen::{Screen, tally};

/// Lines that are handed on together, and such batches that wait for a thread.
const BATCH: usize = 256;
const WAITING: usize = 8;

/// Says what would change if `dir` were the folder of policies. An error says that something would, or that nobody can tell.
pub(super) fn run(
    loaded: Loaded,
    files: &[PathBuf],
    dir: &Path,
    format: Format,
    screen: Screen,
) -> Result<(), Failure> {
    let sources = Sources { dir: dir.to_owned(), ..loaded.settings.policies };
    let policies = Policies::load(&sources).map_err(|found| {
        screen.diagnostics(&found);
        Failure::Untold(anyhow!("the policies cannot be used: {}", tally(&found)))
    })?;
    let files = if files.is_empty() {
        let configured = loaded.settings.decisions.file;
        recorded(&configured.context("name a file of decisions, or configure one as `decisions.file`")?)
    } else {
        files.to_vec()
    };
    let (mut report, strange) = replay_files(&Arc::new(policies), open(files)?)?;
    report.sort();
    match format {
        Format::Json => {
            screen.say_json(&serde_json::to_string(&report).context("the report cannot be written")?)
        }
        Format::Text => screen.say(report.to_string().trim_end()),
    }
    if strange > 0 {
        let lines = match strange {
            1 => "1 line is no decision, and was left out".to_owned(),
            number => format!("{number} lines are no decisions, and were left out"),
        };
        screen.details(|_| format!("{lines}\n"));
    }
    match &report {
        Report { changed: 1.., .. } => Err(Failure::Shown),
        report if report.tells() => Ok(()),
        Report { decisions: 0, .. } => Err(Failure::Untold(anyhow!("there is no decision to ask about"))),
        _ => Err(Failure::Untold(anyhow!("nothing could be decided, which says nothing about the policies"))),
    }
}

/// The configured file behind those that were put aside from it, the oldest first.
fn recorded(configured: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = decisions::files(configured).collect();
    files.reverse();
    if files.is_empty() { vec![configured.to_owned()] } else { files }
}

/// All at once: names move on when a file is put aside meanwhile.
fn open(files: Vec<PathBuf>) -> anyhow::Result<Vec<(PathBuf, File)>> {
    let open = |path: PathBuf| {
        let file = File::open(&path).with_context(|| unreadable(&path))?;
        Ok((path, file))
    };
    files.into_iter().map(open).collect()
}

fn unreadable(path: &Path) -> String {
    format!("{} cannot be read", path.display())
}

/// Everything in `files`, on as many threads as there are processors; and the number of lines that are no decisions.
fn replay_files(policies: &Arc<Policies>, files: Vec<(PathBuf, File)>) -> anyhow::Result<(Report, u64)> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (send, receive) = sync_channel(WAITING);
    let inbox = Mutex::new(receive);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(policies, &inbox))).collect();
        let read: anyhow::Result<()> =
            files.into_iter().try_for_each(|(path, file)| read_file(&path, file, &send));
        drop(send);
        let (mut report, mut strange) = (Report::default(), 0);
        for worker in workers {
            let (part, odd) = worker.join().map_err(|_| anyhow!("a thread broke down"))?;
            report.merge(part);
            strange += odd;
        }
        read.map(|()| (report, strange))
    })
}

fn read_file(path: &Path, file: File, send: &SyncSender<Vec<Vec<u8>>>) -> anyhow::Result<()> {
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let mut line = Vec::new();
        let read = file.read_until(b'\n', &mut line).with_context(|| unreadable(path))?;
        if read > 0 {
            batch.push(line);
        }
        if batch.len() == BATCH || read == 0 {
            // Without anybody to take it, a thread broke down, and that is told.
            let _ = send.send(std::mem::take(&mut batch));
        }
        if read == 0 {
            return Ok(());
        }
    }
}

fn work(policies: &Arc<Policies>, inbox: &Mutex<Receiver<Vec<Vec<u8>>>>) -> (Report, u64) {
    let (mut report, mut strange) = (Report::default(), 0);
    loop {
        let batch = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else { return (report, strange) };
        for line in batch {
            match serde_json::from_slice::<Recorded>(&line) {
                Ok(decision) => {
                    let replayed = replay(policies, &decision);
                    report.add(&decision, replayed);
                }
                Err(_) => strange += u64::from(!line.trim_ascii().is_empty()),
            }
        }
    }
}
