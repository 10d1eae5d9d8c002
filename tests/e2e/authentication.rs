//! The suites of email authentication through the whole program: what an upstream reads in the `Authentication-Results` field is
//! what the suites say.
//!
//! `tests/suites/README.md` has the numbers; a test here holds it to them.

#[path = "../suites/read.rs"]
mod read;

use std::net::IpAddr;
use std::sync::Mutex;
use std::thread;

use gatepost::checks::authres::{AuthenticationResults, MethodResult};
use gatepost::dns::Kind;
use gatepost::dns::responder::{Data, Fault, Zone};

use self::read::{OwnCase, Scenario, SpfCase, crlf, file, own, scenarios, signed};
use crate::harness::{AtTheDot, Client, Gatepost, Plan, Sink, repository};

/// Not more at a time than the machine can start without time running out elsewhere.
const WORKERS: usize = 3;

/// Cases that never get as far as a check, and why.
const REFUSED: [(&str, &str); 3] = [
    ("invalid-hello-macro", "EHLO takes one word"),
    ("emptylabel", "a sender's domain has no empty label"),
    ("toolonglabel", "nor one of more than 63 octets"),
];

/// Where we decided otherwise than a suite allows, and why.
const DECIDED: [(&str, &str); 1] = [("l-zero", "a signature with l= never counts")];

/// What the results do not say, in the header.
const SHOW: &str = "/// Shows.
fn mail(session, mail) {
    tag(\"explanation\", if mail.spf.explanation == \"\" { \"DEFAULT\" } else { mail.spf.explanation });
}
";

/// A Gatepost with this zone behind a load balancer, and the upstream behind it.
pub(crate) struct Stage {
    pub(crate) gatepost: Gatepost,
    sink: Sink,
}

/// Who sends what.
pub(crate) struct Letter<'a> {
    pub(crate) client: IpAddr,
    pub(crate) helo: &'a str,
    /// What stands between the angle brackets.
    pub(crate) sender: &'a str,
    pub(crate) message: &'a [u8],
}

impl Stage {
    pub(crate) fn with(zone: Zone) -> Self {
        let sink = Sink::start(AtTheDot::Take);
        let gatepost = Plan::in_front_of_server(sink.address())
            .listener("proxy_protocol: [127.0.0.1]")
            .listener("policies: { only: [relay, protocol, show] }")
            .policy("30-show.rhai", SHOW)
            .zone(zone)
            .start();
        Self { gatepost, sink }
    }

    /// The results of our own field, or the reply that refused.
    pub(crate) fn send(&self, letter: &Letter<'_>) -> Result<Vec<MethodResult>, String> {
        self.header(letter).map(|header| results(&header))
    }

    /// The fields that the upstream received, unfolded, or the reply that refused.
    fn header(&self, letter: &Letter<'_>) -> Result<String, String> {
        let before = self.sink.taken().len();
        self.deliver(letter)?;
        let mut headers = self.headers();
        assert_eq!(headers.len(), before + 1);
        Ok(headers.remove(before))
    }

    /// Takes a letter to its end, or to the reply that refused it.
    pub(crate) fn deliver(&self, letter: &Letter<'_>) -> Result<(), String> {
        let mut client = Client::connect(self.gatepost.address()).unwrap();
        let (family, own) = if letter.client.is_ipv4() { ("TCP4", "127.0.0.1") } else { ("TCP6", "::1") };
        client.send(format!("PROXY {family} {} {own} 4711 25\r\n", letter.client).as_bytes()).unwrap();
        client.expect(220);
        let greeting = client.ask(&format!("EHLO {}", letter.helo));
        if greeting.code != 250 {
            return Err(greeting.to_string());
        }
        let reply = client.deliver(letter.sender, "suzie@example.org", letter.message);
        if reply.code == 250 { Ok(()) } else { Err(reply.to_string()) }
    }

    /// The headers that the upstream received so far, unfolded.
    pub(crate) fn headers(&self) -> Vec<String> {
        let unfolded =
            |header: &[u8]| String::from_utf8_lossy(header).replace("\r\n\t", " ").replace("\r\n ", " ");
        self.sink.taken().iter().map(|taken| unfolded(&taken.header)).collect()
    }
}

