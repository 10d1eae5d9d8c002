//! `gatepost log`: how much the process that serves says, until it is told otherwise or starts again.

use anyhow::Context;

use crate::log::Level;

use super::Failure;
use super::endpoint::Endpoint;
use super::screen::Screen;

/// The word for what is configured.
const CONFIGURED: &str = "configured";

/// Orders another level, and shows what then holds.
///
/// # Errors
/// `wanted` is no level, or nobody serves.
pub(super) fn volume(endpoint: &Endpoint, wanted: &str, screen: Screen) -> Result<(), Failure> {
    let path = match wanted {
        CONFIGURED => "/log".to_owned(),
        level => {
            Level::parse(level).map_err(anyhow::Error::from)?;
            let query = serde_urlencoded::to_string([("level", level)]);
            format!("/log?{}", query.context("the level cannot be written")?)
        }
    };
    screen.say(&endpoint.order(&path)?);
    Ok(())
}
