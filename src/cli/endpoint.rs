//! Speaks with the process that serves by a configuration.

use std::time::Duration;

use anyhow::{Context, anyhow};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::admin::{self, Answered, AskError, Asked, Place};
use crate::config::Settings;

use super::Failure;
use super::screen::Format;

/// Where the process that serves can be asked.
#[derive(Debug)]
pub(super) struct Endpoint {
    place: Place,
    token: Option<Zeroizing<String>>,
}

impl Endpoint {
    /// The one that `settings` open, a UNIX socket before all others.
    pub(super) fn of(settings: &Settings) -> Result<Self, Failure> {
        let Some(admin) = &settings.admin else {
            let missing = "the configuration has no `admin`, so that the process cannot be asked";
            return Err(anyhow!(missing).into());
        };
        let unix = admin.places.iter().find(|place| matches!(place, Place::Unix(_)));
        let place = unix.or_else(|| admin.places.first()).context("`admin` listens nowhere")?;
        Ok(Self { place: place.clone(), token: admin.token.clone() })
    }

    /// Asks for what is at `path`, which is JSON.
    ///
    /// # Errors
    /// [`Failure::NoDaemon`] when nobody is there; else also when the answer is a refusal.
    pub(super) fn see<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let text = self.ask(Asked::See(path))?;
        Ok(serde_json::from_str(&text).context("the answer is not what was asked for")?)
    }

    /// Orders what `path` stands for; gives the text of the answer.
    ///
    /// # Errors
    /// As [`see`](Self::see).
    pub(super) fn order(&self, path: &str) -> Result<String, Failure> {
        self.ask(Asked::Do(path))
    }

    /// Hands on, line by line, what is at `path` and goes on, for so long; `true` when the time is over, `false` when the other end
    /// ended first.
    ///
    /// # Errors
    /// As [`see`](Self::see).
    pub(super) fn follow(
        &self,
        path: &str,
        format: Format,
        time: Option<Duration>,
        each: impl FnMut(&str),
    ) -> Result<bool, Failure> {
        let accept = if format == Format::Json { "application/json" } else { "text/plain" };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let following = admin::follow(&self.place, self.token.as_ref(), path, accept, each);
        runtime.block_on(async {
            tokio::select! {
                ended = following => ended.map(|()| false).map_err(failure),
                () = tokio::time::sleep(time.unwrap_or(Duration::MAX)) => Ok(true),
            }
        })
    }

    fn ask(&self, asked: Asked<'_>) -> Result<String, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match runtime.block_on(admin::ask(&self.place, self.token.as_ref(), asked)) {
            Ok(Answered { status, body }) => {
                let text = String::from_utf8_lossy(&body).trim_end().to_owned();
                if status / 100 == 2 { Ok(text) } else { Err(anyhow!("{text} (status {status})").into()) }
            }
            Err(error) => Err(failure(error)),
        }
    }
}

fn failure(error: AskError) -> Failure {
    match error {
        AskError::Nobody(..) => Failure::NoDaemon(error.into()),
        AskError::Broken(..) => error.into(),
    }
}