/// The results of the topmost `Authentication-Results` field, which is ours.
fn results(text: &str) -> Vec<MethodResult> {
    let field = text.lines().find_map(|line| line.strip_prefix("Authentication-Results:"));
    let read = AuthenticationResults::parse(field.unwrap_or_else(|| panic!("no field: {text}"))).unwrap();
    assert_eq!(read.authserv_id, "mx.example.org");
    read.results
}

pub(crate) fn of<'r>(results: &'r [MethodResult], method: &str) -> Vec<&'r str> {
    results.iter().filter(|found| found.method == method).map(|found| found.result.as_str()).collect()
}

/// What became of the cases of one suite.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    passed: usize,
    decided: usize,
    complaints: Vec<String>,
}

impl Tally {
    /// Counts a case: what it allows, and what came out.
    fn count(&mut self, name: &str, allowed: &[String], found: &Result<String, String>) {
        self.cases += 1;
        let right = found.as_ref().is_ok_and(|found| allowed.contains(found));
        let decided =
            DECIDED.iter().chain(&REFUSED).any(|(decided, _)| name.split(' ').next() == Some(*decided));
        match (right, decided) {
            (true, false) => self.passed += 1,
            (false, true) => self.decided += 1,
            _ => self.complaints.push(format!("{name}: {allowed:?} expected, found {found:?}")),
        }
    }

    /// Everything was as it should be, and as the table in the documentation says.
    #[track_caller]
    fn is_as_documented(&self, suite: &str) {
        assert!(
            self.complaints.is_empty(),
            "{suite}: {} of {}:\n{}",
            self.complaints.len(),
            self.cases,
            self.complaints.join("\n")
        );
        let page = std::fs::read_to_string(repository().join("tests/suites/README.md")).unwrap();
        let row = page.lines().find(|line| line.starts_with(&format!("| `{suite}` |")));
        let row = row.unwrap_or_else(|| panic!("no row for {suite}"));
        let numbers: Vec<usize> = row.split('|').filter_map(|cell| cell.trim().parse().ok()).collect();
        assert_eq!(numbers, [self.cases, self.passed, self.decided], "{row}");
    }
}

/// A local part that is no dot-atom has to be quoted on its way.
fn path(case: &SpfCase) -> String {
    let Some((local, domain)) = &case.sender else { return String::new() };
    let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    if !local.is_empty() && local.chars().all(is_atom) {
        format!("{local}@{domain}")
    } else {
        format!("\"{local}\"@{domain}")
    }
}

/// The result for the sender, unless the explanation is wrong.
fn judged(case: &SpfCase, header: &str) -> Result<String, String> {
    let results = results(header);
    // HELO's comes first, the sender's last; a null sender has none of its own.
    let result = of(&results, "spf").last().copied().unwrap_or_default().to_owned();
    let shown = header.lines().find_map(|line| line.strip_prefix("X-Gatepost-Tag: explanation="));
    match &case.explanation {
        Some(wanted) if !shown.is_some_and(|shown| shown.eq_ignore_ascii_case(wanted)) => {
            Err(format!("{result}, explained as {shown:?} instead of {wanted:?}"))
        }
        _ => Ok(result),
    }
}

fn play(scenario: Scenario, tally: &Mutex<Tally>) {
    let stage = Stage::with(scenario.zone);
    for case in &scenario.cases {
        let sender = path(case);
        let message = b"Subject: x\r\n\r\nx\r\n";
        let letter = Letter { client: case.client, helo: &case.helo, sender: &sender, message };
        let found = stage.header(&letter).and_then(|header| judged(case, &header));
        let name = format!("{} ({})", case.name, scenario.description);
        tally.lock().unwrap().count(&name, &case.results, &found);
    }
    stage.gatepost.end_well();
}

#[test]
fn the_suite_of_rfc_7208() {
    let tally = Mutex::new(Tally::default());
    let waiting = Mutex::new(scenarios());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(scenario) = { waiting.lock().unwrap().pop() } {
                    play(scenario, &tally);
                }
            });
        }
    });
    tally.into_inner().unwrap().is_as_documented("spf/rfc7208-tests.yml");
}

