//! Where a connection really comes from: what a load balancer says of it, and who may say such things.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::proxy_header::{self, Header, HeaderError, Progress};
use super::scene::Connection;
use super::{Listener, Peer};
use crate::metrics::Admission;
use crate::session::Arrival;
use crate::smtp::xclient::{Told, XClient};

/// How long a load balancer may take for its header: it has the whole of it when it connects.
const HEADER_LIMIT: Duration = Duration::from_secs(5);

/// Whom a listener believes, and what it asks of those whom it does not know.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// Networks whose connections begin with a PROXY header. Without one they are closed.
    pub proxy_protocol: Vec<IpNet>,
    /// Networks that may say by XCLIENT for whom they speak.
    pub xclient: Vec<IpNet>,
    /// How long the banner waits for a client that talks first; zero to look once only.
    pub greet_delay: Duration,
    /// Networks that are not tested, beside the trusted ones.
    pub exempt: Vec<IpNet>,
}

impl Listener {
    /// Whether a connection from here has to begin with a PROXY header, which [`introduced`](Self::introduced) reads.
    pub fn expects_header(&self, hop: Peer) -> bool {
        among(&self.manners.proxy_protocol, hop)
    }

    /// Reads the PROXY header at the beginning of a connection, and nothing behind it: the client, as the hop names it. `None`
    /// when there is none within five seconds or it is malformed, which is then logged and counted; the connection must
    /// be closed without a word, because nobody knows whose it is.
    ///
    /// A hop that connects on its own account (LOCAL, UNKNOWN, a UNIX socket) keeps its address, but no trust is attached
    /// to it: see [`Peer::named`].
    pub async fn introduced(&self, stream: &mut (impl AsyncRead + Unpin), hop: Peer) -> Option<Peer> {
        match timeout(HEADER_LIMIT, read_header(stream)).await.unwrap_or(Err(HeaderError::Late)) {
            Ok(Header::Client { from, to }) => Some(Peer { local: Some(to), ..Peer::new(from) }),
            Ok(Header::Unnamed) => Some(Peer { named: false, ..hop }),
            Err(error) => {
                self.metrics.connection(Admission::NoProxyHeader);
                tracing::warn!(
                    event = "no_proxy_header",
                    listener = %self.name,
                    hop = %hop.ip,
                    %error,
                    "a connection that does not say whose it is"
                );
                None
            }
        }
    }

    /// How the session of this peer begins.
    pub(super) fn arrival_of(&self, peer: Peer) -> Arrival {
        let xclient = peer.named && among(&self.manners.xclient, peer);
        let known = self.trusts(peer) || xclient || among(&self.manners.exempt, peer);
        Arrival { xclient, greet_delay: (!known).then_some(self.manners.greet_delay) }
    }

    /// Whether the client belongs to one of our networks. One that nobody named does not, wherever it seems to come from.
    pub(super) fn trusts(&self, peer: Peer) -> bool {
        peer.named && self.border.trusts(peer.ip)
    }
}

impl Connection {
    /// Takes what XCLIENT said: what it did not mention stays, what it does not know is not known. A client without an address has
    /// none of ours, and none of the hop's either.
    pub(super) fn adopt(&mut self, said: &XClient) {
        let Peer { ip, port, local, named } = self.peer;
        let address = said.address.over(named.then_some(ip));
        let port = said.port.over(Some(port)).unwrap_or_default();
        let local_ip = said.local_address.over(local.map(|local| local.ip()));
        let local_port = said.local_port.over(local.map(|local| local.port()));
        self.peer = Peer {
            local: local_ip.map(|ip| SocketAddr::new(ip, local_port.unwrap_or_default())),
            named: address.is_some(),
            ..Peer::new(SocketAddr::new(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port))
        };
        // Name and login belong to the client at that address: the next one inherits neither.
        let same = said.address == Told::Nothing;
        let kept = |text: &mut String| same.then(|| std::mem::take(text));
        self.name = said.name.over(kept(&mut self.name)).unwrap_or_default();
        self.login = said.login.over(kept(&mut self.login)).unwrap_or_default();
    }
}

fn among(networks: &[IpNet], peer: Peer) -> bool {
    networks.iter().any(|network| network.contains(&peer.ip))
}

async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Header, HeaderError> {
    let mut octets = Vec::new();
    loop {
        let wanted = match proxy_header::read(&octets)? {
            Progress::Done(header) => return Ok(header),
            Progress::Wants(wanted) => wanted as u64,
        };
        match (&mut *stream).take(wanted).read_buf(&mut octets).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Err(HeaderError::Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_header_is_taken_and_nothing_behind_it() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (mut hop, mut stream) = duplex(7);
        let writing = tokio::spawn(async move {
            hop.write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\nEHLO a.example\r\n").await.unwrap();
        });
        let header = read_header(&mut stream).await.unwrap();
        assert_eq!(
            header,
            Header::Client { from: address("192.0.2.7:4711"), to: address("198.51.100.1:25") }
        );
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "EHLO a.example\r\n");
        writing.await.unwrap();
    }

    #[test]
    fn what_xclient_says_is_taken_and_the_rest_stays() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mut connection = Connection {
            id: String::new(),
            peer: Peer { local: Some(address("10.0.0.9:25")), ..Peer::new(address("10.0.0.1:5000")) },
            name: String::new(),
            login: String::new(),
            tls: None,
            transaction: String::new(),
        };
        let mut hears = |said: &str| {
            connection.adopt(&XClient::parse(said).unwrap());
            let Connection { peer: Peer { ip, port, local, named }, name, login, .. } = &connection;
            format!("{ip} {port} {local:?} {named} {name} {login}")
        };
        for (said, expected) in [
            ("PORT=1", "10.0.0.1 1 Some(10.0.0.9:25) true  "),
            ("ADDR=192.0.2.7 NAME=a.test", "192.0.2.7 1 Some(10.0.0.9:25) true a.test "),
            ("DESTADDR=192.0.2.25 DESTPORT=587", "192.0.2.7 1 Some(192.0.2.25:587) true a.test "),
            ("LOGIN=joe", "192.0.2.7 1 Some(192.0.2.25:587) true a.test joe"),
            ("ADDR=IPV6:::ffff:192.0.2.8 PORT=[UNAVAILABLE]", "192.0.2.8 0 Some(192.0.2.25:587) true  "),
            ("ADDR=[UNAVAILABLE] DESTADDR=[UNAVAILABLE]", "0.0.0.0 0 None false  "),
            ("PORT=2", "0.0.0.0 2 None false  "),
        ] {
            assert_eq!(hears(said), expected, "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_early_or_begins_in_another_way() {
        for (octets, error) in [
            (&b""[..], HeaderError::Closed),
            (b"PROXY TCP4 192.0.2.7", HeaderError::Closed),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", HeaderError::Closed),
            (b"EHLO a.example\r\n", HeaderError::Missing),
            (b"\x16\x03\x01", HeaderError::Missing),
        ] {
            let (mut hop, mut stream) = duplex(64);
            hop.write_all(octets).await.unwrap();
            drop(hop);
            assert_eq!(read_header(&mut stream).await, Err(error), "{octets:?}");
        }
    }
}
