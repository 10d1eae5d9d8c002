//! `gatepost check`: everything that is wrong, at once.

use std::path::Path;

use anyhow::anyhow;
use clap::ValueEnum;

use crate::config::{self, Settings};
use crate::diagnostic::{Diagnostic, machine};
use crate::policy::Policies;

use super::Failure;
use super::screen::{Screen, count, tally};

/// For whom problems are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// People, with source lines and carets.
    Text,
    /// Programs, as one JSON array on standard output.
    Json,
    /// GitHub's runners, which show them beside the lines of a change.
    Github,
}

/// What makes the answer no, beside errors.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Denied {
    /// Any warning.
    Warnings,
}

/// Says whether the configuration at `path` and its policies can be used.
pub(super) fn check(path: &Path, format: Format, deny_warnings: bool, screen: Screen) -> Result<(), Failure> {
    let mut found = Vec::new();
    let answer = inspect(path, &mut found);
    match format {
        Format::Text => screen.diagnostics(&found),
        Format::Json => screen.say_json(&machine::json(&found)),
        Format::Github if found.is_empty() => {}
        Format::Github => screen.say(&machine::github(&found)),
    }
    let praise = answer?;
    if deny_warnings && !found.is_empty() {
        let all = count(found.len(), "warning");
        return Err(Failure::Untold(anyhow!("warnings are denied, and {} has {all}", path.display())));
    }
    if matches!(format, Format::Text) {
        screen.say(&praise);
    }
    Ok(())
}

/// What is there, in one sentence, if it can be used; what is wrong or odd goes to `found`.
fn inspect(path: &Path, found: &mut Vec<Diagnostic>) -> anyhow::Result<String> {
    let settings = match config::load(path) {
        Ok(loaded) => {
            found.extend(loaded.warnings);
            loaded.settings
        }
        Err(problems) => {
            let message = format!("{} cannot be used: {}", path.display(), tally(&problems));
            found.extend(problems);
            return Err(anyhow!(message));
        }
    };
    match Policies::load(&settings.policies) {
        Ok(policies) => {
            found.extend_from_slice(policies.warnings());
            Ok(praise(&settings, &policies))
        }
        Err(problems) => {
            let message = format!("the policies cannot be used: {}", tally(&problems));
            found.extend(problems);
            Err(anyhow!(message))
        }
    }
}

fn praise(settings: &Settings, policies: &Policies) -> String {
    let listeners = count(settings.listeners.len(), "listener");
    let upstreams = count(settings.upstreams.len(), "upstream");
    let policies = count(policies.policies().count(), "policy");
    format!("{} is good: {listeners}, {upstreams}, {policies}", settings.file.display())
}
