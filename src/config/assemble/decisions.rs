//! Decisions: where they are kept, and how many.

use std::time::Duration;

use crate::decisions::{Rotation, Settings};

use super::super::raw;
use super::super::read::within;
use super::super::report::Report;
use super::{duration, size, whole};

/// How many decisions memory may hold at most.
const MOST: u32 = 10_000_000;

/// What the section `decisions` says.
pub(in super::super) fn settings(raw: raw::Decisions, report: &mut Report) -> Settings {
    let default = Settings::default();
    let memory = raw.memory.and_then(|memory| within(&memory, 0, MOST, |number| number, report));
    let file = raw.file.map(|file| {
        let path = report.resolve(&file.value);
        if path.is_dir()
            || !path.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir())
        {
            let message = format!("{} cannot be written: its folder must be there", path.display());
            report.error_with_help(file.place, message, "name a file in a folder that exists");
        }
        path
    });
    Settings {
        memory: memory.map_or(default.memory, |memory| whole(memory.into())),
        memory_size: size(raw.memory_size, default.memory_size, 64 << 10, 1 << 40, report),
        file,
        rotation: rotation(raw.rotate.unwrap_or_default(), report),
        redact: raw.redact.unwrap_or_default(),
        headers: raw.headers.unwrap_or_default(),
    }
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
