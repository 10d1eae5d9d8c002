//! Against a responder of our own, and small servers on loopback.

use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::checks;
use crate::dns::responder::{Data, Fault, Responder, Zone};
use crate::message::header::Header;
use crate::message::spool;
use crate::metrics::Metrics;

async fn world(zone: Zone) -> (Responder, World) {
    let responder = Responder::start(zone).await.unwrap();
    let resolver = Resolver::new(responder.settings(), Arc::new(())).unwrap();
    let clock = Clock::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let checker = Arc::new(Checker::new(resolver.clone(), checks::Settings::default(), clock.clone()));
    (responder, World::new(resolver, checker, clock))
}

fn subject(client: &str) -> Subject {
    Subject::new(client.parse().unwrap())
}

fn zone() -> Zone {
    let mut zone = Zone::new();
    zone.add("host.example", Data::A([192, 0, 2, 1].into()))
        .add("host.example", Data::Aaaa("2001:db8::1".parse().unwrap()))
        .add("mail.example", Data::Mx(10, "host.example".into()))
        .add("null.example", Data::Mx(0, ".".into()))
        .txt("mail.example", "v=spf1 -all")
        .fault("sf.example", Fault::ServFail);
    for (address, name) in [
        ("192.0.2.1", "other.example"),
        ("192.0.2.1", "host.example"),
        ("192.0.2.2", "host.example"),
        ("192.0.2.3", "sf.example"),
        ("2001:db8::1", "host.example"),
    ] {
        zone.add(&reverse_name(address.parse().unwrap()), Data::Ptr(name.into()));
    }
    zone.fault(&reverse_name("192.0.2.5".parse().unwrap()), Fault::ServFail);
    zone
}

