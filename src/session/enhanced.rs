//! Enhanced status codes where the upstream gave none (RFC 2034 4, RFC 3463).
//!
//! We offer ENHANCEDSTATUSCODES whatever the upstream does, so that its replies get one on their way. It says no more than the reply code
//! does: X.0.0 where that can mean many things (RFC 3463 3.1), for a guess would be taken for the upstream's word.

use super::stage::{Reason, Refusal, Said, Source};
use crate::smtp::reply::{Class, EnhancedCode, Reply};

/// What a reply answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum To {
    /// RCPT; the answer to MAIL is given there too.
    Rcpt,
    /// The final dot, DATA included.
    Message,
}

/// The upstream's answer as the client hears it: a "no" is the refusal of this `step`, unless it is said to be that of another one.
pub(super) fn answer(answer: Result<Reply, Refusal>, step: &str, to: To) -> Result<Reply, Refusal> {
    match answer {
        Ok(reply) if reply.is_completed() => Ok(completed(reply, to)),
        Ok(reply) => Err(refused(Refusal { reply, reason: Reason::new(Source::Upstream, step) }, to)),
        Err(refusal) => Err(refused(refusal, to)),
    }
}

/// The same of a "no", which remembers what the upstream said where the client hears more.
pub(super) fn refused(refusal: Refusal, to: To) -> Refusal {
    let Refusal { reply, mut reason } = refusal;
    let told = completed(reply.clone(), to);
    if reason.source == Source::Upstream && reason.said.is_none() && told != reply {
        reason.said = Some(Box::new(Said::Upstream(reply)));
    }
    Refusal { reply: told, reason }
}

/// `reply` with an enhanced code.
pub(super) fn completed(reply: Reply, to: To) -> Reply {
    let (subject, detail) = match (reply.code().get(), to) {
        (250..=252, To::Rcpt) => (1, 5),
        (421, _) => (3, 2),
        (450, To::Rcpt) => (2, 0),
        (451, _) => (3, 0),
        (452, To::Message) => (3, 1),
        (454, _) | (530, _) => (7, 0),
        (455 | 501 | 504 | 555, _) => (5, 4),
        (500, _) => (5, 2),
        (502 | 503, _) => (5, 1),
        (551, To::Rcpt) => (1, 6),
        (552, To::Rcpt) => (2, 2),
        (552, To::Message) => (3, 4),
        (553, To::Rcpt) => (1, 0),
        (556, _) => (1, 10),
        _ => (0, 0),
    };
    let class = match reply.code().class() {
        Class::Completed => 2,
        Class::Transient => 4,
        Class::Permanent => 5,
        Class::Intermediate => return reply,
    };
    reply.with_enhanced(EnhancedCode::new(class, subject, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::reply::ReplyDecoder;

    fn wire(reply: &str, to: To) -> String {
        let reply = ReplyDecoder::default().decode(&mut reply.as_bytes()).unwrap().unwrap();
        let mut out = Vec::new();
        completed(reply, to).encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_code_is_added_on_each_line() {
        assert_eq!(wire("250 ok\r\n", To::Rcpt), "250 2.1.5 ok\r\n");
        assert_eq!(wire("250 ok\r\n", To::Message), "250 2.0.0 ok\r\n");
        assert_eq!(wire("550-no\r\n550 never\r\n", To::Rcpt), "550-5.0.0 no\r\n550 5.0.0 never\r\n");
        assert_eq!(wire("452\r\n", To::Rcpt), "452 4.0.0\r\n");
        assert_eq!(wire("552 full\r\n", To::Rcpt), "552 5.2.2 full\r\n");
        assert_eq!(wire("552 large\r\n", To::Message), "552 5.3.4 large\r\n");
        assert_eq!(wire("354 go\r\n", To::Message), "354 go\r\n");
    }

    #[test]
    fn what_the_upstream_said_stays() {
        assert_eq!(wire("550 5.7.1 no\r\n", To::Rcpt), "550 5.7.1 no\r\n");
        assert_eq!(
            wire("550-5.7.1 no\r\n550 5.1.1 never\r\n", To::Rcpt),
            "550-5.7.1 no\r\n550 5.1.1 never\r\n"
        );
        assert_eq!(wire("550-5.7.1 no\r\n550 never\r\n", To::Rcpt), "550-5.7.1 no\r\n550 5.7.1 never\r\n");
    }

    #[test]
    fn what_was_said_is_remembered() {
        let code = crate::smtp::reply::Code::new(550).unwrap();
        let bare = Reply::new(code, None, "no");
        let Refusal { reply, reason } = answer(Ok(bare.clone()), "rcpt", To::Rcpt).unwrap_err();
        assert_eq!((reply.to_string().as_str(), reason.of_upstream()), ("550 5.0.0 no", Some(&bare)));
        let whole = Reply::new(code, Some(EnhancedCode::new(5, 1, 1)), "no");
        let Refusal { reply, reason } = answer(Ok(whole.clone()), "rcpt", To::Rcpt).unwrap_err();
        assert_eq!((reply, reason.of_upstream(), &*reason.rule), (whole, None, "rcpt"));
    }

    #[test]
    fn a_code_of_another_class_is_no_code() {
        assert_eq!(wire("550 2.1.5 ok\r\n", To::Rcpt), "550 5.0.0 2.1.5 ok\r\n");
    }
}
