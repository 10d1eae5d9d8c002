//! Secrets, read from where they are kept. No message shows any of one.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::super::raw;
use super::super::read::Placed;
use super::super::report::Report;
use crate::{files, permissions};

/// The folder with what systemd hands over (`LoadCredential=`).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The largest file of a secret, in octets.
const LONGEST: u64 = 1 << 20;

/// The text of a secret, without the line end that a file has.
pub(super) fn text(secret: &Placed<raw::Secret>, report: &mut Report) -> Option<Zeroizing<String>> {
    let found = match (&secret.value.env, &secret.value.file, &secret.value.credential) {
        (Some(name), None, None) => std::env::var(&name.value)
            .map_err(|_| (name.place, format!("the variable {} is not set, or no text", name.value))),
        (None, Some(file), None) => {
            let path = report.resolve(&file.value);
            if let Err(exposed) = permissions::secret(&path) {
                report.error_with_help(file.place, exposed.to_string(), exposed.fix());
                return None;
            }
            content(&path).map_err(|why| (file.place, why))
        }
        (None, None, Some(name)) => credential(&name.value).map_err(|why| (name.place, why)),
        _ => {
            let help = "one of `{ env: NAME }`, `{ file: PATH }`, `{ credential: NAME }`";
            report.error_with_help(secret.place, "expected one place where the secret is", help);
            return None;
        }
    };
    match found {
        Ok(text) => {
            let text = Zeroizing::new(text);
            let trimmed = text.trim_end_matches(['\r', '\n']);
            if trimmed.is_empty() {
                report.error(secret.place, "the secret is empty".to_owned());
                return None;
            }
            Some(Zeroizing::new(trimmed.to_owned()))
        }
        Err((place, why)) => {
            report.error(place, why);
            None
        }
    }
}

fn content(path: &Path) -> Result<String, String> {
    files::read_text(path, LONGEST).map_err(|error| format!("{}: {error}", path.display()))
}

fn credential(name: &str) -> Result<String, String> {
    if name.contains('/') || name.starts_with('.') {
        return Err(format!("`{name}` is no name of a credential"));
    }
    match std::env::var_os(CREDENTIALS) {
        Some(folder) => content(&PathBuf::from(folder).join(name)),
        None => Err(format!("systemd handed over no credentials: {CREDENTIALS} is not set")),
    }
}
