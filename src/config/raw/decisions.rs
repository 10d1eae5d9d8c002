//! `decisions`.

use std::path::PathBuf;
use std::time::Duration;

use super::super::read::{Choice, Keys, Placed, Read, Size};
use super::super::report::Report;
use super::super::tree::Node;
use crate::decisions::{Headers, Redact};

/// `decisions`.
#[derive(Debug, Default)]
pub(in super::super) struct Decisions {
    pub memory: Option<Placed<u32>>,
    pub memory_size: Option<Placed<Size>>,
    pub file: Option<Placed<PathBuf>>,
    pub redact: Option<Redact>,
    pub headers: Option<Headers>,
    pub rotate: Option<Rotate>,
}

section!(Decisions {
    memory: optional,
    memory_size: optional,
    file: optional,
    redact: optional,
    headers: optional,
    rotate: optional,
});

/// `decisions.rotate`.
#[derive(Debug, Default)]
pub(in super::super) struct Rotate {
    pub size: Option<Placed<Size>>,
    pub age: Option<Placed<Duration>>,
    pub keep: Option<Placed<u32>>,
}

section!(Rotate { size: optional, age: optional, keep: optional });

impl Choice for Redact {
    const WORDS: &'static [(&'static str, Self)] = &[("none", Self::None), ("local_part", Self::LocalPart)];
}

impl Choice for Headers {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("read", Self::Read), ("all", Self::All)];
}
