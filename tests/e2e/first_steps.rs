//! What a postmaster tries first: the configuration that is shipped, without a mail server.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::harness::{AddedFields, Gatepost, Program, copy, folder, free_port, letter, repository};

/// The shipped configuration with its policies, except for the ports.
fn shipped() -> Gatepost {
    let folder = folder("shipped");
    for name in ["config", "policies"] {
        copy(&repository().join(name), &folder.path().join(name));
    }
    started_in(folder)
}

/// What is in this folder, as somebody starts it who has got it all; the ports are free ones.
pub(crate) fn started_in(folder: TempDir) -> Gatepost {
    let (smtp, admin) = (free_port(), free_port());
    let file = folder.path().join("config/gatepost.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let moved = text.replace("127.0.0.1:2525", &format!("127.0.0.1:{smtp}"));
    let moved = moved.replace("listen: [127.0.0.1:9925,", &format!("listen: [127.0.0.1:{admin},"));
    assert!(
        moved.contains(&format!("127.0.0.1:{smtp}")) && moved.contains(&format!("127.0.0.1:{admin}")),
        "{moved}"
    );
    fs::write(&file, moved).unwrap();
    Gatepost::with_configuration(folder, "config/gatepost.yaml", smtp, admin)
}

fn curl(gatepost: &Gatepost, to: &str) -> Program {
    Program::new("curl")
        .words("-sSv --mail-from joe@sender.example -T - --mail-rcpt")
        .arg(to)
        .arg(format!("smtp://{}/laptop.example.net", gatepost.address()))
}

/// The files in a folder; none when it is not there.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn with_the_shipped_configuration_mail_from_curl_arrives_in_the_maildir() {
    let gatepost = shipped();
    let sent = letter("hello");
    curl(&gatepost, "suzie@example.org").input(&sent[..]).succeed();
    let [stored] = &files(&gatepost.path("var/maildir/new"))[..] else {
        panic!("not one message in the Maildir")
    };
    let stored = fs::read(stored).unwrap();
    // The Maildir keeps the line ends of the mailboxes of Unix, or those of SMTP; nothing else may differ.
    let stored: Vec<u8> = stored.into_iter().filter(|byte| *byte != b'\r').collect();
    let added = AddedFields::of(&stored, &sent);
    let results = added.only("authentication-results");
    assert!(results.starts_with("mx.example.org;"), "{results}");
    for part in ["spf=", "smtp.mailfrom=joe@sender.example", "dkim=none", "dmarc="] {
        assert!(results.contains(part), "{part} is not in {results}");
    }
    assert!(added.only("received").contains("from laptop.example.net"), "{added:?}");
    assert!(files(&gatepost.path("var/maildir/tmp")).is_empty(), "something stayed in tmp");
    gatepost.end_well();
}

#[test]
fn with_the_shipped_configuration_relaying_is_refused() {
    let gatepost = shipped();
    let session = curl(&gatepost, "victim@elsewhere.example").input(letter("relay")).run();
    assert!(!session.status.success(), "{session}");
    assert!(session.errors.contains("550 5.7.1 relaying denied (gp "), "{session}");
    assert!(files(&gatepost.path("var/maildir/new")).is_empty());
    gatepost.end_well();
}

#[test]
fn with_the_shipped_configuration_an_unqualified_greeting_is_refused() {
    let gatepost = shipped();
    let session = Program::new("swaks")
        .words("--ehlo laptop --from joe@sender.example --to suzie@example.org --server")
        .arg(gatepost.address().to_string())
        .run();
    assert!(session.output.contains("550 5.5.2 HELO must be a fully qualified host name"), "{session}");
    gatepost.end_well();
}

#[test]
fn mail_in_the_maildir_survives_a_crash_the_moment_it_is_acknowledged() {
    let mut gatepost = shipped();
    for round in 0..5 {
        let reply = gatepost.introduced().deliver(
            "joe@sender.example",
            "suzie@example.org",
            &letter(&format!("round{round}")),
        );
        gatepost.kill();
        assert_eq!(reply.code, 250, "{reply}");
        assert_eq!(files(&gatepost.path("var/maildir/new")).len(), round + 1);
        gatepost.start_again();
    }
    gatepost.end_well();
}
