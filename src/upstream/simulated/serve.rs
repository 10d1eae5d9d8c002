//! The simulated upstream's side of one connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::sasl::Exchange;
use super::{Act, Answer, Cue, Message, Stage};
use crate::upstream::dial::Stream;
use crate::upstream::identity;

/// What is read at once, at least.
const READ: usize = 16 * 1024;

/// The longest message that is read.
const MESSAGE: usize = 256 * 1024 * 1024;

/// One connection, seen from the upstream.
pub(super) struct Peer {
    stage: Arc<Stage>,
    stream: Box<dyn Stream>,
    broken: Arc<AtomicBool>,
    inbox: BytesMut,
    /// What EHLO, XCLIENT and TLS said, and the envelope so far.
    known: Message,
    phase: Phase,
    /// Of AUTH, while the client's response is due.
    exchange: Option<Exchange>,
    authenticated: bool,
    /// What came by BDAT of the message so far.
    chunks: Vec<u8>,
}

/// Where the dialogue is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// EHLO is due.
    Greeted,
    /// MAIL is due.
    Ready,
    /// RCPT or, with an accepted one, DATA is due.
    Envelope,
}

impl Peer {
    pub(super) fn new(stage: Arc<Stage>, stream: Box<dyn Stream>, broken: Arc<AtomicBool>) -> Self {
        let (inbox, known) = (BytesMut::new(), Message::default());
        let phase = Phase::Greeted;
        let chunks = Vec::new();
        Self { stage, stream, broken, inbox, known, phase, exchange: None, authenticated: false, chunks }
    }

    /// Serves until either side has had enough.
    pub(super) async fn serve(mut self, banner: Answer) {
        let served = self.dialogue(banner).await;
        tracing::trace!(?served, "simulated upstream done");
    }

    async fn dialogue(&mut self, banner: Answer) -> io::Result<()> {
        if self.stage.script().proxy {
            self.proxy_header().await?;
        }
        self.perform(&banner).await?;
        loop {
            let line = self.line().await?;
            self.stage.record().line('G', &line);
            let line = String::from_utf8_lossy(&line).into_owned();
            let lmtp = self.stage.script().lmtp;
            let (cue, argument) =
                if self.exchange.is_some() { (Cue::Response, "") } else { read(&line, lmtp) };
            if cue == Cue::Bdat {
                self.chunk(&line, argument).await?;
                continue;
            }
            self.hear_auth(cue, argument);
            let answer = self.answer(cue, &line);
            self.perform(&answer).await?;
            self.answered_auth(&answer.said());
            if answer.said().starts_with(if cue == Cue::Data { b"3" } else { b"2" }) {
                self.agreed(cue, argument).await?;
            }
        }
    }

    /// Keeps count of an exchange of AUTH.
    fn hear_auth(&mut self, cue: Cue, argument: &str) {
        match cue {
            Cue::Auth => self.exchange = Some(Exchange::begin(argument)),
            Cue::Response => self.exchange = self.exchange.take().map(Exchange::heard),
            _ => {}
        }
    }

    /// An exchange goes on behind a challenge, and nowhere else.
    fn answered_auth(&mut self, said: &[u8]) {
        self.authenticated |= self.exchange.is_some() && said.starts_with(b"235");
        self.exchange = self.exchange.take().filter(|_| said.starts_with(b"334"));
    }

    /// What the script says, or else what is usual.
    fn answer(&self, cue: Cue, line: &str) -> Answer {
        let scripted = self.stage.script().answer(cue, line);
        scripted.unwrap_or_else(|| Act::Usual.into()).with_usual(&self.usual(cue, line))
    }

