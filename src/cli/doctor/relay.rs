//! Whether strangers can send mail to strangers through us. Asked twice: of the configured policies, in this process and in the name of a
//! stranger's address; and of whoever listens at the listeners' addresses, as the client that we are there. Neither sends a message.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::finding::Finding;
use super::mail_server::{ELSEWHERE, STRANGER};
use crate::cli::rehearse::{self, Rehearsal};
use crate::config::ready::{Listener, ListenerTls};
use crate::config::{self, Settings};
use crate::decisions::Decision;
use crate::log;
use crate::server::Address;
use crate::tls::{ClientTls, Verify};

/// How long a session in this process may take: policies may ask the DNS.
const WITHIN: Duration = Duration::from_secs(30);
/// How long a dialogue at a door may take, beside the banner's delay.
const DIALOGUE: Duration = Duration::from_secs(8);
/// The longest reply that is read.
const LONGEST: u64 = 4096;

// === within ===

/// What the session and the policies make of a stranger, at every listener.
pub(super) fn within(path: &Path, settings: &Settings) -> Vec<Finding> {
    let names = settings.listeners.iter().map(|listener| listener.name.clone());
    names.map(|listener| at_listener(path, &listener)).collect()
}

fn at_listener(path: &Path, listener: &str) -> Finding {
    let (said, hear) = mpsc::channel();
    let (path, name) = (path.to_owned(), listener.to_owned());
    // In a thread, so that it has an end for us even where it has none.
    std::thread::spawn(move || said.send(rehearsed(&path, name)));
    match hear.recv_timeout(WITHIN) {
        Ok(Ok(decisions)) => judged(listener, &decisions),
        Ok(Err(error)) => Finding::warn(
            "relay",
            format!("{listener}: the policies were not asked: {error:#}"),
            "see `gatepost check`",
        ),
        Err(_) => Finding::warn(
            "relay",
            format!("{listener}: the policies did not answer in time"),
            "is the resolver slow?",
        ),
    }
}

fn rehearsed(path: &Path, listener: String) -> anyhow::Result<Vec<Decision>> {
    // It takes settings of its own.
    let loaded =
        config::load(path).map_err(|_| anyhow::anyhow!("the configuration cannot be used any more"))?;
    let rehearsal = Rehearsal {
        ip: STRANGER,
        helo: "gatepost-doctor.example".to_owned(),
        from: Some(String::new()),
        to: vec![ELSEWHERE.to_owned()],
        tls: true,
        listener: Some(listener),
        message: b"Subject: never sent\r\n\r\n".to_vec(),
    };
    rehearse::run(loaded.settings, &rehearsal)
}

fn judged(listener: &str, decisions: &[Decision]) -> Finding {
    let refused = decisions.iter().find_map(|decision| {
        let deciding = decision.deciding.as_ref()?;
        (decision.reply.starts_with(['4', '5'])).then_some((decision, deciding))
    });
    match refused {
        Some((decision, deciding)) if decision.reply.starts_with('5') => Finding::ok(
            "relay",
            format!("{listener}: a stranger's mail to strangers is refused by {}", deciding.rule),
        ),
        Some((decision, deciding)) => Finding::warn(
            "relay",
            format!(
                "{listener}: a stranger's mail to strangers is deferred by {}: {}",
                deciding.rule, decision.reply
            ),
            "so it was not seen whether it would be refused: mend what failed, and ask again",
        ),
        None => Finding::fail(
            "relay",
            format!("{listener}: a stranger's mail to strangers is accepted: this is an open relay"),
            "look at `domains`, which must not be \"*\", at `trusted_networks`, and at the policies of this listener",
        ),
    }
}

// === at the doors ===

/// What those say who listen at our addresses, where anybody does.
pub(super) async fn at_the_doors(settings: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    for listener in &settings.listeners {
        let address = listener.addresses.iter().find_map(|address| match address {
            Address::Bind(address) if address.port() != 0 => Some(*address),
            _ => None,
        });
        found.extend(match address {
            Some(address) => at_door(listener, reachable(address), settings).await,
            None => None,
        });
    }
    found
}

/// Where something that listens at `address` is reached from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