/// Of several signatures the best speaks for the message.
fn best(results: &[MethodResult]) -> String {
    let dkim = of(results, "dkim");
    let word = ["pass", "temperror"].into_iter().find(|word| dkim.contains(word));
    word.or_else(|| dkim.first().copied()).unwrap_or_default().to_owned()
}

fn letter_of(case: &OwnCase) -> Letter<'_> {
    let text = |key: &str, default: &'static str| case.envelope.get(key).map_or(default, String::as_str);
    Letter {
        client: text("ip", "203.0.113.66").parse().unwrap(),
        helo: text("helo", "client.example.net"),
        sender: text("mail_from", "joe@sender.example"),
        message: &case.message,
    }
}

#[test]
fn our_dkim_suite() {
    let (zone, cases) = own("own/dkim-own-dev.json");
    let (stage, mut tally) = (Stage::with(zone), Tally::default());
    for case in &cases {
        let found = stage.send(&letter_of(case)).map(|results| best(&results));
        tally.count(&case.id, &case.results, &found);
    }
    stage.gatepost.end_well();
    tally.is_as_documented("own/dkim-own-dev.json");
}

#[test]
fn our_dmarc_suite() {
    let (zone, cases) = own("own/dmarc-dev.json");
    let (stage, mut tally) = (Stage::with(zone), Tally::default());
    for case in &cases {
        let found = stage.send(&letter_of(case));
        let found = found.map(|results| of(&results, "dmarc").concat());
        tally.count(&case.id, &case.results, &found);
    }
    stage.gatepost.end_well();
    tally.is_as_documented("own/dmarc-dev.json");
}

/// A message that is signed, through a Gatepost of its own.
fn sent(zone: Zone, message: &[u8]) -> Vec<MethodResult> {
    let stage = Stage::with(zone);
    let client = IpAddr::from([203, 0, 113, 66]);
    let letter = Letter { client, helo: "client.example.net", sender: "joe@sender.example", message };
    let results = stage.send(&letter).unwrap();
    stage.gatepost.end_well();
    results
}

/// The signatures of `message`: one `dkim=pass` for each of these domains, in order.
fn passes(tally: &mut Tally, name: &str, (zone, message): (Zone, Vec<u8>), domains: &[&str]) {
    let results = sent(zone, &message);
    let passed = results.iter().filter(|found| found.method == "dkim" && found.result == "pass");
    let of: Vec<&str> = passed
        .flat_map(|found| found.properties.iter().filter(|(name, _)| name == "header.d"))
        .map(|(_, domain)| domain.as_str())
        .collect();
    let found = if of.starts_with(domains) { Ok("pass".to_owned()) } else { Err(format!("{results:?}")) };
    tally.count(name, &["pass".to_owned()], &found);
}

#[test]
fn signed_messages_of_others() {
    let mut tally = Tally::default();
    let football = "football.example.com";
    passes(&mut tally, "001", signed("dkim/001.txt"), &[football, football]);
    passes(&mut tally, "002", signed("dkim/002.txt"), &["example.com"]);
    passes(&mut tally, "003", signed("dkim/003.txt"), &["ietf.org"]);
    tally.is_as_documented("dkim/00*.txt");
    let mut tally = Tally::default();
    for (name, domains) in [
        ("dkimpy-rfc6376.signed.msg", &[football, football] as &[&str]),
        ("dkimpy-rfc6376.signed.rsa.msg", &[football]),
    ] {
        let message = crlf(&String::from_utf8(file(&format!("dkim/{name}"))).unwrap());
        passes(&mut tally, name, (signed("dkim/001.txt").0, message), domains);
    }
    tally.is_as_documented("dkim/dkimpy-*");
}

#[test]
fn sealed_messages_of_others() {
    let mut tally = Tally::default();
    for name in ["arc/001.txt", "arc/002.txt"] {
        let (zone, message) = signed(name);
        let found = Ok(of(&sent(zone, &message), "arc").concat());
        tally.count(name, &["pass".to_owned()], &found);
    }
    tally.is_as_documented("arc/00*.txt");
}