    /// What a mail server answers that has no objections but to commands out of order.
    fn usual(&self, cue: Cue, line: &str) -> Answer {
        let text = match (cue, self.phase) {
            (Cue::Response, _) if line == "*" => "501 5.0.0 Authentication cancelled",
            (Cue::Auth, _) if self.authenticated => "503 5.5.1 Already authenticated",
            (Cue::Auth | Cue::Response, Phase::Ready) => {
                self.exchange.as_ref().map_or("503 5.5.1 No exchange", Exchange::usual)
            }
            (Cue::Auth | Cue::Response, _) => "503 5.5.1 Bad sequence of commands",
            (Cue::Ehlo, _) => return self.stage.script().ehlo(self.known.tls),
            (Cue::StartTls, _) if self.stage.script().tls.is_none() => "502 5.5.1 Not implemented",
            (Cue::StartTls, _) => "220 2.0.0 Ready to start TLS",
            (Cue::XClient, Phase::Envelope) => "503 5.5.1 Transaction in progress",
            (Cue::XClient, _) => "220 upstream.example ESMTP",
            (Cue::XForward, Phase::Ready) => "250 2.0.0 Ok",
            (Cue::Mail, Phase::Ready) => "250 2.1.0 Ok",
            (Cue::Rcpt, Phase::Envelope) => "250 2.1.5 Ok",
            (Cue::Data, Phase::Envelope) if !self.known.rcpts.is_empty() => {
                "354 End data with <CR><LF>.<CR><LF>"
            }
            (Cue::Bdat, Phase::Envelope) if !self.known.rcpts.is_empty() => {
                return Answer::reply(&format!("250 2.0.0 Ok: {} octets", self.chunks.len()));
            }
            (Cue::Mail | Cue::Rcpt | Cue::Data | Cue::Bdat | Cue::XForward, _) => {
                "503 5.5.1 Bad sequence of commands"
            }
            (Cue::Dot, _) => {
                let number = self.stage.record().messages.len().saturating_add(1);
                return Answer::reply(&format!("250 2.0.0 Ok: queued as SIM{number}"));
            }
            (Cue::Quit, _) => return Answer::reply("221 2.0.0 Bye").then(Act::Close),
            (Cue::Rset | Cue::Noop, _) => "250 2.0.0 Ok",
            (Cue::Vrfy, _) => "252 2.0.0 Will take it and try",
            (Cue::Expn, _) => "502 5.5.1 Not implemented",
            (Cue::Connect | Cue::Body, _) => return Answer(Vec::new()),
            (Cue::Any, _) => "500 5.5.2 Command not recognised",
        };
        Answer::reply(text)
    }

    /// What follows from a command that was answered with 2yz, or DATA with 3yz.
    async fn agreed(&mut self, cue: Cue, argument: &str) -> io::Result<()> {
        match cue {
            Cue::Ehlo => {
                argument.clone_into(&mut self.known.helo);
                self.transaction_over();
            }
            Cue::StartTls => self.start_tls().await?,
            Cue::XClient => {
                self.known.xclient.extend(pairs(argument));
                self.phase = Phase::Greeted;
            }
            Cue::XForward => self.known.xforward.extend(pairs(argument)),
            Cue::Mail => {
                argument.clone_into(&mut self.known.mail);
                self.phase = Phase::Envelope;
            }
            Cue::Rcpt => self.known.rcpts.push(argument.to_owned()),
            Cue::Data => self.message().await?,
            Cue::Rset => self.transaction_over(),
            Cue::Connect
            | Cue::Auth
            | Cue::Response
            | Cue::Bdat
            | Cue::Body
            | Cue::Dot
            | Cue::Vrfy
            | Cue::Expn
            | Cue::Noop
            | Cue::Quit
            | Cue::Any => {}
        }
        Ok(())
    }

    fn transaction_over(&mut self) {
        self.phase = Phase::Ready;
        self.known.mail.clear();
        self.known.rcpts.clear();
        self.known.chunked = false;
        self.chunks.clear();
        self.known.xforward.clear();
    }

