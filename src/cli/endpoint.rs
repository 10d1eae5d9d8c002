//! Speaks with the process that serves by a configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::admin::{self, Answered, AskError, Asked, Place};
use crate::config::{self, Glimpse};

use super::Failure;
use super::screen::{Format, Screen, tally};

/// Where the process that serves can be asked.
#[derive(Debug)]
pub(super) struct Endpoint {
    place: Place,
    token: Option<Zeroizing<String>>,
    /// Why there is no token, where one is configured.
    no_token: Option<String>,
}

/// Where to ask, whatever the configuration says.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct At {
    /// Ask at this UNIX socket, whatever the configuration says
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl At {
    /// The socket that is named.
    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        let place = Place::Unix(self.socket.clone()?);
        Some(Endpoint { place, token: None, no_token: None })
    }
}

/// What the configuration `named` on the command line, or the usual one, says of the process that serves: also when it cannot be used
/// for anything else.
///
/// # Errors
/// There is none, or nothing can be made of it; what is wrong has been shown.
pub(super) fn glimpse(named: Option<&Path>, screen: Screen) -> Result<Glimpse, Failure> {
    let path = config::find(named)?;
    config::glimpse(&path).map_err(|found| {
        screen.diagnostics(&found);
        let help = "`--socket PATH` asks without it";
        Failure::Untold(anyhow!("{} cannot be used: {}; {help}", path.display(), tally(&found)))
    })
}

impl Endpoint {
    /// The socket that is named, else the one that the configuration opens.
    ///
    /// # Errors
    /// As [`glimpse`]; or nothing is opened.
    pub(super) fn find(config: Option<&Path>, at: &At, screen: Screen) -> Result<Self, Failure> {
        at.endpoint().map_or_else(|| Self::of(&glimpse(config, screen)?, screen), Ok)
    }

    /// The one that a configuration opens, a UNIX socket before all others.
    ///
    /// # Errors
    /// It opens none, or none that can be read; what is wrong has been shown.
    pub(super) fn of(seen: &Glimpse, screen: Screen) -> Result<Self, Failure> {
        let Some(admin) = &seen.admin else {
            screen.diagnostics(&seen.problems);
            let missing =
                "the configuration has no `admin` that can be used, so that the process cannot be asked";
            return Err(anyhow!("{missing}; `--socket PATH` asks without it").into());
        };
        let unix = admin.places.iter().find(|place| matches!(place, Place::Unix(_)));
        let place = unix.or_else(|| admin.places.first()).context("`admin` listens nowhere")?;
        let no_token = admin.token.is_none().then(|| seen.problems.first()).flatten();
        Ok(Self {
            place: place.clone(),
            token: admin.token.clone(),
            no_token: no_token.map(|problem| problem.one_line()),
        })
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
                match (status, &self.no_token) {
                    (200..300, _) => Ok(text),
                    (401, Some(why)) => Err(anyhow!("{text} (status {status}); {why}").into()),
                    _ => Err(anyhow!("{text} (status {status})").into()),
                }
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
