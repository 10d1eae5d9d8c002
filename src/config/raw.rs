//! The sections and keys of the file, as written: typed, with places, nothing looked up.
//!
//! A field is `None` where its key is absent, empty or broken; the latter is in the report. Which values are taken
//! where a key is absent stands in [`ready`](super::ready).

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::read::{Choice, Keys, Named, Placed, Read, Size, choice, parsed, scalar};
use crate::log;
use crate::policy::judgement::Mode;
use crate::policy::sources::{OnError, Setting};

use super::report::Report;
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
        }
    };
}

// They stand behind the macro that they use.
mod admin;
mod listener;
mod upstream;

pub(super) use self::admin::Admin;
pub(super) use self::listener::{
    Asking, Auth, BareNewlines, Certificate, Inquiries, Limits, LineLength, Listener, ListenerTls,
    MinVersion, Selection, Timeouts, TlsMode,
};
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
    pub spool: Option<Spool>,
    pub authentication: Option<Authentication>,
    pub dns: Option<Dns>,
    pub state: Option<Placed<String>>,
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
    spool: optional,
    authentication: optional,
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
}

/// `policies`.
#[derive(Debug, Default)]
pub(super) struct Policies {
    pub dir: Option<Placed<PathBuf>>,
    pub on_error: Option<OnError>,
    pub deny_warnings: Option<bool>,
    pub modes: Option<Named<Mode>>,
    pub settings: Option<Named<Named<Setting>>>,
    pub lists: Option<Named<Entries>>,
    pub limits: Option<Budget>,
    pub http_hosts: Option<Vec<Placed<String>>>,
    pub clamd: Option<Placed<String>>,
    pub rspamd: Option<Placed<String>>,
}

section!(Policies {
    dir: optional,
    on_error: optional,
    deny_warnings: optional,
    modes: optional,
    settings: optional,
    lists: optional,
    limits: optional,
    http_hosts: optional,
    clamd: optional,
    rspamd: optional,
});

impl Choice for OnError {
    const WORDS: &'static [(&'static str, Self)] = &[("defer", Self::Defer), ("pass", Self::Pass)];
}

impl Choice for Mode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("enforce", Self::Enforce), ("shadow", Self::Shadow), ("off", Self::Off)];
}

impl Read for Setting {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        if matches!(node.value, Value::List(_)) {
            return Vec::read(node, report).map(Self::Array);
        }
        let found = scalar(node, report, "a text, a number, a bool or a list of texts")?;
        let text = &found.text;
        if !found.plain {
            return Some(Self::Text(text.clone()));
        }
        let number = || text.parse().map(Self::Integer).or_else(|_| text.parse().map(Self::Float)).ok();
        let word = || text.parse().map(Self::Bool).ok();
        let looks_like_number = text.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
        let literal = if looks_like_number { number() } else { word() };
        Some(literal.unwrap_or_else(|| Self::Text(text.clone())))
    }
}

/// `policies.limits`.
#[derive(Debug, Default)]
pub(super) struct Budget {
    pub time: Option<Placed<Duration>>,
    pub operations: Option<Placed<u64>>,
    pub facts: Option<Placed<u32>>,
}

section!(Budget { time: optional, operations: optional, facts: optional });

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
}

section!(Log { format: optional, level: optional });

impl<C: Choice> Read for C {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        choice(node, report)
    }
}