    /// Reads the header that comes before everything else, and writes it down as a line (`PROXY2` for version 2).
    async fn proxy_header(&mut self) -> io::Result<()> {
        let length = |header: &[u8]| match header.strip_prefix(&identity::PROXY_SIGNATURE)? {
            [_, _, high, low, ..] => Some(16 + usize::from(u16::from_be_bytes([*high, *low]))),
            _ => None,
        };
        loop {
            if self.inbox.starts_with(b"P") {
                let line = self.line().await?;
                self.stage.record().line('G', &line);
                return Ok(());
            }
            if let Some(length) = length(&self.inbox).filter(|length| *length <= self.inbox.len()) {
                let words = identity::read_proxy_v2(&self.inbox.split_to(length));
                let words = words.ok_or(io::ErrorKind::InvalidData)?;
                self.stage.record().line('G', format!("PROXY2 {words}").as_bytes());
                return Ok(());
            }
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        let Some(tls) = self.stage.script().tls.clone() else { return Ok(()) };
        let (nothing, _) = tokio::io::duplex(1);
        let plain = std::mem::replace(&mut self.stream, Box::new(nothing));
        let (stream, _) = tls.accept(plain).await.map_err(io::Error::other)?;
        self.stream = Box::new(stream);
        self.known.tls = true;
        self.phase = Phase::Greeted;
        Ok(())
    }

    /// Reads a message and answers for it.
    async fn message(&mut self) -> io::Result<()> {
        let mut data = Vec::new();
        let mut spoken = false;
        loop {
            let size = data.len().to_string();
            let early = if spoken { None } else { self.stage.script().answer(Cue::Body, &size) };
            if let Some(early) = early {
                spoken = true;
                self.perform(&early).await?;
            }
            let line = self.line().await?;
            match line.strip_prefix(b".") {
                Some([]) => break,
                Some(stuffed) => data.extend_from_slice(stuffed),
                None => data.extend_from_slice(&line),
            }
            data.extend_from_slice(b"\r\n");
            if data.len() > MESSAGE {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        self.stage.record().line('G', b".");
        let answer = self.answer(Cue::Dot, ".");
        self.end_of_data(data, &answer).await
    }

    /// Reads a chunk and answers for it, or for the message that it completes.
    async fn chunk(&mut self, line: &str, argument: &str) -> io::Result<()> {
        let (size, last) = argument.split_once(' ').map_or((argument, false), |(size, _)| (size, true));
        let size: usize = size.parse().map_err(io::Error::other)?;
        let in_order = self.phase == Phase::Envelope && !self.known.rcpts.is_empty();
        let octets = self.octets(size).await?;
        self.chunks.extend_from_slice(&octets);
        let scripted = self.stage.script().answer(Cue::Bdat, line);
        let usual = self.usual(Cue::Bdat, line);
        let answer = match scripted {
            None if last && in_order => self.answer(Cue::Dot, "."),
            other => other.unwrap_or_else(|| Act::Usual.into()).with_usual(&usual),
        };
        if last && in_order {
            let data = std::mem::take(&mut self.chunks);
            self.known.chunked = true;
            return self.end_of_data(data, &answer).await;
        }
        self.perform(&answer).await
    }

    /// The octets of a chunk.
    async fn octets(&mut self, size: usize) -> io::Result<Bytes> {
        if size.saturating_add(self.chunks.len()) > MESSAGE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut spoken = false;
        loop {
            let came = self.inbox.len().min(size).saturating_add(self.chunks.len()).to_string();
            let early = if spoken { None } else { self.stage.script().answer(Cue::Body, &came) };
            if let Some(early) = early {
                spoken = true;
                self.perform(&early).await?;
            }
            if self.inbox.len() >= size {
                return Ok(self.inbox.split_to(size).freeze());
            }
            self.inbox.reserve(READ);
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn end_of_data(&mut self, data: Vec<u8>, answer: &Answer) -> io::Result<()> {
        let said = answer.said();
        // Written down before it is said, so that whoever hears it finds the message.
        if said.starts_with(b"2") && said.ends_with(b"\r\n") {
            let number = self.stage.taken.fetch_add(1, Ordering::Relaxed);
            self.stage.record().message(Message { data, ..self.known.clone() }, number);
        }
        self.transaction_over();
        self.perform(answer).await
    }

    /// Carries out `answer`; an error is the end of the connection.
    async fn perform(&mut self, answer: &Answer) -> io::Result<()> {
        for act in &answer.0 {
            match act {
                Act::Say(bytes) => self.say(bytes).await?,
                Act::Wait(delay) => tokio::time::sleep(*delay).await,
                Act::Usual => {}
                Act::Close | Act::Refuse => return self.end("(close)", io::ErrorKind::NotConnected),
                Act::Reset => {
                    self.broken.store(true, Ordering::Release);
                    return self.end("(reset)", io::ErrorKind::ConnectionReset);
                }
                Act::Stall => {
                    self.stage.record().line('U', b"(stall)");
                    std::future::pending::<()>().await;
                }
            }
        }
        Ok(())
    }

    async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.stage.record().line('U', line.trim_ascii_end());
        }
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    fn end(&self, act: &str, kind: io::ErrorKind) -> io::Result<()> {
        self.stage.record().line('U', act.as_bytes());
        Err(kind.into())
    }

    /// A line without its CRLF, of any length that a message may have.
    async fn line(&mut self) -> io::Result<Bytes> {
        let mut searched = 0_usize;
        loop {
            let unseen = self.inbox.get(searched..).unwrap_or_default();
            if let Some(end) = memmem::find(unseen, b"\r\n") {
                let mut line = self.inbox.split_to(searched.saturating_add(end).saturating_add(2)).freeze();
                line.truncate(line.len().saturating_sub(2));
                return Ok(line);
            }
            searched = self.inbox.len().saturating_sub(1);
            if self.inbox.len() > MESSAGE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.inbox.reserve(READ);
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// The attributes of XCLIENT or XFORWARD.
fn pairs(argument: &str) -> impl Iterator<Item = (String, String)> {
    argument
        .split(' ')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// The cue in a command line, and its argument.
fn read(line: &str, lmtp: bool) -> (Cue, &str) {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let cue = match verb.to_ascii_uppercase().as_str() {
        "LHLO" if lmtp => Cue::Ehlo,
        "EHLO" | "HELO" if lmtp => Cue::Any,
        "HELO" => Cue::Ehlo,
        "CONNECT" | "RESPONSE" | "BODY" | "DOT" => Cue::Any,
        verb => Cue::parse(verb).unwrap_or(Cue::Any),
    };
    let behind = |prefix: &str| {
        let (start, path) = rest.split_at_checked(prefix.len()).unwrap_or((rest, ""));
        if start.eq_ignore_ascii_case(prefix) { path } else { rest }
    };
    match cue {
        Cue::Mail => (cue, behind("FROM:")),
        Cue::Rcpt => (cue, behind("TO:")),
        _ => (cue, rest),
    }
}
