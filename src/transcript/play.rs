//! One dialogue, from the banner to the end: the steps of a script, one after the other, in a world of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::assert;
use super::bridge::RealTime;
use super::client::{self, Client, ClientStream, Heard, readable};
use super::expect::{difference, reply_matches};
use super::format::{Script, Step};
use super::pattern::{Pattern, ReplyLine};
use super::sent::Sent;
use super::setup::Split;
use super::steps::{Action, Handshake};
use super::upstream::direct;
use super::world::{Defaults, World};
use crate::policy::Policies;
use crate::proxy::{self, End, Listener, Peer};
use crate::smtp::command::ChunkCommand;
use crate::smtp::data::DotStuffer;

/// How long it takes until everything has happened that needs no time: on a stopped clock, any time at all.
const MOMENT: Duration = Duration::from_millis(1);
/// How long a session may take to end once its client is gone: longer than every time-out of its own.
const END: Duration = Duration::from_secs(2 * 3600);
/// The lines of the dialogue that are shown before a failure.
const SHOWN: usize = 8;
/// The longest line that is shown whole.
const LONGEST: usize = 160;

/// Where and how a dialogue went another way than its transcript.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Failure {
    /// The line of the transcript; 0 for what concerns the whole.
    pub(super) line: usize,
    /// In one sentence.
    pub(super) what: String,
    /// The last lines of the dialogue, and the difference.
    pub(super) shown: String,
}

/// A dialogue under way.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) world: World,
    pub(super) sent: Sent,
    /// The last reply, line by line.
    pub(super) reply: Vec<String>,
    /// How long it took.
    pub(super) took: Duration,
    /// What the upstream had heard and how often it was dialled before the session began.
    pub(super) before: Before,
    client: Client,
    session: JoinHandle<()>,
    spoke: Instant,
    log: Vec<String>,
    /// How much of the upstream's dialogue is in the log, and how much of it `G:` lines have spoken for.
    logged: usize,
    said: usize,
}

/// What the probe of the upstream left behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) lines: usize,
    pub(super) connections: usize,
}

/// Plays `script` once, the client's octets cut as `split` says.
///
/// # Errors
/// The first step that went another way, or what was wrong with the whole.
pub(super) async fn play(
    script: &Script,
    split: Split,
    defaults: &Defaults,
    policies: Arc<Policies>,
    real: &RealTime,
) -> Result<(), Failure> {
    let world = World::build(&script.setup, defaults, policies, real).await;
    let world = world.map_err(|error| Failure { line: 0, what: error.to_string(), shown: String::new() })?;
    let mut play = Play::begin(world, split);
    for step in &script.steps {
        play.step(step).await.map_err(|trouble| play.failure(step.line, trouble))?;
    }
    play.end().await
}

/// What went wrong at a step: in one sentence, and as a difference.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) difference: String,
}

impl Trouble {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), difference: String::new() }
    }
}

