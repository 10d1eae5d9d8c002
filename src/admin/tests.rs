use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::access::Way;
use super::door::{HEADER_TIME, serve_connection};
use super::records::Seats;
use super::routes::Door;
use super::*;
use crate::decisions::{Decision, Mail, Recorder, Settings};
use crate::metrics::Metrics;
use crate::tap;

struct Running {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    recorder: Arc<Recorder>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn start() -> Self {
        Self::with(None, &[Place::Tcp(([127, 0, 0, 1], 0).into())])
    }

    fn with(token: Option<&str>, places: &[Place]) -> Self {
        Self::reloading_for(Duration::ZERO, token, places)
    }

    fn reloading_for(reload_takes: Duration, token: Option<&str>, places: &[Place]) -> Self {
        let entries: Vec<Entry> = places.iter().map(|place| open(place).unwrap()).collect();
        let (metrics, health) = (Metrics::new(), Arc::<Health>::default());
        let Entry::Tcp(first) = &entries[0] else { panic!("TCP comes first") };
        let (address, stop) = (first.local_addr().unwrap(), CancellationToken::new());
        let recorder = Recorder::start(Settings::default(), metrics.decisions()).unwrap();
        let recorder = Arc::new(recorder);
        let token = token.map(|token| Zeroizing::new(token.to_owned()).into());
        let served = Served {
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&health),
            access: Access { token, hosts: Vec::new() },
            office: Some(Arc::new(Nobody(Arc::clone(&recorder), reload_takes))),
        };
        let task = tokio::spawn(serve(entries, served, stop.clone()));
        Self { address, metrics, health, recorder, stop, task }
    }

    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = request.replacen('|', " HTTP/1.1\r\n", 1);
        let request = if request.contains("HTTP/1.1") { request } else { format!("{request} HTTP/1.1") };
        stream.write_all(format!("{request}\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

#[tokio::test]
async fn each_path_has_its_answer() {
    let admin = Running::start().await;
    admin.metrics.listener("mx").reply(250);
    for (request, status, body) in [
        ("GET /healthz", "200", "alive"),
        ("GET /healthz?verbose", "200", "alive"),
        ("GET /readyz", "503", "starting"),
        ("GET /metrics", "200", "gatepost_replies_total{class=\"2\",listener=\"mx\"} 1\n"),
        ("GET /metrics", "200", "text/plain; version=0.0.4"),
        ("GET /", "200", "<title>Gatepost</title>"),
        ("GET /status", "403", "UNIX socket"),
        ("POST /reload", "403", "UNIX socket"),
        ("POST /log?level=debug", "403", "UNIX socket"),
        ("GET /log", "405", "allow: POST"),
        ("GET /reload", "405", "allow: POST"),
        ("GET /metrics/", "404", "/metrics"),
        ("POST /metrics", "405", "allow: GET, HEAD"),
        ("DELETE /nothing", "404", "/metrics"),
    ] {
        let answer = admin.ask(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(answer.contains(body), "{request}: {answer}");
    }
    assert!(admin.ask("HEAD /healthz").await.ends_with("\r\n\r\n"), "no body");
}

#[tokio::test]
async fn readiness_follows_the_life_of_the_process() {
    let admin = Running::start().await;
    let expect = async |status: &str, word: &str| {
        let answer = admin.ask("GET /readyz").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(word), "{answer}");
    };
    expect("503", "starting").await;
    admin.health.serving();
    expect("200", "ready").await;
    let reload = |kind, outcome| admin.health.reloaded(Reload::new(kind, outcome, Vec::new()));
    reload("certificates", Reloaded::Refused);
    expect("200", "reload of certificates was refused").await;
    reload("policies", Reloaded::Taken);
    expect("200", "refused").await;
    reload("certificates", Reloaded::Taken);
    assert!(!admin.ask("GET /readyz").await.contains("refused"));
    admin.health.draining();
    expect("503", "draining").await;
}

#[tokio::test]
async fn clients_that_dawdle_do_not_keep_others_out() {
    let admin = Running::start().await;
    let mut dawdlers = Vec::new();
    for _ in 0..CONNECTIONS + 10 {
        let mut dawdler = TcpStream::connect(admin.address).await.unwrap();
        dawdler.write_all(b"GET /metrics HTTP/1.1\r\nX: ").await.unwrap();
        dawdlers.push(dawdler);
    }
    assert!(admin.ask("GET /healthz").await.contains("alive"));
    let first = dawdlers.first_mut().unwrap();
    let mut byte = [0];
    let end = tokio::time::timeout(HEADER_TIME / 2, first.read(&mut byte)).await;
    assert_eq!(end.expect("the oldest had to go at once").unwrap_or(0), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_in_time() {
    let (mut client, server) = tokio::io::duplex(64);
    let door = door();
    let began = tokio::time::Instant::now();
    let connection = tokio::spawn(serve_connection(server, door, Way::Socket, Arc::default()));
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    connection.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), CONNECTION_TIME.as_secs(), "the answer was never read");
}

#[tokio::test(start_paused = true)]
async fn a_reload_may_be_waited_for_by_either_way() {
    let folder = tempfile::tempdir().unwrap();
    let socket = Place::Unix(folder.path().join("admin.sock"));
    let places = [Place::Tcp(([127, 0, 0, 1], 0).into()), socket.clone()];
    let admin = Running::reloading_for(Duration::from_secs(100), Some("t"), &places);
    let token = Zeroizing::new("t".to_owned());
    for (place, token) in [(Place::Tcp(admin.address), Some(&token)), (socket, None)] {
        let answered = ask(&place, token, Asked::Do("/reload")).await.unwrap();
        assert_eq!(answered.status, 200, "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_has_its_time() {
    let (mut client, server) = tokio::io::duplex(64);
    let door = door();
    let began = tokio::time::Instant::now();
    let connection = tokio::spawn(serve_connection(server, door, Way::Socket, Arc::default()));
    client.write_all(b"GET /metrics HTTP/1.1\r\nX: ").await.unwrap();
    connection.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), HEADER_TIME.as_secs());
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_told() {
    let admin = Running::start().await;
    let _idle = TcpStream::connect(admin.address).await.unwrap();
    admin.stop.cancel();
    admin.task.await.unwrap();
    assert!(TcpStream::connect(admin.address).await.is_err());
}

fn door() -> Arc<Door> {
    let (metrics, health, access) = (Metrics::new(), Arc::default(), Access::default());
    Arc::new(Door { metrics, health, access, office: None, seats: Seats::default() })
}

/// An office in which nothing goes on but what a test puts into its records; a reload takes so long.
#[derive(Debug)]
struct Nobody(Arc<Recorder>, Duration);

impl Office for Nobody {
    fn status(&self) -> Status {
        Status {
            version: "0",
            pid: 1,
            started: 2,
            config: "gatepost.yaml".to_owned(),
            hostname: "mx.example.org".to_owned(),
            generation: "abc".to_owned(),
            rules: 3,
            listeners: Vec::new(),
            upstreams: Vec::new(),
            store_up: true,
            dns_failing: false,
            decisions_lost: 0,
            decisions_lost_at: None,
        }
    }

    fn rules(&self) -> Vec<Rule> {
        Vec::new()
    }

    fn sessions(&self) -> Vec<Session> {
        Vec::new()
    }

    fn recorder(&self) -> &Arc<Recorder> {
        &self.0
    }

    fn reload(&self) -> Later<'_, Result<Vec<Reload>, String>> {
        Box::pin(async {
            tokio::time::sleep(self.1).await;
            Ok(vec![Reload::new("config", Reloaded::Taken, vec!["x is new".to_owned()])])
        })
    }

    fn drain(&self) {}

    fn clear_dns_cache(&self) -> usize {
        7
    }

    fn set_log_level(&self, level: Option<&str>) -> Result<String, String> {
        match level {
            Some("loud") => Err("\"loud\" is no level".to_owned()),
            level => Ok(level.unwrap_or("info").to_owned()),
        }
    }
}

#[tokio::test]
async fn the_token_opens_what_is_guarded() {
    let admin = Running::with(Some("s3cret"), &[Place::Tcp(([127, 0, 0, 1], 0).into())]);
    for (request, status, body) in [
        ("GET /status", "401", "www-authenticate: Bearer realm=\"gatepost\""),
        (
            "GET /trace?verdict=nonsense|Authorization: Bearer s3cret",
            "400",
            "it is one of reject, would_reject",
        ),
        ("GET /status|Authorization: Bearer wrong", "401", "Bearer"),
        ("GET /status|Authorization: Bearer s3cret", "200", "\"generation\":\"abc\""),
        ("POST /reload|Authorization: Bearer s3cret", "200", "x is new"),
        ("POST /reload?wait=no|Authorization: Bearer s3cret", "202", "reloading"),
        ("POST /cache/clear|Authorization: Bearer s3cret", "200", "7 answers forgotten"),
        ("GET /rules|authorization: bearer s3cret", "200", "[]"),
        (
            "POST /log?level=info%2Cgatepost%3A%3Adns%3Ddebug|Authorization: Bearer s3cret",
            "200",
            "info,gatepost::dns=debug",
        ),
        ("POST /log|Authorization: Bearer s3cret", "200", "info"),
        ("POST /log?level=loud|Authorization: Bearer s3cret", "400", "is no level"),
        ("POST /log?lvel=info|Authorization: Bearer s3cret", "400", "unknown field `lvel`"),
        (
            "GET /decisions?since=2h&until=2020-01-01|Authorization: Bearer s3cret",
            "400",
            "nothing is decided",
        ),
        (
            "GET /decisions?since=2%20hours|Authorization: Bearer s3cret",
            "400",
            "or as `2h` for two hours ago",
        ),
        ("GET /decisions?since=2h|Authorization: Bearer s3cret", "200", "[]"),
    ] {
        let answer = admin.ask(request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(body),
            "{request}: {answer}"
        );
    }
}

/// RFC 9112 3.2.
#[tokio::test]
async fn a_request_names_one_host() {
    let admin = Running::start().await;
    for (request, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]:9925\r\n\r\n", "200"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "200"),
    ] {
        let mut stream = TcpStream::connect(admin.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{request}: {answer}");
    }
}

#[tokio::test]
async fn a_unix_socket_is_for_its_owner_and_needs_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/admin.sock");
    let places = [Place::Tcp(([127, 0, 0, 1], 0).into()), Place::Unix(path.clone())];
    let first = Running::with(None, &places);
    let admin = Running::with(None, &places);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    first.stop.cancel();
    first.task.await.unwrap();
    assert!(path.exists(), "it belongs to the second one now");
    admin.stop.cancel();
    admin.task.await.unwrap();
    assert!(!path.exists());
    std::fs::write(&path, "no socket").unwrap();
    assert!(open(&Place::Unix(path)).is_err());
}

fn decision(id: &str, sender: &str) -> Box<Decision> {
    let mail = Some(Mail { sender: sender.to_owned(), ..Mail::default() });
    let (id, outcome, reply) = (id.to_owned(), "rejected", "550 5.7.1 no".to_owned());
    Box::new(Decision { id, mail, outcome, reply, ..Decision::default() })
}

#[tokio::test]
async fn decisions_are_found_and_explained() {
    let admin = Running::with(Some("t"), &[Place::Tcp(([127, 0, 0, 1], 0).into())]);
    admin.recorder.keep(decision("aaaaaaaaab", "joe@sender.example"));
    admin.recorder.keep(decision("aaaaaaaaac", "ann@other.example"));
    admin.recorder.keep(decision("aaaaaaaaae", "\u{9b}31m\u{202e}@terminal.example"));
    for (request, status, with, without) in [
        ("GET /decisions", "200", "\"id\":\"aaaaaaaaab\"", "nothing"),
        ("GET /decisions?from=sender.example", "200", "aaaaaaaaab", "aaaaaaaaac"),
        ("GET /decisions?limit=2", "200", "aaaaaaaaac", "aaaaaaaaab"),
        ("GET /decisions?from=terminal.example", "200", r"\u009b31m\u202e@terminal.example", "\u{9b}"),
        ("GET /decisions?word=other.example", "200", "aaaaaaaaac", "aaaaaaaaab"),
        ("GET /decisions?word=%28gp+aaaaaaaaab%29", "200", "aaaaaaaaab", "aaaaaaaaac"),
        ("GET /decisions/summaries?word=rejected", "200", "\"sender\":\"joe@sender.example\"", "stages"),
        ("GET /decisions?form=x", "400", "unknown field `form`", "aaaaaaaaab"),
        ("GET /decisions?limit=many", "400", "the query cannot be used", "aaaaaaaaab"),
        ("GET /explain/aaaaaaaaab", "200", "the client heard: 550 5.7.1 no", "aaaaaaaaac"),
        ("GET /explain/aaaaaaaaad", "404", "no such decision", "aaaaaaaaac"),
        ("GET /explain/", "404", "", "aaaaaaaaac"),
    ] {
        let refused = admin.ask(request).await;
        assert!(refused.starts_with("HTTP/1.1 40"), "{request}: {refused}");
        assert!(!refused.contains("sender.example"), "{refused}");
        let answer = admin.ask(&format!("{request}|Authorization: Bearer t")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(answer.contains(with) && !answer.contains(without), "{request}: {answer}");
    }
    let json = admin.ask("GET /explain/aaaaaaaaab|Authorization: Bearer t\r\nAccept: application/json").await;
    assert!(json.contains("\"headline\":"), "{json}");
}

#[tokio::test]
async fn only_so_many_follow_sessions_and_a_seat_is_free_again() {
    let place = Place::Tcp(([127, 0, 0, 1], 0).into());
    let admin = Running::with(Some("t"), &[place]);
    let mut following = Vec::new();
    let request =
        "GET /trace?client=192.0.2.0/24 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n\r\n";
    let begin = async || {
        let mut stream = TcpStream::connect(admin.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        (String::from_utf8_lossy(&head).into_owned(), stream)
    };
    for _ in 0..8 {
        let (status, stream) = begin().await;
        assert_eq!(status, "HTTP/1.1 200");
        following.push(stream);
    }
    assert_eq!(begin().await.0, "HTTP/1.1 503");
    drop(following.pop());
    while begin().await.0 != "HTTP/1.1 200" {
        tokio::task::yield_now().await;
    }
    admin.stop.cancel();
    admin.task.await.unwrap();
}

#[tokio::test]
async fn strangers_do_not_cut_off_who_follows_with_the_token() {
    let place = Place::Tcp(([127, 0, 0, 1], 0).into());
    let admin = Running::with(Some("t"), &[place]);
    let mut following = TcpStream::connect(admin.address).await.unwrap();
    let request = "GET /trace HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n\r\n";
    following.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    following.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let mut strangers = Vec::new();
    for _ in 0..2 * CONNECTIONS {
        let mut stranger = TcpStream::connect(admin.address).await.unwrap();
        stranger.write_all(b"GET /trace HTTP/1.1\r\nX: ").await.unwrap();
        strangers.push(stranger);
    }
    // All of them were accepted once this is answered, and the oldest had to go.
    assert!(admin.ask("GET /healthz").await.contains("alive"));
    assert_eq!(strangers.first_mut().unwrap().read(&mut [0]).await.unwrap_or(0), 0);
    let identity =
        tap::Identity { session: "crowded".into(), listener: "mx".into(), client: [192, 0, 2, 9].into() };
    tap::within(identity, async { tap::say(tap::Speaker::Gatepost, "still here") }).await;
    let mut seen = String::new();
    while !seen.contains("still here") {
        let mut some = [0; 1024];
        let read = following.read(&mut some).await.unwrap();
        assert_ne!(read, 0, "it was cut off: {seen}");
        seen.push_str(&String::from_utf8_lossy(&some[..read]));
    }
}
