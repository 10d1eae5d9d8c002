use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::durable::watched::Watched;
use crate::message::spool::{Settings as SpoolSettings, Spooler};
use crate::metrics::Metrics;
use crate::smtp::command::{Command, MailCommand, RcptCommand};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\n.dot\r\n\xff\r\n";

fn mail(line: &str) -> MailCommand {
    match Command::parse(line.as_bytes(), true).unwrap() {
        Command::Mail(mail) => mail,
        other => panic!("{other:?}"),
    }
}

fn rcpt(line: &str) -> RcptCommand {
    match Command::parse(line.as_bytes(), true).unwrap() {
        Command::Rcpt(rcpt) => rcpt,
        other => panic!("{other:?}"),
    }
}

fn entry() -> Entry {
    Entry {
        time: "2026-01-02T03:04:05Z".parse().unwrap(),
        listener: "mx".to_owned(),
        session: "s".to_owned(),
        transaction: "t".to_owned(),
        client: Client {
            ip: "2001:db8::1".parse().unwrap(),
            port: 40112,
            name: "client.example.net".to_owned(),
            helo: "client\u{1b}[31m".to_owned(),
            esmtp: true,
            login: String::new(),
        },
        upstream: "main".to_owned(),
        mail: mail("MAIL FROM:<\u{f6}@example.net> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ314159"),
        recipients: vec![
            Kept {
                rcpt: rcpt("RCPT TO:<a@example.org> NOTIFY=NEVER ORCPT=rfc822;b@example.org"),
                rule: "announce.not-a-member".to_owned(),
                place: "70-announce.rhai:7".to_owned(),
                reason: "only \"members\"\r\nwrite here".to_owned(),
            },
            Kept {
                rcpt: rcpt("RCPT TO:<\"c d\"@example.org>"),
                rule: "x.y".to_owned(),
                place: String::new(),
                reason: String::new(),
            },
        ],
        size: MESSAGE.len() as u64,
    }
}

fn outgoing(message: &[u8]) -> Outgoing {
    let settings = SpoolSettings { dir: None, memory: 1 << 26, memory_per_message: 1 << 26 };
    let mut spool = Spooler::new(settings).unwrap().begin();
    let (header, body) = message.split_at(message.len() / 2);
    spool.write(body).unwrap();
    Outgoing { header: Bytes::copy_from_slice(header), body: spool.seal().unwrap() }
}

fn open(dir: &Path, max_size: u64) -> Arc<Quarantine> {
    let settings = Settings { dir: dir.to_owned(), max_age: Duration::MAX, max_size };
    Quarantine::open(settings, QuarantineMetrics::detached()).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn extensions(dir: &Path) -> Vec<String> {
    names(dir).iter().map(|name| name.split_once('.').unwrap().1.to_owned()).collect()
}

#[tokio::test]
async fn a_stored_message_is_whole_private_and_can_be_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("deep/quarantine");
    let quarantine = open(&folder, 1 << 20);
    let receipt = quarantine.store(entry(), &outgoing(MESSAGE)).await.unwrap();
    let listed = quarantine.list().unwrap();
    let [one] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!(one.state, State::Kept);
    assert_eq!(one.entry, Ok(entry()));
    assert!(receipt.reply().to_string().contains(one.id.as_str()), "{receipt:?}");
    assert_eq!(fs::read(folder.join(format!("{}.eml", one.id))).unwrap(), MESSAGE);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert!(names(&folder).iter().all(|name| mode(&folder.join(name)) == 0o600), "{:?}", names(&folder));
    assert_eq!(extensions(&folder), ["eml", "json"]);
}

#[tokio::test]
async fn a_copy_is_pending_until_the_upstream_has_spoken() {
    let dir = tempfile::tempdir().unwrap();
    let quarantine = open(dir.path(), 1 << 20);
    let finished = quarantine.pend(entry(), &outgoing(MESSAGE)).await.unwrap();
    let withdrawn = quarantine.pend(entry(), &outgoing(MESSAGE)).await.unwrap();
    assert_eq!(extensions(dir.path()), ["eml", "pending", "eml", "pending"]);
    // Nobody takes it out of the hands of the session.
    let id = quarantine.list().unwrap()[0].id.clone();
    assert!(matches!(quarantine.claim(&id), Err(StoreError::Entry(_))));
    withdrawn.withdraw().await;
    assert_eq!(extensions(dir.path()), ["eml", "pending"]);
    finished.finish().await;
    assert_eq!(extensions(dir.path()), ["eml", "json"]);
    let taken = quarantine.ledger().found.octets;
    assert_eq!(taken, 2 * 4_096);
    let id = quarantine.list().unwrap()[0].id.clone();
    assert_eq!(quarantine.claim(&id).unwrap().remove().unwrap(), taken);
    assert_eq!(names(dir.path()), [""; 0]);
    assert!(matches!(quarantine.claim(&id), Err(StoreError::Entry(_))));
}

#[tokio::test]
async fn a_process_that_died_leaves_what_was_pending_and_nothing_half_done() {
    let dir = tempfile::tempdir().unwrap();
    let pending = open(dir.path(), 1 << 20).pend(entry(), &outgoing(MESSAGE)).await.unwrap();
    drop(pending);
    let (part, orphan) = ("a".repeat(16) + ".eml-part", "b".repeat(16) + ".eml");
    let (young, foreign) = ("c".repeat(16) + ".eml", "README".to_owned());
    let old = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    for (name, written) in [(&part, old), (&orphan, old), (&young, SystemTime::now()), (&foreign, old)] {
        let file = fs::File::create(dir.path().join(name)).unwrap();
        file.set_modified(written).unwrap();
    }
    let quarantine = open(dir.path(), 1 << 20);
    let left = names(dir.path());
    assert!(!left.contains(&part) && !left.contains(&orphan), "{left:?}");
    assert!(left.contains(&young) && left.contains(&foreign), "{left:?}");
    let listed = quarantine.list().unwrap();
    assert_eq!(listed.iter().map(|listed| listed.state).collect::<Vec<_>>(), [State::Pending]);
    // What is pending can be dealt with by whoever comes then.
    let claim = quarantine.claim(&listed[0].id).unwrap();
    assert_eq!(claim.entry, Ok(entry()));
}

