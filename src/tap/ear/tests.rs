use super::*;

fn listening() -> Ear {
    let mut ear = Ear::default();
    ear.replied(220);
    ear
}

#[test]
fn commands_are_shown_however_they_are_cut() {
    let mut ear = listening();
    assert_eq!(ear.hear(b"EHLO a.exam"), Vec::<String>::new());
    assert_eq!(ear.hear(b"ple\r\nMAIL FROM:<>\r\n"), ["EHLO a.example", "MAIL FROM:<>"]);
}

#[test]
fn secrets_are_not_shown() {
    let mut ear = listening();
    assert_eq!(ear.hear(b"AUTH PLAIN c2VjcmV0\r\n"), ["AUTH PLAIN (response)"]);
    ear.replied(235);
    assert_eq!(ear.hear(b"AUTH LOGIN\r\n"), ["AUTH LOGIN"]);
    ear.replied(334);
    assert_eq!(ear.hear(b"c2VjcmV0\r\n"), ["(response)"]);
    ear.replied(334);
    assert_eq!(ear.hear(b"c2Vj"), Vec::<String>::new());
    assert_eq!(ear.hear(b"cmV0\r\n"), ["(response)"]);
    ear.replied(535);
    assert_eq!(ear.hear(b"QUIT\r\n"), ["QUIT"]);
    let mut pipelined = listening();
    assert_eq!(pipelined.hear(b"AUTH LOGIN\r\nc2VjcmV0\r\n"), ["AUTH LOGIN", "(response)"]);
}

#[test]
fn who_begins_to_listen_in_the_middle_sees_nothing_of_it() {
    let mut ear = Ear::default();
    assert_eq!(ear.hear(b"c2VjcmV0\r\n"), Vec::<String>::new());
    ear.replied(235);
    assert_eq!(ear.hear(b"NOOP\r\n"), ["NOOP"]);
}

#[test]
fn of_a_message_its_size_is_shown() {
    let mut ear = listening();
    assert_eq!(ear.hear(b"DATA\r\n"), ["DATA"]);
    ear.replied(354);
    assert_eq!(ear.hear(b"Subject: secret\r\n\r\nx\r\n.\r\nQUIT\r\n"), [". (message of 22 octets)", "QUIT"]);
    ear.replied(250);
    let mut ear = listening();
    assert_eq!(ear.hear(b"BDAT 6 LAST\r\nsecretNOOP\r\n"), ["BDAT 6 LAST (chunk)", "NOOP"]);
}

/// What the session does with commands, each with its reply.
fn answer(ear: &mut Ear, commands: &[(Verb, u16)]) {
    for (verb, code) in commands {
        ear.came_to(*verb);
        ear.replied(*code);
    }
}

