//! A new key to seal with, without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::checks::seal::Sealer;
use crate::config::Settings;
use crate::{files, permissions};

/// How often the file is looked at. What it holds is compared, not its times.
const LOOK: Duration = Duration::from_secs(1);

/// The largest file of a key, in octets.
const LONGEST: u64 = 1 << 20;

/// Begins to watch the key that these settings seal with, until `stop`.
pub(super) fn watch_of(settings: &Settings, stop: &CancellationToken) {
    if let (Some(sealer), Some(file)) = (&settings.checks.seal, &settings.seal_key) {
        tokio::spawn(watch(Arc::clone(sealer), file.clone(), stop.clone()));
    }
}

/// Gives `sealer` what is in `file` whenever that changes, until `stop`. A file that holds no key changes nothing.
async fn watch(sealer: Arc<Sealer>, file: PathBuf, stop: CancellationToken) {
    let mut seen = Seen::default();
    loop {
        let (worker, path, before) = (Arc::clone(&sealer), file.clone(), seen.clone());
        // Files are not read on a worker of sessions.
        let looked = tokio::task::spawn_blocking(move || look(&worker, &path, before)).await;
        seen = looked.unwrap_or(seen);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// What was looked at.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Of what the file held; empty before the first look.
    digest: Vec<u8>,
    /// Why that cannot be used.
    refused: Option<String>,
}

/// Gives what was looked at. A key that was refused is tried at every look, in case the mode of its file is mended; the reason is told
/// once.
fn look(sealer: &Sealer, file: &Path, before: Seen) -> Seen {
    let Ok(pem) = files::read(file, LONGEST).map(Zeroizing::new) else {
        // It is being replaced, or gone: the key that we have stays good.
        return before;
    };
    let now = digest(&SHA256, &pem).as_ref().to_vec();
    if now == before.digest && before.refused.is_none() {
        return before;
    }
    let replaced = match permissions::secret(file) {
        Ok(()) => sealer.replace(&pem).map_err(|error| error.to_string()),
        Err(exposed) => Err(exposed.what()),
    };
    let refused = replaced.err();
    match &refused {
        None if before.digest.is_empty() => {}
        None => tracing::info!(event = "seal_key_loaded", file = %file.display(), "sealing with a new key"),
        Some(_) if now == before.digest && refused == before.refused => {}
        Some(error) => {
            tracing::error!(event = "seal_key_refused", file = %file.display(), %error, "sealing with the old key");
        }
    }
    Seen { digest: now, refused }
}
