//! `authentication.seal`: who seals what is forwarded.

use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::super::raw;
use super::super::read::Placed;
use super::super::report::Report;
use crate::checks::seal::Sealer;
use crate::{files, permissions};

/// The largest file of a key, in octets.
const LONGEST_KEY: u64 = 1 << 20;

/// The sealer, with its key loaded.
pub(super) fn sealer(
    seal: &Placed<raw::Seal>,
    authentication: &raw::Authentication,
    report: &mut Report,
) -> Option<Arc<Sealer>> {
    if authentication.arc == Some(false) {
        let help = "remove `arc: false`: a seal says whether the chain below it was good";
        report.error_with_help(seal.place, "sealing needs ARC to be checked", help);
    }
    let domain = seal.value.domain.as_ref().and_then(|domain| name(domain, report));
    let selector = seal.value.selector.as_ref().and_then(|selector| name(selector, report));
    let file = seal.value.key.as_ref()?.value.file.as_ref()?;
    let path = report.resolve(&file.value);
    if let Err(exposed) = permissions::secret(&path) {
        report.error_with_help(file.place, exposed.to_string(), exposed.fix());
        return None;
    }
    let sealer = match files::read(&path, LONGEST_KEY).map(Zeroizing::new) {
        Ok(pem) => Sealer::new(&domain?, &selector?, &pem).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match sealer {
        Ok(sealer) => Some(Arc::new(sealer)),
        Err(error) => {
            report.error(file.place, format!("cannot seal with {}: {error}", path.display()));
            None
        }
    }
}

/// Where the key is.
pub(super) fn key_file(seal: &Placed<raw::Seal>, report: &Report) -> Option<PathBuf> {
    Some(report.resolve(&seal.value.key.as_ref()?.value.file.as_ref()?.value))
}

fn name(text: &Placed<String>, report: &mut Report) -> Option<String> {
    let ascii = idna::domain_to_ascii_strict(&text.value).ok().filter(|name| !name.is_empty());
    if ascii.is_none() {
        report.error(text.place, format!("`{}` is no name that DNS could have", text.value));
    }
    ascii
}
