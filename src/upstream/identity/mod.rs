//! Who the client is, told to the upstream: by XCLIENT or XFORWARD in the dialogue, by a PROXY header before it, or by
//! the source address of the connection.
//!
//! An identity that is configured and cannot be handed over is a fault, and no mail goes that way: an upstream that takes
//! Gatepost for the client usually trusts it.

mod attributes;
mod proxy_header;
mod xclient;
mod xforward;

use std::net::{IpAddr, SocketAddr};

use super::fault::{Failure, Fault, FaultKind, one_line};
use super::target::Identity;
use crate::smtp::extensions::Extensions;
use crate::smtp::reply::Class;

pub use self::proxy_header::ProxyVersion;
pub(super) use self::proxy_header::{
    SIGNATURE as PROXY_SIGNATURE, header as proxy_header, read_v2 as read_proxy_v2,
};
pub(super) use self::xclient::introduce;
pub(super) use self::xforward::announce;

/// The client of a session, as the upstream is to know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// The address of ours that it connected to; `None` where that is not known.
    pub local: Option<SocketAddr>,
    /// What the reverse look-up of its address gave.
    pub name: ClientName,
    /// What it called itself in HELO or EHLO.
    pub helo: String,
    /// Whether it greeted with EHLO.
    pub esmtp: bool,
    /// The user that it authenticated as.
    pub login: Option<String>,
}

/// The name of a client, as far as it is known. Whoever owns a reverse zone chooses the names in it: they are text of the
/// network's.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ClientName {
    /// It has none, or nobody looked.
    #[default]
    Unknown,
    /// The look-up failed for now.
    Unavailable,
    /// It has this one, which does not lead back to its address.
    Unverified(String),
    /// It has this one, which leads back to its address.
    Verified(String),
}

impl Client {
    /// The word for EHLO on the client's behalf; `hostname` where its own makes no greeting.
    pub(super) fn greeting<'a>(&'a self, hostname: &'a str) -> &'a str {
        let is_word = !self.helo.is_empty() && self.helo.bytes().all(|byte| byte.is_ascii_graphic());
        if is_word { &self.helo } else { hostname }
    }

    /// Whether it runs on this host, as seen by the connection alone.
    fn is_local(&self) -> bool {
        let ip = self.ip.to_canonical();
        ip.is_loopback() || self.local.is_some_and(|local| local.ip().to_canonical() == ip)
    }
}

/// What `offered` lacks to hand identities over as `identity` says; `None` if nothing. A PROXY header and a source
/// address are not offered by anyone: whether they work shows when the server greets.
pub(super) fn missing(identity: Identity, offered: &Extensions) -> Option<&'static str> {
    let lacks_address = |attributes: &[String]| !attributes.iter().any(|attribute| attribute == "ADDR");
    match identity {
        Identity::XClient if lacks_address(&offered.xclient) => {
            Some("the upstream does not offer XCLIENT with ADDR")
        }
        Identity::XForward if lacks_address(&offered.xforward) => {
            Some("the upstream does not offer XFORWARD with ADDR")
        }
        _ => None,
    }
}

/// Makes sure that `offered` is enough to hand a client's identity over.
///
/// # Errors
/// [`FaultKind::Identity`], with what is missing.
pub(super) fn demand(identity: Identity, offered: &Extensions) -> Result<(), Fault> {
    missing(identity, offered).map_or(Ok(()), |missing| Err(fault(missing)))
}

/// What is said in the first EHLO: an upstream that sees the client's address already is to hear the client's greeting too, and
/// not `hostname`.
pub(super) fn first_greeting<'a>(
    identity: Identity,
    client: Option<&'a Client>,
    hostname: &'a str,
) -> &'a str {
    match (identity, client) {
        (Identity::Proxy(_) | Identity::Transparent, Some(client)) => client.greeting(hostname),
        _ => hostname,
    }
}

/// Whom a failure before MAIL and XCLIENT is about.
///
/// - A 5yz is about Gatepost and no client's fault, unless the upstream sees the client's address on the connection.
/// - Behind a PROXY header, a 5yz or an answer too many is what an upstream says that does not know the header and takes it
///   for a command: what it would say about the client cannot be told from that, and must not be a client's 5yz.
pub(super) fn before_mail(identity: Identity, client: Option<&Client>, failure: Failure) -> Failure {
    let behind_header = matches!(identity, Identity::Proxy(_));
    let about = |what: &str| format!("the upstream does not seem to take the PROXY header: {what}");
    match failure {
        Failure::Refused(no) if no.reply.code().class() == Class::Permanent => {
            let said = one_line(&no.reply);
            match (identity, client) {
                (Identity::Transparent, Some(_)) => Failure::Refused(no),
                _ if behind_header => fault(about(&said)).into(),
                _ => Fault::new(FaultKind::Greeting, said).into(),
            }
        }
        Failure::Fault(Fault { kind: FaultKind::Desync | FaultKind::Garbled, detail, .. })
            if behind_header =>
        {
            fault(about(&detail)).into()
        }
        other => other,
    }
}

/// A fault of the kind that fails closed.
fn fault(detail: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Identity, detail)
}

#[cfg(test)]
pub(super) fn example() -> Client {
    Client {
        ip: IpAddr::from([192, 0, 2, 1]),
        port: 40112,
        local: Some(SocketAddr::from(([198, 51, 100, 25], 25))),
        name: ClientName::Verified("mail.example.org".to_owned()),
        helo: "mail.example.org".to_owned(),
        esmtp: true,
        login: None,
    }
}
