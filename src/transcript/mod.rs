//! Transcripts: dialogues in text files, run through the same loop as real sessions, in a simulated world.
//!
//! The way of a file: [`mod@format`] reads it into a script, whose world is a [`setup`]; the [`runner`] loads its policies
//! and has it [`play`]ed in a [`world`] of its own, once for each way of cutting the client's octets; what was heard is
//! compared in [`expect`], what is asked beside the dialogue in [`mod@assert`]; the [`report`] shows what differs.
//!
//! The whole syntax follows; it is the page that lies with the project's transcripts.
//!
#![doc = include_str!("../../tests/transcripts/README.md")]

mod assert;
mod books;
mod bridge;
mod certificate;
mod client;
mod expect;
mod format;
mod kept;
#[cfg(test)]
mod matrix;
mod others;
mod pattern;
mod play;
mod report;
mod runner;
mod sent;
mod setup;
mod state;
mod steps;
mod upstream;
mod words;
mod world;
mod zone;

use std::io;
use std::path::PathBuf;

use ipnet::IpNet;

pub use self::report::{Problem, Report};
pub use self::runner::run_paths;
use crate::policy::Sources;

/// What holds for every transcript that does not say otherwise: mostly what the operator's configuration says.
#[derive(Clone, Debug)]
pub struct Options {
    /// The host name.
    pub hostname: String,
    /// Our domains, as in the configuration.
    pub domains: Vec<String>,
    /// The networks that may relay.
    pub trusted_networks: Vec<IpNet>,
    /// The policies. Which of them a session has is the transcript's to say, so the listeners do not matter.
    pub policies: Sources,
    /// Only transcripts are run whose path has this text in it.
    pub filter: Option<String>,
}

/// Why nothing could be run.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// A path that was asked for.
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// There is no `*.smtp` at the paths, or none that fits the filter.
    #[error("there are no such transcripts (*.smtp) here")]
    Nothing,
    /// The system gives no threads.
    #[error("no threads to run transcripts on")]
    Threads(#[source] io::Error),
}
