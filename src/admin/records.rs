//! Decisions in memory, explained ones, and sessions as they go on.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::{Body, Frame};
use hyper::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::routes::{Answer, TEXT, answer, json, text};
use crate::decisions::explain::explain;
use crate::decisions::{Decision, Kind, Query, Recorder};
use crate::log::safe_json;
use crate::policy::judgement::Action;
use crate::tap::{self, Filter, Follower};

/// How many decisions an answer has where no number is asked for, and at most.
const USUAL: usize = 100;
const MOST: usize = 1_000;
/// Recipients of one decision that are in its summary.
const ADDRESSEES: usize = 5;
/// How many may follow sessions at once.
const FOLLOWERS: usize = 8;
/// Lines that wait for a client; behind them the follower waits, which loses lines and says how many.
const LINES: usize = 64;

/// How an answer is to look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Look {
    /// For people.
    Text,
    /// For programs: the request accepts `application/json`.
    Json,
}

/// A decision in a list.
#[derive(Debug, Serialize)]
struct Summary<'d> {
    id: &'d str,
    at: Timestamp,
    kind: Kind,
    outcome: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    stage: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    rule: &'d str,
    #[serde(skip_serializing_if = "str::is_empty")]
    place: &'d str,
    client: IpAddr,
    #[serde(skip_serializing_if = "str::is_empty")]
    helo: &'d str,
    /// Who logged in, or was refused to.
    #[serde(skip_serializing_if = "str::is_empty")]
    login: &'d str,
    /// Absent before MAIL; empty for the null sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'d str>,
    /// The first few.
    recipients: Vec<&'d str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reply: &'d str,
    #[serde(skip_serializing_if = "str::is_empty")]
    queue_id: &'d str,
}

impl<'d> From<&'d Decision> for Summary<'d> {
    fn from(decision: &'d Decision) -> Self {
        let deciding = decision.deciding.as_ref();
        Self {
            id: &decision.id,
            at: decision.at,
            kind: decision.kind,
            outcome: decision.outcome,
            stage: deciding.map_or("", |deciding| deciding.stage),
            rule: decision.rule(),
            place: deciding.map_or("", |deciding| &deciding.place),
            client: decision.client.ip,
            helo: &decision.helo,
            login: decision.login().map_or("", |login| &login.user),
            sender: decision.sender(),
            recipients: decision.addressees().take(ADDRESSEES).collect(),
            reply: &decision.reply,
            queue_id: decision.upstream.as_ref().map_or("", |upstream| &upstream.queue_id),
        }
    }
}

/// The decisions that the query of the address wants, as they are kept.
pub(super) async fn decisions(recorder: &Arc<Recorder>, query: Option<&str>) -> Answer {
    answered(recorder, asked(query), |found| json(&found)).await
}

/// The same in short.
pub(super) async fn summaries(recorder: &Arc<Recorder>, query: Option<&str>) -> Answer {
    answered(recorder, asked(query), |found| json(&found.iter().map(Summary::from).collect::<Vec<_>>())).await
}

/// What `id` leads to, explained.
pub(super) async fn explained(recorder: &Arc<Recorder>, id: &str, look: Look) -> Answer {
    let query = Query { limit: USUAL, ..Query::id(id) };
    answered(recorder, Ok(query), move |found| {
        let explanations: Vec<_> = found.iter().map(explain).collect();
        match look {
            _ if explanations.is_empty() => {
                text(StatusCode::NOT_FOUND, "there is no such decision in memory\n")
            }
            Look::Json => json(&explanations),
            Look::Text => {
                let pages: Vec<String> = explanations.iter().map(ToString::to_string).collect();
                text(StatusCode::OK, pages.join("\n"))
            }
        }
    })
    .await
}

