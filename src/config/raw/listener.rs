//! One of `listeners`: its TLS, limits and times, and whom it believes.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::super::read::{Choice, DataRate, Keys, OneOrMore, Placed, Rate, Read, Size, parsed};
use super::super::report::Report;
use super::super::shape::{self, Shape};
use super::super::tree::Node;
use crate::server::Address;
use crate::session::Inquiry;

/// One of `listeners`.
#[derive(Debug)]
pub(in crate::config) struct Listener {
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
pub(in crate::config) enum Auth {
    Off,
    Relay,
}

impl Choice for Auth {
    const WORDS: &'static [(&'static str, Self)] = &[("off", Self::Off), ("relay", Self::Relay)];
}

/// `inquiries` of a listener: who answers.
#[derive(Debug, Default)]
pub(in crate::config) struct Inquiries {
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

    fn shape() -> Shape {
        Shape::Form(&shape::LISTENING)
    }
}

/// `tls` of a listener.
#[derive(Debug)]
pub(in crate::config) struct ListenerTls {
    pub mode: Option<TlsMode>,
    pub certificates: Option<Vec<Certificate>>,
    pub client_certificates: Option<Placed<ClientCertificates>>,
    pub min_version: Option<MinVersion>,
}

/// `tls.mode` of a listener or an upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) enum TlsMode {
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
pub(in crate::config) enum MinVersion {
    Tls12,
    Tls13,
}

impl Choice for MinVersion {
    const WORDS: &'static [(&'static str, Self)] = &[("1.2", Self::Tls12), ("1.3", Self::Tls13)];
}

/// `tls.client_certificates` of a listener.
#[derive(Debug)]
pub(in crate::config) struct ClientCertificates {
    pub mode: Option<Asking>,
    pub ca: Option<Placed<PathBuf>>,
}

section!(ClientCertificates { mode: optional, ca: optional });

/// `tls.client_certificates.mode` of a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) enum Asking {
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
pub(in crate::config) struct Certificate {
    pub cert: Option<Placed<PathBuf>>,
    pub key: Option<Placed<PathBuf>>,
}

section!(Certificate { cert: required, key: required });

/// `policies` of a listener: which of all policies it takes.
#[derive(Debug)]
pub(in crate::config) struct Selection {
    pub only: Option<Vec<Placed<String>>>,
    pub except: Option<Vec<Placed<String>>>,
}

section!(Selection { only: optional, except: optional });

/// `limits` of a listener.
#[derive(Debug, Default)]
pub(in crate::config) struct Limits {
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
pub(in crate::config) enum LineLength {
    Off,
    Reject,
}

impl Choice for LineLength {
    const WORDS: &'static [(&'static str, Self)] = &[("off", Self::Off), ("reject", Self::Reject)];
}

/// `bare_newlines` of a listener.
#[derive(Debug)]
pub(in crate::config) struct BareNewlines {
    pub normalise: Option<Vec<Placed<IpNet>>>,
}

section!(BareNewlines { normalise: optional });

/// `timeouts` of a listener.
#[derive(Debug, Default)]
pub(in crate::config) struct Timeouts {
    pub command: Option<Placed<Duration>>,
    pub data: Option<Placed<Duration>>,
    pub session: Option<Placed<Duration>>,
}

section!(Timeouts { command: optional, data: optional, session: optional });
