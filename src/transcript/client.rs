//! The client of a transcript: what it sends, in which pieces, and what it hears; and the stream that Gatepost has of it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::setup::Split;
use super::steps::Handshake;
use crate::{proxy, tls};

/// What may be on its way at once, as in the buffers of a socket.
const IN_FLIGHT: usize = 64 << 10;
/// How long the client waits for a reply: longer than any time that Gatepost may take (9 minutes for a message).
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// The longest line that is taken for a reply line.
const LONGEST: usize = 16 << 10;
/// The pieces of what was heard that wait to be looked at.
const HEARD: usize = 4096;

/// The client's side.
#[derive(Debug)]
pub(super) struct Client {
    split: Split,
    out: mpsc::UnboundedSender<Vec<u8>>,
    heard: mpsc::Receiver<Vec<u8>>,
    /// What was heard and is no whole line yet.
    partial: Vec<u8>,
    upgrades: mpsc::UnboundedSender<Option<Pipe>>,
}

/// What came of waiting for a reply.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Heard {
    /// A whole reply, its lines without CRLF.
    Reply(Vec<String>),
    /// The connection was closed, perhaps in the middle of a line.
    Closed(String),
    /// Nothing more for as long as it was waited, perhaps in the middle of a line.
    Silence(String),
}

/// A client that sends in such pieces, and the stream that Gatepost gets.
pub(super) fn connect(split: Split) -> (Client, ClientStream) {
    let (upgrades, arriving) = mpsc::unbounded_channel();
    let (out, heard, pipe) = open(split);
    let client = Client { split, out, heard, partial: Vec::new(), upgrades };
    (client, ClientStream { pipe, upgrades: arriving, certificate: None })
}

/// A connection: where the client sends to, where it hears from, and Gatepost's end.
fn open(split: Split) -> (mpsc::UnboundedSender<Vec<u8>>, mpsc::Receiver<Vec<u8>>, Pipe) {
    let size = match split {
        Split::Whole => IN_FLIGHT,
        Split::AtMost(octets) => octets.min(IN_FLIGHT),
    };
    let (up, input) = duplex(size);
    let (down, output) = duplex(IN_FLIGHT);
    let (out, outbox) = mpsc::unbounded_channel();
    let (inbox, heard) = mpsc::channel(HEARD);
    tokio::spawn(send(up, outbox));
    tokio::spawn(listen(down, inbox));
    (out, heard, Pipe { input, output })
}

/// Writes what the client says, so that a Gatepost that stops reading does not stop the transcript.
async fn send(mut up: DuplexStream, mut outbox: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(bytes) = outbox.recv().await {
        if up.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn listen(mut down: DuplexStream, inbox: mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; LONGEST];
    while let Ok(read @ 1..) = down.read(&mut buffer).await {
        let piece = buffer.get(..read).unwrap_or_default().to_vec();
        if inbox.send(piece).await.is_err() {
            return;
        }
    }
}

impl Client {
    /// Sends `bytes`; a connection that is gone is noticed when the next reply is waited for.
    pub(super) fn send(&self, bytes: Vec<u8>) {
        // The sending task ends when Gatepost has closed, which is no failure of the client's.
        let _ = self.out.send(bytes);
    }

    /// Hangs up, once what was sent has been taken.
    pub(super) fn close(&mut self) {
        let (nowhere, _) = mpsc::unbounded_channel();
        self.out = nowhere;
    }

    /// Begins TLS, good or bad.
    pub(super) fn handshake(&mut self, how: Handshake) {
        let upgrade = match how {
            Handshake::Stall => return,
            Handshake::Garbage => None,
            Handshake::Good => {
                let (out, heard, pipe) = open(self.split);
                (self.out, self.heard) = (out, heard);
                Some(pipe)
            }
        };
        // Gatepost may have closed instead of waiting for a handshake.
        let _ = self.upgrades.send(upgrade);
    }

    /// The next reply.
    pub(super) async fn reply(&mut self) -> Heard {
        self.heard_within(PATIENCE).await
    }

    /// What is said within `time`: a reply, nothing, or the beginning of something.
    pub(super) async fn heard_within(&mut self, time: Duration) -> Heard {
        match timeout(time, self.lines()).await {
            Ok(Some(lines)) => Heard::Reply(lines),
            Ok(None) => Heard::Closed(self.leftover()),
            Err(_) => Heard::Silence(self.leftover()),
        }
    }

    /// The lines of a reply; `None` when the connection is closed before the last.
    async fn lines(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return Some(lines);
            }
        }
    }

    /// A line; what is not a clean one shows it.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.partial.drain(..=end).collect();
                return Some(readable(line.strip_suffix(b"\r\n").unwrap_or(&line)));
            }
            if self.partial.len() > LONGEST {
                return Some(readable(&std::mem::take(&mut self.partial)));
            }
            let piece = self.heard.recv().await?;
            self.partial.extend(piece);
        }
    }

    fn leftover(&self) -> String {
        readable(&self.partial)
    }
}

