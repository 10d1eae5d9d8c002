//! What stands behind the paths.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::access::{Access, Refusal, Way};
use super::health::{Health, Phase, State};
use super::office::{Office, Report};
use super::page;
use crate::metrics::{self, Metrics};

/// The answer to one request.
pub(super) type Answer = Response<Full<Bytes>>;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Everything that is needed to answer.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) access: Access,
    /// `None` where nothing but metrics and health is served.
    pub(super) office: Option<Arc<dyn Office>>,
}

/// What a path is, and how it is asked for.
#[derive(Clone, Copy, Debug)]
enum Path {
    Metrics,
    Health,
    Readiness,
    Page,
    Status,
    Rules,
    Sessions,
    Reloads,
    Reload,
    Drain,
    ClearCache,
}

impl Path {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/metrics" => Self::Metrics,
            "/healthz" => Self::Health,
            "/readyz" => Self::Readiness,
            "/" => Self::Page,
            "/status" => Self::Status,
            "/rules" => Self::Rules,
            "/sessions" => Self::Sessions,
            "/reloads" => Self::Reloads,
            "/reload" => Self::Reload,
            "/drain" => Self::Drain,
            "/cache/clear" => Self::ClearCache,
            _ => return None,
        })
    }

    /// Whether it is open to everybody.
    const fn is_public(self) -> bool {
        matches!(self, Self::Metrics | Self::Health | Self::Readiness)
    }

    const fn changes_something(self) -> bool {
        matches!(self, Self::Reload | Self::Drain | Self::ClearCache)
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
    pub(super) async fn answer<B>(&self, way: Way, request: &Request<B>) -> Answer {
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
            return text(status, why);
        }
        match path {
            Path::Metrics => self.metrics().await,
            Path::Health => text(StatusCode::OK, "alive\n"),
            Path::Readiness => readiness(&self.health.now()),
            Path::Page => page::answer(),
            Path::Reloads => json(&self.health.reloads()),
            path => match &self.office {
                Some(office) => self.of_office(path, office, request.uri().query()).await,
                None => text(StatusCode::NOT_FOUND, "nobody is there to answer this\n"),
            },
        }
    }

    fn admits<B>(&self, path: Path, way: Way, request: &Request<B>) -> Result<(), Refusal> {
        match (path, way) {
            (path, _) if path.is_public() => Ok(()),
            // It holds nothing; what it shows it asks for with a token.
            (Path::Page, Way::Network(own)) => self.access.is_meant_for_us(own, request),
            _ => self.access.admits(way, request),
        }
    }

    async fn of_office(&self, path: Path, office: &Arc<dyn Office>, query: Option<&str>) -> Answer {
        match path {
            Path::Status => {
                let State { phase, refused, .. } = self.health.now();
                json(&Report { status: office.status(), phase, refused })
            }
            Path::Rules => json(&office.rules()),
            Path::Sessions => json(&office.sessions()),
            Path::Reload if query == Some("wait=no") => {
                let office = Arc::clone(office);
                tokio::spawn(async move { office.reload().await });
                text(StatusCode::ACCEPTED, "reloading\n")
            }
            Path::Reload => match office.reload().await {
                Ok(reloads) => json(&reloads),
                Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            },
            Path::Drain => {
                office.drain();
                text(StatusCode::ACCEPTED, "draining\n")
            }
            Path::ClearCache => {
                text(StatusCode::OK, format!("{} answers forgotten\n", office.clear_dns_cache()))
            }
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

fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => with_header(text(StatusCode::OK, body), CONTENT_TYPE, JSON),
        Err(error) => {
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot be written as JSON: {error}\n"))
        }
    }
}

pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let plain = with_header(response, CONTENT_TYPE, TEXT);
    with_header(plain, CACHE_CONTROL, "no-store")
}

pub(super) fn with_header(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}
