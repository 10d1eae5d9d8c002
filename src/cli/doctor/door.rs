//! Whether every address can be listened at, or who listens there.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::finding::Finding;
use crate::admin::{self, Asked, Place};
use crate::config::Settings;
use crate::log;
use crate::server::{self, Address};

/// How long somebody who listens may take to say who he is.
const BANNER: Duration = Duration::from_secs(8);

/// Every address of every listener.
pub(super) async fn all(settings: &Settings) -> Vec<Finding> {
    let ours = running(settings).await;
    let mut found = Vec::new();
    for listener in &settings.listeners {
        for address in &listener.addresses {
            found.push(match address {
                Address::Handed(name) => {
                    Finding::ok("ports", format!("{}: systemd opens the socket {name}", listener.name))
                }
                Address::Bind(address) => port(&listener.name, *address, ours.as_ref()).await,
            });
        }
    }
    for place in settings.admin.iter().flat_map(|admin| &admin.places) {
        if let Place::Tcp(address) = place {
            found.push(port("admin", *address, ours.as_ref()).await);
        }
    }
    found
}

/// The process that serves by this configuration, if one does.
struct Running {
    pid: u64,
    /// Where it listens.
    addresses: Vec<String>,
}

/// Asks at every door of the operator's; that of another user's process stays closed.
async fn running(settings: &Settings) -> Option<Running> {
    let admin = settings.admin.as_ref()?;
    for place in &admin.places {
        let Ok(answer) = admin::ask(place, admin.token.as_ref(), Asked::See("/status")).await else {
            continue;
        };
        let Ok(status) = serde_json::from_slice::<serde_json::Value>(&answer.body) else { continue };
        let Some(pid) = status.get("pid").and_then(|pid| pid.as_u64()) else { continue };
        let listeners = status.get("listeners").and_then(|all| all.as_array()).into_iter().flatten();
        let mut addresses: Vec<String> = listeners
            .filter_map(|listener| listener.get("addresses")?.as_array())
            .flatten()
            .filter_map(|address| Some(address.as_str()?.to_owned()))
            .collect();
        addresses.extend(admin.places.iter().map(ToString::to_string));
        return Some(Running { pid, addresses });
    }
    None
}

async fn port(name: &str, address: SocketAddr, ours: Option<&Running>) -> Finding {
    let Err(error) = TcpListener::bind(address) else {
        return Finding::ok("ports", format!("{name}: {address} is free"));
    };
    let message = match error.kind() {
        ErrorKind::AddrInUse => match ours.filter(|ours| ours.addresses.contains(&address.to_string())) {
            Some(ours) => {
                let message =
                    format!("{name}: {address} is served by the running Gatepost (pid {})", ours.pid);
                return Finding::ok("ports", message);
            }
            None => format!("{name}: {address} is taken: {}", who_listens(address).await),
        },
        ErrorKind::PermissionDenied => format!("{name}: {address} is not for this user"),
        ErrorKind::AddrNotAvailable => format!("{name}: this machine has no address {}", address.ip()),
        _ => format!("{name}: {address}: {error}"),
    };
    Finding::fail("ports", message, server::advice(address, &error))
}

/// Who listens there, in his own words.
async fn who_listens(address: SocketAddr) -> String {
    match banner(address).await {
        Some(banner) => format!("who listens there says \"{}\"", log::safe(&banner)),
        None => "another program listens there".to_owned(),
    }
}

async fn banner(address: SocketAddr) -> Option<String> {
    let reading = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let mut octets = [0; 256];
        let read = stream.read(&mut octets).await.ok()?;
        let text = String::from_utf8_lossy(octets.get(..read)?).into_owned();
        text.lines().next().map(str::to_owned)
    };
    timeout(BANNER, reading).await.ok()?
}
