//! What stands behind the paths.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::access::{Access, Refusal, Way, names_one_host};
use super::crowd::{Rank, Standing};
use super::health::{Health, Phase, State};
use super::office::{Office, Report};
use super::page;
use super::records::{self, Content, Look, Seats};
use crate::log::safe_json;
use crate::metrics::{self, Metrics};

/// The answer to one request.
pub(super) type Answer = Response<Content>;

pub(super) const JSON: &str = "application/json";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// Everything that is needed to answer.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) access: Access,
    /// `None` where nothing but metrics and health is served.
    pub(super) office: Option<Arc<dyn Office>>,
    /// For those who follow sessions.
    pub(super) seats: Seats,
}

/// What a path is, and how it is asked for.
#[derive(Clone, Copy, Debug)]
enum Path<'r> {
    Metrics,
    Health,
    Readiness,
    Page,
    Log,
    Status,
    Rules,
    Sessions,
    Reloads,
    Decisions,
    Summaries,
    /// The decision with this id.
    Explained(&'r str),
    Trace,
    Reload,
    Drain,
    ClearCache,
}

impl<'r> Path<'r> {
    fn of(path: &'r str) -> Option<Self> {
        Some(match path {
            "/metrics" => Self::Metrics,
            "/healthz" => Self::Health,
            "/readyz" => Self::Readiness,
            "/" => Self::Page,
            "/log" => Self::Log,
            "/status" => Self::Status,
            "/rules" => Self::Rules,
            "/sessions" => Self::Sessions,
            "/reloads" => Self::Reloads,
            "/decisions" => Self::Decisions,
            "/decisions/summaries" => Self::Summaries,
            "/trace" => Self::Trace,
            "/reload" => Self::Reload,
            "/drain" => Self::Drain,
            "/cache/clear" => Self::ClearCache,
            path => Self::Explained(path.strip_prefix("/explain/").filter(|id| !id.is_empty())?),
        })
    }

    /// Whether it is open to everybody.
    const fn is_public(self) -> bool {
        matches!(self, Self::Metrics | Self::Health | Self::Readiness)
    }

    const fn changes_something(self) -> bool {
        matches!(self, Self::Reload | Self::Drain | Self::ClearCache | Self::Log)
    }

    const fn methods(self) -> &'static str {
        if self.changes_something() { "POST" } else { "GET, HEAD" }
    }

    fn takes(self, method: &Method) -> bool {
        match self.changes_something() {
            true => method == Method::POST,
            false => method == Method::GET || method == Method::HEAD,
        }
    }
}

