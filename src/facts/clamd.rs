//! clamd: a virus scanner that takes a stream (clamd(8), INSTREAM).

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::letter::Letter;
use crate::policy::question::Scan;

/// For one message, connection and scan together.
const DEADLINE: Duration = Duration::from_secs(60);
/// Octets of a reply that are read.
const MAX_REPLY: u64 = 4 * 1024;
/// Characters of what it says that are kept.
const MAX_NAME: usize = 200;

/// Where clamd listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Clamd {
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `HOST:PORT`.
    Tcp(String),
}

impl Clamd {
    /// What it says about `letter`, within [`DEADLINE`].
    pub(super) async fn scan(&self, letter: &Letter) -> Scan {
        match timeout(DEADLINE, self.ask(letter)).await {
            Ok(Ok(reply)) => understood(&reply),
            Ok(Err(error)) => failed(&error.to_string()),
            Err(_) => failed("no answer in time"),
        }
    }

    async fn ask(&self, letter: &Letter) -> io::Result<String> {
        match self {
            Self::Unix(path) => converse(UnixStream::connect(path).await?, letter).await,
            Self::Tcp(address) => converse(TcpStream::connect(address).await?, letter).await,
        }
    }
}

/// Sends the message, and reads what is said about it. A scanner that has seen enough answers and hangs up before the end.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, letter: &Letter) -> io::Result<String> {
    let sent = send(&mut stream, letter).await;
    match read_reply(&mut stream).await {
        Ok(reply) if reply.is_empty() => sent.and_then(|()| Err(io::ErrorKind::UnexpectedEof.into())),
        Ok(reply) => Ok(reply),
        Err(error) => sent.and(Err(error)),
    }
}

/// What is said up to the NUL at its end, or to the end of the stream.
async fn read_reply<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<String> {
    let (mut reply, mut stream) = (Vec::new(), stream.take(MAX_REPLY));
    while !reply.contains(&0) && stream.read_buf(&mut reply).await? > 0 {}
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, letter: &Letter) -> io::Result<()> {
    stream.write_all(b"zINSTREAM\0").await?;
    let (sender, mut pieces) = mpsc::channel::<io::Result<Bytes>>(1);
    let write = async {
        while let Some(piece) = pieces.recv().await {
            let piece = piece?;
            let length = u32::try_from(piece.len()).map_err(io::Error::other)?;
            stream.write_all(&length.to_be_bytes()).await?;
            stream.write_all(&piece).await?;
        }
        stream.write_all(&0_u32.to_be_bytes()).await?;
        stream.flush().await
    };
    tokio::pin!(write);
    tokio::select! {
        done = &mut write => return done,
        () = letter.feed(sender) => {}
    }
    write.await
}

fn understood(reply: &str) -> Scan {
    let reply = reply.trim_end_matches(['\0', '\n', '\r', ' ']);
    let said = reply.strip_prefix("stream: ").unwrap_or(reply);
    match said.strip_suffix(" FOUND") {
        Some(name) => Scan { result: "infected", name: shown(name) },
        None if said == "OK" => Scan { result: "clean", name: String::new() },
        None => failed(said),
    }
}

fn failed(why: &str) -> Scan {
    Scan { result: "error", name: shown(why) }
}

/// On one line.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_NAME).collect()
}
