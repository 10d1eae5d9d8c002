//! The other end: asks a process that serves, over its UNIX socket, or over TCP with the token.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue};
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
/// The longest line of what goes on.
const LONGEST_LINE: usize = 64 << 10;

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
    let stream = reach(place).await?;
    let broken = |why: String| AskError::Broken(place.clone(), why);
    match timeout(PATIENCE, exchange(stream, token, asked)).await {
        Ok(answer) => answer.map_err(|error| broken(error.to_string())),
        Err(_) => Err(broken(format!("it takes longer than {} seconds", PATIENCE.as_secs()))),
    }
}

/// Asks for what is at `path`, which goes on, and hands each line to `each` as it comes.
///
/// # Errors
/// As [`ask`]; also when the answer is a refusal, whose text is in the error.
pub async fn follow(
    place: &Place,
    token: Option<&Zeroizing<String>>,
    path: &str,
    accept: &'static str,
    each: impl FnMut(&str),
) -> Result<(), AskError> {
    let stream = reach(place).await?;
    let broken = |error: Trouble| AskError::Broken(place.clone(), error.to_string());
    let request = request(Method::GET, path, token).map_err(broken)?;
    lines(stream, request, accept, each).await.map_err(broken)
}

async fn lines(
    stream: Box<dyn Wire>,
    mut request: Request<Empty<Bytes>>,
    accept: &'static str,
    mut each: impl FnMut(&str),
) -> Result<(), Trouble> {
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut answer = sender.send_request(request).await?;
    if !answer.status().is_success() {
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await?.to_bytes();
        return Err(format!("{} (status {status})", String::from_utf8_lossy(&body).trim_end()).into());
    }
    let mut begun = Vec::new();
    while let Some(frame) = answer.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        begun.extend_from_slice(&data);
        while let Some(end) = begun.iter().position(|octet| *octet == b'\n') {
            let line: Vec<u8> = begun.drain(..=end).collect();
            each(String::from_utf8_lossy(&line).trim_end());
        }
        if begun.len() > LONGEST_LINE {
            return Err("a line without an end".into());
        }
    }
    Ok(())
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(
    stream: Box<dyn Wire>,
    token: Option<&Zeroizing<String>>,
    asked: Asked<'_>,
) -> Result<Answered, Trouble> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = match asked {
        Asked::See(path) => request(Method::GET, path, token)?,
        Asked::Do(path) => request(Method::POST, path, token)?,
    };
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), LARGEST).collect().await?.to_bytes();
    Ok(Answered { status, body })
}

fn request(
    method: Method,
    path: &str,
    token: Option<&Zeroizing<String>>,
) -> Result<Request<Empty<Bytes>>, Trouble> {
    let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {}", &**token));
    }
    Ok(request.body(Empty::new())?)
}

/// A connection, within the time that the process has to accept it.
async fn reach(place: &Place) -> Result<Box<dyn Wire>, AskError> {
    let why = match timeout(CONNECT, connect(place)).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the connection is not accepted".to_owned(),
    };
    Err(AskError::Nobody(place.clone(), why))
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
