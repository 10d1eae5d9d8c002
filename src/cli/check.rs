//! `gatepost check`: everything that is wrong, at once.

use anyhow::anyhow;

use crate::config::Loaded;
use crate::policy::Policies;

use super::Failure;
use super::screen::{Screen, count, tally};

/// Says whether the configuration and its policies can be used. The configuration was read already, its warnings shown.
pub(super) fn check(loaded: &Loaded, screen: Screen) -> Result<(), Failure> {
    let settings = &loaded.settings;
    let policies = match Policies::load(&settings.policies) {
        Ok(policies) => policies,
        Err(found) => {
            screen.diagnostics(&found);
            return Err(Failure::Untold(anyhow!("the policies cannot be used: {}", tally(&found))));
        }
    };
    screen.diagnostics(policies.warnings());
    let listeners = count(settings.listeners.len(), "listener");
    let upstreams = count(settings.upstreams.len(), "upstream");
    let policies = count(policies.policies().count(), "policy");
    screen.say(&format!("{} is good: {listeners}, {upstreams}, {policies}", settings.file.display()));
    Ok(())
}