async fn at_door(listener: &Listener, address: SocketAddr, settings: &Settings) -> Option<Finding> {
    // Nobody is there yet, or the ports were complained about.
    let stream = timeout(DIALOGUE, TcpStream::connect(address)).await.ok()?.ok()?;
    let us = stream.local_addr().ok()?.ip();
    let among = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&us.to_canonical()));
    let named = among(&listener.manners.proxy_protocol);
    let name = &listener.name;
    if !named && among(&settings.trusted_networks) {
        return Some(Finding::ok(
            "relay",
            format!("{name}: {us} may relay, so asking from here says nothing"),
        ));
    }
    let asking = asked(stream, named, Opening::of(listener), &settings.hostname);
    let asked = timeout(DIALOGUE + listener.manners.greet_delay, asking).await;
    let who = if named { STRANGER } else { us };
    Some(match asked {
        Ok(Ok(reply)) => heard(name, address, who, &reply),
        Ok(Err(error)) => {
            Finding::warn("relay", format!("{name}: {address} broke off: {error}"), "look into the log")
        }
        Err(_) => {
            Finding::warn("relay", format!("{name}: {address} did not answer in time"), "look into the log")
        }
    })
}

fn heard(name: &str, address: SocketAddr, who: IpAddr, reply: &str) -> Finding {
    let said = log::safe(reply.trim_end());
    match reply.as_bytes().first() {
        Some(b'5') => Finding::ok(
            "relay",
            format!("{name}: {address} refuses a stranger's mail to strangers from {who}: {said}"),
        ),
        Some(b'2') => Finding::fail(
            "relay",
            format!("{name}: {address} accepts a stranger's mail to strangers from {who}: {said}"),
            "stop it: this is an open relay; then see `gatepost rules`, `domains` and `trusted_networks`",
        ),
        _ => Finding::warn(
            "relay",
            format!("{name}: {address} did not say whether it relays: {said}"),
            "ask again",
        ),
    }
}

/// How TLS comes to a dialogue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Opening {
    /// It may stay away.
    Clear,
    /// Before it.
    Implicit,
    /// By STARTTLS, without which there is no mail.
    StartTls,
}

impl Opening {
    const fn of(listener: &Listener) -> Self {
        match listener.tls {
            ListenerTls::Implicit(_) => Self::Implicit,
            ListenerTls::StartTls(_) if listener.terms.tls_required => Self::StartTls,
            ListenerTls::StartTls(_) | ListenerTls::Off => Self::Clear,
        }
    }
}

const EHLO: &str = "EHLO gatepost-doctor.example";

/// The reply that tells: to RCPT, or to what was refused before it. Whose certificate it is was seen in the files.
async fn asked(mut stream: TcpStream, named: bool, opening: Opening, host: &str) -> io::Result<String> {
    if named {
        stream.write_all(format!("PROXY TCP4 {STRANGER} 192.0.2.25 40112 25\r\n").as_bytes()).await?;
    }
    let rcpt = format!("RCPT TO:<{ELSEWHERE}>");
    let mail = [EHLO, "MAIL FROM:<>", &rcpt];
    let tls = ClientTls::new(&Verify::Nothing).map_err(io::Error::other)?;
    match opening {
        Opening::Clear => dialogue(&mut BufReader::new(stream), true, &mail).await,
        Opening::Implicit => {
            let (stream, _) = tls.connect(host, stream).await.map_err(io::Error::other)?;
            dialogue(&mut BufReader::new(stream), true, &mail).await
        }
        Opening::StartTls => {
            let mut clear = BufReader::new(stream);
            let last = dialogue(&mut clear, true, &[EHLO, "STARTTLS"]).await?;
            if !last.starts_with('2') {
                return Ok(last);
            }
            let (stream, _) = tls.connect(host, clear.into_inner()).await.map_err(io::Error::other)?;
            dialogue(&mut BufReader::new(stream), false, &mail).await
        }
    }
}

/// The reply to the last of these commands, or to the first that was refused; before them all, the banner may be.
async fn dialogue(
    stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>,
    banner: bool,
    commands: &[&str],
) -> io::Result<String> {
    let mut last = if banner { reply(stream).await? } else { "2".to_owned() };
    for command in commands {
        if !last.starts_with('2') {
            break;
        }
        stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        last = reply(stream).await?;
    }
    if commands.last() != Some(&"STARTTLS") {
        // Whoever hangs up first has said all that was asked.
        let _ = stream.write_all(b"RSET\r\nQUIT\r\n").await;
        let _ = stream.shutdown().await;
    }
    Ok(last)
}

/// The last line of the next reply.
async fn reply(stream: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<String> {
    loop {
        let mut line = Vec::new();
        let read = (&mut *stream).take(LONGEST).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.get(3) != Some(&b'-') {
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
    }
}
