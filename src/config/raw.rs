//! The sections and keys of the file, as written: typed, with places, nothing looked up.
//!
//! A field is `None` where its key is absent, empty or broken; the latter is in the report. Which values are taken
//! where a key is absent stands in [`ready`](super::ready).

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::read::{Choice, Keys, Named, Placed, Read, Size, choice, parsed};
use crate::log;

use super::report::Report;
use super::shape::{self, Shape};
use super::tree::{Node, Value};

/// Reads each field of a section from the key of its name, `required` or `optional`; other keys are unknown.
macro_rules! section {
    ($section:ident { $($key:ident: $need:ident),* $(,)? }) => {
        impl Read for $section {
            fn read(node: &Node, report: &mut Report) -> Option<Self> {
                let mut keys = Keys::of(node, &[$(stringify!($key)),*], report)?;
                let section = Self { $($key: keys.$need(stringify!($key), report)),* };
                keys.end(report);
                Some(section)
            }

            fn shape() -> $crate::config::shape::Shape {
                $crate::config::shape::Shape::Section(vec![
                    $($crate::config::shape::field(stringify!($key), stringify!($need), |section: &Self| &section.$key)),*
                ])
            }
        }
    };
}

// They stand behind the macro that they use.
mod admin;
mod decisions;
mod listener;
mod policies;
mod state;
mod upstream;

pub(super) use self::admin::Admin;
pub(super) use self::decisions::{Decisions, Rotate};
pub(super) use self::listener::{
    Asking, Auth, BareNewlines, Certificate, Inquiries, Limits, LineLength, Listener, ListenerTls,
    MinVersion, Selection, Timeouts, TlsMode,
};
pub(super) use self::policies::{Budget, Domain, Exception, Given, List, Policies, Settings, Table};
pub(super) use self::state::State;
pub(super) use self::upstream::{Upstream, UpstreamTimeouts, UpstreamTls};

/// The whole file.
#[derive(Debug)]
pub(super) struct File {
    pub hostname: Option<Placed<String>>,
    pub listeners: Option<Named<Listener>>,
    pub upstreams: Option<Named<Upstream>>,
    pub domains: Option<Placed<Entries>>,
    pub routes: Option<Named<Placed<String>>>,
    pub trusted_networks: Option<Vec<Placed<IpNet>>>,
    pub policies: Option<Policies>,
    pub quarantine: Option<Placed<Quarantine>>,
    pub spool: Option<Spool>,
    pub authentication: Option<Authentication>,
    pub decisions: Option<Decisions>,
    pub dns: Option<Dns>,
    pub state: Option<State>,
    pub admin: Option<Admin>,
    pub log: Option<Log>,
    pub shutdown: Option<Shutdown>,
}

section!(File {
    hostname: required,
    listeners: required,
    upstreams: required,
    domains: required,
    routes: optional,
    trusted_networks: optional,
    policies: optional,
    quarantine: optional,
    spool: optional,
    authentication: optional,
    decisions: optional,
    dns: optional,
    state: optional,
    admin: optional,
    log: optional,
    shutdown: optional,
});

/// Texts in the file itself, or one on each line of another file.
#[derive(Debug)]
pub(super) enum Entries {
    Inline(Vec<Placed<String>>),
    File(Placed<PathBuf>),
}

impl Read for Entries {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            return Vec::read(node, report).map(Self::Inline);
        }
        let mut keys = Keys::of(node, &["file"], report)?;
        let file = keys.required("file", report);
        keys.end(report);
        file.map(Self::File)
    }

    fn shape() -> Shape {
        Shape::Either(vec![Vec::<String>::shape(), Shape::section([("file", Shape::Text)])])
    }
}

/// `quarantine`.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    pub dir: Option<Placed<PathBuf>>,
    pub max_age: Option<Placed<Duration>>,
    pub max_size: Option<Placed<Size>>,
    pub address: Option<Placed<String>>,
}

section!(Quarantine { dir: optional, max_age: optional, max_size: optional, address: optional });

/// `spool`.
#[derive(Debug, Default)]
pub(super) struct Spool {
    pub dir: Option<Placed<PathBuf>>,
    pub memory: Option<Placed<Size>>,
    pub memory_per_message: Option<Placed<Size>>,
}

section!(Spool { dir: optional, memory: optional, memory_per_message: optional });

/// `authentication`.
#[derive(Debug, Default)]
pub(super) struct Authentication {
    pub spf: Option<bool>,
    pub dkim: Option<bool>,
    pub dmarc: Option<bool>,
    pub arc: Option<bool>,
    pub trusted_sealers: Option<Placed<Entries>>,
    pub authserv_id: Option<Placed<String>>,
    pub max_signatures: Option<Placed<u32>>,
    pub partial_body: Option<PartialBody>,
    pub received_spf: Option<bool>,
    pub seal: Option<Placed<Seal>>,
}

/// `authentication.partial_body`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PartialBody {
    Neutral,
    Policy,
}

impl Choice for PartialBody {
    const WORDS: &'static [(&'static str, Self)] = &[("neutral", Self::Neutral), ("policy", Self::Policy)];
}

/// `authentication.seal`.
#[derive(Debug)]
pub(super) struct Seal {
    pub domain: Option<Placed<String>>,
    pub selector: Option<Placed<String>>,
    pub key: Option<Placed<SealKey>>,
}

section!(Seal { domain: required, selector: required, key: required });

/// `authentication.seal.key`.
#[derive(Debug)]
pub(super) struct SealKey {
    pub file: Option<Placed<PathBuf>>,
}

section!(SealKey { file: required });

section!(Authentication {
    spf: optional,
    dkim: optional,
    dmarc: optional,
    arc: optional,
    trusted_sealers: optional,
    authserv_id: optional,
    max_signatures: optional,
    partial_body: optional,
    received_spf: optional,
    seal: optional,
});

/// `dns`.
#[derive(Debug, Default)]
pub(super) struct Dns {
    pub servers: Option<Vec<Placed<String>>>,
    pub timeout: Option<Placed<Duration>>,
    pub cache: Option<Placed<Size>>,
}

section!(Dns { servers: optional, timeout: optional, cache: optional });

/// A secret, which stands elsewhere: in the environment, in a file, or among what systemd hands over.
#[derive(Debug)]
pub(super) struct Secret {
    pub env: Option<Placed<String>>,
    pub file: Option<Placed<PathBuf>>,
    pub credential: Option<Placed<String>>,
}

section!(Secret { env: optional, file: optional, credential: optional });

/// `shutdown`.
#[derive(Debug, Default)]
pub(super) struct Shutdown {
    pub drain: Option<Placed<Duration>>,
}

section!(Shutdown { drain: optional });

/// `log`.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub format: Option<log::Format>,
    pub level: Option<log::Level>,
}

impl Choice for log::Format {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("text", Self::Text), ("json", Self::Json)];
}

impl Read for log::Level {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let help = "one of `off`, `error`, `warn`, `info`, `debug`, `trace`; or parts apart: `info,gatepost::dns=debug`";
        parsed(node, report, "a level", help, |text| Self::parse(text).ok())
    }

    fn shape() -> Shape {
        Shape::Form(&shape::LEVEL)
    }
}

section!(Log { format: optional, level: optional });

impl<C: Choice> Read for C {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        choice(node, report)
    }

    fn shape() -> Shape {
        Shape::Words(C::WORDS.iter().map(|(word, _)| *word).collect())
    }
}
