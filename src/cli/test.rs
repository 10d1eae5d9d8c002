//! `gatepost test`: transcripts against the configured policies.

mod coverage;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::config::{Loaded, Settings};
use crate::policy::{Coverage, Glance, Policies, Sources};
use crate::transcript::{Options, Report, TestError, run_paths};

use super::Failure;
use super::screen::{Format, Screen};

/// How often files are looked at for `--watch`.
const LOOK: Duration = Duration::from_millis(300);

/// What is asked of the command.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Wanted {
    /// Transcripts, or folders of them [default: the folder `tests` of the policies]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only transcripts whose path has this text in it
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Say which lines and rules of the policies no transcript reached
    #[arg(long)]
    coverage: bool,
    /// Run again whenever a policy, a list, a transcript or the configuration changes, until interrupted
    #[arg(long, conflicts_with = "format")]
    watch: bool,
    /// How the result is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// Runs the transcripts that are wanted, or those that lie with the policies. For `--watch`, `reload` reads the configuration
/// again and shows what is wrong with it.
pub(super) fn test(
    loaded: Loaded,
    wanted: &Wanted,
    screen: Screen,
    reload: impl Fn() -> Result<Loaded, Failure>,
) -> Result<(), Failure> {
    if !wanted.watch {
        return once(&loaded.settings, wanted, screen);
    }
    let mut settings = loaded.settings;
    loop {
        let seen = glances(&settings, wanted);
        if let Err(Failure::Untold(error)) = once(&settings, wanted, screen) {
            screen.error(&error);
        }
        screen.say("waiting for a change");
        wait_for_change(&settings, wanted, &seen);
        match reload() {
            Ok(loaded) => settings = loaded.settings,
            Err(Failure::Untold(error)) => screen.error(&error),
            // The operator was told; nothing else can happen here.
            Err(_) => {}
        }
    }
}

fn once(settings: &Settings, wanted: &Wanted, screen: Screen) -> Result<(), Failure> {
    let mut options = Options { filter: wanted.filter.clone(), ..options(settings) };
    let coverage = wanted.coverage.then(Arc::<Coverage>::default);
    options.policies.coverage.clone_from(&coverage);
    if coverage.is_some() {
        // What it is measured against: these files, and not what transcripts make of them.
        Policies::load(&options.policies).map_err(|found| {
            screen.diagnostics(&found);
            Failure::Shown
        })?;
    }
    let beside_policies = [options.policies.dir.join("tests")];
    let paths = if wanted.paths.is_empty() { &beside_policies[..] } else { &wanted.paths };
    let report = run_paths(paths, &options)?;
    match wanted.format {
        Format::Text => {
            screen.details(|color| report.failures(color));
            screen.say(&report.to_string());
            coverage.iter().for_each(|coverage| screen.say(coverage::as_text(coverage).trim_end()));
        }
        Format::Json => screen.say_json(&as_json(&report, coverage.as_deref()).to_string()),
    }
    if report.is_success() { Ok(()) } else { Err(Failure::Shown) }
}

/// What the configuration says where a transcript does not.
pub(super) fn options(settings: &Settings) -> Options {
    Options {
        hostname: settings.hostname.clone(),
        domains: settings.domains.clone(),
        trusted_networks: settings.trusted_networks.clone(),
        policies: settings.policies.clone(),
        filter: None,
    }
}

/// Runs the transcripts that lie with the policies, where the policies are to pass them.
///
/// # Errors
/// In one line, what went otherwise, or why nothing could be run.
pub(super) fn examine(options: &Options) -> Result<(), String> {
    if !options.policies.require_tests {
        return Ok(());
    }
    let tests = options.policies.dir.join("tests");
    let because = "policies.require_tests wants the tests of the policies to pass";
    let report = match run_paths(std::slice::from_ref(&tests), options) {
        Ok(report) => report,
        Err(TestError::Nothing) => return Err(format!("{because}: {} has none", tests.display())),
        Err(error) => return Err(format!("{because}: {error}")),
    };
    if report.is_success() {
        return Ok(());
    }
    let failures = report.failures(false);
    let first = failures.lines().find(|line| !line.is_empty()).unwrap_or_default();
    Err(format!("{because}: {report}; {first}"))
}

fn as_json(report: &Report, coverage: Option<&Coverage>) -> serde_json::Value {
    let failures = report.problems().map(|problem| {
        json!({
            "file": problem.file.display().to_string(),
            "line": problem.line,
            "message": problem.what,
            "details": problem.shown,
        })
    });
    let mut answer = json!({
        "passed": report.passed(),
        "failed": report.failed(),
        "failures": failures.collect::<Vec<_>>(),
    });
    if let (Some(coverage), Some(answer)) = (coverage, answer.as_object_mut()) {
        answer.insert("coverage".to_owned(), coverage::as_json(coverage));
    }
    answer
}

// === watching ===

/// What the file system says about everything that decides what the transcripts come to.
fn glances(settings: &Settings, wanted: &Wanted) -> Vec<Glance> {
    let with_tests = Sources { require_tests: true, ..settings.policies.clone() };
    let named = wanted.paths.iter().map(PathBuf::as_path).chain([settings.file.as_path()]);
    [with_tests.glance()].into_iter().chain(named.map(|path: &Path| Glance::at(path))).collect()
}

fn wait_for_change(settings: &Settings, wanted: &Wanted, seen: &[Glance]) {
    let same = |now: &[Glance]| {
        now.len() == seen.len() && now.iter().zip(seen).all(|(now, seen)| now.looks_like(seen))
    };
    while same(&glances(settings, wanted)) {
        std::thread::sleep(LOOK);
    }
}