#[tokio::test]
async fn lookups_in_the_words_of_policies() {
    let (_responder, world) = world(zone()).await;
    let dns = |kind, name: &str| Question::Dns(kind, name.to_owned());
    let hosts = |domain: &str| Question::MailHosts(domain.to_owned());
    for (question, result, values) in [
        (dns(RecordType::A, "host.example"), "ok", &["192.0.2.1"] as &[&str]),
        (dns(RecordType::Aaaa, "host.example"), "ok", &["2001:db8::1"]),
        (dns(RecordType::Mx, "mail.example"), "ok", &["host.example"]),
        (dns(RecordType::Txt, "mail.example"), "ok", &["v=spf1 -all"]),
        (dns(RecordType::Ptr, "192.0.2.2"), "ok", &["host.example"]),
        (dns(RecordType::A, "mail.example"), "none", &[]),
        (dns(RecordType::A, "nowhere.example"), "nxdomain", &[]),
        (dns(RecordType::A, "sf.example"), "error", &[]),
        (hosts("mail.example"), "ok", &["host.example"]),
        (hosts("host.example"), "ok", &["host.example"]),
        (hosts("null.example"), "null_mx", &[]),
        (hosts("nowhere.example"), "none", &[]),
        (hosts("sf.example"), "error", &[]),
    ] {
        let Answer::Lookup(lookup) = world.answer(&subject("192.0.2.9"), &question).await else {
            panic!("{question:?} has an answer of another kind");
        };
        assert_eq!(
            (lookup.result, lookup.values.as_slice()),
            (result, &values.map_owned()[..]),
            "{question:?}"
        );
    }
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for &[&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

#[tokio::test]
async fn names_that_lead_back() {
    let (_responder, world) = world(zone()).await;
    for (client, result, names) in [
        ("192.0.2.1", "pass", &["host.example"] as &[&str]),
        ("::ffff:192.0.2.1", "pass", &["host.example"]),
        ("2001:db8::1", "pass", &["host.example"]),
        ("192.0.2.2", "fail", &["host.example"]),
        ("192.0.2.3", "error", &["sf.example"]),
        ("192.0.2.4", "none", &[]),
        ("192.0.2.5", "error", &[]),
    ] {
        let answer = world.answer(&subject(client), &Question::Fcrdns).await;
        assert_eq!(answer, Answer::from(Lookup { result, values: names.map_owned() }), "{client}");
    }
}

#[tokio::test]
async fn checks_are_answered_as_far_as_the_session_has_come() {
    let (_responder, world) = world(zone()).await;
    let early = subject("192.0.2.9");
    assert_eq!(world.answer(&early, &Question::HeloSpf).await, Spf::default().into());
    assert_eq!(world.answer(&early, &Question::Dkim).await, Answer::Dkim(Arc::default()));
    assert_eq!(world.answer(&early, &Question::Dmarc).await, Dmarc::default().into());
    let late = Subject { helo: Some("mail.example".into()), sender: Some(ReversePath::Null), ..early };
    let spf = Spf {
        result: CheckResult::Fail,
        domain: "mail.example".into(),
        record: "v=spf1 -all".into(),
        mechanism: "-all".into(),
        ..Spf::default()
    };
    for (question, answer) in [
        (Question::Spf, spf.clone().into()),
        (Question::HeloSpf, spf.into()),
        (Question::Now, Answer::Now(1_800_000_000)),
    ] {
        let mut found = world.answer(&late, &question).await;
        if let Answer::Spf(spf) = &mut found {
            assert_eq!(spf.lookups.len(), 1);
            Arc::make_mut(spf).lookups.clear();
        }
        assert_eq!(found, answer, "{question:?}");
    }
}

#[test]
fn chance_is_a_fraction() {
    let drawn: Vec<f64> = (0..100).map(|_| random()).collect();
    assert!(drawn.iter().all(|number| (0.0..1.0).contains(number)));
    assert!(drawn.iter().any(|number| *number > 0.5) && drawn.iter().any(|number| *number < 0.5));
}

// === lists ===

async fn ask_lists(zone: Zone, subjects: &[&str]) -> Vec<question::Listed> {
    let (_responder, world) = world(zone).await;
    let subjects = subjects.iter().map(|text| match text.parse() {
        Ok(ip) => Listable::Address(ip),
        Err(_) => Listable::Domain((*text).to_owned()),
    });
    let zones = ["bad.test", "odd.test"].map(|name| question::Zone { name: name.to_owned(), known: true });
    let question = Question::Listed(subjects.collect(), zones.to_vec());
    match world.answer(&subject("192.0.2.1"), &question).await {
        Answer::Listed(listed) => listed.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn told(listed: &[question::Listed]) -> Vec<String> {
    let one = |listed: &question::Listed| match &listed.error {
        Some(error) => format!("{} {}: {error}", listed.subject, listed.zone),
        None => format!("{} {}: {:?}", listed.subject, listed.zone, listed.codes),
    };
    listed.iter().map(one).collect()
}

#[tokio::test]
async fn lists_of_addresses_and_domains() {
    let mut zone = Zone::new();
    let v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bad.test";
    zone.add("9.2.0.192.bad.test", Data::A([127, 0, 0, 2].into()))
        .add("9.2.0.192.bad.test", Data::A([127, 0, 0, 4].into()))
        .add(v6, Data::A([127, 0, 0, 3].into()))
        .add("evil.test.bad.test", Data::A([127, 0, 1, 2].into()))
        .add("evil.co.test.odd.test", Data::A([127, 0, 0, 2].into()));
    let subjects = ["192.0.2.9", "2001:db8::1", "www.shop.evil.test", "a.b.evil.co.test", "good.test"];
    let listed = told(&ask_lists(zone, &subjects).await);
    assert_eq!(
        listed.iter().filter(|line| !line.ends_with("[]")).cloned().collect::<Vec<_>>(),
        [
            "192.0.2.9 bad.test: [127.0.0.2, 127.0.0.4]",
            "2001:db8::1 bad.test: [127.0.0.3]",
            "www.shop.evil.test bad.test: [127.0.1.2]",
            "a.b.evil.co.test odd.test: [127.0.0.2]",
        ]
    );
    assert_eq!(listed.len(), 10);
}

/// The mistakes that refused all mail at several sites.
#[tokio::test]
async fn an_answer_that_is_no_listing_is_an_error() {
    for code in [[127, 255, 255, 254], [127, 0, 1, 255], [203, 0, 113, 7], [10, 0, 0, 1]] {
        let mut zone = Zone::new();
        zone.add("9.2.0.192.bad.test", Data::A([127, 0, 0, 2].into()))
            .add("9.2.0.192.bad.test", Data::A(code.into()))
            .fault("9.2.0.192.odd.test", Fault::ServFail);
        let listed = ask_lists(zone, &["192.0.2.9"]).await;
        assert!(listed[0].error.is_some() && listed[0].codes.is_empty(), "{code:?} {listed:?}");
        assert_eq!(listed[1].error.as_deref(), Some("servfail"));
    }
}

#[tokio::test]
async fn lists_are_tested_before_they_are_believed() {
    let test_of = |records: &'static [(&str, [u8; 4])]| async move {
        let mut zone = Zone::new();
        for (name, code) in records {
            zone.add(name, Data::A((*code).into()));
        }
        zone.fault("2.0.0.127.gone.test", Fault::ServFail);
        let responder = Responder::start(zone).await.unwrap();
        let resolver = Resolver::new(responder.settings(), Arc::new(())).unwrap();
        (test(&resolver, "bad.test").await, test(&resolver, "gone.test").await)
    };
    let (good, gone) = test_of(&[("2.0.0.127.bad.test", [127, 0, 0, 2])]).await;
    assert_eq!(good, Ok(()));
    assert!(gone.unwrap_err().starts_with("servfail"));
    assert_eq!(test_of(&[("test.bad.test", [127, 0, 1, 2])]).await.0, Ok(()));
    let refused = test_of(&[("2.0.0.127.bad.test", [127, 255, 255, 254])]).await.0.unwrap_err();
    assert!(refused.contains("127.255.255.254") && refused.contains("resolver"), "{refused}");
    let all = [("2.0.0.127.bad.test", [127, 0, 0, 2]), ("1.0.0.127.bad.test", [127, 0, 0, 2])];
    let all: &'static [(&str, [u8; 4])] = Box::leak(Box::new(all));
    assert!(test_of(all).await.0.unwrap_err().contains("everything"));
    assert!(test_of(&[]).await.0.unwrap_err().contains("missing"));
}

#[tokio::test]
async fn lists_are_counted_by_names_that_are_known() {
    let metrics = Metrics::new();
    let (_responder, world) = world(Zone::new()).await;
    let world = world.with(ServiceSettings::default(), metrics.facts());
    let zone = |name: &str, known| question::Zone { name: name.to_owned(), known };
    let zones = vec![zone("bad.test", true), zone("from-a-mail.test", false)];
    let question = Question::Listed(vec![Listable::Domain("x.test".to_owned())], zones);
    world.answer(&subject("192.0.2.1"), &question).await;
    let text = metrics.encode().unwrap();
    for list in ["bad.test", "other"] {
        let series = format!("gatepost_dnsbl_lookups_total{{list=\"{list}\",outcome=\"not_listed\"}} 1");
        assert!(text.contains(&series), "{text}");
    }
    assert!(!text.contains("from-a-mail"));
}

// === services ===

/// A subject with this message, whose body goes to a file if it is large.
fn with_message(message: &[u8]) -> (tempfile::TempDir, Subject) {
    let dir = tempfile::tempdir().unwrap();
    let settings =
        spool::Settings { dir: Some(dir.path().to_owned()), memory: 1 << 20, memory_per_message: 64 << 10 };
    let mut spool = spool::Spooler::new(settings).unwrap().begin();
    let header = Header::of_message(message, 1 << 20).unwrap();
    spool.write(&message[header.len()..]).unwrap();
    let letter = Letter { header, body: spool.seal().unwrap() };
    let envelope = Envelope {
        id: "t1".to_owned(),
        recipients: vec!["b@example.org".to_owned(), "c@example.org".to_owned()],
        login: "user".to_owned(),
    };
    let sender = ReversePath::Mailbox(crate::smtp::path::Mailbox::parse("a@sender.test").unwrap());
    let subject = Subject {
        helo: Some("mail.test".to_owned()),
        sender: Some(sender),
        envelope,
        letter: Some(letter),
        ..subject("192.0.2.9")
    };
    (dir, subject)
}

/// A server that reads until it has seen `until`, says `reply` and hangs up; gives what it has read.
async fn server(until: &'static [u8], reply: Vec<u8>) -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let read = read_until(&mut socket, until).await;
        _ = socket.write_all(&reply).await;
        read
    });
    (address, served)
}

async fn read_until(socket: &mut TcpStream, until: &[u8]) -> Vec<u8> {
    let (mut read, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    while !read.ends_with(until) {
        let count = socket.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            break;
        }
        read.extend_from_slice(&buffer[..count]);
    }
    read
}

async fn ask(services: ServiceSettings, subject: &Subject, question: Question) -> Answer {
    let (_responder, world) = world(Zone::new()).await;
    world.with(services, FactMetrics::detached()).answer(subject, &question).await
}

async fn scanned(address: String, subject: &Subject) -> (&'static str, String) {
    let services = ServiceSettings { clamd: Some(Clamd::Tcp(address)), ..ServiceSettings::default() };
    match ask(services, subject, Question::Clamd).await {
        Answer::Scan(scan) => (scan.result, scan.name.clone()),
        other => panic!("{other:?}"),
    }
}

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nbody\r\n";

/// What INSTREAM carried.
fn streamed(mut read: &[u8]) -> Vec<u8> {
    read = read.strip_prefix(b"zINSTREAM\0").unwrap();
    let mut message = Vec::new();
    loop {
        let (length, rest) = read.split_first_chunk::<4>().unwrap();
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 {
            return message;
        }
        message.extend_from_slice(&rest[..length]);
        read = &rest[length..];
    }
}

#[tokio::test]
async fn clamd_says_what_it_found() {
    let large = [MESSAGE, &vec![b'x'; 300_000], b"\r\n"].concat();
    for (message, reply, result, name) in [
        (MESSAGE, &b"stream: OK\0"[..], "clean", ""),
        (&large, b"stream: OK\0", "clean", ""),
        (MESSAGE, b"stream: Eicar-Test-Signature FOUND\0", "infected", "Eicar-Test-Signature"),
        (MESSAGE, b"stream: Can't allocate memory ERROR\0", "error", "Can't allocate memory ERROR"),
        (MESSAGE, b"INSTREAM size limit exceeded. ERROR\0", "error", "INSTREAM size limit exceeded. ERROR"),
        (MESSAGE, b"\xff\xfe\n\n", "error", "\u{fffd}\u{fffd}"),
    ] {
        let (_dir, subject) = with_message(message);
        let (address, served) = server(b"\0\0\0\0", reply.to_vec()).await;
        assert_eq!(scanned(address, &subject).await, (result, name.to_owned()));
        assert_eq!(streamed(&served.await.unwrap()), message);
    }
}

#[tokio::test]
async fn clamd_that_misbehaves_is_an_error() {
    let large = [MESSAGE, &vec![b'x'; 9_000_000]].concat();
    let (_dir, subject) = with_message(&large);
    // It hangs up without a word, or in the middle; it says too much.
    for (until, reply) in
        [(&b"INSTREAM\0"[..], Vec::new()), (b"\0\0\0\0", Vec::new()), (b"\0\0\0\0", vec![b'y'; 1 << 20])]
    {
        let (address, _served) = server(until, reply).await;
        assert_eq!(scanned(address, &subject).await.0, "error");
    }
    assert_eq!(scanned("127.0.0.1:1".to_owned(), &subject).await.0, "error");
    let (_dir, subject) = with_message(MESSAGE);
    let nobody = ask(ServiceSettings::default(), &subject, Question::Clamd).await;
    assert!(nobody.is_failure(), "it is not configured");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_says_nothing_is_given_up() {
    let (_dir, subject) = with_message(MESSAGE);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let services = || ServiceSettings {
        http_hosts: vec![address.to_string()],
        clamd: Some(Clamd::Tcp(address.to_string())),
        rspamd: Rspamd::new(&format!("http://{address}")),
    };
    let url = format!("http://{address}/");
    for question in [Question::Clamd, Question::Rspamd, Question::HttpGet(url)] {
        assert!(ask(services(), &subject, question.clone()).await.is_failure(), "{question:?}");
    }
}

#[tokio::test]
async fn clamd_on_a_unix_socket() {
    let (dir, subject) = with_message(MESSAGE);
    let path = dir.path().join("clamd.ctl");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut read = [0; 10];
        socket.read_exact(&mut read).await.unwrap();
        socket.write_all(b"stream: Win.Test FOUND\0").await.unwrap();
        assert_eq!(&read, b"zINSTREAM\0");
        let mut rest = Vec::new();
        _ = socket.read_to_end(&mut rest).await;
    });
    let services = ServiceSettings { clamd: Some(Clamd::Unix(path)), ..ServiceSettings::default() };
    let Answer::Scan(scan) =
        timeout(Duration::from_secs(20), ask(services, &subject, Question::Clamd)).await.unwrap()
    else {
        panic!("no scan");
    };
    assert_eq!((scan.result, scan.name.as_str()), ("infected", "Win.Test"));
}

