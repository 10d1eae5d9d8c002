//! `gatepost definitions`: what a script may say, for editors and for people.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::policy;

use super::Failure;
use super::screen::{Screen, count};

/// Writes the definition files into `dir`, which is made if need be.
pub(super) fn definitions(dir: &Path, screen: Screen) -> Result<(), Failure> {
    fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let files = policy::definitions();
    for (name, text) in &files {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    screen.say(&format!("{} written to {}", count(files.len(), "file"), dir.display()));
    Ok(())
}

/// Shows the reference on standard output.
pub(super) fn reference(screen: Screen) {
    screen.say(policy::reference().trim_end());
}