/// Printable ASCII as it is, everything else as an escape, so that a stray octet stands out.
pub(super) fn readable(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b' '..=b'~' => out.push(char::from(*byte)),
            other => out.extend(std::ascii::escape_default(*other).map(char::from)),
        }
    }
    out
}

/// Gatepost's end of a connection: it reads from one pipe and writes to another.
#[derive(Debug)]
struct Pipe {
    input: DuplexStream,
    output: DuplexStream,
}

/// The stream that Gatepost has of the client.
#[derive(Debug)]
pub(super) struct ClientStream {
    pipe: Pipe,
    /// The handshakes: a pipe that nothing has been said on, or none for one that fails.
    upgrades: mpsc::UnboundedReceiver<Option<Pipe>>,
    /// What the client shows in a handshake.
    pub(super) certificate: Option<Arc<tls::ClientCertificate>>,
}

impl proxy::Client for ClientStream {
    /// The handshake is simulated: it succeeds when the client begins one, and nothing was said in the clear behind
    /// STARTTLS that Gatepost has not read yet, for in reality that would be taken for the client's hello.
    async fn start_tls(mut self) -> io::Result<(Self, tls::Info)> {
        let handshake = timeout(tls::HANDSHAKE_DEADLINE, self.upgrades.recv()).await?;
        let Some(Some(pipe)) = handshake else { return Err(io::ErrorKind::InvalidData.into()) };
        if self.pipe.has_input().await {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let info = tls::Info {
            version: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384".to_owned(),
            group: Some("X25519MLKEM768".to_owned()),
            sni: None,
            client: self.certificate.clone(),
        };
        Ok((Self { pipe, ..self }, info))
    }
}

impl Pipe {
    /// Whether octets wait to be read, those included that are on their way at this moment.
    async fn has_input(&mut self) -> bool {
        let mut octet = [0];
        let read = timeout(Duration::from_millis(1), self.input.read(&mut octet)).await;
        matches!(read, Ok(Ok(1)))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe.input).poll_read(cx, space)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe.output).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe.output).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe.output).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Client as _;

    #[tokio::test(start_paused = true)]
    async fn octets_come_in_the_pieces_that_were_asked_for() {
        for (split, longest) in [(Split::Whole, 5), (Split::AtMost(1), 1), (Split::AtMost(3), 3)] {
            let (client, mut stream) = connect(split);
            client.send(b"abcde".to_vec());
            let mut all = Vec::new();
            let mut piece = [0; 16];
            while all.len() < 5 {
                let read = stream.read(&mut piece).await.unwrap();
                assert!(read <= longest, "{split:?}: {read}");
                all.extend_from_slice(&piece[..read]);
            }
            assert_eq!(all, b"abcde");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn replies_are_read_line_by_line() {
        let (mut client, mut stream) = connect(Split::Whole);
        stream.write_all(b"250-a\r\n250 b\r\n220 c\n221 \x07").await.unwrap();
        assert_eq!(client.reply().await, Heard::Reply(vec!["250-a".to_owned(), "250 b".to_owned()]));
        assert_eq!(client.reply().await, Heard::Reply(vec!["220 c\\n".to_owned()]));
        assert_eq!(client.heard_within(Duration::from_secs(1)).await, Heard::Silence("221 \\x07".to_owned()));
        drop(stream);
        assert_eq!(client.reply().await, Heard::Closed("221 \\x07".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn hanging_up_ends_the_stream_behind_what_was_sent() {
        let (mut client, mut stream) = connect(Split::AtMost(1));
        client.send(b"bye".to_vec());
        client.close();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"bye");
    }

    #[tokio::test(start_paused = true)]
    async fn handshakes() {
        let (mut client, stream) = connect(Split::Whole);
        client.handshake(Handshake::Good);
        let (mut stream, info) = stream.start_tls().await.unwrap();
        assert_eq!(info.version, "TLSv1.3");
        client.send(b"x".to_vec());
        assert_eq!(stream.read_u8().await.unwrap(), b'x');

        for how in [Handshake::Garbage, Handshake::Stall] {
            let (mut client, stream) = connect(Split::Whole);
            client.handshake(how);
            assert!(stream.start_tls().await.is_err(), "{how:?}");
        }

        let (mut client, stream) = connect(Split::Whole);
        client.send(b"unread plaintext".to_vec());
        client.handshake(Handshake::Good);
        assert!(stream.start_tls().await.is_err(), "plaintext is no hello");
    }
}
