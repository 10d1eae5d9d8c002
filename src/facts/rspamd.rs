//! rspamd: what its worker says about a message (`/checkv2`).

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::http::{Error, Pieces, Target, Tls, exchange};
use super::letter::Letter;
use super::{Envelope, Subject};
use crate::policy::question;
use crate::smtp::path::ReversePath;

/// For one message, connection and answer together.
const DEADLINE: Duration = Duration::from_secs(30);
/// Octets of an answer that are read.
const MAX_ANSWER: usize = 1 << 20;
/// Symbols that are told.
const MAX_SYMBOLS: usize = 500;
/// Octets of the name of a symbol, or of the action; whatever is longer is not rspamd's.
const MAX_WORD: usize = 256;
/// Recipients that it is told of.
const MAX_RECIPIENTS: usize = 100;

/// Where rspamd's normal worker listens.
#[derive(Clone, Debug)]
pub struct Rspamd {
    target: Target,
    tls: Tls,
}

impl Rspamd {
    /// `http://HOST:PORT`; `None` if it is no such URL.
    pub fn new(url: &str) -> Option<Self> {
        Some(Self { target: Target::parse(url)?.at("/checkv2"), tls: Tls::default() })
    }

    /// What it says about `letter`, within [`DEADLINE`].
    pub(super) async fn check(&self, subject: &Subject, letter: &Letter) -> question::Rspamd {
        let answer = timeout(DEADLINE, self.ask(subject, letter)).await;
        let found = match answer {
            Ok(Ok((200, body))) => understood(&body).ok_or_else(|| "its answer is not understood".to_owned()),
            Ok(Ok((status, _))) => Err(format!("it answered {status}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        found.unwrap_or_else(|error| {
            tracing::warn!(event = "rspamd_failed", error, "rspamd cannot be asked");
            question::Rspamd::default()
        })
    }

    async fn ask(&self, subject: &Subject, letter: &Letter) -> Result<(u16, Bytes), Error> {
        let (sender, pieces) = mpsc::channel(1);
        let mut request = self.target.request(Method::POST);
        for (name, value) in fields(subject) {
            // A text that no field can hold is nothing that rspamd could use.
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                request = request.header(name, value);
            }
        }
        let request = request.body(Pieces { pieces, left: letter.size() })?;
        let asked = exchange(&self.target, &self.tls, request, MAX_ANSWER);
        tokio::pin!(asked);
        tokio::select! {
            answer = &mut asked => return answer,
            () = letter.feed(sender) => {}
        }
        asked.await
    }
}

/// What it is told about the session.
fn fields(subject: &Subject) -> Vec<(&'static str, String)> {
    let Envelope { id, recipients, login } = &subject.envelope;
    let mut fields = vec![("IP", subject.client.to_string()), ("Queue-Id", id.clone())];
    if let Some(helo) = &subject.helo {
        fields.push(("Helo", helo.clone()));
    }
    if let Some(ReversePath::Mailbox(sender)) = &subject.sender {
        fields.push(("From", sender.to_string()));
    }
    if !login.is_empty() {
        fields.push(("User", login.clone()));
    }
    let recipients = recipients.iter().take(MAX_RECIPIENTS).map(|rcpt| ("Rcpt", rcpt.clone()));
    fields.extend(recipients);
    fields
}

fn understood(body: &[u8]) -> Option<question::Rspamd> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let symbols = answer.get("symbols").and_then(Value::as_object);
    let symbols = symbols.into_iter().flatten().filter(|(name, _)| name.len() <= MAX_WORD);
    let symbols = symbols.take(MAX_SYMBOLS).map(|(name, symbol)| {
        (name.clone(), symbol.get("score").and_then(Value::as_f64).unwrap_or_default())
    });
    Some(question::Rspamd {
        result: "ok",
        action: answer.get("action")?.as_str().filter(|action| action.len() <= MAX_WORD)?.to_owned(),
        score: answer.get("score")?.as_f64()?,
        symbols: symbols.collect(),
    })
}
