//! The name under which an upstream queued a message, as far as its reply says it.

use crate::smtp::reply::Reply;

/// What stands in front of the name: Postfix (`queued as`), Exim (`OK id=`), Exchange (`InternalId=`), qmail (`qp`) and our own stores.
const IN_FRONT: [&str; 6] =
    ["queued as ", "id=", "InternalId=", " qp ", "stored as ", "Message accepted for delivery: "];

/// The most octets of a name.
const LONGEST: usize = 128;

/// The name under which the upstream says that it queued a message, in the words of those servers that say one.
pub(super) fn queue_id(reply: &Reply) -> Option<String> {
    let text = reply.lines().join(" ");
    let behind = IN_FRONT.iter().find_map(|marker| text.split_once(marker).map(|(_, rest)| rest));
    let found = behind.or_else(|| before_accepted(&text))?;
    let word = found.split([' ', '(', ')', ',', ';', ']']).next()?.trim_end_matches('.');
    (!word.is_empty() && word.len() <= LONGEST).then(|| word.to_owned())
}

/// Sendmail and OpenSMTPD say it in front: `2.0.0 49AB3cdE012345 Message accepted for delivery`.
fn before_accepted(text: &str) -> Option<&str> {
    let (front, _) = text.split_once(" Message accepted")?;
    // Alone, the enhanced status code is no name.
    front.rsplit(' ').next().filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::reply::Code;

    #[test]
    fn servers_say_it_in_their_own_ways() {
        for (text, id) in [
            ("2.0.0 Ok: queued as 4WxYz12abc", Some("4WxYz12abc")),
            ("OK id=1tABcd-000000001Xy-2k3L", Some("1tABcd-000000001Xy-2k3L")),
            ("2.0.0 49AB3cdE012345 Message accepted for delivery", Some("49AB3cdE012345")),
            ("2.0.0 1f2e3d4c Message accepted for delivery", Some("1f2e3d4c")),
            ("2.0.0 Message accepted for delivery", None),
            ("2.6.0 <a@b.test> [InternalId=37142, Hostname=x.test] Queued mail for delivery", Some("37142")),
            ("ok 1700000000 qp 12345", Some("12345")),
            ("2.0.0 stored as 5uqf2yqjxa (2 recipients).", Some("5uqf2yqjxa")),
            ("2.0.0 Ok", None),
            ("Ok: queued as ", None),
        ] {
            let reply = Reply::new(Code::new(250).unwrap(), None, text);
            assert_eq!(queue_id(&reply).as_deref(), id, "{text}");
        }
        let long =
            Reply::new(Code::new(250).unwrap(), None, &format!("queued as {}", "x".repeat(LONGEST + 1)));
        assert_eq!(queue_id(&long), None);
    }
}
