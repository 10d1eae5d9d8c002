//! `gatepost test`: transcripts against the configured policies.

use std::path::PathBuf;

use crate::config::{Loaded, Settings};
use crate::transcript::{Options, run_paths};

use super::Failure;
use super::screen::Screen;

/// Runs the transcripts at `paths`, or those that lie with the policies.
pub(super) fn test(loaded: &Loaded, paths: &[PathBuf], screen: Screen) -> Result<(), Failure> {
    let settings = &loaded.settings;
    let beside_policies = [settings.policies.dir.join("tests")];
    let paths = if paths.is_empty() { &beside_policies } else { paths };
    if transcripts(settings, paths, screen)? { Ok(()) } else { Err(Failure::Shown) }
}

/// Whether every transcript under `paths` went as it says; those that did not are shown.
fn transcripts(settings: &Settings, paths: &[PathBuf], screen: Screen) -> anyhow::Result<bool> {
    let options = Options {
        hostname: settings.hostname.clone(),
        domains: settings.domains.clone(),
        trusted_networks: settings.trusted_networks.clone(),
        policies: settings.policies.clone(),
    };
    let report = run_paths(paths, &options)?;
    screen.details(|color| report.failures(color));
    screen.say(&report.to_string());
    Ok(report.is_success())
}
