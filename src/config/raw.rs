//! The sections and keys of the file, as written: typed, with places, nothing looked up.
//!
//! A field is `None` where its key is absent, empty or broken; the latter is in the report. Which values are taken
//! where a key is absent stands in [`ready`](super::ready).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::read::{
    Choice, DataRate, Keys, Named, OneOrMore, Placed, Rate, Read, Size, choice, parsed, scalar,
};
use crate::log;
use crate::policy::judgement::Mode;
use crate::policy::sources::{OnError, Setting};
use crate::server::Address;
use crate::session::Inquiry;
use crate::upstream::{Balance, Identity, ProxyVersion};

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

/// One of `listeners`.
#[derive(Debug)]
pub(super) struct Listener {
    pub listen: Option<OneOrMore<Placed<Address>>>,
    pub upstream: Option<Placed<String>>,
    pub tls: Option<Placed<ListenerTls>>,
    pub proxy_protocol: Option<Vec<Placed<IpNet>>>,
    pub xclient: Option<Vec<Placed<IpNet>>>,
    pub greet_delay: Option<Placed<Duration>>,
    pub auth: Option<Placed<Auth>>,
    pub auth_without_tls: Option<Placed<bool>>,
    pub auth_required: Option<Placed<bool>>,
    pub policies: Option<Placed<Selection>>,
    pub limits: Option<Limits>,
    pub timeouts: Option<Timeouts>,
    pub inquiries: Option<Inquiries>,
    pub bare_newlines: Option<BareNewlines>,
}

section!(Listener {
    listen: required,
    upstream: required,
    tls: optional,
    proxy_protocol: optional,
    xclient: optional,
    greet_delay: optional,
    auth: optional,
    auth_without_tls: optional,
    auth_required: optional,
    policies: optional,
    limits: optional,
    timeouts: optional,
    inquiries: optional,
    bare_newlines: optional,
});

/// `auth` of a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Auth {
    Off,
    Relay,
}

impl Choice for Auth {
    const WORDS: &'static [(&'static str, Self)] = &[("off", Self::Off), ("relay", Self::Relay)];
}

/// `inquiries` of a listener: who answers.
#[derive(Debug, Default)]
pub(super) struct Inquiries {
    pub vrfy: Option<Inquiry>,
    pub expn: Option<Placed<Inquiry>>,
    pub help: Option<Placed<Inquiry>>,
}

section!(Inquiries { vrfy: optional, expn: optional, help: optional });

impl Choice for Inquiry {
    const WORDS: &'static [(&'static str, Self)] =
        &[("answer", Self::Answer), ("relay", Self::Relay), ("off", Self::Off)];
}

impl Read for Address {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let help = "write it as `127.0.0.1:25`, `[::1]:25`, `[::]:25` for all addresses, or `systemd:NAME`";
        parsed(node, report, "an IP address with a port", help, |text| match text.strip_prefix("systemd:") {
            Some(name) => (!name.is_empty() && !name.contains(':')).then(|| Self::Handed(name.to_owned())),
            None => text.parse().ok().map(Self::Bind),
        })
    }
}

/// `tls` of a listener.
#[derive(Debug)]
pub(super) struct ListenerTls {
    pub mode: Option<TlsMode>,
    pub certificates: Option<Vec<Certificate>>,
    pub client_certificates: Option<Placed<ClientCertificates>>,
    pub min_version: Option<MinVersion>,
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

section!(ListenerTls {
    mode: optional,
    certificates: optional,
    client_certificates: optional,
    min_version: optional,
});

/// `tls.min_version` of a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MinVersion {
    Tls12,
    Tls13,
}

impl Choice for MinVersion {
    const WORDS: &'static [(&'static str, Self)] = &[("1.2", Self::Tls12), ("1.3", Self::Tls13)];
}

/// `tls.client_certificates` of a listener.
#[derive(Debug)]
pub(super) struct ClientCertificates {
    pub mode: Option<Asking>,
    pub ca: Option<Placed<PathBuf>>,
}

section!(ClientCertificates { mode: optional, ca: optional });

/// `tls.client_certificates.mode` of a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Asking {
    Off,
    Request,
    Require,
}

impl Choice for Asking {
    const WORDS: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("request", Self::Request), ("require", Self::Require)];
}

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
    pub sessions_per_network: Option<Placed<u32>>,
    pub connection_rate: Option<Rate>,
    pub handshake_rate: Option<Rate>,
    pub exempt: Option<Vec<IpNet>>,
    pub message_size: Option<Placed<Size>>,
    pub recipients: Option<Placed<u32>>,
    pub errors: Option<Placed<u32>>,
    pub auth_failures: Option<Placed<u32>>,
    pub junk_commands: Option<Placed<u32>>,
    pub transactions: Option<Placed<u32>>,
    pub header_size: Option<Placed<Size>>,
    pub line_length: Option<LineLength>,
    pub min_data_rate: Option<DataRate>,
}

section!(Limits {
    sessions: optional,
    sessions_per_ip: optional,
    sessions_per_network: optional,
    connection_rate: optional,
    handshake_rate: optional,
    exempt: optional,
    message_size: optional,
    recipients: optional,
    errors: optional,
    auth_failures: optional,
    junk_commands: optional,
    transactions: optional,
    header_size: optional,
    line_length: optional,
    min_data_rate: optional,
});

/// `limits.line_length`: what becomes of a message with a line of more than 998 octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LineLength {
    Off,
    Reject,
}

impl Choice for LineLength {
    const WORDS: &'static [(&'static str, Self)] = &[("off", Self::Off), ("reject", Self::Reject)];
}

/// `bare_newlines` of a listener.
#[derive(Debug)]
pub(super) struct BareNewlines {
    pub normalise: Option<Vec<Placed<IpNet>>>,
}

section!(BareNewlines { normalise: optional });

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
    pub balance: Option<Placed<Balance>>,
    pub client_identity: Option<Placed<Identity>>,
    pub tls: Option<Placed<UpstreamTls>>,
    pub timeouts: Option<Placed<UpstreamTimeouts>>,
}

section!(Upstream {
    address: required,
    balance: optional,
    client_identity: optional,
    tls: optional,
    timeouts: optional,
});

impl Choice for Balance {
    const WORDS: &'static [(&'static str, Self)] =
        &[("first", Self::First), ("round-robin", Self::RoundRobin), ("least-sessions", Self::LeastSessions)];
}

impl Choice for Identity {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("xclient", Self::XClient),
        ("xforward", Self::XForward),
        ("proxy-v1", Self::Proxy(ProxyVersion::V1)),
        ("proxy-v2", Self::Proxy(ProxyVersion::V2)),
        ("transparent", Self::Transparent),
        ("none", Self::None),
    ];
}

/// `tls` of an upstream.
#[derive(Debug, Default)]
pub(super) struct UpstreamTls {
    pub mode: Option<TlsMode>,
    pub verify: Option<bool>,
    pub ca: Option<Placed<PathBuf>>,
    pub name: Option<Placed<String>>,
    pub certificate: Option<Placed<Certificate>>,
}

section!(UpstreamTls {
    mode: optional,
    verify: optional,
    ca: optional,
    name: optional,
    certificate: optional,
});

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
}

section!(Authentication {
    spf: optional,
    dkim: optional,
    dmarc: optional,
    arc: optional,
    trusted_sealers: optional,
    authserv_id: optional,
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
