//! The operator's side door: metrics and health over HTTP.
//!
//! | path | answer |
//! | --- | --- |
//! | `/metrics` | every metric, as Prometheus reads it |
//! | `/healthz` | 200 while the process lives |
//! | `/readyz` | 200 while new mail is welcome, else 503; the lines say why |
//!
//! It is made to be slow for nobody but its own clients: a connection carries one request and ends after
//! [`CONNECTION_TIME`], there are at most [`CONNECTIONS`] of them, and when there are more, the oldest goes first. So a
//! client that dawdles costs a scrape nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod health;

pub use self::health::{Health, Reload, Reloaded};
use self::health::{Phase, State};
use crate::metrics::{self, Metrics};

/// How many connections there may be at once.
pub const CONNECTIONS: usize = 64;

/// How long a request's header may take to arrive.
const HEADER_TIME: Duration = Duration::from_secs(5);

/// How long a connection may last, from accept to the last byte of the answer.
pub const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// How long answers under way have when the door closes.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

/// How long to wait when the system has no connection to give, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most bytes of a request that are kept.
const REQUEST_BYTES: usize = 16 * 1024;

/// Serves metrics and health on `listener` until `stop` is cancelled; then answers under way have a second to end.
///
/// Cancel `stop` after the last session, so that `/readyz` can say that Gatepost is draining.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    stop: CancellationToken,
) {
    let door = Arc::new(Door { metrics, health });
    let mut connections = Connections::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections.add(serve_connection(stream, Arc::clone(&door))),
                Err(error) => {
                    tracing::warn!(%error, "admin connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    connections.finish().await;
}

/// The connections that are open, oldest first.
#[derive(Debug, Default)]
struct Connections {
    tasks: TaskTracker,
    open: VecDeque<AbortHandle>,
}

impl Connections {
    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        self.open.retain(|task| !task.is_finished());
        if self.open.len() >= CONNECTIONS
            && let Some(oldest) = self.open.pop_front()
        {
            oldest.abort();
        }
        self.open.push_back(self.tasks.spawn(connection).abort_handle());
    }

    async fn finish(self) {
        self.tasks.close();
        if tokio::time::timeout(FAREWELL_TIME, self.tasks.wait()).await.is_err() {
            self.open.iter().for_each(AbortHandle::abort);
        }
    }
}

/// Answers one request. What goes wrong on the way concerns the client alone.
async fn serve_connection(stream: impl AsyncRead + AsyncWrite + Unpin, door: Arc<Door>) {
    let answer = service_fn(|request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(door.answer(&request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(REQUEST_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    match tokio::time::timeout(CONNECTION_TIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "admin connection failed"),
        Err(_) => tracing::debug!("admin client is too slow"),
    }
}

/// What stands behind the paths.
#[derive(Debug)]
struct Door {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Door {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
            return text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match path {
            "/metrics" => self.metrics().await,
            "/readyz" => readiness(&self.health.now()),
            _ => text(StatusCode::OK, "alive\n"),
        }
    }

    /// Encoded on a thread that may block: it reads `/proc`, which takes its time with many open files.
    async fn metrics(&self) -> Response<Full<Bytes>> {
        let metrics = Arc::clone(&self.metrics);
        match tokio::task::spawn_blocking(move || metrics.encode()).await {
            Ok(Ok(exposition)) => {
                let mut answer = text(StatusCode::OK, exposition);
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
                answer
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "scrape failed");
                text(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be encoded; the log says why\n")
            }
            Err(error) => {
                tracing::error!(%error, "scrape failed");
                text(StatusCode::INTERNAL_SERVER_ERROR, "the scrape was interrupted\n")
            }
        }
    }
}

fn readiness(state: &State) -> Response<Full<Bytes>> {
    let (status, phase) = match state.phase {
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "not ready: starting\n"),
        Phase::Serving => (StatusCode::OK, "ready\n"),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "not ready: draining\n"),
    };
    let refused = state.refused.keys().map(|kind| {
        format!("the last reload of {kind} was refused; what was in force before stays; the log says why\n")
    });
    text(status, format!("{phase}{}", refused.collect::<String>()))
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;

    struct Running {
        address: SocketAddr,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
        stop: CancellationToken,
        task: JoinHandle<()>,
    }

    impl Running {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (metrics, health) = (Metrics::new(), Arc::<Health>::default());
            let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
            let task = tokio::spawn(serve(listener, Arc::clone(&metrics), Arc::clone(&health), stop.clone()));
            Self { address, metrics, health, stop, task }
        }

        async fn ask(&self, request: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
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
            ("GET /", "404", "/metrics"),
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
        let door = Arc::new(Door { metrics: Metrics::new(), health: Arc::default() });
        let began = tokio::time::Instant::now();
        let connection = tokio::spawn(serve_connection(server, door));
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        connection.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), CONNECTION_TIME.as_secs(), "the answer was never read");
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_has_its_time() {
        let (mut client, server) = tokio::io::duplex(64);
        let door = Arc::new(Door { metrics: Metrics::new(), health: Arc::default() });
        let began = tokio::time::Instant::now();
        let connection = tokio::spawn(serve_connection(server, door));
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
}