#[tokio::test]
async fn a_full_quarantine_says_so_and_takes_again_when_there_is_room() {
    let metrics = Metrics::new();
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { dir: dir.path().to_owned(), max_age: Duration::MAX, max_size: 2 * 8_192 };
    let quarantine = Quarantine::open(settings, metrics.quarantine()).unwrap();
    for _ in 0..2 {
        quarantine.store(entry(), &outgoing(MESSAGE)).await.unwrap();
    }
    let full = quarantine.store(entry(), &outgoing(MESSAGE)).await;
    assert!(matches!(full, Err(StoreError::NoSpace(_))), "{full:?}");
    assert_eq!(extensions(dir.path()), ["eml", "json", "eml", "json"]);
    // Another process deletes one, and this one finds out before it says no the next time.
    let id = quarantine.list().unwrap()[0].id.clone();
    quarantine.claim(&id).unwrap().remove().unwrap();
    quarantine.ledger().counted = SystemTime::UNIX_EPOCH;
    quarantine.store(entry(), &outgoing(MESSAGE)).await.unwrap();
    let text = metrics.encode().unwrap();
    for line in [
        r#"gatepost_quarantine_operations_total{operation="store",outcome="ok"} 3"#,
        r#"gatepost_quarantine_operations_total{operation="store",outcome="full"} 1"#,
        "gatepost_quarantine_bytes 16384",
        r#"gatepost_quarantine_entries{state="kept"} 2"#,
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn what_is_too_old_goes_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let settings =
        Settings { dir: dir.path().to_owned(), max_age: Duration::from_secs(3_600), max_size: 1 << 20 };
    let quarantine = Quarantine::open(settings, QuarantineMetrics::detached()).unwrap();
    let young = Entry { time: jiff::Timestamp::now(), ..entry() };
    quarantine.store(young.clone(), &outgoing(MESSAGE)).await.unwrap();
    quarantine.store(entry(), &outgoing(MESSAGE)).await.unwrap();
    quarantine.tidy().await;
    let left: Vec<_> = quarantine.list().unwrap().into_iter().map(|listed| listed.entry.unwrap()).collect();
    assert_eq!(left, [young]);
    assert_eq!(quarantine.ledger().found.octets, 8_192);
}

#[test]
fn names_lead_nowhere_else() {
    let fresh = Id::fresh();
    assert_eq!(Id::parse(fresh.as_str()), Some(fresh.clone()));
    assert_ne!(Id::fresh(), fresh);
    for text in ["", "../../etc/passwd", "aaaaaaaaaaaaaaa/", "AAAAAAAAAAAAAAAA", "aaaaaaaaaaaaaaa1", "a.eml"]
    {
        assert_eq!(Id::parse(text), None, "{text}");
    }
}

#[test]
fn a_description_that_somebody_changed_is_an_error_and_no_panic() {
    let id = Id::fresh();
    let good = entry().to_json(&id);
    assert_eq!(Entry::from_json(&good), Ok(entry()));
    let changes = [
        ("\"version\": 1", "\"version\": 2"),
        ("2001:db8::1", "nobody"),
        ("MAIL FROM", "MAIL FORM"),
        ("RCPT TO:<a", "RCPT TO:<\\r\\nDATA"),
        ("\"time\"", "\"tame\""),
        ("{", "["),
    ];
    for (from, to) in changes {
        assert!(good.contains(from), "{from}");
        assert!(Entry::from_json(&good.replacen(from, to, 1)).is_err(), "{to}");
    }
    assert!(Entry::from_json("").is_err());
}

#[test]
fn an_entry_is_there_after_every_sync_in_order_and_a_failed_one_leaves_nothing() {
    let about = b"{}";
    let wanted = [
        "sync parent".to_owned(),
        format!("sync {} octets", MESSAGE.len()),
        format!("sync {} octets", about.len()),
        "rename to quarantine/*.eml".to_owned(),
        "rename to quarantine/*.json".to_owned(),
        "sync quarantine".to_owned(),
    ];
    for fails_at in (1..=wanted.len()).map(Some).chain([None]) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("parent/quarantine");
        fs::create_dir(dir.path().join("parent")).unwrap();
        let watched = Watched { fails_at, ..Watched::default() };
        let steps = Arc::clone(&watched.steps);
        let shelf = Shelf::on(folder.clone(), Box::new(watched));
        let put = shelf.put(&Id::fresh(), State::Kept, about, MESSAGE);
        assert_eq!(*steps.lock().unwrap(), wanted[..fails_at.unwrap_or(wanted.len())]);
        let left = names(&folder);
        match fails_at {
            Some(_) => assert!(put.is_err() && left.is_empty(), "{fails_at:?}: {left:?}"),
            None => assert!(put.is_ok() && left.len() == 2, "{left:?}"),
        }
    }
}

#[test]
fn a_full_disk_is_told_apart() {
    let full = StoreError::from(io::Error::from(io::ErrorKind::StorageFull));
    assert!(matches!(full, StoreError::NoSpace(_)));
    assert!(matches!(StoreError::from(io::Error::other("x")), StoreError::Io(_)));
}
