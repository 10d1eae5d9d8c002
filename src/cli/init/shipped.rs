//! The policies that are shipped, as texts. A test holds the lists to the folder.

/// Names the files of a folder with their texts.
macro_rules! texts {
    ($folder:literal, [$($name:literal),* $(,)?]) => {
        &[$(($name, include_str!(concat!("../../../policies/", $folder, $name)))),*]
    };
}

/// The policies, by the names of their files.
pub(super) const POLICIES: &[(&str, &str)] = texts!(
    "",
    [
        "00-relay.rhai",
        "05-protocol.rhai",
        "06-manners.rhai",
        "07-logins.rhai",
        "08-lists.rhai",
        "10-helo.rhai",
        "12-client.rhai",
        "18-tls.rhai",
        "20-sender.rhai",
        "22-bounce.rhai",
        "24-recipients.rhai",
        "25-size.rhai",
        "28-rates.rhai",
        "30-dnsbl.rhai",
        "30-spamtrap.rhai",
        "50-spf.rhai",
        "55-submission.rhai",
        "60-dmarc.rhai",
        "65-headers.rhai",
        "70-attachments.rhai",
        "70-greylist.rhai",
    ]
);

/// Their libraries.
pub(super) const LIBRARIES: &[(&str, &str)] = texts!("lib/", ["net.rhai"]);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn scripts(folder: &str) -> Vec<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".rhai")).collect();
        names.sort();
        names
    }

    #[test]
    fn everything_that_is_shipped_is_written() {
        let names =
            |files: &[(&str, &str)]| files.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(names(POLICIES), scripts("policies"), "add it to src/cli/init/shipped.rs");
        assert_eq!(names(LIBRARIES), scripts("policies/lib"), "add it to src/cli/init/shipped.rs");
    }
}
