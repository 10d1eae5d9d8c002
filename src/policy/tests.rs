use std::fs;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::judgement::{FactTrace, FaultKind, HeaderEdit, Mode, ReadTrace};
use super::question::{
    Answer, Ask, GreylistAnswer, Lookup, Question, RateAnswer, RateLimit, RecordType, StateQuestion,
};
use super::scene::*;
use super::sources::{EntrySource, OnError, Selection, Setting};
use super::*;
use crate::checks::results::{ArcChain, CheckResult, Dkim, Dmarc, DmarcPolicy, Spf};
use crate::message::header::Header;
use crate::session::stage::{Verdict, Violation};
use crate::smtp::path::{ForwardPath, ReversePath};

mod bent;
mod facts;
mod names;
mod outside;
mod runs;
mod shipped;
mod state;
mod together;

const RELAY: &str =
    "const GATE = true;\nfn rcpt(session, mail, rcpt) { if !rcpt.is_ours { reject(\"denied\", \"no\"); } }\n";

/// A set of policies under test, and a world that answers their questions.
struct Rig {
    policies: Arc<Policies>,
    memory: Memory,
    answers: Vec<(Question, Answer)>,
    /// What was asked, in order.
    asked: Vec<Question>,
    session: SessionScene,
    mail: MailScene,
    _dir: TempDir,
}

impl Rig {
    /// With a relay gate and these files.
    fn new(files: &[(&str, &str)]) -> Self {
        Self::with(files, |_| {})
    }

    fn with(files: &[(&str, &str)], bend: impl FnOnce(&mut Sources)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("00-relay.rhai", RELAY)].iter().chain(files) {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut sources = Sources {
            dir: dir.path().to_owned(),
            listeners: vec![("mx".to_owned(), Selection::All)],
            quarantine: true,
            our_domains: ["ours.test".to_owned()].into_iter().collect(),
            redirect_domains: ["ours.test".to_owned()].into_iter().collect(),
            ..Sources::default()
        };
        bend(&mut sources);
        Self::of(&sources, dir)
    }

    /// With the policies that are shipped.
    fn shipped() -> Self {
        let sources = Sources {
            dir: concat!(env!("CARGO_MANIFEST_DIR"), "/policies").into(),
            listeners: vec![("mx".to_owned(), Selection::All)],
            our_domains: ["ours.test".to_owned()].into_iter().collect(),
            ..Sources::default()
        };
        Self::of(&sources, tempfile::tempdir().unwrap())
    }

    fn of(sources: &Sources, dir: TempDir) -> Self {
        let policies = Policies::load(sources).unwrap_or_else(|problems| {
            panic!("{}", problems.iter().map(|problem| problem.render(false)).collect::<Vec<_>>().join("\n"))
        });
        Self {
            policies: Arc::new(policies),
            memory: Memory::default(),
            answers: Vec::new(),
            asked: Vec::new(),
            session: session(),
            mail: mail("sender@sender.test"),
            _dir: dir,
        }
    }

    fn judge(&mut self, moment: Moment) -> Judgement {
        let scene = Scene { session: Arc::new(self.session.clone()), moment };
        let mut run = self.policies.begin(scene, &self.memory);
        while let Step::Ask(questions) = run.step() {
            for question in questions {
                let known = self.answers.iter().find(|(known, _)| *known == question);
                let answer = known.map_or_else(|| unknown(&question), |(_, answer)| answer.clone());
                self.asked.push(question.clone());
                run.answer(question, answer, Duration::from_millis(5));
            }
        }
        run.finish(&mut self.memory)
    }

    fn helo(&mut self) -> Judgement {
        self.judge(Moment::Helo)
    }

    fn mail(&mut self) -> Judgement {
        self.judge(Moment::Mail(Arc::new(self.mail.clone())))
    }

    /// A recipient that is ours; accepted, it joins the mail's.
    fn rcpt(&mut self, address: &str) -> Judgement {
        let rcpt = Arc::new(RcptScene {
            address: recipient(address),
            is_ours: !address.ends_with("@far.test"),
            ..RcptScene::default()
        });
        let judgement = self.judge(Moment::Rcpt(Arc::new(self.mail.clone()), Arc::clone(&rcpt)));
        if judgement.verdict == Verdict::Pass {
            self.mail.recipients.push(rcpt);
        }
        judgement
    }

    fn data(&mut self) -> Judgement {
        self.judge(Moment::Data(Arc::new(self.mail.clone())))
    }

    fn message(&mut self, header: &str) -> Judgement {
        let text = format!("{}\r\n\r\n", header.replace('\n', "\r\n"));
        let header = Header::of_message(text.as_bytes(), 1 << 20).unwrap();
        let message = MessageScene::new(text.len() as u64, header);
        self.judge(Moment::Message(Arc::new(self.mail.clone()), Arc::new(message)))
    }

    fn violation(&mut self, event: Violation) -> Judgement {
        self.judge(Moment::Violation(event))
    }

