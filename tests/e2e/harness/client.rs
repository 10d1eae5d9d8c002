//! A client that says exactly what a test wants said, and reads every reply.

use std::fmt::{self, Display};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::tls::{Trust, Wire};

/// How long to wait for a reply.
const PATIENCE: Duration = Duration::from_secs(30);

/// One SMTP session, seen from the client.
pub(crate) struct Client {
    wire: Box<dyn Wire>,
    /// The same socket, to set its limits and to close it.
    socket: TcpStream,
    /// What was read and not used yet.
    ahead: Vec<u8>,
    /// The key exchange that TLS agreed on; empty without TLS.
    pub(crate) key_exchange: String,
    /// Whether TLS goes on with an earlier session.
    pub(crate) resumed: bool,
}

/// A reply with all its lines.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// Without codes and line ends.
    pub(crate) lines: Vec<String>,
}

impl Reply {
    /// All lines in one.
    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// The first digit.
    pub(crate) const fn class(&self) -> u16 {
        self.code / 100
    }
}

impl Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text())
    }
}

impl Client {
    /// Connects from 127.0.0.1; the greeting is still to be read.
    pub(crate) fn connect(to: SocketAddr) -> io::Result<Self> {
        Self::connect_from(Ipv4Addr::LOCALHOST, to)
    }

    /// Connects from another address of 127.0.0.0/8.
    pub(crate) fn connect_from(from: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        socket.connect_timeout(&to.into(), PATIENCE)?;
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            wire: Box::new(socket.try_clone()?),
            socket,
            ahead: Vec::new(),
            key_exchange: String::new(),
            resumed: false,
        })
    }

    /// Connects, reads the greeting and introduces itself.
    #[track_caller]
    pub(crate) fn introduced(to: SocketAddr) -> Self {
        let mut client = Self::connect(to).unwrap();
        client.expect(220);
        assert_eq!(client.ask("EHLO client.example.net").code, 250);
        client
    }

    /// The port that it connects from.
    pub(crate) fn local_port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes)?;
        self.wire.flush()
    }

    /// The next reply, or why there is none.
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            let (code, rest) = line.split_at_checked(3).ok_or_else(|| odd(&line))?;
            let code = code.parse().map_err(|_| odd(&line))?;
            lines.push(rest.get(1..).unwrap_or_default().to_owned());
            if !rest.starts_with('-') {
                return Ok(Reply { code, lines });
            }
        }
    }

    /// Sends a command line and gives the reply.
    pub(crate) fn try_ask(&mut self, command: &str) -> io::Result<Reply> {
        self.send(format!("{command}\r\n").as_bytes())?;
        self.reply()
    }

    /// Sends a command line and gives the reply, which there has to be.
    #[track_caller]
    pub(crate) fn ask(&mut self, command: &str) -> Reply {
        self.try_ask(command).unwrap_or_else(|error| panic!("no reply to {command}: {error}"))
    }

    /// The next reply, which has to have this code.
    #[track_caller]
    pub(crate) fn expect(&mut self, code: u16) -> Reply {
        let reply =
            self.reply().unwrap_or_else(|error| panic!("no reply where {code} was expected: {error}"));
        assert_eq!(reply.code, code, "{reply}");
        reply
    }

    /// One whole transaction: the reply to the final dot, or the first refusal on the way there.
    pub(crate) fn try_deliver(&mut self, from: &str, to: &str, message: &[u8]) -> io::Result<Reply> {
        for command in [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>"), "DATA".to_owned()] {
            let reply = self.try_ask(&command)?;
            if reply.class() > 3 {
                return Ok(reply);
            }
        }
        self.send(&stuffed(message))?;
        self.reply()
    }

    /// One whole transaction, for which there has to be a reply.
    #[track_caller]
    pub(crate) fn deliver(&mut self, from: &str, to: &str, message: &[u8]) -> Reply {
        self.try_deliver(from, to, message).unwrap_or_else(|error| panic!("no reply to the message: {error}"))
    }

    /// STARTTLS and its handshake.
    #[track_caller]
    pub(crate) fn start_tls(mut self, trust: &Trust) -> Self {
        assert_eq!(self.ask("STARTTLS").code, 220);
        self.encrypted(trust).unwrap()
    }

    /// Begins TLS at once. What came before in plain text and was not used is gone.
    pub(crate) fn encrypted(self, trust: &Trust) -> io::Result<Self> {
        let (wire, agreed) = trust.encrypt(self.socket.try_clone()?)?;
        let (key_exchange, resumed) = (agreed.group, agreed.resumed);
        Ok(Self { wire: Box::new(wire), socket: self.socket, ahead: Vec::new(), key_exchange, resumed })
    }

    /// Ends TLS, but not the connection, and goes on in plain text with these bytes.
    pub(crate) fn end_tls_and_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.close_notify()?;
        self.wire = Box::new(self.socket.try_clone()?);
        self.send(bytes)
    }

    /// How long to wait for replies from now on.
    pub(crate) fn patience(&self, limit: Duration) {
        self.socket.set_read_timeout(Some(limit)).unwrap();
    }

    /// Whether the other side closes the connection, without another word.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.wire.read(&mut byte) {
            Ok(0) => self.ahead.is_empty(),
            Ok(_) => false,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }

    /// Breaks the connection off, so that the other side hears of it at once (RST).
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// All that the other side still says, to the end of the connection.
    pub(crate) fn rest(mut self) -> String {
        let mut rest = std::mem::take(&mut self.ahead);
        // An end by reset is an end.
        _ = self.wire.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            let mut chunk = [0; 4096];
            match self.wire.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.ahead.extend_from_slice(&chunk[..read]),
            }
        }
    }
}

fn odd(line: &str) -> io::Error {
    io::Error::other(format!("no reply: {line:?}"))
}

/// A message as DATA carries it: dots doubled, the final dot behind it.
pub(crate) fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + message.len() / 64 + 5);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\r\n");
    wire
}
