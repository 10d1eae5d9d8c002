//! Who may ask for what.
//!
//! Metrics and health are for everybody who reaches the endpoint. What shows mail or changes something is for those who have
//! the rights to its UNIX socket (mode 0600), or a token: on loopback too, where every user of the host and, by way of a web
//! browser, many a stranger can speak.

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::http::uri::Authority;
use hyper::{Request, StatusCode, Version};
use zeroize::Zeroizing;

/// By which way a request came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// A UNIX socket, which the file system guards.
    Socket,
    /// TCP, which on this address nobody guards.
    Network(IpAddr),
}

/// What opens the guarded paths over TCP.
#[derive(Debug, Default)]
pub struct Access {
    /// The bearer token (RFC 6750); without one, the guarded paths are for UNIX sockets only.
    pub token: Option<Token>,
    /// Names under which the endpoint may be asked, beside addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// A secret that is compared in constant time and shown nowhere.
pub struct Token(Zeroizing<String>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

impl From<Zeroizing<String>> for Token {
    fn from(secret: Zeroizing<String>) -> Self {
        Self(secret)
    }
}

/// A "no" to a request, with a line for whoever reads it.
pub(super) type Refusal = (StatusCode, &'static str);

impl Access {
    /// Whether a request may see and do what is guarded.
    pub(super) fn admits<B>(&self, way: Way, request: &Request<B>) -> Result<(), Refusal> {
        let Way::Network(own) = way else { return Ok(()) };
        self.is_meant_for_us(own, request)?;
        let Some(token) = &self.token else {
            return Err((
                StatusCode::FORBIDDEN,
                "this is for the UNIX socket (admin.listen: unix:PATH), or needs a token (admin.token)\n",
            ));
        };
        let shown = request.headers().get(AUTHORIZATION).and_then(|value| bearer_token(value.as_bytes()));
        let fits = shown.is_some_and(|shown| verify_slices_are_equal(shown, token.0.as_bytes()).is_ok());
        if fits { Ok(()) } else { Err((StatusCode::UNAUTHORIZED, "needs Authorization: Bearer TOKEN\n")) }
    }

    /// Whether the request names this host: a web page of a stranger's whose name was made to lead to us does not.
    pub(super) fn is_meant_for_us<B>(&self, own: IpAddr, request: &Request<B>) -> Result<(), Refusal> {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).map(without_port);
        let known = host.is_some_and(|host| {
            host.eq_ignore_ascii_case("localhost")
                || self.hosts.iter().any(|name| name.eq_ignore_ascii_case(host))
                || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address == own)
        });
        let refusal = "the Host field names somebody else; ask by address, or add the name to admin.hosts\n";
        if known { Ok(()) } else { Err((StatusCode::MISDIRECTED_REQUEST, refusal)) }
    }
}

/// The token of `Bearer TOKEN`. The scheme may be written in capitals or not, and spaces may follow it (RFC 9110 11.1 and 11.4).
fn bearer_token(credentials: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = credentials.split_at_checked(b"Bearer".len())?;
    let token = rest.trim_ascii_start();
    (scheme.eq_ignore_ascii_case(b"Bearer") && token.len() < rest.len()).then_some(token)
}

/// Whether it says once whom it is for: whoever stands before us may have read another field than we would (RFC 9112 3.2).
pub(super) fn names_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.is_empty() || Authority::try_from(host.as_bytes()).is_ok(),
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

/// `127.0.0.1` of `127.0.0.1:9925`, `::1` of `[::1]:9925`.
fn without_port(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str, authorization: Option<&str>) -> Request<()> {
        let mut request = Request::builder().header(HOST, host);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        request.body(()).unwrap()
    }

    fn access(token: Option<&str>) -> Access {
        let token = token.map(|token| Token::from(Zeroizing::new(token.to_owned())));
        Access { token, hosts: vec!["mx.example.org".to_owned()] }
    }

    #[test]
    fn over_tcp_only_the_token_opens() {
        let way = Way::Network("127.0.0.1".parse().unwrap());
        let status = |access: &Access, shown| {
            access.admits(way, &request("127.0.0.1:9925", shown)).err().map(|(status, _)| status.as_u16())
        };
        let guarded = access(Some("s3cret"));
        for right in ["Bearer s3cret", "bearer s3cret", "BEARER   s3cret"] {
            assert_eq!(status(&guarded, Some(right)), None, "{right}");
        }
        for wrong in [
            None,
            Some("Bearer s3cre"),
            Some("Bearer s3cret "),
            Some("Basic s3cret"),
            Some("s3cret"),
            Some("Bearers3cret"),
        ] {
            assert_eq!(status(&guarded, wrong), Some(401), "{wrong:?}");
        }
        assert_eq!(status(&access(None), Some("Bearer ")), Some(403));
        assert!(access(None).admits(Way::Socket, &request("x", None)).is_ok());
    }

    #[test]
    fn a_name_that_is_not_ours_is_turned_away() {
        let own = "192.0.2.1".parse().unwrap();
        let access = access(Some("t"));
        for (host, welcome) in [
            ("127.0.0.1:9925", true),
            ("[::1]:9925", true),
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("192.0.2.1:9925", true),
            ("MX.example.org:9925", true),
            ("192.0.2.2:9925", false),
            ("evil.example", false),
            ("127.0.0.1.evil.example:9925", false),
            ("", false),
        ] {
            assert_eq!(access.is_meant_for_us(own, &request(host, None)).is_ok(), welcome, "{host:?}");
        }
    }

    #[test]
    fn the_token_is_never_shown() {
        assert!(!format!("{:?}", access(Some("s3cret"))).contains("s3cret"));
    }
}
