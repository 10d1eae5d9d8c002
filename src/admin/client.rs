//! The other end: asks a process that serves, over its UNIX socket, or over TCP with the token.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::door::Place;

/// How long an answer may take, a reload with its look at new upstreams included.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the process may take to accept us.
const CONNECT: Duration = Duration::from_secs(5);
/// The largest answer that is read.
const LARGEST: usize = 64 << 20;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'p> {
    /// To see what is at this path.
    See(&'p str),
    /// That this be done.
    Do(&'p str),
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The status (RFC 9110 15).
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is there.
    #[error("nobody answers at {0}: {1}")]
    Nobody(Place, String),
    /// Somebody is there, and does not answer as we do.
    #[error("no answer from {0}: {1}")]
    Broken(Place, String),
}

/// Asks at `place`, with the token where there is one.
///
/// # Errors
/// [`AskError::Nobody`] when the process does not run, or is not ours to ask.
pub async fn ask(
    place: &Place,
    token: Option<&Zeroizing<String>>,
    asked: Asked<'_>,
) -> Result<Answered, AskError> {
    let nobody = |why: String| AskError::Nobody(place.clone(), why);
    let stream = match timeout(CONNECT, connect(place)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(nobody(error.to_string())),
        Err(_) => return Err(nobody("the connection is not accepted".to_owned())),
    };
    let broken = |why: String| AskError::Broken(place.clone(), why);
    match timeout(PATIENCE, exchange(stream, token, asked)).await {
        Ok(answer) => answer.map_err(|error| broken(error.to_string())),
        Err(_) => Err(broken(format!("it takes longer than {} seconds", PATIENCE.as_secs()))),
    }
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(
    stream: Box<dyn Wire>,
    token: Option<&Zeroizing<String>>,
    asked: Asked<'_>,
) -> Result<Answered, Trouble> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (method, path) = match asked {
        Asked::See(path) => (Method::GET, path),
        Asked::Do(path) => (Method::POST, path),
    };
    let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {}", &**token));
    }
    let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), LARGEST).collect().await?.to_bytes();
    Ok(Answered { status, body })
}

async fn connect(place: &Place) -> std::io::Result<Box<dyn Wire>> {
    Ok(match place {
        Place::Tcp(address) => Box::new(TcpStream::connect(address).await?),
        Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}

/// Either kind of stream.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}
