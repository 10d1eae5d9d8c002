use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::message::edit::{Edits, NewField};
use crate::message::header::HeaderScanner;

const PER_MESSAGE: u64 = 16 * 1024;

fn spooler(dir: Option<&Path>, memory: u64) -> Spooler {
    let dir = dir.map(Path::to_owned);
    Spooler::new(Settings { dir, memory, memory_per_message: PER_MESSAGE }).unwrap()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
}

fn store(spooler: &Spooler, octets: &[u8], piece: usize) -> Stored {
    let mut spool = spooler.begin();
    octets.chunks(piece).for_each(|chunk| spool.write(chunk).unwrap());
    spool.seal().unwrap()
}

fn read(mut reader: impl Read) -> Vec<u8> {
    let mut octets = Vec::new();
    reader.read_to_end(&mut octets).unwrap();
    octets
}

#[test]
fn what_goes_in_comes_out() {
    let dir = tempfile::tempdir().unwrap();
    let spooler = spooler(Some(dir.path()), 1 << 20);
    for len in [0, 1, 4096, 16_384, 16_385, 65_536, 100_000, 300_000] {
        for piece in [1, 1000, 65_535, 65_536, 1 << 20] {
            let octets = pattern(len);
            let stored = store(&spooler, &octets, piece);
            assert_eq!(stored.len(), len as u64);
            assert_eq!(stored.is_file(), len > 16_384, "{len}");
            assert!(read(stored.reader()) == octets, "{len} in pieces of {piece}");
            assert!(read(stored.reader()) == octets, "a second time: {len} in pieces of {piece}");
        }
    }
    assert_eq!(spooler.memory_in_use(), 0);
}

#[test]
fn a_large_message_holds_no_memory_and_leaves_no_name() {
    let dir = tempfile::tempdir().unwrap();
    let spooler = spooler(Some(dir.path()), 1 << 20);
    let mut spool = spooler.begin();
    let mut most = 0;
    for chunk in pattern(5 << 20).chunks(3000) {
        spool.write(chunk).unwrap();
        most = most.max(spooler.memory_in_use());
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }
    assert!(most <= FILE_BUFFER as u64, "{most}");
    let stored = spool.seal().unwrap();
    assert_eq!((spooler.memory_in_use(), stored.len()), (0, 5 << 20));
}

#[test]
fn the_budget_is_shared_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let spooler = spooler(Some(dir.path()), 32 * 1024);
    let octets = pattern(10 * 1024);
    let first = store(&spooler, &octets, 100);
    let second = store(&spooler, &octets, 100);
    let third = store(&spooler, &octets, 100);
    assert_eq!([&first, &second, &third].map(Stored::is_file), [false, false, true]);
    assert_eq!(spooler.memory_in_use(), 20 * 1024);
    let copy = first.clone();
    drop(first);
    assert!(store(&spooler, &octets, 100).is_file(), "a copy still holds the memory");
    drop(copy);
    assert_eq!(spooler.memory_in_use(), 10 * 1024);
    assert!(!store(&spooler, &octets, 100).is_file());
    drop((second, third));
    let abandoned = spooler.begin();
    drop(abandoned);
    assert_eq!(spooler.memory_in_use(), 0);
}

#[test]
fn without_a_folder_memory_is_all_there_is() {
    let spooler = spooler(None, 100 * 1024);
    let octets = pattern(90 * 1024);
    let stored = store(&spooler, &octets, 777);
    assert!(!stored.is_file() && read(stored.reader()) == octets);
    drop(stored);
    let mut spool = spooler.begin();
    spool.write(&octets).unwrap();
    assert!(matches!(spool.write(&octets), Err(SpoolError::NoSpace(_))));
    assert_eq!(spooler.memory_in_use(), 0);
    assert!(matches!(spool.write(b""), Err(SpoolError::NoSpace(_))), "no later write hides the hole");
    assert!(matches!(spool.seal(), Err(SpoolError::NoSpace(_))));
}

/// The device that is always full stands for a disk that is.
#[test]
fn a_full_disk_is_no_space() {
    let file = || File::options().read(true).write(true).open("/dev/full").unwrap();
    let spooler = spooler(None, 1 << 20);
    let mut spool = spooler.begin();
    spool.place = Place::File(FileWriter::new(file(), 0, FILE_BUFFER));
    spool.write(b"fits into the buffer").unwrap();
    assert!(matches!(spool.write(&pattern(FILE_BUFFER)), Err(SpoolError::NoSpace(_))));
    assert!(matches!(spool.seal(), Err(SpoolError::NoSpace(_))));
    let mut spool = spooler.begin();
    spool.place = Place::File(FileWriter::new(file(), 0, FILE_BUFFER));
    spool.write(b"fits into the buffer").unwrap();
    assert!(matches!(spool.seal(), Err(SpoolError::NoSpace(_))), "the last octets count too");
}

#[test]
fn errors_say_whether_there_was_no_space() {
    for (error, no_space) in [
        (28, true),
        (122, cfg!(target_os = "linux")),
        (24, true),
        (23, true),
        (27, true),
        (5, false),
        (13, false),
    ] {
        let error = SpoolError::from(io::Error::from_raw_os_error(error));
        assert_eq!(matches!(error, SpoolError::NoSpace(_)), no_space, "{error}");
    }
}