impl Door {
    pub(super) async fn answer<B>(&self, way: Way, standing: &Standing, request: &Request<B>) -> Answer {
        if !names_one_host(request) {
            return text(StatusCode::BAD_REQUEST, "exactly one Host field is wanted\n");
        }
        let Some(path) = Path::of(request.uri().path()) else {
            return text(
                StatusCode::NOT_FOUND,
                "there are /metrics, /healthz, /readyz, and / for the operator\n",
            );
        };
        if !path.takes(request.method()) {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, format!("{} only\n", path.methods()));
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(path.methods()));
            return refusal;
        }
        if let Err((status, why)) = self.admits(path, way, request) {
            let refusal = text(status, why);
            return match status {
                // RFC 9110 15.5.2 wants to be told how; RFC 6750 3 says what stands there.
                StatusCode::UNAUTHORIZED => {
                    with_header(refusal, WWW_AUTHENTICATE, "Bearer realm=\"gatepost\"")
                }
                _ => refusal,
            };
        }
        // The page is for everybody who means us.
        if !path.is_public() && !matches!(path, Path::Page) {
            standing.rise(Rank::Admitted);
        }
        match path {
            Path::Metrics => self.metrics().await,
            Path::Health => text(StatusCode::OK, "alive\n"),
            Path::Readiness => readiness(&self.health.now()),
            Path::Page => page::answer(),
            Path::Reloads => json(&self.health.reloads()),
            path => match &self.office {
                Some(office) => {
                    let answer = self.of_office(path, office, request).await;
                    if answer.body().goes_on() {
                        standing.rise(Rank::Follower);
                    }
                    answer
                }
                None => text(StatusCode::NOT_FOUND, "nobody is there to answer this\n"),
            },
        }
    }

    fn admits<B>(&self, path: Path<'_>, way: Way, request: &Request<B>) -> Result<(), Refusal> {
        match (path, way) {
            (path, _) if path.is_public() => Ok(()),
            // It holds nothing; what it shows it asks for with a token.
            (Path::Page, Way::Network(own)) => self.access.is_meant_for_us(own, request),
            _ => self.access.admits(way, request),
        }
    }

    async fn of_office<B>(&self, path: Path<'_>, office: &Arc<dyn Office>, request: &Request<B>) -> Answer {
        let query = request.uri().query();
        match path {
            Path::Status => {
                let State { phase, refused, waiting, .. } = self.health.now();
                json(&Report { status: office.status(), phase, refused, waiting })
            }
            Path::Rules => json(&office.rules()),
            Path::Sessions => json(&office.sessions()),
            Path::Decisions => records::decisions(office.recorder(), query).await,
            Path::Summaries => records::summaries(office.recorder(), query).await,
            Path::Explained(id) => records::explained(office.recorder(), id, look(request)).await,
            Path::Trace => self.seats.follow(query, look(request)),
            Path::Reload => reload(office, query).await,
            Path::Drain => {
                office.drain();
                text(StatusCode::ACCEPTED, "draining\n")
            }
            Path::ClearCache => {
                text(StatusCode::OK, format!("{} answers forgotten\n", office.clear_dns_cache()))
            }
            Path::Log => set_log_level(office, query),
            _ => text(StatusCode::NOT_FOUND, "there is no such thing\n"),
        }
    }

    /// Encoded on a thread that may block: it reads `/proc`, which takes its time with many open files.
    async fn metrics(&self) -> Answer {
        let metrics = Arc::clone(&self.metrics);
        match tokio::task::spawn_blocking(move || metrics.encode()).await {
            Ok(Ok(exposition)) => {
                with_header(text(StatusCode::OK, exposition), CONTENT_TYPE, metrics::CONTENT_TYPE)
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

async fn reload(office: &Arc<dyn Office>, query: Option<&str>) -> Answer {
    if query == Some("wait=no") {
        let office = Arc::clone(office);
        tokio::spawn(async move { office.reload().await });
        return text(StatusCode::ACCEPTED, "reloading\n");
    }
    match office.reload().await {
        Ok(reloads) => json(&reloads),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

/// What `POST /log` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Loudness {
    /// `None` for what is configured.
    level: Option<String>,
}

fn set_log_level(office: &Arc<dyn Office>, query: Option<&str>) -> Answer {
    let asked = records::asked::<Loudness>(query);
    match asked.and_then(|asked| office.set_log_level(asked.level.as_deref())) {
        Ok(level) => text(StatusCode::OK, format!("{level}\n")),
        Err(why) => text(StatusCode::BAD_REQUEST, format!("{}\n", why.trim_end())),
    }
}

/// What the client prefers to read.
fn look<B>(request: &Request<B>) -> Look {
    let accepted = request.headers().get(ACCEPT).and_then(|kinds| kinds.to_str().ok());
    if accepted.is_some_and(|kinds| kinds.contains(JSON)) { Look::Json } else { Look::Text }
}

fn readiness(state: &State) -> Answer {
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

pub(super) fn json(value: &impl Serialize) -> Answer {
    match safe_json(value) {
        Ok(body) => with_header(text(StatusCode::OK, body), CONTENT_TYPE, JSON),
        Err(error) => {
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot be written as JSON: {error}\n"))
        }
    }
}

pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let body = body.into();
    let whole = Content::Whole(Some(body).filter(|body| !body.is_empty()));
    with_header(answer(status, whole), CONTENT_TYPE, TEXT)
}

/// Nobody is to keep a copy of any answer.
pub(super) fn answer(status: StatusCode, content: Content) -> Answer {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    with_header(response, CACHE_CONTROL, "no-store")
}

pub(super) fn with_header(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}