#[test]
fn of_a_message_ahead_of_its_reply_nothing_is_shown() {
    let mut ear = listening();
    let shown = ear.hear(b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\nSubject: secret\r\n\r\nQUIT se");
    assert_eq!(shown, ["MAIL FROM:<>", "RCPT TO:<a@b>", "DATA"]);
    answer(&mut ear, &[(Verb::Mail, 250), (Verb::Rcpt, 250), (Verb::Data, 354)]);
    assert_eq!(ear.hear(b"cret\r\n.\r\nNOOP\r\n"), [". (message of 32 octets)", "NOOP"]);
    ear.replied(250);
    answer(&mut ear, &[(Verb::Noop, 250)]);
    assert_eq!(ear.hear(b"QUIT\r\n"), ["QUIT"]);
}

#[test]
fn a_whole_message_ahead_of_its_reply_hides_what_is_behind_it_too() {
    let mut ear = listening();
    assert_eq!(ear.hear(b"DATA\r\nsecret\r\n.\r\nAUTH PLAIN c2Vj\r\nMAIL secret\r\n"), ["DATA"]);
    answer(&mut ear, &[(Verb::Data, 354)]);
    ear.replied(250);
    ear.came_to(Verb::Auth);
    assert_eq!(ear.hear(b"c2VjcmV0\r\n"), Vec::<String>::new());
    ear.replied(535);
    assert_eq!(ear.hear(b"QUIT\r\n"), ["QUIT"]);
}

#[test]
fn behind_data_that_is_refused_the_thread_is_found_again() {
    let mut ear = listening();
    assert_eq!(ear.hear(b"DATA\r\nSubject: secret\r\nBDAT 100\r\nMAIL secret\r\n"), ["DATA"]);
    answer(&mut ear, &[(Verb::Data, 503), (Verb::Unknown, 500)]);
    ear.came_to(Verb::Bdat);
    assert_eq!(ear.hear(b"RCPT secret\r\n"), Vec::<String>::new(), "within the chunk");
    ear.replied(503);
    assert_eq!(ear.hear(b"QUIT\r\n"), ["QUIT"]);
}

#[test]
fn who_begins_to_listen_within_a_chunk_sees_nothing_of_it() {
    // A chunk and the beginning of the next one came before; the first is answered now.
    let mut ear = Ear::default();
    ear.replied(250);
    ear.came_to(Verb::Bdat);
    assert_eq!(ear.hear(b"MAIL secret\r\nsecret"), Vec::<String>::new());
    ear.replied(250);
    assert_eq!(ear.hear(b"MAIL FROM:<>\r\n"), Vec::<String>::new(), "it goes on where a line began unheard");
    answer(&mut ear, &[(Verb::Mail, 250)]);
    assert_eq!(ear.hear(b"RCPT TO:<a@b>\r\n"), ["RCPT …"]);
    answer(&mut ear, &[(Verb::Rcpt, 250)]);
    assert_eq!(ear.hear(b"RCPT TO:<a@b>\r\n"), ["RCPT TO:<a@b>"]);
}

#[test]
fn who_goes_on_after_a_refused_login_shows_no_secret() {
    let mut ear = listening();
    assert_eq!(ear.hear(b"AUTH LOGIN\r\n"), ["AUTH LOGIN"]);
    answer(&mut ear, &[(Verb::Auth, 504)]);
    assert_eq!(ear.hear(b"dXNlcg==\r\nno base64\r\n"), ["(response)", "(unknown command)"]);
    answer(&mut ear, &[(Verb::Unknown, 500), (Verb::Unknown, 500)]);
    assert_eq!(ear.hear(b"QUIT\r\n"), ["QUIT"]);
    let mut pipelined = listening();
    assert_eq!(pipelined.hear(b"EHLO a\r\nAUTH LOGIN\r\n"), ["EHLO a", "AUTH LOGIN"]);
    answer(&mut pipelined, &[(Verb::Ehlo, 250)]);
    assert_eq!(pipelined.hear(b"dXNlcg==\r\n"), ["(response)"]);
}

#[test]
fn a_response_that_reads_like_a_verb_is_none() {
    let refused = |line: &str| {
        let mut ear = listening();
        ear.hear(b"AUTH LOGIN\r\n");
        answer(&mut ear, &[(Verb::Auth, 535)]);
        ear.hear(format!("{line}\r\n").as_bytes()).join("|")
    };
    let verbs = ["HELO", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", "RSET", "VRFY", "EXPN", "HELP", "NOOP"];
    for verb in verbs.into_iter().chain(["QUIT", "AUTH", "BDAT", "XCLIENT"]) {
        assert_ne!(refused(verb), "(response)", "{verb}");
    }
    // The base64 of "E!-", "AB-" and "xyN".
    for text in ["RSEt", "QUIt", "eHlO"] {
        assert_eq!(refused(text), "(response)", "{text}");
    }
    assert_eq!(refused("quit"), "quit");
    assert_eq!(refused("MAIL FROM:<>"), "MAIL FROM:<>");
}

#[test]
fn a_verb_that_reads_like_a_response_is_a_verb_in_the_spellings_that_people_use() {
    for (line, shown) in [("Rset", "RSET"), ("bdat", "BDAT (chunk)"), ("rset", "rset"), ("Quit", "Quit")] {
        let mut ear = listening();
        ear.hear(b"AUTH LOGIN\r\n");
        answer(&mut ear, &[(Verb::Auth, 535)]);
        assert_eq!(ear.hear(format!("{line}\r\n").as_bytes()), [shown]);
    }
    // It might have been a response all the same, and another may follow.
    let mut ear = listening();
    ear.hear(b"AUTH LOGIN\r\n");
    answer(&mut ear, &[(Verb::Auth, 535)]);
    assert_eq!(ear.hear(b"Rset\r\nRSEt\r\nMAIL FROM:<>\r\n"), ["RSET", "(response)", "MAIL FROM:<>"]);
    // Behind a chunk of nobody knows which size a message may stand.
    let mut ear = listening();
    ear.hear(b"AUTH LOGIN\r\n");
    answer(&mut ear, &[(Verb::Auth, 535)]);
    assert_eq!(ear.hear(b"bdat\r\nMail secret\r\n"), ["BDAT (chunk)", "MAIL …"]);
}

#[test]
fn of_what_is_sent_behind_a_refused_message_no_more_than_verbs_are_shown() {
    let mut ear = listening();
    assert_eq!(ear.hear(b"DATA\r\n"), ["DATA"]);
    answer(&mut ear, &[(Verb::Data, 554)]);
    assert_eq!(
        ear.hear(b"Subject: secret\r\n\r\nHelp me, secret\r\nMail secret\r\nAuth secret\r\n"),
        ["(unknown command)", "(unknown command)", "HELP …", "MAIL …", "AUTH …"]
    );
    answer(&mut ear, &[(Verb::Unknown, 500), (Verb::Unknown, 500), (Verb::Help, 214)]);
    answer(&mut ear, &[(Verb::Mail, 501), (Verb::Auth, 504)]);
    assert_eq!(ear.hear(b"Rcpt secret\r\nBdat 7 secret\r\nsecret\r"), ["RCPT …", "BDAT … (chunk)"]);
    assert_eq!(ear.hear(b"data shows secret\r\n"), ["DATA …"]);
}

#[test]
fn a_client_that_goes_on_behind_a_refused_message_is_seen_again() {
    let mut ear = listening();
    ear.hear(b"DATA\r\n");
    answer(&mut ear, &[(Verb::Data, 451)]);
    assert_eq!(ear.hear(b"NOOP secret\r\n"), ["NOOP …"]);
    answer(&mut ear, &[(Verb::Noop, 250)]);
    assert_eq!(ear.hear(b"RSET\r\nMAIL secret"), ["RSET"], "what is free text shows nothing");
    answer(&mut ear, &[(Verb::Rset, 250)]);
    assert_eq!(ear.hear(b"\r\nRSET\r\n"), ["MAIL …", "RSET"], "it did not wait for the answer");
    answer(&mut ear, &[(Verb::Mail, 501), (Verb::Rset, 250)]);
    assert_eq!(ear.hear(b"MAIL FROM:<joe@a.example>\r\n"), ["MAIL FROM:<joe@a.example>"]);
}

#[test]
fn behind_a_chunk_without_its_size_only_verbs_are_shown() {
    let mut ear = listening();
    assert_eq!(ear.hear(b"BDAT x\r\nMail secret\r\n"), ["BDAT x (chunk)", "MAIL …"]);
}

#[test]
fn commands_without_end_take_no_more_than_their_bound() {
    let mut ear = listening();
    ear.hear(&b"NOOP\r\n".repeat(10 * AHEAD));
    assert!(ear.ahead.len() <= AHEAD);
}

#[test]
fn a_line_without_end_takes_no_more_than_a_line() {
    let mut ear = listening();
    ear.hear(&[b'x'; 100_000]);
    assert!(ear.line.capacity() <= 4 * LONGEST);
}
