//! `gatepost log`: how much the process that serves says, until it is told otherwise or starts again.

use anyhow::bail;

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
        level => format!("/log?level={}", checked(level)?),
    };
    screen.say(&endpoint.order(&path)?);
    Ok(())
}

/// A level that can stand in a query as it is: directives for spans cannot, and belong into the configuration.
fn checked(level: &str) -> anyhow::Result<&str> {
    Level::parse(level)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':' | b'=' | b',');
    if !level.bytes().all(plain) {
        bail!("{level:?} belongs into the configuration: only levels, and levels for parts, can be ordered");
    }
    Ok(level)
}
