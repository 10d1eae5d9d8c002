//! An upstream of the tests' own, for what a Postfix does not do on demand.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

/// What it does when a message is all there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AtTheDot {
    /// Takes it.
    Take,
    /// Hangs up without a word: nobody knows whether it was taken.
    HangUp,
    /// Takes it, and says so a second later.
    TakeLate,
    /// Takes it, and never says so.
    SayNothing,
}

/// A server that accepts everything up to the dot, and keeps of each message its size, its header and a digest.
#[derive(Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
}

/// A message that came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Taken {
    /// Octets, all lines counted with CRLF, dots as they were.
    pub(crate) size: u64,
    /// The header, the empty line included.
    pub(crate) header: Vec<u8>,
    /// SHA-256 of everything behind the header.
    pub(crate) body: Vec<u8>,
}

impl Sink {
    /// Starts one. It serves until the process ends.
    pub(crate) fn start(at_the_dot: AtTheDot) -> Self {
        Self::start_with(at_the_dot, None)
    }

    /// One that says no to every command with this verb, in these words.
    pub(crate) fn refusing(verb: &'static str, reply: &'static str) -> Self {
        Self::start_with(AtTheDot::Take, Some((verb, reply)))
    }

    fn start_with(at_the_dot: AtTheDot, no: Option<No>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::<Mutex<Vec<Taken>>>::default();
        let book = Arc::clone(&taken);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let book = Arc::clone(&book);
                // The client went away: that concerns this session alone.
                thread::spawn(move || drop(serve(stream, at_the_dot, no, &book)));
            }
        });
        Self { address, taken }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it took so far.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

/// A verb, and the refusal of it.
type No = (&'static str, &'static str);

fn serve(
    stream: TcpStream,
    at_the_dot: AtTheDot,
    no: Option<No>,
    book: &Mutex<Vec<Taken>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut replies = stream.try_clone()?;
    let mut lines = BufReader::with_capacity(128 * 1024, stream);
    let mut say = |text: &str| replies.write_all(format!("{text}\r\n").as_bytes());
    say("220 sink.example ESMTP")?;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        if let Some((_, reply)) = no.filter(|(refused, _)| verb == *refused) {
            say(reply)?;
            if reply.starts_with("421") {
                return Ok(());
            }
            continue;
        }
        match verb.as_str() {
            "EHLO" => {
                say("250-sink.example\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 104857600")?
            }
            "DATA" => {
                say("354 go ahead")?;
                let taken = read_message(&mut lines)?;
                if at_the_dot == AtTheDot::HangUp {
                    return Ok(());
                }
                book.lock().unwrap().push(taken);
                if at_the_dot == AtTheDot::TakeLate {
                    thread::sleep(Duration::from_secs(1));
                }
                if at_the_dot == AtTheDot::SayNothing {
                    continue;
                }
                say("250 2.0.0 Ok: queued as SINK")?;
            }
            "QUIT" => return say("221 2.0.0 bye"),
            _ => say("250 2.0.0 Ok")?,
        }
    }
}

fn read_message(lines: &mut impl BufRead) -> io::Result<Taken> {
    let (mut size, mut in_header, mut digest) = (0, true, Context::new(&SHA256));
    let mut header = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(Taken { size, header, body: digest.finish().as_ref().to_vec() });
        }
        let text = line.strip_prefix(b".").unwrap_or(&line);
        size += text.len() as u64;
        if in_header {
            in_header = text != b"\r\n";
            header.extend_from_slice(text);
        } else {
            digest.update(text);
        }
    }
}