#[test]
fn the_folder_is_made_for_us_alone_and_made_again() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("var/spool");
    let spooler = spooler(Some(&dir), 1 << 20);
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    std::fs::remove_dir(&dir).unwrap();
    assert!(store(&spooler, &pattern(20_000), 1000).is_file());
}

#[test]
fn a_folder_that_cannot_be_is_an_error_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let settings = Settings { dir: Some(file.path().join("spool")), memory: 1, memory_per_message: 1 };
    assert!(matches!(Spooler::new(settings), Err(SpoolError::Io(_))));
}

#[test]
fn several_readers_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let spooler = spooler(Some(dir.path()), 1 << 20);
    let octets = pattern(400_000);
    let stored = store(&spooler, &octets, 5000);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(read(stored.reader()) == octets));
        }
    });
}

#[test]
fn a_file_that_shrank_is_an_error_not_a_shorter_message() {
    let dir = tempfile::tempdir().unwrap();
    let spooler = spooler(Some(dir.path()), 1 << 20);
    let stored = store(&spooler, &pattern(100_000), 5000);
    let Content::File(file) = &stored.0.content else { panic!("a file") };
    file.set_len(50_000).unwrap();
    let error = stored.reader().read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn the_end_of_the_message_is_known_across_header_and_body() {
    let spooler = spooler(None, 1 << 20);
    let cases: &[(&str, &[&str], bool)] = &[
        ("", &[], false),
        ("\r\n", &[], true),
        ("A: b\r\n\r\n", &["x\r", "\n"], true),
        ("A: b\r\n\r\n", &["x", "\r", "\n"], true),
        ("A: b\r\n\r\n", &["x\r\n", "y"], false),
        ("A: b\r\n\r\n", &["\n"], false),
        ("A: b\r", &["\n"], true),
        ("A: b\r", &[], false),
        ("A: b", &["\r\n"], true),
    ];
    for (header, pieces, ends) in cases {
        let mut spool = spooler.begin();
        pieces.iter().for_each(|piece| spool.write(piece.as_bytes()).unwrap());
        let body = spool.seal().unwrap();
        assert_eq!(body.ends_with_crlf(), pieces.concat().ends_with("\r\n"));
        let outgoing = Outgoing { header: Bytes::from_static(header.as_bytes()), body };
        assert_eq!(outgoing.ends_with_crlf(), *ends, "{header:?} {pieces:?}");
        assert_eq!(outgoing.size() as usize, header.len() + pieces.concat().len());
    }
}

#[test]
fn a_reader_fills_what_it_is_given() {
    let spooler = spooler(None, 1 << 20);
    let octets = pattern(100_000);
    let outgoing =
        Outgoing { header: Bytes::from(octets[..500].to_vec()), body: store(&spooler, &octets[500..], 4000) };
    let mut buffer = vec![0; 64 * 1024];
    assert_eq!(outgoing.reader().read(&mut buffer).unwrap(), buffer.len());
    assert_eq!(outgoing.reader().read(&mut buffer[..500]).unwrap(), 500);
    assert_eq!(outgoing.reader().read(&mut []).unwrap(), 0);
}

/// The whole way through the room, in pieces, with the body in memory or in a file.
fn passed_through(message: &[u8], piece: usize, memory: u64, dir: &Path, edits: &Edits) -> Vec<u8> {
    let spooler =
        Spooler::new(Settings { dir: Some(dir.to_owned()), memory, memory_per_message: memory }).unwrap();
    let mut scanner = HeaderScanner::new(1 << 20);
    let mut bodies = Vec::new();
    for chunk in message.chunks(piece) {
        let taken = scanner.push(chunk).taken;
        bodies.push(&chunk[taken..]);
    }
    let scanned = scanner.finish();
    let mut spool = spooler.begin();
    spool.write(&scanned.body_start).unwrap();
    bodies.iter().for_each(|body| spool.write(body).unwrap());
    let outgoing = Outgoing { header: edits.render(&scanned.header, true), body: spool.seal().unwrap() };
    let out = read(outgoing.reader());
    assert_eq!(outgoing.size(), out.len() as u64);
    assert_eq!(outgoing.ends_with_crlf(), out.ends_with(b"\r\n"));
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_octets_pass_through_unchanged_but_for_what_was_added(
        lines in prop::collection::vec(prop_oneof![
            "[A-Za-z]{1,6}:[ -~]{0,30}\r\n".prop_map(String::into_bytes),
            "[ \t]{0,1}[ -~]{0,30}\r\n".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..40),
        ], 0..20),
        piece in 1..50_usize,
        memory in prop_oneof![Just(0_u64), Just(50), Just(1 << 20)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let message = lines.concat();
        let same = passed_through(&message, piece, memory, dir.path(), &Edits::default());
        prop_assert_eq!(&same, &message);

        let mut edits = Edits::default();
        edits.prepend(NewField::new("Top", "1").unwrap());
        let more = passed_through(&message, piece, memory, dir.path(), &edits);
        let rest = more.strip_prefix(b"Top: 1\r\n").unwrap();
        prop_assert!(rest == message || rest.strip_prefix(b"\r\n").is_some_and(|rest| rest == message));
    }
}
