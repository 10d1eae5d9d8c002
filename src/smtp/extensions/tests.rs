use super::{Extensions, FutureRelease, ServerLimits};
use crate::smtp::reply::{Reply, ReplyDecoder};

fn ehlo(lines: &str) -> Reply {
    let wire = lines.split('\n').collect::<Vec<_>>();
    let mut bytes = String::new();
    for (n, line) in wire.iter().enumerate() {
        let separator = if n + 1 == wire.len() { ' ' } else { '-' };
        bytes.push_str(&format!("250{separator}{line}\r\n"));
    }
    ReplyDecoder::default().decode(&mut bytes.as_bytes()).unwrap().unwrap()
}

#[test]
fn reads_what_postfix_offers() {
    let reply = ehlo(
        "mx.example.org\nPIPELINING\nSIZE 10240000\nVRFY\nETRN\nSTARTTLS\nAUTH PLAIN login\nXCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\n\
         xforward NAME ADDR PROTO HELO SOURCE PORT IDENT\nENHANCEDSTATUSCODES\n8BITMIME\nDSN\nSMTPUTF8\nCHUNKING",
    );
    let expected = Extensions {
        size: Some(Some(10_240_000)),
        eight_bit_mime: true,
        pipelining: true,
        starttls: true,
        enhanced_status_codes: true,
        chunking: true,
        binary_mime: false,
        smtputf8: true,
        dsn: true,
        auth: ["PLAIN", "LOGIN"].map(String::from).into(),
        xclient: ["NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"]
            .map(String::from)
            .into(),
        xforward: ["NAME", "ADDR", "PROTO", "HELO", "SOURCE", "PORT", "IDENT"].map(String::from).into(),
        vrfy: true,
        unknown: vec!["ETRN".to_owned()],
        ..Extensions::default()
    };
    assert_eq!(Extensions::from_ehlo(&reply), expected);
}

#[test]
fn reads_odd_lines() {
    let rows = [
        ("mx", Extensions::default()),
        ("SIZE 5\nhelp", Extensions { help: true, ..Extensions::default() }),
        ("mx\nsize", Extensions { size: Some(None), ..Extensions::default() }),
        ("mx\nSIZE 0", Extensions { size: Some(None), ..Extensions::default() }),
        ("mx\nSIZE x", Extensions { size: Some(None), ..Extensions::default() }),
        ("mx\nSIZE 99999999999999999999999", Extensions { size: Some(None), ..Extensions::default() }),
        ("mx\n\n  \nPipeLining  ", Extensions { pipelining: true, ..Extensions::default() }),
        ("mx\nXCLIENT", Extensions::default()),
        ("mx\nXCLIENT name", Extensions { xclient: vec!["NAME".to_owned()], ..Extensions::default() }),
        ("mx\nPIPELININGX", Extensions { unknown: vec!["PIPELININGX".to_owned()], ..Extensions::default() }),
    ];
    for (lines, expected) in rows {
        assert_eq!(Extensions::from_ehlo(&ehlo(lines)), expected, "{lines:?}");
    }
}

fn words(list: &str) -> Vec<String> {
    list.split(' ').map(str::to_owned).collect()
}

#[test]
fn reads_arguments() {
    let none = Extensions::default;
    let release =
        |max_interval, max_date: &str| FutureRelease { max_interval, max_date: max_date.to_owned() };
    let rows = [
        ("AUTH PLAIN login SCRAM-SHA-256", Extensions { auth: words("PLAIN LOGIN SCRAM-SHA-256"), ..none() }),
        ("AUTH=PLAIN LOGIN", Extensions { auth: words("PLAIN LOGIN"), ..none() }),
        ("AUTH LOGIN\nAUTH=LOGIN PLAIN", Extensions { auth: words("LOGIN PLAIN"), ..none() }),
        ("AUTH", none()),
        ("BINARYMIME\nREQUIRETLS", Extensions { binary_mime: true, require_tls: true, ..none() }),
        ("expn\nVRFY", Extensions { expn: true, vrfy: true, ..none() }),
        ("DELIVERBY", Extensions { deliver_by: Some(None), ..none() }),
        ("DELIVERBY 240", Extensions { deliver_by: Some(Some(240)), ..none() }),
        ("DELIVERBY soon", Extensions { deliver_by: Some(None), ..none() }),
        ("MT-PRIORITY", Extensions { mt_priority: Some(None), ..none() }),
        ("MT-PRIORITY MIXER", Extensions { mt_priority: Some(Some("MIXER".to_owned())), ..none() }),
        (
            "FUTURERELEASE 604800 2026-12-31T23:59:59Z",
            Extensions { future_release: Some(release(604_800, "2026-12-31T23:59:59Z")), ..none() },
        ),
        ("FUTURERELEASE 604800", none()),
        ("FUTURERELEASE 6048000000 2026-12-31T23:59:59Z", none()),
        ("XFORWARD NAME addr", Extensions { xforward: words("NAME ADDR"), ..none() }),
        (
            "LIMITS RCPTMAX=20 mailmax=5 X=1 RCPTDOMAINMAX=1",
            Extensions {
                limits: ServerLimits { mail_max: Some(5), rcpt_max: Some(20), rcpt_domain_max: Some(1) },
                ..none()
            },
        ),
        ("LIMITS RCPTMAX=0 MAILMAX=+5 RCPTDOMAINMAX=1000000 RCPTMAX", none()),
    ];
    for (lines, expected) in rows {
        assert_eq!(Extensions::from_ehlo(&ehlo(&format!("mx\n{lines}"))), expected, "{lines:?}");
    }
}

#[test]
fn the_stricter_limit_counts() {
    let one = ServerLimits { mail_max: Some(5), rcpt_max: Some(20), rcpt_domain_max: None };
    let other = ServerLimits { mail_max: Some(9), rcpt_max: Some(10), rcpt_domain_max: None };
    assert_eq!(one.stricter(other).to_string(), " MAILMAX=5 RCPTMAX=10");
    assert_eq!(one.stricter(ServerLimits::default()), one);
}

#[test]
fn unknown_extensions_are_bounded() {
    let lines = (0..120).map(|n| format!("\nX{n}")).collect::<String>();
    assert_eq!(Extensions::from_ehlo(&ehlo(&format!("mx{lines}"))).unknown.len(), 64);
}

#[test]
fn arguments_are_bounded() {
    let many = (0..120).map(|n| format!(" M{n}")).collect::<String>();
    let extensions = Extensions::from_ehlo(&ehlo(&format!("mx\nAUTH {} {many}", "x".repeat(65))));
    assert_eq!(extensions.auth.len(), 64);
    assert_eq!(extensions.auth.first().map(String::as_str), Some("M0"));
}

#[test]
fn what_is_offered_is_told_in_keywords() {
    let reply = ehlo("mx.example.org\nSIZE 1000\n8BITMIME\nAUTH PLAIN login\nDSN\nX-UNKNOWN");
    assert_eq!(Extensions::from_ehlo(&reply).keywords(), ["SIZE", "8BITMIME", "DSN", "AUTH PLAIN LOGIN"]);
}
