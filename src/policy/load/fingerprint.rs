//! Whether anything changed that a generation is made of.

use std::fmt;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

use super::super::sources::{ListSource, Sources};
use super::file::{self, MAX_SCRIPT};
use super::lists::MAX_LIST;

/// A digest of the names and contents of all files that policies are made of. Equal fingerprints, equal files.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fingerprint([u8; 32]);

/// Its first twelve hexadecimal digits: enough to tell generations apart.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(6).try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl Sources {
    /// Reads all policies, libraries and list files and digests them. Blocks on the disk; a file that cannot be read counts by
    /// its error, so that its coming and going is seen too.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut digest = Context::new(&SHA256);
        add_folder(&mut digest, &self.dir);
        add_folder(&mut digest, &self.dir.join("lib"));
        for (name, source) in &self.lists {
            if let ListSource::File(path) = source {
                add(&mut digest, name);
                add(&mut digest, &file::read(path, MAX_LIST).unwrap_or_else(|error| error));
            }
        }
        let mut value = [0; 32];
        value.iter_mut().zip(digest.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Fingerprint(value)
    }
}

fn add_folder(digest: &mut Context, dir: &Path) {
    let paths = file::script_paths(dir).unwrap_or_default();
    digest.update(&paths.len().to_be_bytes());
    for (name, path) in paths {
        add(digest, &name);
        add(digest, &file::read(&path, MAX_SCRIPT).unwrap_or_else(|error| error));
    }
}

/// With its length in front, so that no two sequences of parts look alike.
fn add(digest: &mut Context, part: &str) {
    digest.update(&part.len().to_be_bytes());
    digest.update(part.as_bytes());
}
