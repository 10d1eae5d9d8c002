//! What only the embedded store has: a file. What all of them do is in the end-to-end tests, which hold each kind to one
//! suite.

use std::fs;

use super::*;

fn at(seconds: u64) -> SystemTime {
    // Of now: what has expired by the system's clock is not read again.
    SystemTime::now() + Duration::from_secs(seconds)
}

fn open(folder: &std::path::Path) -> Result<Store, OpenError> {
    Store::open(&Settings::Embedded(folder.to_owned(), Capacity::default()), StoreMetrics::detached())
}

fn attempt() -> Operation {
    Operation::Greylist(Greylist {
        space: "greylist".to_owned(),
        client: "192.0.2.0/24".to_owned(),
        pair: "a@x b@y".to_owned(),
        delay: Duration::from_secs(300),
        keep: Duration::from_secs(3_600),
        passes: 5,
        shadow: false,
    })
}

fn one_of_two() -> Operation {
    let limits = vec![Limit { count: 2, period: Duration::from_secs(3_600) }];
    Operation::Rate(Rate { key: Key::new("p.r:enforce", "k"), limits })
}

#[tokio::test]
async fn what_was_kept_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let kept = Key::new("p.n:enforce", "k");
    let brief = Key::new("p.n:enforce", "brief");
    let remember =
        |key: &Key, seconds| Operation::Remember { key: key.clone(), keep: Duration::from_secs(seconds) };
    store.perform(&attempt(), at(0)).await.unwrap();
    store.perform(&one_of_two(), at(0)).await.unwrap();
    store.perform(&remember(&kept, 3_600), at(0)).await.unwrap();
    store.perform(&remember(&brief, 1), SystemTime::now() - Duration::from_secs(60)).await.unwrap();
    drop(store);

    let store = open(folder.path()).unwrap();
    let seen = store.perform(&attempt(), at(301)).await.unwrap();
    assert_eq!(seen, Outcome::Greylist(Seen::Pass));
    let Outcome::Rate(counted) = store.perform(&one_of_two(), at(1)).await.unwrap() else { panic!() };
    assert_eq!((counted.fits, counted.count), (true, 2));
    let remembered = |key: &Key| Operation::Remembered { key: key.clone() };
    assert_eq!(store.perform(&remembered(&kept), at(1)).await.unwrap(), Outcome::Remembered(true));
    assert_eq!(store.perform(&remembered(&brief), at(1)).await.unwrap(), Outcome::Remembered(false));
}

/// It tells who writes to whom; one that an earlier version left open is closed.
#[tokio::test]
async fn the_file_is_for_nobody_else_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.redb");
    let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    drop(open(folder.path()).unwrap());
    assert_eq!(mode(), 0o600);
    let deep = folder.path().join("var/state");
    drop(open(&deep).unwrap());
    assert_eq!(fs::metadata(deep).unwrap().permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    drop(open(folder.path()).unwrap());
    assert_eq!(mode(), 0o600);
}

#[tokio::test]
async fn a_file_is_for_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("state.redb") && error.contains("another process"), "{error}");
    first.close();
    open(folder.path()).unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_named_and_not_begun_anew_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.redb");
    let store = open(folder.path()).unwrap();
    for n in 0..200 {
        let key = Key::new("p.n:enforce", n.to_string());
        store.perform(&Operation::Remember { key, keep: Duration::from_secs(3_600) }, at(0)).await.unwrap();
    }
    drop(store);
    let good = fs::read(&file).unwrap();
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("no database", |octets| *octets = b"state\n".repeat(1_000)),
        ("cut", |octets| octets.truncate(octets.len() / 3)),
        ("head", |octets| octets[..512].fill(0)),
        ("all but the head", |octets| octets[4_096..].fill(0x5a)),
    ];
    for (what, damage) in damages {
        let mut octets = good.clone();
        damage(&mut octets);
        fs::write(&file, &octets).unwrap();
        let error = open(folder.path()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("state.redb") && error.contains("damaged"), "{what}: {error}");
        assert_eq!(fs::read(&file).unwrap().len(), octets.len(), "{what}: it is left for who wants to look");
    }
    fs::write(&file, good).unwrap();
    open(folder.path()).unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = open(&folder.path().join("file/state")).unwrap_err().to_string();
    assert!(error.contains("file/state") && error.contains("cannot be made"), "{error}");
}

/// Nobody listens there: the first few pay with a failed connection, the rest with nothing.
#[tokio::test]
async fn a_server_that_is_not_there_is_left_alone_soon() {
    let target = Target {
        nodes: vec![("127.0.0.1".to_owned(), 1)],
        cluster: false,
        database: 0,
        tls: None,
        user: String::new(),
        password: Some(Password::new("open sesame")),
    };
    let settings = Settings::Redis { target, deadline: Duration::from_secs(2) };
    assert!(!format!("{settings:?}").contains("sesame"));
    let store = Store::open(&settings, StoreMetrics::detached()).unwrap();
    let mut told = Vec::new();
    for _ in 0..8 {
        told.push(store.perform(&one_of_two(), at(0)).await.unwrap_err());
    }
    assert!(matches!(told.first(), Some(StoreError::Failed(_) | StoreError::Deadline)), "{told:?}");
    assert_eq!(told.last(), Some(&StoreError::Down), "{told:?}");
    assert!(!format!("{store:?}{told:?}").contains("sesame"));
}
