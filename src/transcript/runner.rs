//! Running transcripts: files are found, read and played, several at a time, each in a world of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{fs, io, thread};

use jiff::tz::TimeZone;
use tokio::runtime::{Builder, Runtime};

use super::bridge::RealTime;
use super::format::Script;
use super::play::{Failure, play};
use super::report::{Failed, Report};
use super::setup::{OwnPolicy, QuarantineSetup, Split};
use super::world::{Defaults, NAME};
use super::{Options, TestError};
use crate::diagnostic::Diagnostic;
use crate::policy::sources::{EntrySource, TableSource};
use crate::policy::{Policies, Sources};

/// How long one transcript may take in real time: a dialogue that hangs must not hang the run.
const REAL_LIMIT: Duration = Duration::from_secs(60);
/// The stack of a thread that plays, in octets: policies are deep at times.
const STACK: usize = 8 << 20;
/// The ending of a transcript's name.
const EXTENSION: &str = "smtp";

/// Runs the transcripts at `paths`: files, or folders with `*.smtp` below them.
///
/// Each is played on its own stopped clock, several at a time. Must not be called from within an async runtime.
///
/// # Errors
/// A path that cannot be read, none that is a transcript, or threads that cannot be had. What goes wrong in a transcript is in
/// the report.
pub fn run_paths(paths: &[PathBuf], options: &Options) -> Result<Report, TestError> {
    let mut files = find(paths)?;
    if let Some(text) = &options.filter {
        files.retain(|file| file.to_string_lossy().contains(text));
    }
    if files.is_empty() {
        return Err(TestError::Nothing);
    }
    let real =
        Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(TestError::Threads)?;
    let report = run_files(&files, options, &real);
    real.shutdown_background();
    report
}

// === files ===

/// The transcripts at `paths`, each once, in order.
fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, TestError> {
    let mut found = BTreeSet::new();
    for path in paths {
        let unreadable = |error| TestError::Unreadable(path.clone(), error);
        if fs::metadata(path).map_err(unreadable)?.is_dir() {
            find_below(path, &mut found).map_err(unreadable)?;
        } else {
            found.insert(path.clone());
        }
    }
    Ok(found.into_iter().collect())
}

fn find_below(folder: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Links are not followed, so that there is an end.
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|extension| extension == EXTENSION) {
                found.insert(entry.path());
            }
        }
    }
    Ok(())
}

// === threads ===

fn run_files(files: &[PathBuf], options: &Options, real: &Runtime) -> Result<Report, TestError> {
    let jobs = thread::available_parallelism().map_or(1, usize::from).min(files.len());
    let next = AtomicUsize::new(0);
    let real = RealTime::new(real.handle().clone());
    let options = Arc::new(options.clone());
    thread::scope(|scope| {
        let (reports, all) = mpsc::channel();
        for _ in 0..jobs {
            let (next, real, options, reports) = (&next, &real, &options, reports.clone());
            let worker = move || {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let failed = run_apart(file, options, real);
                    if reports.send((file, failed)).is_err() {
                        return;
                    }
                }
            };
            thread::Builder::new().spawn_scoped(scope, worker).map_err(TestError::Threads)?;
        }
        drop(reports);
        let mut report = Report::default();
        all.into_iter().for_each(|(file, failed)| report.add(file, failed));
        Ok(report)
    })
}

/// Runs one file on a thread of its own, so that neither a panic nor a dialogue without an end is more than its failure.
fn run_apart(file: &Path, options: &Arc<Options>, real: &RealTime) -> Vec<Failed> {
    let (done, result) = mpsc::sync_channel(1);
    let (script, options, real) = (file.to_owned(), Arc::clone(options), real.clone());
    let work = move || {
        // Nobody waits any more when it took too long.
        let _ = done.send(run_file(&script, &options, &real));
    };
    let started = thread::Builder::new().stack_size(STACK).spawn(work);
    let trouble = match started {
        Err(error) => error.to_string(),
        Ok(_) => match result.recv_timeout(REAL_LIMIT) {
            Ok(failed) => return failed,
            Err(RecvTimeoutError::Timeout) => format!("it did not end within {REAL_LIMIT:?}"),
            Err(RecvTimeoutError::Disconnected) => "it panicked".to_owned(),
        },
    };
    vec![Failed::Run(Failure { line: 0, what: trouble, shown: String::new() })]
}

// === one file ===

fn run_file(file: &Path, options: &Options, real: &RealTime) -> Vec<Failed> {
    let script = match Script::load(file) {
        Ok(script) => script,
        Err(problems) => return problems.into_iter().map(Failed::Unusable).collect(),
    };
    let policies = match load_policies(&script, options) {
        Ok(policies) => Arc::new(policies),
        Err(problems) => return unusable(&script, problems),
    };
    let defaults = Defaults {
        hostname: options.hostname.clone(),
        domains: options.domains.clone(),
        trusted: options.trusted_networks.clone(),
    };
    let played = |split: &Split| run_once(&script, *split, &defaults, &policies, real).err();
    script.setup.splits.iter().find_map(played).map(Failed::Run).into_iter().collect()
}

