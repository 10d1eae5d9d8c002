//! The messages that the sessions send. Each says in its text which session it belongs to, so that what Postfix stored can be
//! told apart.

/// The message of this name, as the session with this name sends it.
pub(super) fn named(name: &str, session: &str) -> Vec<u8> {
    match name {
        "plain" => letter(session, b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n"),
        "bounce" => letter(session, b"Your message could not be delivered.\r\n"),
        "dots" => letter(session, b".\r\n..\r\n.one\r\n...\r\nnot. here.\r\n.\r\n\r\n.\r\n"),
        "eight-bit" => letter(session, "Grüße aus Köln, ¿qué tal?\r\n\u{7f}\r\n".as_bytes()),
        "utf8" => format!("From: J\u{fc}rgen <j\u{fc}rgen@sender.example>\r\nSubject: Gr\u{fc}\u{df}e\r\nX-Session: {session}\r\n\r\nHallo.\r\n").into_bytes(),
        "no-body" => header(session).into_bytes(),
        "no-header" => format!("\r\nX-Session: {session}\r\nA text and nothing else.\r\n").into_bytes(),
        "empty" => Vec::new(),
        "line-998" => letter(session, &[b"x".repeat(998).as_slice(), b"\r\n", &b"y".repeat(998), b"\r\n"].concat()),
        "line-1900" => letter(session, &[b"x".repeat(1900).as_slice(), b"\r\n"].concat()),
        "folded" => [header(session).as_bytes(), b"X-Folded: one\r\n two\r\n\tthree\r\nX-Empty:\r\nReceived: from a by b;\r\n  Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\nHi.\r\n"].concat(),
        "white-space" => letter(session, b"trailing space \r\ntrailing tab\t\r\n \r\n\t\r\n  indented\r\n\r\n\r\n"),
        "multipart" => [header(session).as_bytes(), MULTIPART.as_bytes()].concat(),
        "large" => letter(session, &b"The quick brown fox jumps over the lazy dog, again and again.\r\n".repeat(5_000)),
        "too-large" => letter(session, &b"The quick brown fox jumps over the lazy dog, again and again.\r\n".repeat(30_000)),
        "unfinished" => letter(session, b"A text whose last line has no end"),
        _ => panic!("no message {name}"),
    }
}

const MULTIPART: &str = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"x\"\r\n\r\nFor old clients.\r\n\
    --x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC=\r\n.\r\n\
    --x\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAwQFBgcICQ==\r\n--x--\r\n";

fn header(session: &str) -> String {
    format!(
        "From: Joe <joe@sender.example>\r\nTo: suzie@example.org\r\nSubject: a comparison\r\nX-Session: {session}\r\n\
         Date: Fri, 11 Jul 2025 21:00:37 -0700\r\nMessage-ID: <1@sender.example>\r\n"
    )
}

fn letter(session: &str, body: &[u8]) -> Vec<u8> {
    [header(session).as_bytes(), b"\r\n", body].concat()
}
