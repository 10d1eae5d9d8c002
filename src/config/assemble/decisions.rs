//! Decisions: where they are kept, and how many.

use std::path::PathBuf;
use std::time::Duration;

use crate::decisions::{Rotation, Settings};

use super::super::raw;
use super::super::read::{Placed, within};
use super::super::report::Report;
use super::{duration, size, whole};

/// How many decisions memory may hold at most.
const MOST: u32 = 10_000_000;

/// What the section `decisions` says.
pub(in super::super) fn settings(raw: raw::Decisions, report: &mut Report) -> Settings {
    let default = Settings::default();
    if let Some(memory) = raw.memory.as_ref().filter(|memory| memory.value == 0 && raw.file.is_none()) {
        let message = "no decision is kept anywhere, so that nobody can explain what a client was told";
        report.warning(memory.place, message, "name a file in `decisions.file`, or leave `memory` out");
    }
    let memory = raw.memory.and_then(|memory| within(&memory, 0, MOST, |number| number, report));
    let file = raw.file.map(|file| place(&file, report));
    Settings {
        memory: memory.map_or(default.memory, |memory| whole(memory.into())),
        memory_size: size(raw.memory_size, default.memory_size, 64 << 10, 1 << 40, report),
        file,
        rotation: rotation(raw.rotate.unwrap_or_default(), report),
        redact: raw.redact.unwrap_or_default(),
        headers: raw.headers.unwrap_or_default(),
    }
}

/// Where the file is. A folder that is not there is made at the start.
fn place(file: &Placed<PathBuf>, report: &mut Report) -> PathBuf {
    let path = report.resolve(&file.value);
    let no_folder = path.ancestors().skip(1).find(|above| above.exists()).filter(|above| !above.is_dir());
    if let Some(no_folder) = no_folder {
        let message = format!("{} cannot be written: {} is no folder", path.display(), no_folder.display());
        report.error_with_help(file.place, message, "name a file in a folder");
    } else if path.is_dir() {
        let message = format!("{} cannot be written: it is a folder", path.display());
        report.error_with_help(file.place, message, "name a file in it");
    }
    path
}

fn rotation(raw: raw::Rotate, report: &mut Report) -> Rotation {
    const YEARS: u64 = 10 * 366 * 24 * 60 * 60;
    let default = Rotation::default();
    let keep = raw.keep.and_then(|keep| within(&keep, 0, 1_000, |number| number, report));
    Rotation {
        size: size(raw.size, default.size, 4 << 10, 1 << 40, report),
        age: duration(raw.age, default.age, Duration::from_secs(60), YEARS, report),
        keep: keep.map_or(default.keep, |keep| whole(keep.into())),
    }
}
