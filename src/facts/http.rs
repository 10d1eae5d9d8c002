//! Web services: one request, one answer, to hosts that the operator named.

use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1::handshake;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::policy::question::HttpReply;
use crate::tls::{ClientTls, Verify};

/// For one request, connection and answer together.
const DEADLINE: Duration = Duration::from_secs(5);
/// Octets of an answer that are read: as much as a text of a script can hold.
const MAX_BODY: usize = 256 * 1024;
/// Octets of a URL.
const MAX_URL: usize = 4 * 1024;

/// Why there is no answer.
pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Asks web services.
#[derive(Debug)]
pub(super) struct Web {
    /// `host` or `host:port`, in lower case.
    hosts: Vec<String>,
    tls: Tls,
}

/// TLS that is set up when it is first needed: a house without web services needs no trust store.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls(OnceLock<Option<ClientTls>>);

impl Web {
    pub(super) const fn new(hosts: Vec<String>) -> Self {
        Self { hosts, tls: Tls(OnceLock::new()) }
    }

    /// The answer to a GET; with `document`, to a POST of it.
    pub(super) async fn ask(&self, url: &str, document: Option<&str>) -> HttpReply {
        match timeout(DEADLINE, self.send(url, document)).await {
            Ok(Ok((status, body))) => understood(status, &body),
            Ok(Err(error)) => HttpReply { body: error.to_string(), ..HttpReply::default() },
            Err(_) => HttpReply { body: "no answer in time".to_owned(), ..HttpReply::default() },
        }
    }

    async fn send(&self, url: &str, document: Option<&str>) -> Result<(u16, Bytes), Error> {
        let target = Target::parse(url).ok_or("this is no URL that can be asked for")?;
        if !target.is_among(&self.hosts) {
            return Err(format!("{} is not among policies.http_hosts", target.authority).into());
        }
        let request = target.request(if document.is_some() { Method::POST } else { Method::GET });
        let request = match document {
            Some(_) => request.header(CONTENT_TYPE, "application/json"),
            None => request,
        };
        let body = Full::new(Bytes::from(document.unwrap_or_default().to_owned()));
        exchange(&target, &self.tls, request.body(body)?, MAX_BODY).await
    }
}

/// What is no text is shown as such, and may be longer then than a text of a script can be: that is no answer.
fn understood(status: u16, body: &[u8]) -> HttpReply {
    let body = String::from_utf8_lossy(body).into_owned();
    if body.len() > MAX_BODY {
        return HttpReply { body: "the answer is no text".to_owned(), ..HttpReply::default() };
    }
    HttpReply { result: if (200..300).contains(&status) { "ok" } else { "error" }, status, body }
}

/// Where a request goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Target {
    secure: bool,
    host: String,
    port: u16,
    /// The host, with the port where the URL has one.
    authority: String,
    /// Path and query.
    path: String,
}

impl Target {
    /// Reads a URL. Nothing in it can be read in two ways: no user, no backslash, nothing that is not printable ASCII.
    pub(super) fn parse(url: &str) -> Option<Self> {
        if url.len() > MAX_URL || !url.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\\') {
            return None;
        }
        let uri: Uri = url.parse().ok()?;
        let secure = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = uri.authority()?.as_str().to_ascii_lowercase();
        if authority.contains('@') {
            return None;
        }
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        (!host.is_empty()).then(|| Self {
            port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            secure,
            host,
            authority,
            path,
        })
    }

    /// Whether it is one of these hosts: a host by itself means the usual port.
    fn is_among(&self, hosts: &[String]) -> bool {
        let usual = if self.secure { 443 } else { 80 };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let with_port = format!("{host}:{}", self.port);
        hosts.iter().any(|known| *known == with_port || (self.port == usual && *known == host))
    }

    pub(super) fn request(&self, method: Method) -> hyper::http::request::Builder {
        let request = Request::builder().method(method).uri(&self.path).header(HOST, &self.authority);
        request
            .header(USER_AGENT, concat!("gatepost/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json")
    }

    /// The same host, with this path.
    pub(super) fn at(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }
}

/// Sends a request over a connection of its own, and reads the answer. Redirections are answers like others.
pub(super) async fn exchange<B>(
    target: &Target,
    tls: &Tls,
    request: Request<B>,
    limit: usize,
) -> Result<(u16, Bytes), Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Error>,
{
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
    if !target.secure {
        return over(stream, request, limit).await;
    }
    let Some(tls) = tls.0.get_or_init(|| ClientTls::new(&Verify::Platform).ok()) else {
        return Err("the system has no trust store for TLS".into());
    };
    let (stream, _) = tls.connect(&target.host, stream).await?;
    over(stream, request, limit).await
}

async fn over<S, B>(stream: S, request: Request<B>, limit: usize) -> Result<(u16, Bytes), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Error>,
{
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), limit).collect().await?.to_bytes();
        Ok((status, body))
    };
    let drive = async {
        // What went wrong with the connection is heard where the answer is awaited.
        _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        answer = answer => answer,
        () = drive => Err("the connection ended".into()),
    }
}

/// A body of known length that comes in pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) pieces: mpsc::Receiver<io::Result<Bytes>>,
    pub(super) left: u64,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.pieces.poll_recv(context).map(|piece| match piece? {
            Ok(piece) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                Some(Ok(Frame::data(piece)))
            }
            Err(error) => Some(Err(error)),
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_hosts() {
        let hosts = ["api.test", "other.test:8443", "127.0.0.1:8080", "[::1]:80"].map(str::to_owned);
        for (url, allowed) in [
            ("https://api.test/x?y=1", true),
            ("http://API.test", true),
            ("https://api.test:443/", true),
            ("https://api.test:8443/", false),
            ("https://other.test:8443/", true),
            ("https://other.test/", false),
            ("http://127.0.0.1:8080/a", true),
            ("http://127.0.0.1/", false),
            ("http://[::1]/", true),
            ("https://evil.test/", false),
            ("https://api.test.evil.test/", false),
            ("https://api.test@evil.test/", false),
            ("https://evil.test/@api.test", false),
            ("https://evil.test#api.test", false),
            ("https://evil.test?api.test", false),
        ] {
            let target = Target::parse(url);
            assert_eq!(target.is_some_and(|target| target.is_among(&hosts)), allowed, "{url}");
        }
        for url in [
            "",
            "api.test",
            "/path",
            "ftp://api.test/",
            "file:///etc/passwd",
            "https://user@api.test/",
            "https://user:p@api.test/",
            "https://evil.test\\@api.test/",
            "https://api.test/\r\nHost: x",
            "https://api.tést/",
            "https://api.test/ x",
        ] {
            assert_eq!(Target::parse(url), None, "{url}");
        }
    }
}