/// Looks through the memory on a thread that may block, and makes the answer there: there may be a lot to read and to write.
async fn answered(
    recorder: &Arc<Recorder>,
    query: Result<Query, String>,
    make: impl FnOnce(Vec<Decision>) -> Answer + Send + 'static,
) -> Answer {
    let mut query = match query {
        Ok(query) => query,
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    if let Err(why) = query.check() {
        return text(StatusCode::BAD_REQUEST, why);
    }
    query.limit = if query.limit == 0 { USUAL } else { query.limit.min(MOST) };
    let recorder = Arc::clone(recorder);
    let found = tokio::task::spawn_blocking(move || make(recorder.find(&query))).await;
    found.unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "the search broke down\n"))
}

/// What is asked for in the query of the address.
pub(super) fn asked<T: DeserializeOwned>(query: Option<&str>) -> Result<T, String> {
    serde_urlencoded::from_str(query.unwrap_or_default())
        .map_err(|error| format!("the query cannot be used: {error}\n"))
}

/// Whether any rule or refusal can have come to this: whoever follows with another word waits for ever.
///
/// # Errors
/// None can; the words that there are.
pub fn known_verdict(word: &str) -> Result<(), String> {
    let of_rules = Action::ALL.into_iter().flat_map(|action| [action.name(), action.would_name()]);
    let known: Vec<_> = of_rules.chain(["rejected", "deferred"]).collect();
    if known.contains(&word) {
        Ok(())
    } else {
        Err(format!("{word:?} is no verdict; it is one of {}", known.join(", ")))
    }
}

/// Who may follow sessions.
#[derive(Debug)]
pub(super) struct Seats(Arc<Semaphore>);

impl Default for Seats {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(FOLLOWERS)))
    }
}

impl Seats {
    /// The sessions that the query of the address wants, line by line, for as long as the client listens.
    pub(super) fn follow(&self, query: Option<&str>, look: Look) -> Answer {
        let asked = asked::<Filter>(query).and_then(|filter| {
            filter.verdict.as_deref().map_or(Ok(()), known_verdict).map_err(|why| format!("{why}\n"))?;
            Ok(filter)
        });
        let filter = match asked {
            Ok(filter) => filter,
            Err(why) => return text(StatusCode::BAD_REQUEST, why),
        };
        let Ok(seat) = Arc::clone(&self.0).try_acquire_owned() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, format!("{FOLLOWERS} follow sessions already\n"));
        };
        let (lines, tail) = mpsc::channel(LINES);
        tokio::spawn(tell(tap::follow(filter), look, lines, seat));
        let mut following = answer(StatusCode::OK, Content::Tail(Tail(tail)));
        let kind = if look == Look::Json { JSON_LINES } else { TEXT };
        following.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
        following
    }
}

const JSON_LINES: &str = "application/x-ndjson";

/// Hands on what a follower is shown until nobody listens any more.
async fn tell(mut follower: Follower, look: Look, lines: mpsc::Sender<Bytes>, _seat: OwnedSemaphorePermit) {
    loop {
        let shown = tokio::select! {
            () = lines.closed() => return,
            shown = follower.next() => shown,
        };
        let Some(shown) = shown else { return };
        let line = match look {
            Look::Text => Ok(shown.to_string()),
            Look::Json => safe_json(&shown),
        };
        let Ok(line) = line else { return };
        if lines.send(Bytes::from(line + "\n")).await.is_err() {
            return;
        }
    }
}

/// What an answer has in it.
#[derive(Debug)]
pub(super) enum Content {
    /// All of it.
    Whole(Option<Bytes>),
    /// What comes bit by bit.
    Tail(Tail),
}

/// Lines to come, until there are no more.
#[derive(Debug)]
pub(super) struct Tail(mpsc::Receiver<Bytes>);

impl Content {
    /// Whether it goes on for as long as the client listens.
    pub(super) const fn goes_on(&self) -> bool {
        matches!(self, Self::Tail(_))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let piece = match self.get_mut() {
            Self::Whole(body) => Poll::Ready(body.take()),
            Self::Tail(Tail(lines)) => lines.poll_recv(cx),
        };
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(body) => {
                let octets = body.as_ref().map_or(0, Bytes::len);
                hyper::body::SizeHint::with_exact(u64::try_from(octets).unwrap_or(u64::MAX))
            }
            Self::Tail(_) => hyper::body::SizeHint::default(),
        }
    }
}