impl Play {
    fn begin(world: World, split: Split) -> Self {
        let (client, mut stream) = client::connect(split);
        stream.certificate.clone_from(&world.certificate);
        let session = session(stream, world.peer, Arc::clone(&world.listener));
        let before =
            Before { lines: world.upstream.transcript().len(), connections: world.upstream.connections() };
        Self {
            world,
            sent: Sent::default(),
            reply: Vec::new(),
            took: Duration::ZERO,
            before,
            client,
            session: tokio::spawn(session),
            spoke: Instant::now(),
            log: Vec::new(),
            logged: before.lines,
            said: before.lines,
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), Trouble> {
        match &step.action {
            Action::Send(bytes) => self.send(bytes),
            Action::Message(message) => self.send(&stuffed(message)),
            Action::Chunk(octets, last) => self.send_chunk(octets, *last),
            Action::Reply(expected) => return self.expect_reply(expected).await,
            Action::Closed => return self.expect_closed().await,
            Action::Silence(time) => return self.expect_silence(*time).await,
            Action::Said(pattern) => return self.expect_said(None, pattern).await,
            Action::SaidTo(other, pattern) => return self.expect_said(Some(other), pattern).await,
            Action::Handshake(how) => self.handshake(*how).await,
            Action::Close => {
                self.log.push("close".to_owned());
                self.client.close();
            }
            Action::Wait(time) => {
                self.log.push(format!("wait {time:?}"));
                sleep(*time).await;
            }
            Action::Dns(change) => self.world.responder.change(|zone| change.apply(zone)),
            Action::State(change) => {
                self.world.state.change(change, self.world.listener.facts.now());
            }
            Action::Direct(rule) => self.world.upstream.direct(|script| direct(script, rule)),
            Action::DirectOther(other, rule) => {
                self.world.other(other)?.simulated.direct(|script| direct(script, rule));
            }
            Action::Assert(assertion) => {
                sleep(MOMENT).await;
                return assert::check(self, assertion);
            }
        }
        Ok(())
    }

    // === the client ===

    fn send(&mut self, bytes: &[u8]) {
        let clean = bytes.strip_suffix(b"\r\n").filter(|line| !line.iter().any(u8::is_ascii_control));
        match clean {
            Some(line) => self.log.push(format!("C: {}", readable(line))),
            None => self.log.push(format!("C> \"{}\"", readable(bytes))),
        }
        self.sent.take(bytes);
        self.say(bytes.to_vec());
    }

    /// The command and its octets go together, as from a client that pipelines.
    fn send_chunk(&mut self, octets: &[u8], last: bool) {
        let command = ChunkCommand { size: octets.len() as u64, last };
        self.log.push(format!("C: {command}"));
        self.log.push(format!("C> \"{}\"", readable(octets)));
        self.sent.chunk(octets, last);
        self.say([format!("{command}\r\n").as_bytes(), octets].concat());
    }

    fn say(&mut self, bytes: Vec<u8>) {
        self.client.send(bytes);
        self.spoke = Instant::now();
    }

    /// What was said before has been taken by the time the handshake begins, as it would be over a network.
    async fn handshake(&mut self, how: Handshake) {
        sleep(MOMENT).await;
        self.log.push(format!("handshake {how:?}"));
        self.client.handshake(how);
        self.spoke = Instant::now();
    }

    // === what Gatepost says ===

    async fn expect_reply(&mut self, expected: &[ReplyLine]) -> Result<(), Trouble> {
        let came = self.hear().await;
        if let Heard::Reply(lines) = &came
            && reply_matches(expected, lines)
        {
            return Ok(());
        }
        let wanted: Vec<String> = expected.iter().map(|line| format!("S: {line}")).collect();
        Err(self.otherwise("Gatepost said something else", &wanted, &came))
    }

    async fn expect_closed(&mut self) -> Result<(), Trouble> {
        match self.hear().await {
            Heard::Closed(rest) if rest.is_empty() => Ok(()),
            came => Err(self.otherwise("the connection is still open", &["S: <closed>".to_owned()], &came)),
        }
    }

    async fn expect_silence(&mut self, time: Duration) -> Result<(), Trouble> {
        match self.client.heard_within(time).await {
            Heard::Silence(rest) if rest.is_empty() => Ok(()),
            came => Err(self.otherwise("Gatepost was not silent", &["S: <silence>".to_owned()], &came)),
        }
    }

    /// The next reply, or what is there in its place.
    async fn hear(&mut self) -> Heard {
        let came = self.client.reply().await;
        self.took = self.spoke.elapsed();
        if let Heard::Reply(lines) = &came {
            self.reply.clone_from(lines);
            if lines.last().is_some_and(|line| line.starts_with("354")) {
                self.sent.begin();
            }
        }
        self.log_upstream();
        self.log.extend(shown(&came));
        came
    }

    /// What came, in place of what was expected. It is in the difference, and no longer in the log.
    fn otherwise(&mut self, what: &str, wanted: &[String], came: &Heard) -> Trouble {
        let came = shown(came);
        self.log.truncate(self.log.len().saturating_sub(came.len()));
        let fits = |wanted: &str, line: &str| {
            let pattern = wanted.strip_prefix("S: ").and_then(ReplyLine::new);
            pattern.zip(line.strip_prefix("S: ")).is_some_and(|(pattern, line)| pattern.matches(line))
        };
        Trouble { what: what.to_owned(), difference: difference(wanted, fits, &came) }
    }

    // === what the upstream hears ===

    async fn expect_said(&mut self, other: Option<&String>, pattern: &Pattern) -> Result<(), Trouble> {
        // The upstream may be told to take its time, and so may Gatepost.
        for wait in [0, 1, 10, 100, 1_000, 10_000, 100_000] {
            sleep(Duration::from_millis(wait)).await;
            let (heard, looked_at) = self.unseen(other)?;
            let said = |line: &String| line.strip_prefix("G: ").is_some_and(|line| pattern.matches(line));
            if let Some(at) = heard.iter().position(said) {
                *looked_at += at + 1;
                return Ok(());
            }
        }
        let (lines, _) = self.unseen(other)?;
        let difference = difference(&[format!("G: {pattern}")], |_, _| false, &lines);
        Err(Trouble { what: "the upstream did not hear this".to_owned(), difference })
    }

    /// The dialogue of one upstream behind what `G:` lines have spoken for, and the place where that is counted.
    fn unseen(&mut self, other: Option<&String>) -> Result<(Vec<String>, &mut usize), Trouble> {
        let (upstream, said) = match other {
            Some(name) => {
                let other = self.world.other(name)?;
                (&other.simulated, &mut other.said)
            }
            None => (&self.world.upstream, &mut self.said),
        };
        Ok((upstream.transcript().into_iter().skip(*said).collect(), said))
    }

    fn log_upstream(&mut self) {
        let heard = self.world.upstream.transcript();
        let new = heard.iter().skip(self.logged).map(|line| format!("    {line}"));
        self.log.extend(new);
        self.logged = heard.len();
        self.log.extend(self.world.others.iter_mut().flat_map(|other| other.news()));
    }

    // === the end ===

    /// The client goes, the session has to end, and what holds for every dialogue is looked at.
    async fn end(mut self) -> Result<(), Failure> {
        self.client.close();
        let ended = timeout(END, &mut self.session).await;
        let trouble = match ended {
            Ok(Ok(())) => assert::invariants(&self).err(),
            Ok(Err(panic)) => Some(Trouble::new(format!("the session panicked: {panic}"))),
            Err(_) => Some(Trouble::new("the session did not end when its client was gone")),
        };
        self.log_upstream();
        trouble.map_or(Ok(()), |trouble| Err(self.failure(0, trouble)))
    }

    fn failure(&self, line: usize, trouble: Trouble) -> Failure {
        let from = self.log.len().saturating_sub(SHOWN);
        let log = self.log.iter().skip(from).map(|line| format!("    {}\n", shortened(line)));
        let failed =
            self.world.books.failures().into_iter().map(|text| format!("  a policy failed: {text}\n"));
        let difference: String =
            trouble.difference.lines().flat_map(|line| [shortened(line), "\n".to_owned()]).collect();
        let shown = log.chain([difference]).chain(failed).collect();
        Failure { line, what: trouble.what, shown }
    }
}

/// The session, behind the header of a hop that has to send one.
async fn session(mut stream: ClientStream, peer: Peer, listener: Arc<Listener>) {
    let introduced = match listener.expects_header(peer) {
        true => listener.introduced(&mut stream, peer).await,
        false => Some(peer),
    };
    if let Some(peer) = introduced {
        proxy::drive(stream, peer, None, listener, End::default()).await;
    }
}

fn shown(heard: &Heard) -> Vec<String> {
    match heard {
        Heard::Reply(lines) => lines.iter().map(|line| format!("S: {line}")).collect(),
        Heard::Closed(rest) if rest.is_empty() => vec!["S: <closed>".to_owned()],
        Heard::Closed(rest) => vec![format!("S: {rest}<closed>")],
        Heard::Silence(rest) => vec![format!("S: {rest}<silence>")],
    }
}

/// A line that fits the screen, more or less.
fn shortened(line: &str) -> String {
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}... ({} octets)", line.get(..at).unwrap_or_default(), line.len()),
        None => line.to_owned(),
    }
}

/// A message as it goes over the wire, with its final dot.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + 5);
    let mut stuffer = DotStuffer::new();
    stuffer.stuff(message, &mut wire);
    stuffer.finish(&mut wire);
    wire
}
