//! The mail servers behind us: whether they answer, what they offer, and whether they believe us who the client is.
//!
//! The last is seen by asking in the name of a stranger for a recipient of strangers': who takes that relays for everybody, or takes the
//! stranger for us. The dialogue ends there; no message is sent.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::finding::Finding;
use crate::config::Settings;
use crate::metrics::Metrics;
use crate::smtp::command::{MailCommand, RcptCommand};
use crate::smtp::params::{MailParams, RcptParams};
use crate::smtp::path::{ForwardPath, Mailbox, ReversePath};
use crate::smtp::reply::{Class, Reply};
use crate::upstream::{
    Client, ClientName, Failure, Identity, Kind, Protocol, Remote, Target, TcpDial, Upstream,
};

/// How long one step may take here, however patient the configuration is.
const STEP: Duration = Duration::from_secs(6);
/// An address for documentation (RFC 5737), which no client can have.
pub(super) const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// A recipient of strangers' (RFC 2606).
pub(super) const ELSEWHERE: &str = "gatepost-doctor@relay-probe.example";

/// One upstream.
pub(super) async fn all(target: &Target, settings: &Settings, metrics: &Metrics) -> Vec<Finding> {
    let name = &target.name;
    let Kind::Smtp(remote) = &target.kind else {
        return vec![Finding::ok("upstream", format!("{name}: a Maildir, which needs no server"))];
    };
    let hurried = Target { kind: Kind::Smtp(hurried(remote)), ..target.clone() };
    let upstream = Upstream::new(hurried, Arc::new(TcpDial), metrics.upstream(name));
    let offered = match upstream.probe().await {
        Ok(offered) => offered,
        Err(failure) => {
            let message = format!("{name}: {failure}");
            let advice =
                format!("is it there, and does it speak as configured? {}", remote.addresses.join(", "));
            return vec![Finding::fail("upstream", message, advice)];
        }
    };
    let keywords = offered.keywords().join(" ");
    let mut found = vec![Finding::ok("upstream", format!("{name}: it answers, and offers {keywords}"))];
    if let Some(missing) = upstream.misgiving(&offered) {
        found.push(Finding::fail("identity", format!("{name}: {missing}"), fix(remote.identity)));
        return found;
    }
    if remote.protocol == Protocol::Smtp {
        found.extend(handover(&upstream, remote.identity, settings).await);
    }
    found
}

fn hurried(remote: &Remote) -> Remote {
    let mut remote = remote.clone();
    remote.timeouts.connect = remote.timeouts.connect.min(STEP);
    remote.timeouts.reply = remote.timeouts.reply.min(STEP);
    remote
}

/// What to set at the server so that it takes an identity.
const fn fix(identity: Identity) -> &'static str {
    match identity {
        Identity::XClient => {
            "Postfix: smtpd_authorized_xclient_hosts = GATEPOST'S ADDRESS, for the port that Gatepost speaks to"
        }
        Identity::XForward => {
            "Postfix: smtpd_authorized_xforward_hosts = GATEPOST'S ADDRESS, for the port that Gatepost speaks to"
        }
        Identity::Proxy(_) => {
            "Postfix: smtpd_upstream_proxy_protocol = haproxy, on a port of its own; Exim: hosts_proxy"
        }
        Identity::Transparent => "give Gatepost CAP_NET_RAW, and see `transparent` in config/README.md",
        Identity::None => "see `client_identity` in config/README.md",
    }
}

/// Asks as a stranger for strangers, and for one of ours.
async fn handover(upstream: &Arc<Upstream>, identity: Identity, settings: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = upstream.name();
    match ask(upstream, ELSEWHERE).await {
        Ok(reply) => found.push(judged(name, identity, &reply)),
        Err(failure) => {
            return vec![Finding::fail("identity", format!("{name}: {failure}"), fix(identity))];
        }
    }
    let ours = settings.domains.iter().find(|domain| !domain.starts_with(['*', '.']));
    if let Some(postmaster) = ours.map(|domain| format!("postmaster@{domain}")) {
        match ask(upstream, &postmaster).await {
            Ok(reply) if reply.is_completed() => {
                found.push(Finding::ok("recipients", format!("{name}: it takes mail for {postmaster}")));
            }
            Ok(reply) => found.push(Finding::warn(
                "recipients",
                format!("{name}: it refuses mail for {postmaster} from a stranger: {reply}"),
                "every domain with mail has a postmaster (RFC 5321 4.5.1); or it refuses all from 192.0.2.1, which may be",
            )),
            Err(failure) => {
                found.push(Finding::fail("recipients", format!("{name}: {failure}"), "look into its log"));
            }
        }
    }
    found
}

/// What its answer about strangers' mail says of it.
fn judged(name: &str, identity: Identity, reply: &Reply) -> Finding {
    let told = !matches!(identity, Identity::None | Identity::XForward);
    match reply.code().class() {
        Class::Completed if told => Finding::fail(
            "identity",
            format!("{name}: it relays for a stranger that we named: {reply}"),
            "it does not go by who the client is, or trusts everybody: take Gatepost's address out of mynetworks, and look at its relay rules",
        ),
        Class::Completed => Finding::warn(
            "identity",
            format!("{name}: it relays whatever comes from Gatepost: {reply}"),
            "then only the policy `relay` is between it and an open relay: take Gatepost's address out of its trusted networks (mynetworks)",
        ),
        Class::Permanent if told => Finding::ok(
            "identity",
            format!("{name}: it takes our word on who the client is, and relays for no stranger: {reply}"),
        ),
        Class::Permanent => {
            Finding::ok("identity", format!("{name}: it relays for nobody by way of us: {reply}"))
        }
        _ => Finding::warn(
            "identity",
            format!("{name}: it did not say whether it relays for strangers: {reply}"),
            "ask again",
        ),
    }
}

/// The answer to a recipient, asked for by a stranger. Nothing is sent.
async fn ask(upstream: &Arc<Upstream>, recipient: &str) -> Result<Reply, Failure> {
    let mut session = upstream.session(stranger());
    let mail = MailCommand { path: ReversePath::Null, params: MailParams::default() };
    // The texts are ours, or were domains when the configuration was read.
    let path = Mailbox::parse(recipient).map(ForwardPath::Mailbox);
    let path = path.unwrap_or_else(|_| ForwardPath::Postmaster("postmaster".to_owned()));
    let rcpt = RcptCommand { path, params: RcptParams::default() };
    let answer = session.rcpt(&mail, &rcpt).await;
    session.reset().await;
    session.quit().await;
    answer
}

fn stranger() -> Client {
    Client {
        ip: STRANGER,
        port: 40_112,
        local: Some(SocketAddr::from(([192, 0, 2, 25], 25))),
        name: ClientName::Unknown,
        helo: "gatepost-doctor.example".to_owned(),
        esmtp: true,
        login: None,
    }
}