    fn knows(&mut self, question: Question, answer: Answer) -> &mut Self {
        self.answers.retain(|(known, _)| *known != question);
        self.answers.push((question, answer));
        self
    }

    fn knows_lookup(&mut self, question: Question, result: &'static str, values: &[&str]) -> &mut Self {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        self.knows(question, Answer::from(Lookup { result, values }))
    }

    fn knows_spf(&mut self, result: CheckResult, record: &str) -> &mut Self {
        let spf =
            Spf { result, domain: "sender.test".to_owned(), record: record.to_owned(), ..Spf::default() };
        self.knows(Question::Spf, spf.into())
    }

    fn knows_dmarc(&mut self, result: CheckResult, policy: DmarcPolicy, domain: &str) -> &mut Self {
        let dmarc = Dmarc { result, policy, domain: domain.to_owned(), ..Dmarc::default() };
        self.knows(Question::Dmarc, dmarc.into())
    }
}

/// What the world says to what a test did not prepare: nothing bad.
fn unknown(question: &Question) -> Answer {
    match question {
        Question::Dns(..) | Question::MailHosts(_) => {
            Answer::from(Lookup { result: "ok", values: vec!["192.0.2.1".to_owned()] })
        }
        Question::Fcrdns => Answer::from(Lookup { result: "pass", values: vec![] }),
        Question::HeloSpf | Question::Spf => {
            Answer::from(Spf { result: CheckResult::Pass, ..Spf::default() })
        }
        Question::Dkim => vec![Dkim::default()].into(),
        Question::Dmarc => Answer::from(Dmarc { result: CheckResult::Pass, ..Dmarc::default() }),
        Question::Arc => ArcChain::default().into(),
        Question::State(question) => unmet(&question.ask),
        Question::Now => Answer::Now(1_800_000_000),
        Question::Random => Answer::Random(0.5),
        Question::Listed(..) => Answer::Listed(Arc::default()),
        Question::Contents => Answer::Contents(Some(Arc::default())),
        other => other.unanswered(),
    }
}

/// What a memory says that has never heard of anything.
fn unmet(ask: &Ask) -> Answer {
    match ask {
        Ask::Rate { .. } => Answer::Rate(RateAnswer { result: "ok", count: 1, retry_after: 0 }),
        Ask::Greylist { delay, .. } => {
            Answer::Greylist(GreylistAnswer { result: "wait", remaining: delay.as_secs() })
        }
        Ask::Remember { .. } => Answer::Remembered("ok"),
        Ask::Remembered { .. } => Answer::Remembered("no"),
    }
}

fn session() -> SessionScene {
    SessionScene {
        id: "s1".to_owned(),
        listener: "mx".into(),
        hostname: "mx.example.org".into(),
        client: ClientScene { ip: IpAddr::from([192, 0, 2, 1]), port: 40_112, name: String::new() },
        server_ip: Some(IpAddr::from([198, 51, 100, 25])),
        helo: "client.sender.test".to_owned(),
        helo_verb: "EHLO",
        trusted: false,
        auth: AuthScene::default(),
        tls: None,
        recipients_refused: 0,
        errors: 0,
        transactions: 1,
    }
}

fn mail(sender: &str) -> MailScene {
    let sender = if sender.is_empty() { Address::default() } else { recipient(sender) };
    MailScene {
        id: "m1".to_owned(),
        sender,
        size: 0,
        body: "7bit",
        smtputf8: false,
        requiretls: false,
        ret: "",
        envid: String::new(),
        parameters: Vec::new(),
        recipients: Vec::new(),
        discarded: Vec::new(),
        quarantined: Vec::new(),
    }
}

fn recipient(address: &str) -> Address {
    Address::of_text(address)
}

/// `code enhanced text rule` of a refusal; `pass`, `discard rule`.
fn told(judgement: &Judgement) -> String {
    let of = |word: &str, refusal: &crate::session::stage::Refusal| {
        let reply = &refusal.reply;
        let enhanced = reply.enhanced().map(|code| code.to_string()).unwrap_or_default();
        format!(
            "{word}{} {enhanced} {} [{}]",
            reply.code().get(),
            reply.lines().join("|"),
            refusal.reason.rule
        )
    };
    match &judgement.verdict {
        Verdict::Pass => "pass".to_owned(),
        Verdict::Refuse(refusal) => of("", refusal),
        Verdict::Disconnect(refusal) => of("close ", refusal),
        Verdict::Discard(reason) => format!("discard {} {}", reason.rule, reason.detail),
        Verdict::Quarantine(reason) => format!("quarantine {} {}", reason.rule, reason.detail),
    }
}

/// `action rule` of every event.
fn events(judgement: &Judgement) -> Vec<String> {
    judgement.events.iter().map(|event| format!("{} {}", event.action_name(), event.rule)).collect()
}

fn helo_policy(body: &str) -> String {
    format!("fn helo(session) {{\n{body}\n}}")
}

fn mail_policy(body: &str) -> String {
    format!("fn mail(session, mail) {{\n{body}\n}}")
}
