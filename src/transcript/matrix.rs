//! The matrix of extensions: for each kind of upstream, what a client is offered and what becomes of each parameter. It is made by
//! real sessions with the simulated upstream, and compared with `config/extensions.md`; `GATEPOST_BLESS=1` writes that anew.
//!
//! Another upstream is another line of [`UPSTREAMS`], another parameter one of [`PARAMETERS`].

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Builder;

use super::bridge::RealTime;
use super::client::{self, Client, Heard};
use super::format::Script;
use super::setup::Split;
use super::steps::Handshake;
use super::world::{Defaults, NAME, World};
use crate::policy::sources::Selection;
use crate::policy::{Policies, Sources};
use crate::proxy::{self, End};

/// What the upstream is, what its EHLO offers, and what else is said about it and the listener.
const UPSTREAMS: [(&str, &str, &str); 21] = [
    ("nothing", "nothing", ""),
    ("SIZE", "SIZE 10485760", ""),
    ("PIPELINING", "PIPELINING", ""),
    ("ENHANCEDSTATUSCODES", "ENHANCEDSTATUSCODES", ""),
    ("8BITMIME", "8BITMIME", ""),
    ("SMTPUTF8", "8BITMIME, SMTPUTF8", ""),
    ("DSN", "DSN", ""),
    ("CHUNKING", "CHUNKING", ""),
    ("BINARYMIME", "8BITMIME, CHUNKING, BINARYMIME", ""),
    ("AUTH", "AUTH PLAIN LOGIN", ""),
    ("AUTH, relayed", "AUTH PLAIN LOGIN", "auth relay"),
    ("DELIVERBY", "DELIVERBY 240", ""),
    ("MT-PRIORITY", "MT-PRIORITY", ""),
    ("FUTURERELEASE", "FUTURERELEASE 604800 2026-12-31T23:59:59Z", ""),
    ("REQUIRETLS", "REQUIRETLS", ""),
    ("REQUIRETLS, verified", "STARTTLS, REQUIRETLS", "upstream tls required verified"),
    ("LIMITS", "LIMITS MAILMAX=100 RCPTMAX=50 RCPTDOMAINMAX=1", ""),
    ("XCLIENT", "XCLIENT NAME ADDR, XFORWARD NAME ADDR", ""),
    (
        "Postfix",
        "PIPELINING, SIZE 10240000, VRFY, ETRN, ENHANCEDSTATUSCODES, 8BITMIME, DSN, SMTPUTF8, CHUNKING",
        "",
    ),
    (
        "Exim",
        "SIZE 52428800, LIMITS MAILMAX=1000 RCPTMAX=50000, 8BITMIME, PIPELINING, PIPECONNECT, CHUNKING, PRDR, SMTPUTF8, HELP",
        "",
    ),
    (
        "Exchange",
        "SIZE 37748736, PIPELINING, DSN, ENHANCEDSTATUSCODES, X-ANONYMOUSTLS, AUTH NTLM, X-EXPS GSSAPI NTLM, 8BITMIME, \
         BINARYMIME, CHUNKING, SMTPUTF8, XRDST",
        "",
    ),
];

/// A parameter of MAIL or of RCPT.
const PARAMETERS: [(&str, &str); 15] = [
    ("MAIL", "SIZE=1000"),
    ("MAIL", "BODY=7BIT"),
    ("MAIL", "BODY=8BITMIME"),
    ("MAIL", "BODY=BINARYMIME"),
    ("MAIL", "SMTPUTF8"),
    ("MAIL", "RET=HDRS"),
    ("MAIL", "ENVID=x"),
    ("RCPT", "NOTIFY=NEVER"),
    ("RCPT", "ORCPT=rfc822;b"),
    ("MAIL", "AUTH=<>"),
    ("MAIL", "BY=120;R"),
    ("MAIL", "MT-PRIORITY=3"),
    ("MAIL", "HOLDFOR=60"),
    ("MAIL", "REQUIRETLS"),
    ("MAIL", "XUNKNOWN=1"),
];

const FILE: &str = "config/extensions.md";

/// One session, which has said EHLO under TLS.
struct Talk {
    client: Client,
    world: World,
    /// The keywords before and after STARTTLS.
    offered: [Vec<String>; 2],
}

impl Talk {
    async fn with(offers: &str, more: &str, policies: Arc<Policies>, real: &RealTime) -> Self {
        let text = format!(
            "tls on\nlimit errors 1000\nlimit junk 1000\nupstream offers {offers}\n{more}\n\nS: 220 ...\n"
        );
        let script = Script::parse(Path::new("matrix.smtp"), &text).unwrap();
        let defaults = Defaults {
            hostname: "mx.example.org".to_owned(),
            domains: vec!["example.org".to_owned()],
            trusted: Vec::new(),
        };
        let world = World::build(&script.setup, &defaults, policies, real).await.unwrap();
        let (client, stream) = client::connect(Split::Whole);
        tokio::spawn(proxy::drive(stream, world.peer, None, Arc::clone(&world.listener), End::default()));
        let mut talk = Self { client, world, offered: [Vec::new(), Vec::new()] };
        talk.hear().await;
        let plain = talk.say("EHLO client.example.net").await;
        talk.say("STARTTLS").await;
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        talk.client.handshake(Handshake::Good);
        let secure = talk.say("EHLO client.example.net").await;
        talk.offered = [plain, secure].map(|reply| keywords(&reply));
        talk
    }