fn http_reply(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn judged(reply: Vec<u8>, subject: &Subject, until: &'static [u8]) -> (question::Rspamd, Vec<u8>) {
    let (address, served) = server(until, reply).await;
    let services =
        ServiceSettings { rspamd: Rspamd::new(&format!("http://{address}")), ..ServiceSettings::default() };
    match ask(services, subject, Question::Rspamd).await {
        Answer::Rspamd(found) => (question::Rspamd::clone(&found), served.await.unwrap()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rspamd_hears_of_the_session_and_tells_its_mind() {
    let large = [MESSAGE, &vec![b'x'; 300_000], b"end"].concat();
    let (_dir, subject) = with_message(&large);
    let answer = r#"{"action":"add header","score":7.5,"required_score":15,"symbols":{"BAYES_SPAM":{"score":3.5},"X":{}}}"#;
    let (found, heard) = judged(http_reply("200 OK", answer), &subject, b"end").await;
    let symbols = vec![("BAYES_SPAM".to_owned(), 3.5), ("X".to_owned(), 0.0)];
    assert_eq!(
        found,
        question::Rspamd { result: "ok", action: "add header".to_owned(), score: 7.5, symbols }
    );
    let at = heard.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(heard[..at].to_vec()).unwrap().to_lowercase();
    assert!(heard[at + 4..] == large[..], "the message is not what arrived");
    assert!(head.starts_with("post /checkv2 http/1.1\r\n"), "{head}");
    for line in [
        "ip: 192.0.2.9",
        "helo: mail.test",
        "from: a@sender.test",
        "rcpt: b@example.org",
        "rcpt: c@example.org",
        "queue-id: t1",
        "user: user",
        &format!("content-length: {}", large.len()),
    ] {
        assert!(head.lines().any(|heard| heard == line), "{line} is not in {head}");
    }
}

#[tokio::test]
async fn rspamd_that_misbehaves_is_an_error() {
    let (_dir, subject) = with_message(MESSAGE);
    for reply in [
        Vec::new(),
        b"garbage\r\n\r\n".to_vec(),
        http_reply("500 No", "{}"),
        http_reply("200 OK", "no json"),
        http_reply("200 OK", "{}"),
        http_reply("200 OK", r#"{"action":3,"score":"x"}"#),
        http_reply("200 OK", &format!("{{\"action\":\"{}\",\"score\":1}}", "y".repeat(300 << 10))),
        http_reply(
            "200 OK",
            &format!("{{\"action\":\"reject\",\"score\":1,\"x\":\"{}\"}}", "y".repeat(2 << 20)),
        ),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec(),
    ] {
        let (found, _) = judged(reply, &subject, b"body\r\n").await;
        assert_eq!(found, question::Rspamd::default());
    }
}

async fn fetched(reply: Vec<u8>, document: Option<&str>) -> (Arc<HttpReply>, String) {
    let until: &[u8] = if document.is_some() { b"}" } else { b"\r\n\r\n" };
    let (address, served) = server(until, reply).await;
    let services = ServiceSettings { http_hosts: vec![address.clone()], ..ServiceSettings::default() };
    let url = format!("http://{address}/path?x=1");
    let question = match document {
        None => Question::HttpGet(url),
        Some(body) => Question::HttpPost { url, body: body.to_owned(), policy: "x".into(), nth: 0 },
    };
    match ask(services, &subject("192.0.2.9"), question).await {
        Answer::Http(reply) => (reply, String::from_utf8(served.await.unwrap()).unwrap().to_lowercase()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn web_services_are_asked() {
    let (reply, heard) = fetched(http_reply("200 OK", "{\"a\":1}"), None).await;
    assert_eq!((reply.result, reply.status, reply.body.as_str()), ("ok", 200, "{\"a\":1}"));
    assert!(heard.starts_with("get /path?x=1 http/1.1\r\n"), "{heard}");
    let (reply, heard) = fetched(http_reply("201 Created", ""), Some("{\"b\":2}")).await;
    assert_eq!((reply.result, reply.status), ("ok", 201));
    assert!(heard.starts_with("post /path?x=1 ") && heard.ends_with("{\"b\":2}"), "{heard}");
    assert!(heard.contains("content-type: application/json"));
}

#[tokio::test]
async fn web_services_that_misbehave_are_errors() {
    for (reply, status) in [
        (http_reply("404 Not Found", "no"), 404),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec(), 302),
        (http_reply("200 OK", &"x".repeat(300 << 10)), 0),
        (b"garbage".to_vec(), 0),
        (Vec::new(), 0),
        // It ends early; it never ends; its header never ends; it is no text, and grows when it is made one.
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec(), 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec(), 0),
        ([b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(1 << 20)].concat(), 0),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 204800\r\n\r\n".to_vec(), vec![0xff; 200 << 10]].concat(), 0),
    ] {
        let (reply, _) = fetched(reply, None).await;
        assert_eq!((reply.result, reply.status), ("error", status));
    }
    let stranger = Question::HttpGet("http://127.0.0.1:1/".to_owned());
    assert!(ask(ServiceSettings::default(), &subject("192.0.2.9"), stranger).await.is_failure());
}

// === contents ===

#[tokio::test]
async fn contents_are_read_from_memory_and_from_disk() {
    for padding in [0, 300_000] {
        let message = format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{}\r\n--b\r\nContent-Type: a/b; name=x.exe\r\n\r\nMZ\r\n--b--\r\n",
            "text\r\n".repeat(padding / 6)
        );
        let (_dir, subject) = with_message(message.as_bytes());
        let Answer::Contents(Some(contents)) =
            ask(ServiceSettings::default(), &subject, Question::Contents).await
        else {
            panic!("not read");
        };
        assert_eq!(contents.parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["", "x.exe"]);
    }
    let nothing = ask(ServiceSettings::default(), &subject("192.0.2.9"), Question::Contents).await;
    assert!(nothing.is_failure());
}

#[tokio::test]
async fn a_list_that_is_no_longer_named_is_no_longer_unusable() {
    let mut zone = Zone::new();
    zone.add("2.0.0.127.good.test", Data::A([127, 0, 0, 2].into()));
    let responder = Responder::start(zone).await.unwrap();
    let resolver = Resolver::new(responder.settings(), Arc::new(())).unwrap();
    let metrics = Metrics::new();
    let lists = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let usable = || {
        let text = metrics.encode().unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("gatepost_dnsbl_usable"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (both, one) = (lists(&["bad.test", "good.test"]), lists(&["good.test"]));
    listing::test_all(&resolver, &metrics.facts(), &[], &both).await;
    assert_eq!(usable(), ["{list=\"bad.test\"} 0", "{list=\"good.test\"} 1"]);
    listing::test_all(&resolver, &metrics.facts(), &both, &one).await;
    assert_eq!(usable(), ["{list=\"good.test\"} 1"]);
}
