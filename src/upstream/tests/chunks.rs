//! BDAT towards the upstream.

use super::simulated::{Act, Answer, Cue};
use super::*;
use crate::smtp::needs::Need;

const MIB: usize = 1024 * 1024;

fn chunking() -> Script {
    let mut script = Script::default();
    script.extensions.extend(["CHUNKING".to_owned(), "BINARYMIME".to_owned()]);
    script
}

/// What is delivered in a session of its own.
async fn deliver(world: &World, message: &[u8]) -> Result<Receipt, Failure> {
    let mut session = world.session();
    session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
    session.deliver(&outgoing(message)).await
}

fn said_of_message(world: &World) -> String {
    world.said(|line| line.starts_with("G: BDAT") || line.starts_with("G: DATA") || line == "G: .")
}

#[tokio::test(start_paused = true)]
async fn messages_arrive_byte_for_byte_in_chunks() {
    let mut bodies = vec![
        b"\r\n".to_vec(),
        b".\r\n".to_vec(),
        b"..\r\n.\r\n.x\r\n\r\n.".to_vec(),
        b"no line end".to_vec(),
        b"a CR at the end\r".to_vec(),
        b"\xff\xfe8-bit \x00\x01\n\r\n".to_vec(),
    ];
    for size in [64 * 1024 - 20, 64 * 1024, 64 * 1024 + 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 5 * MIB + 3] {
        bodies.push(b".dotted\r\n".iter().copied().cycle().take(size).collect());
    }
    let world = World::plain(chunking());
    for body in bodies {
        deliver(&world, &body).await.unwrap();
        let got = world.server.messages().pop().unwrap();
        assert!(got.chunked);
        assert!(got.data == body, "{} octets became {}", body.len(), got.data.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_in_one_chunk_and_a_large_one_in_several() {
    let world = World::plain(chunking());
    deliver(&world, MESSAGE).await.unwrap();
    deliver(&world, b"").await.unwrap();
    deliver(&world, &vec![b'x'; 2 * MIB + 5]).await.unwrap();
    deliver(&world, &vec![b'x'; 2 * MIB]).await.unwrap();
    let wanted = [
        "G: BDAT 20 LAST",
        "G: BDAT 0 LAST",
        "G: BDAT 1048576",
        "G: BDAT 1048576",
        "G: BDAT 5 LAST",
        "G: BDAT 1048576",
        "G: BDAT 1048576 LAST",
    ];
    assert_eq!(said_of_message(&world), wanted.join("\n"));
    assert_eq!(world.metric("upstream_replies_total", &[r#"command="bdat""#, r#"class="2""#]), 3);
    assert_eq!(world.metric("upstream_replies_total", &[r#"command="end_of_data""#, r#"class="2""#]), 4);
    assert_eq!(world.metric("upstream_replies_total", &[r#"command="data""#]), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_in_a_file_goes_as_one_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { dir: Some(folder.path().to_owned()), memory: 1, memory_per_message: 1 };
    let body = b"..dots\r\n".repeat(300_000);
    let mut spool = Spooler::new(settings).unwrap().begin();
    spool.write(&body).unwrap();
    let message = Outgoing { header: Bytes::from_static(b"Subject: x\r\n\r\n"), body: spool.seal().unwrap() };
    assert!(message.body.is_file());
    for script in [chunking(), Script::default()] {
        let world = World::plain(script);
        let mut session = world.session();
        session.rcpt(&mail("s"), &rcpt("r1")).await.unwrap();
        session.deliver(&message).await.unwrap();
        assert!(world.server.messages()[0].data == [&message.header[..], &body].concat());
    }
}

/// Rows 108 to 167, for chunks: each fault for the first of two chunks, before the end of the last, and in place of its reply.
#[tokio::test(start_paused = true)]
async fn only_what_comes_after_the_last_octet_leaves_a_doubt() {
    let large = vec![b'x'; MIB + 10];
    for (cue, doubt) in [(Cue::Bdat, false), (Cue::Body, false), (Cue::Dot, true)] {
        for name in ["rst", "close", "stall", "half", "halfmulti", "garbage", "421", "451", "badcode", "1xx"]
        {
            let world = World::plain(chunking().on(cue, Answer::fault(name).unwrap()));
            let (outcome, took) = timed(deliver(&world, &large)).await;
            let failure = outcome.unwrap_err();
            let at = format!("{name} at {}: {failure}", cue.name());
            assert!(took < Duration::from_secs(20), "{at}: {took:?}");
            assert_eq!(failure.reply().code().get(), 451, "{at}");
            assert_eq!((world.server.messages().len(), world.server.dialled()), (0, 1), "{at}");
            let ambiguous = matches!(&failure, Failure::Fault(Fault { ambiguous: true, .. }));
            assert_eq!(world.metric("upstream_ambiguous_total", &[]), u64::from(ambiguous), "{at}");
            match failure {
                Failure::Fault(fault) => assert_eq!(fault.ambiguous, doubt, "{at}"),
                Failure::Withdrawn(need) => panic!("{need:?} {at}"),
                Failure::Refused(_) => assert!(cue != Cue::Body && ["421", "451"].contains(&name), "{at}"),
            }
        }
    }
}

/// The upstream says 250 as soon as it has heard of the last chunk, and then it is gone.
#[tokio::test(start_paused = true)]
async fn a_reply_before_the_last_octet_is_no_receipt() {
    for size in [20, MIB - 5, MIB + 5] {
        let early = Answer::reply("250 2.0.0 Ok: queued as FALSE").then(Act::Close);
        let world = World::plain(chunking().on(Cue::Body, early));
        let Err(Failure::Fault(fault)) = deliver(&world, &vec![b'x'; size]).await else { panic!("{size}") };
        assert!(!fault.ambiguous, "{size}: {fault}");
        assert_eq!(world.server.messages().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_reply_to_a_chunk_is_no_answer_to_the_next() {
    let twice = Answer::reply("250 2.0.0 Ok\n250 2.0.0 Ok: queued as FALSE");
    for cue in [Cue::Bdat, Cue::Dot] {
        let world = World::plain(chunking().once(cue, twice.clone()));
        let failure = deliver(&world, &vec![b'x'; MIB + 5]).await.unwrap_err();
        assert_eq!(failure.reply().code().get(), 451, "{}", cue.name());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_chunk_is_the_answer_and_the_connection_goes_on() {
    for (cue, size) in [(Cue::Bdat, MIB + 5), (Cue::Dot, MIB + 5), (Cue::Dot, 20)] {
        let world = World::plain(chunking().once(cue, Answer::reply("552 5.3.4 too much")));
        let mut session = world.session();
        assert_eq!(send_in(&mut session, &["r1"], &vec![b'x'; size]).await, "552 5.3.4 too much");
        assert!(send_in(&mut session, &["r2"], MESSAGE).await.starts_with("250 "));
        assert_eq!(world.server.dialled(), 1);
        let behind =
            world.commands().lines().skip_while(|line| !line.starts_with("BDAT")).collect::<String>();
        assert_eq!(behind.matches("RSET").count(), 1, "{behind}");
        assert_eq!(world.server.messages()[0].rcpts, ["<r2@example.org>"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_found_lost_before_the_first_chunk_is_replaced_and_later_never() {
    let idle = Answer::raw(b"250 2.1.5 Ok\r\n421 4.4.2 idle\r\n").then(Act::Close);
    let world =
        World::plain(Script { extensions: vec!["CHUNKING".to_owned()], ..chunking() }.once(Cue::Rcpt, idle));
    assert!(world.send().await.starts_with("250 "));
    assert_eq!((world.server.dialled(), world.server.messages().len()), (2, 1));

    let world = World::plain(chunking().once(Cue::Bdat, Act::Close.into()));
    assert!(deliver(&world, &vec![b'x'; MIB + 5]).await.is_err());
    assert_eq!((world.server.dialled(), world.server.messages().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_binary_message_goes_by_bdat_or_not_at_all() {
    let binary = mail_line("MAIL FROM:<s@example.org> BODY=BINARYMIME");
    let world = World::plain(chunking());
    let mut session = world.session();
    session.rcpt(&binary, &rcpt("r1")).await.unwrap();
    session.deliver(&outgoing(b"\0\n.\n\r")).await.unwrap();
    assert_eq!(world.server.messages()[0].mail, "<s@example.org> BODY=BINARYMIME");
    assert_eq!(world.server.messages()[0].data, b"\0\n.\n\r");
    for offered in [&["BINARYMIME"][..], &["CHUNKING"], &["PIPELINING", "8BITMIME"]] {
        let extensions = offered.iter().map(|&offer| offer.to_owned()).collect();
        let world = World::plain(Script { extensions, ..Script::default() });
        let answer = world.session().rcpt(&binary, &rcpt("r1")).await;
        assert!(matches!(answer, Err(Failure::Withdrawn(Need::BinaryMime))), "{offered:?}: {answer:?}");
        assert!(!world.commands().contains("MAIL"), "{offered:?}");
    }
}