    async fn say(&mut self, line: &str) -> Vec<String> {
        self.client.send(format!("{line}\r\n").into_bytes());
        self.hear().await
    }

    async fn hear(&mut self) -> Vec<String> {
        match self.client.reply().await {
            Heard::Reply(lines) => lines,
            other => panic!("{other:?}"),
        }
    }

    /// What becomes of a parameter: `carried`, `left away`, or the codes of the refusal.
    async fn fate(&mut self, command: &str, parameter: &str) -> String {
        let (mail, rcpt) = if command == "MAIL" { (parameter, "") } else { ("", parameter) };
        let said = self.world.upstream.transcript().len();
        let mut reply = self.say(format!("MAIL FROM:<a@example.net> {mail}").trim_end()).await;
        if reply[0].starts_with("250") {
            reply = self.say(format!("RCPT TO:<b@example.org> {rcpt}").trim_end()).await;
        }
        let heard = self.world.upstream.transcript();
        self.say("RSET").await;
        let (keyword, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        let carried = |line: &String| line.starts_with("G: ") && line.contains(&format!(" {keyword}"));
        match reply[0].as_str() {
            ok if ok.starts_with("250") && heard[said..].iter().any(carried) => "carried".to_owned(),
            ok if ok.starts_with("250") => "left away".to_owned(),
            refused => refused.split(' ').take(2).collect::<Vec<_>>().join(" "),
        }
    }
}

/// The keywords of an answer to EHLO, its first line left out.
fn keywords(reply: &[String]) -> Vec<String> {
    reply.iter().skip(1).filter_map(|line| line.get(4..)).map(str::to_owned).collect()
}

async fn matrix(policies: &Arc<Policies>, real: &RealTime) -> String {
    let mut page = HEAD.to_owned();
    let mut rows = String::new();
    let cells: Vec<String> = PARAMETERS.iter().map(|(_, parameter)| format!("`{parameter}`")).collect();
    let _ = writeln!(rows, "| upstream | {} |\n|---|{}", cells.join(" | "), "---|".repeat(cells.len()));
    for (name, offers, more) in UPSTREAMS {
        let mut talk = Talk::with(offers, more, Arc::clone(policies), real).await;
        let list = |keywords: &[String]| keywords.join(", ");
        let [plain, secure] = &talk.offered;
        let only_secure: Vec<String> = secure.iter().filter(|word| !plain.contains(word)).cloned().collect();
        let more = if only_secure.is_empty() {
            String::new()
        } else {
            format!("; under TLS also {}", list(&only_secure))
        };
        let _ = writeln!(page, "| {name} | {offers} | {}{more} |", list(plain));
        let mut fates = Vec::new();
        for (command, parameter) in PARAMETERS {
            fates.push(talk.fate(command, parameter).await);
        }
        let _ = writeln!(rows, "| {name} | {} |", fates.join(" | "));
    }
    page + PARAMETERS_HEAD + rows.as_str()
}

const HEAD: &str = "\
# What clients are offered

Gatepost offers what the upstream offers and Gatepost can carry, and what Gatepost does itself (PIPELINING, STARTTLS,
ENHANCEDSTATUSCODES, SIZE and LIMITS of its own). A parameter goes on as it was written, or the command is refused with a code that
says why; none is dropped in silence. The tables are made by sessions with a simulated upstream whenever the tests run
(`GATEPOST_BLESS=1 cargo test --lib matrix` writes them anew).

Offered is what the upstream offered last: to the probe at start, and to each session since. A transaction that needs what
the upstream has withdrawn meanwhile is refused on the live connection: with the code of the second table, and a body that would have
to be converted with 550 5.6.3.

SIZE is the smaller of our limit and the upstream's less 16 KiB for the fields that Gatepost adds, which the forwarded value counts.
LIMITS has the smaller one of each limit. AUTH is offered where the listener relays it (`auth: relay`), and under TLS only unless it is
told otherwise. REQUIRETLS is offered under TLS, in front of an upstream that is spoken to over TLS and whose certificate is verified.
The listener of these sessions relays no AUTH, and speaks to the upstream in the clear, but where the first column says so.

| upstream | what it offers | what the client is offered |
|---|---|---|
";

const PARAMETERS_HEAD: &str = "
# What becomes of parameters

The client speaks TLS. `carried`: the upstream heard it; `left away`: taken, and not said to an upstream to which it would mean
nothing; else the answer to the command.

";

#[test]
fn the_matrix_is_the_one_in_the_documentation() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let gates = Selection::Only(vec!["relay".to_owned(), "protocol".to_owned()]);
    let policies = Sources {
        dir: project.join("policies"),
        listeners: vec![(NAME.to_owned(), gates)],
        ..Sources::default()
    };
    let policies = Arc::new(Policies::load(&policies).unwrap());
    let real = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let stopped = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let made = stopped.block_on(matrix(&policies, &RealTime::new(real.handle().clone())));
    let file = project.join(FILE);
    if std::env::var_os("GATEPOST_BLESS").is_some() {
        fs::write(&file, made).unwrap();
        return;
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let difference = similar::TextDiff::from_lines(kept.as_str(), &made).unified_diff().to_string();
    assert!(difference.is_empty(), "{FILE}:\n{difference}");
}
