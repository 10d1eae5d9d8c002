//! An ordinary message, moment by moment, with facts to which nobody objects.

use std::sync::Arc;
use std::time::Duration;

use gatepost::checks::results::{ArcChain, CheckResult, Dmarc, Spf};
use gatepost::message::header::Header;
use gatepost::message::mime::{Contents, Part};
use gatepost::policy::question::{Answer, Ask, GreylistAnswer, Lookup, Question, RateAnswer};
use gatepost::policy::scene::{
    Address, AuthScene, ClientScene, MailScene, MessageScene, Moment, RcptScene, Scene, SessionScene,
};
use gatepost::policy::{Judgement, Memory, Policies, Step};

/// Its header.
pub(crate) const HEADER: &[u8] = b"From: a@sender.test\r\nTo: b@example.org\r\nSubject: x\r\n\
    Date: Sat, 21 Nov 2026 20:00:00 +0100\r\nMessage-ID: <1@sender.test>\r\n\r\n";

/// What the policies say of a scene when each fact has to be asked for, and is there at once.
pub(crate) fn judge(policies: &Arc<Policies>, scene: Scene, memory: &mut Memory) -> Judgement {
    let mut run = policies.begin(scene, memory);
    while let Step::Ask(questions) = run.step() {
        for question in questions {
            let answer = answer(&question);
            run.answer(question, answer, Duration::ZERO);
        }
    }
    run.finish(memory)
}

/// The answer that suits an ordinary message.
pub(crate) fn answer(question: &Question) -> Answer {
    match question {
        Question::Dns(..) | Question::MailHosts(_) => {
            Answer::from(Lookup { result: "ok", values: vec!["192.0.2.1".to_owned()] })
        }
        Question::Fcrdns => Answer::from(Lookup { result: "pass", values: Vec::new() }),
        Question::HeloSpf | Question::Spf => {
            Answer::from(Spf { result: CheckResult::Pass, ..Spf::default() })
        }
        Question::Dkim => Answer::Dkim(Arc::default()),
        Question::Dmarc => Answer::from(Dmarc { result: CheckResult::Pass, ..Dmarc::default() }),
        Question::Arc => ArcChain::default().into(),
        Question::State(question) => fresh(&question.ask),
        Question::Now => Answer::Now(1_800_000_000),
        Question::Random => Answer::Random(0.5),
        Question::Listed(..) => Answer::Listed(Arc::default()),
        Question::Contents => Answer::Contents(Some(Arc::new(contents()))),
        other => other.unanswered(),
    }
}

/// A text, and nothing else.
fn contents() -> Contents {
    let text = Part { content_type: "text/plain".to_owned(), size: 9_000, ..Part::default() };
    Contents { parts: vec![text], ..Contents::default() }
}

/// What a memory says about somebody who does nothing too often.
const fn fresh(ask: &Ask) -> Answer {
    match ask {
        Ask::Rate { .. } => Answer::Rate(RateAnswer { result: "ok", count: 1, retry_after: 0 }),
        Ask::Greylist { .. } => Answer::Greylist(GreylistAnswer { result: "known", remaining: 0 }),
        Ask::Remember { .. } => Answer::Remembered("ok"),
        Ask::Remembered { .. } => Answer::Remembered("no"),
    }
}

/// An ordinary session's moments, in order.
pub(crate) fn moments() -> [Moment; 6] {
    let rcpt = Arc::new(RcptScene {
        address: Address::of_text("b@example.org"),
        is_ours: true,
        ..RcptScene::default()
    });
    let begun = Arc::new(mail(Vec::new()));
    let full = Arc::new(mail(vec![Arc::clone(&rcpt)]));
    let header = Header::of_message(HEADER, 1 << 20).unwrap();
    [
        Moment::Connect,
        Moment::Helo,
        Moment::Mail(Arc::clone(&begun)),
        Moment::Rcpt(begun, rcpt),
        Moment::Data(Arc::clone(&full)),
        Moment::Message(full, Arc::new(MessageScene::new(10_000, header))),
    ]
}

fn mail(recipients: Vec<Arc<RcptScene>>) -> MailScene {
    MailScene {
        id: "t1".to_owned(),
        sender: Address::of_text("a@sender.test"),
        size: 10_000,
        body: "8bitmime",
        smtputf8: false,
        requiretls: false,
        ret: "",
        envid: String::new(),
        parameters: Vec::new(),
        recipients,
        discarded: Vec::new(),
        quarantined: Vec::new(),
    }
}

/// The session.
pub(crate) fn session() -> SessionScene {
    SessionScene {
        id: "s1".to_owned(),
        listener: "mx".into(),
        hostname: "mx.example.org".into(),
        client: ClientScene { ip: [192, 0, 2, 1].into(), port: 4711, name: String::new() },
        server_ip: None,
        helo: "mail.sender.test".to_owned(),
        helo_verb: "EHLO",
        trusted: false,
        auth: AuthScene::default(),
        tls: None,
        recipients_refused: 0,
        errors: 0,
        transactions: 0,
    }
}
