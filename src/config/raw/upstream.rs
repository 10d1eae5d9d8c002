//! One of `upstreams`.

use std::path::PathBuf;
use std::time::Duration;

use super::super::read::{Choice, Keys, OneOrMore, Placed, Read};
use super::super::report::Report;
use super::super::tree::Node;
use super::{Certificate, TlsMode};
use crate::upstream::{Balance, Identity, ProxyVersion};

/// One of `upstreams`.
#[derive(Debug)]
pub(in crate::config) struct Upstream {
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
pub(in crate::config) struct UpstreamTls {
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
pub(in crate::config) struct UpstreamTimeouts {
    pub connect: Option<Placed<Duration>>,
    pub reply: Option<Placed<Duration>>,
    pub end_of_data: Option<Placed<Duration>>,
}

section!(UpstreamTimeouts { connect: optional, reply: optional, end_of_data: optional });