/// What is wrong with the policies of a script, with its name in front where nothing of that says it.
fn unusable(script: &Script, problems: Vec<Diagnostic>) -> Vec<Failed> {
    let is_named = problems.iter().any(|problem| problem.file == script.file);
    let name = (!is_named).then(|| Diagnostic::error(&script.file, "its policies cannot be used"));
    name.into_iter().chain(problems).map(Failed::Unusable).collect()
}

/// Plays a script once, on a stopped clock.
fn run_once(
    script: &Script,
    split: Split,
    defaults: &Defaults,
    policies: &Arc<Policies>,
    real: &RealTime,
) -> Result<(), Failure> {
    let trouble = |what: String| Failure { line: 0, what, shown: String::new() };
    let stopped = Builder::new_current_thread().enable_time().start_paused(true).build();
    let stopped = stopped.map_err(|error| trouble(error.to_string()))?;
    let played = stopped.block_on(play(script, split, defaults, Arc::clone(policies), real));
    played.map_err(|failure| match split {
        Split::Whole => failure,
        Split::AtMost(octets) => {
            Failure { what: format!("{} (in segments of {octets})", failure.what), ..failure }
        }
    })
}

// === policies ===

/// The policies that the session of this script has. Those that stand in it join a copy of the folder.
fn load_policies(script: &Script, options: &Options) -> Result<Policies, Vec<Diagnostic>> {
    let mut sources = sources(script, options);
    if let Some(listener) = &script.setup.listener
        && !sources.listeners.iter().any(|(name, _)| name == listener)
    {
        let message = format!("there is no listener `{listener}` in the configuration");
        return Err(vec![Diagnostic::error(&script.file, message)]);
    }
    let own = &script.setup.own_policies;
    if own.is_empty() {
        return Policies::load(&sources);
    }
    let problem = |error: io::Error| vec![Diagnostic::error(&script.file, format!("its policies: {error}"))];
    let folder = tempfile::tempdir().map_err(problem)?;
    copy_folder(&sources.dir, folder.path()).map_err(problem)?;
    for policy in own {
        let file = folder.path().join(&policy.file);
        file.parent().map_or(Ok(()), fs::create_dir_all).map_err(problem)?;
        fs::write(file, &policy.text).map_err(problem)?;
    }
    let dir = std::mem::replace(&mut sources.dir, folder.path().to_owned());
    let original = |problem| of_original(problem, folder.path(), &dir, own);
    Policies::load(&sources).map_err(|problems| problems.into_iter().map(original).collect())
}

/// A problem of the copy, told of what was copied: a file of the folder, or a policy in the transcript.
fn of_original(problem: Diagnostic, copy: &Path, dir: &Path, own: &[OwnPolicy]) -> Diagnostic {
    let Ok(file) = problem.file.strip_prefix(copy).map(Path::to_owned) else { return problem };
    match own.iter().rev().find(|policy| Path::new(&policy.file) == file) {
        Some(policy) => policy.place(problem),
        None => Diagnostic { file: dir.join(file), ..problem },
    }
}

/// What the configuration says, and over it what the transcript says. A transcript with a folder of its own has nothing to
/// do with the configuration's.
fn sources(script: &Script, options: &Options) -> Sources {
    let setup = &script.setup;
    let mut sources = match &setup.policies_dir {
        Some(dir) => Sources { dir: dir.clone(), ..Sources::default() },
        None => options.policies.clone(),
    };
    // What a transcript says of its world is no mistake of the operator's.
    sources.deny_warnings = false;
    // Exceptions may speak of the configuration's.
    sources.listeners.push((NAME.to_owned(), setup.selection.clone()));
    sources.quarantine = setup.quarantine != QuarantineSetup::Off;
    if let Some(domains) = &setup.domains {
        sources.our_domains = domains.iter().map(|domain| domain.to_lowercase()).collect();
        sources.redirect_domains = sources.our_domains.clone();
    } else if setup.policies_dir.is_some() {
        sources.our_domains = options.domains.iter().cloned().collect();
        sources.redirect_domains = sources.our_domains.clone();
    }
    sources.redirect_domains.extend(setup.redirect_domains.iter().map(|domain| domain.to_lowercase()));
    sources.modes.extend(setup.modes.iter().cloned());
    setup.bending.apply(&mut sources);
    for (policy, name, value) in &setup.settings {
        sources.settings.entry(policy.clone()).or_default().insert(name.clone(), value.clone());
    }
    let lists =
        setup.lists.iter().map(|(name, entries)| (name.clone(), EntrySource::Inline(entries.clone()).into()));
    sources.lists.extend(lists);
    let tables =
        setup.tables.iter().map(|(name, entries)| (name.clone(), TableSource::Inline(entries.clone())));
    sources.tables.extend(tables);
    sources.today = Some(setup.clock.to_zoned(TimeZone::UTC).date());
    sources
}

/// Copies the scripts of a folder, of its `lib` and of its domains.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    copy_scripts(from, to)?;
    if from.join("lib").is_dir() {
        copy_scripts(&from.join("lib"), &to.join("lib"))?;
    }
    let domains = from.join("domains");
    if !domains.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(domains)? {
        let (name, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        if path.is_dir() {
            copy_scripts(&path, &to.join("domains").join(name))?;
        }
    }
    Ok(())
}

fn copy_scripts(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "rhai") {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
