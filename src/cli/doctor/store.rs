//! The store of policies' memory. The embedded one is a folder, which was looked at among the folders: its file belongs to the process
//! that serves.

use std::time::SystemTime;

use super::finding::Finding;
use crate::config::Settings;
use crate::metrics::Metrics;
use crate::state::{self, Key, Operation, Store};

/// Whether a server answers, where the store is one.
pub(super) async fn store(settings: &Settings) -> Vec<Finding> {
    let finding = match &settings.state {
        state::Settings::Memory(_) => Finding::warn(
            "state",
            "policies' memory is gone with the process",
            "write `state: embedded:PATH`, so that greylisting begins anew less often",
        ),
        state::Settings::Embedded(folder, _) => Finding::ok("state", format!("kept in {}", folder.display())),
        state::Settings::Redis { .. } => match ask(&settings.state).await {
            Ok(()) => Finding::ok("state", "the server answers"),
            Err(error) => {
                let advice =
                    "until it does, what policies ask of it is `error`; see `state` in config/README.md";
                Finding::fail("state", format!("the server does not answer: {error}"), advice)
            }
        },
    };
    vec![finding]
}

/// Asks for something that is not there, which changes nothing.
async fn ask(settings: &state::Settings) -> Result<(), String> {
    let store = Store::open(settings, Metrics::new().store()).map_err(|error| error.to_string())?;
    let operation = Operation::Remembered { key: Key::new("doctor", "nothing") };
    let done = store.perform(&operation, SystemTime::now()).await;
    done.map(drop).map_err(|error| error.to_string())
}
