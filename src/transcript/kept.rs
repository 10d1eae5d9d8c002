//! The quarantine of a transcript's world: a real one, in a folder that goes with the world.

use std::sync::Arc;
use std::{fs, io};

use tempfile::TempDir;

use super::setup::QuarantineSetup;
use super::world::WorldError;
use crate::metrics::QuarantineMetrics;
use crate::policy::Policies;
use crate::policy::judgement::Action;
use crate::quarantine::{Entry, Quarantine, Settings, State, StoreError};

/// The most octets where a transcript does not say.
const ROOM: u64 = 1 << 30;

/// The quarantine, and the folder that it lies in.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    pub(super) quarantine: Option<Arc<Quarantine>>,
    _folder: Option<TempDir>,
}

impl Keeping {
    /// The quarantine that `setup` describes; none where no policy has a use for it, as most have not.
    pub(super) fn open(
        setup: &QuarantineSetup,
        policies: &Policies,
        metrics: QuarantineMetrics,
    ) -> Result<Self, WorldError> {
        let max_size = match setup {
            QuarantineSetup::Off | QuarantineSetup::Address(_) => return Ok(Self::default()),
            QuarantineSetup::AtMost(octets) => *octets,
            QuarantineSetup::Folder | QuarantineSetup::Broken => ROOM,
        };
        let keeps = |action| matches!(action, Action::Quarantine | Action::Hold);
        if !policies.rules().iter().any(|rule| keeps(rule.action)) {
            return Ok(Self::default());
        }
        let folder = tempfile::tempdir()?;
        let dir = folder.path().join("quarantine");
        let max_age = std::time::Duration::MAX;
        let settings = Settings { dir: dir.clone(), max_age, max_size };
        let quarantine = Quarantine::open(settings, metrics).map_err(as_io)?;
        if *setup == QuarantineSetup::Broken {
            fs::remove_dir(&dir)?;
            fs::write(&dir, "no folder")?;
        }
        Ok(Self { quarantine: Some(quarantine), _folder: Some(folder) })
    }

    /// What is kept, or pending.
    pub(super) fn entries(&self, state: State) -> Vec<Entry> {
        let listed = self.quarantine.iter().filter_map(|quarantine| quarantine.list().ok()).flatten();
        listed.filter(|listed| listed.state == state).filter_map(|listed| listed.entry.ok()).collect()
    }
}

fn as_io(error: StoreError) -> io::Error {
    io::Error::other(error)
}
