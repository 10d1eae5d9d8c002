//! The sections and keys of the file, as written: typed, with places, nothing looked up.
//!
//! A field is `None` where its key is absent, empty or broken; the latter is in the report. Which values are taken
//! where a key is absent stands in [`ready`](super::ready).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::read::{Choice, Keys, Named, OneOrMore, Placed, Read, Size, choice, parsed, scalar};
use crate::log;
use crate::policy::judgement::Mode;
use crate::policy::sources::{OnError, Setting};
use crate::upstream::Identity;

use super::report::Report;
use super::tree::{Node, Value};

/// Reads each field of a section from the key of its name, `required` or `optional`; other keys are unknown.
macro_rules! section {
    ($section:ident { $($key:ident: $need:ident),* $(,)? }) => {
        impl Read for $section {
            fn read(node: &Node, report: &mut Report) -> Option<Self> {
                let mut keys = Keys::of(node, report)?;
                let section = Self { $($key: keys.$need(stringify!($key), report)),* };
                keys.end(report);
                Some(section)
            }
        }
    };
}

/// The whole file.
#[derive(Debug)]
pub(super) struct File {
    pub hostname: Option<Placed<String>>,
    pub listeners: Option<Named<Listener>>,
    pub upstreams: Option<Named<Upstream>>,
    pub domains: Option<Placed<Entries>>,
    pub trusted_networks: Option<Vec<Placed<IpNet>>>,
    pub policies: Option<Policies>,
    pub spool: Option<Spool>,
    pub authentication: Option<Authentication>,
    pub dns: Option<Dns>,
    pub state: Option<Placed<String>>,
    pub admin: Option<Admin>,
    pub log: Option<Log>,
}

section!(File {
    hostname: required,
    listeners: required,
    upstreams: required,
    domains: required,
    trusted_networks: optional,
    policies: optional,
    spool: optional,
    authentication: optional,
    dns: optional,
    state: optional,
    admin: optional,
    log: optional,
});

/// One of `listeners`.
#[derive(Debug)]
pub(super) struct Listener {
    pub listen: Option<OneOrMore<Placed<SocketAddr>>>,
    pub upstream: Option<Placed<String>>,
    pub tls: Option<Placed<ListenerTls>>,
    pub proxy_protocol: Option<Vec<Placed<IpNet>>>,
    pub xclient: Option<Vec<Placed<IpNet>>>,
    pub greet_delay: Option<Placed<Duration>>,
    pub policies: Option<Placed<Selection>>,
    pub limits: Option<Limits>,
    pub timeouts: Option<Timeouts>,
}

section!(Listener {
    listen: required,
    upstream: required,
    tls: optional,
    proxy_protocol: optional,
    xclient: optional,
    greet_delay: optional,
    policies: optional,
    limits: optional,
    timeouts: optional,
});

/// `tls` of a listener.
#[derive(Debug)]
pub(super) struct ListenerTls {
    pub mode: Option<TlsMode>,
    pub certificates: Option<Vec<Certificate>>,
}

/// `tls.mode` of a listener or an upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TlsMode {
    Off,
    Opportunistic,
    Required,
    Implicit,
}

impl Choice for TlsMode {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("opportunistic", Self::Opportunistic),
        ("required", Self::Required),
        ("implicit", Self::Implicit),
    ];
}

section!(ListenerTls { mode: optional, certificates: optional });

/// One of `tls.certificates`.
#[derive(Debug)]
pub(super) struct Certificate {
    pub cert: Option<Placed<PathBuf>>,
    pub key: Option<Placed<PathBuf>>,
}

section!(Certificate { cert: required, key: required });

/// `policies` of a listener: which of all policies it takes.
#[derive(Debug)]
pub(super) struct Selection {
    pub only: Option<Vec<Placed<String>>>,
    pub except: Option<Vec<Placed<String>>>,
}

section!(Selection { only: optional, except: optional });

/// `limits` of a listener.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub sessions: Option<Placed<u32>>,
    pub sessions_per_ip: Option<Placed<u32>>,
    pub exempt: Option<Vec<IpNet>>,
    pub message_size: Option<Placed<Size>>,
    pub recipients: Option<Placed<u32>>,
    pub errors: Option<Placed<u32>>,
    pub header_size: Option<Placed<Size>>,
}

section!(Limits {
    sessions: optional,
    sessions_per_ip: optional,
    exempt: optional,
    message_size: optional,
    recipients: optional,
    errors: optional,
    header_size: optional,
});

/// `timeouts` of a listener.
#[derive(Debug, Default)]
pub(super) struct Timeouts {
    pub command: Option<Placed<Duration>>,
    pub data: Option<Placed<Duration>>,
    pub session: Option<Placed<Duration>>,
}

section!(Timeouts { command: optional, data: optional, session: optional });

/// One of `upstreams`.
#[derive(Debug)]
pub(super) struct Upstream {
    pub address: Option<OneOrMore<Placed<String>>>,
    pub client_identity: Option<Placed<Identity>>,
    pub tls: Option<Placed<UpstreamTls>>,
    pub timeouts: Option<Placed<UpstreamTimeouts>>,
}

section!(Upstream { address: required, client_identity: optional, tls: optional, timeouts: optional });

impl Choice for Identity {
    const WORDS: &'static [(&'static str, Self)] = &[("xclient", Self::XClient), ("none", Self::None)];
}

/// `tls` of an upstream.
#[derive(Debug, Default)]
pub(super) struct UpstreamTls {
    pub mode: Option<TlsMode>,
    pub verify: Option<bool>,
    pub ca: Option<Placed<PathBuf>>,
}

section!(UpstreamTls { mode: optional, verify: optional, ca: optional });

/// `timeouts` of an upstream.
#[derive(Debug, Default)]
pub(super) struct UpstreamTimeouts {
    pub connect: Option<Placed<Duration>>,
    pub reply: Option<Placed<Duration>>,
    pub end_of_data: Option<Placed<Duration>>,
}

section!(UpstreamTimeouts { connect: optional, reply: optional, end_of_data: optional });

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
        let mut keys = Keys::of(node, report)?;
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
    pub modes: Option<Named<Mode>>,
    pub settings: Option<Named<Named<Setting>>>,
    pub lists: Option<Named<Entries>>,
    pub limits: Option<Budget>,
}

section!(Policies {
    dir: optional,
    on_error: optional,
    modes: optional,
    settings: optional,
    lists: optional,
    limits: optional,
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

/// `admin`.
#[derive(Debug)]
pub(super) struct Admin {
    pub listen: Option<Placed<SocketAddr>>,
}

section!(Admin { listen: required });

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
