//! What policies saw, made again of what was recorded.

use std::sync::Arc;

use super::super::record::{Header, Mail, Rcpt};
use super::recorded::{Recorded, RecordedStage};
use crate::message;
use crate::policy::scene::{
    Address, AuthScene, ClientScene, MailScene, MessageScene, Moment, Partial, RcptScene, Scene,
    SessionScene, TlsScene,
};
use crate::session::stage::{Stage, Violation};
use crate::smtp::params::Param;
use crate::smtp::path::{ForwardPath, ReversePath};

/// The scene of one stage; `None` when the record makes no sense.
pub(super) fn of(decision: &Recorded, stage: &RecordedStage) -> Option<Scene> {
    let at = Stage::ALL.into_iter().find(|known| known.name() == stage.stage)?;
    let mail = || decision.mail.as_ref().map(|mail| self::mail(decision, mail, stage));
    let moment = match at {
        Stage::Connect => Moment::Connect,
        Stage::Helo => Moment::Helo,
        Stage::Auth => Moment::Auth,
        Stage::Mail => Moment::Mail(Arc::new(mail()?)),
        Stage::Rcpt => Moment::Rcpt(Arc::new(mail()?), Arc::new(rcpt(stage.rcpt.as_ref()?))),
        Stage::Data => Moment::Data(Arc::new(mail()?)),
        Stage::Message => {
            let mail = MailScene { size: decision.size, ..mail()? };
            Moment::Message(Arc::new(mail), Arc::new(message(decision)?))
        }
        Stage::Violation => {
            Moment::Violation(Violation::ALL.into_iter().find(|event| event.name() == stage.event)?)
        }
        Stage::Close => Moment::Close,
    };
    Some(Scene { session: Arc::new(session(decision, stage)), moment })
}

fn session(decision: &Recorded, stage: &RecordedStage) -> SessionScene {
    let client = &decision.client;
    let auth = decision.auth.as_ref().filter(|_| stage.auth);
    SessionScene {
        id: decision.session.clone(),
        listener: Arc::clone(&decision.listener),
        hostname: Arc::clone(&decision.hostname),
        server_ip: decision.server_ip,
        client: ClientScene { ip: client.ip, port: client.port, name: client.told_name.clone() },
        helo: if stage.helo { decision.helo.clone() } else { String::new() },
        helo_verb: if stage.helo { decision.helo_verb } else { "" },
        trusted: client.trusted,
        auth: auth.map_or_else(AuthScene::default, |auth| AuthScene {
            user: auth.user.clone(),
            mechanism: auth.mechanism.clone(),
        }),
        tls: decision.tls.as_ref().filter(|_| stage.tls).map(|tls| TlsScene {
            version: tls.version.clone(),
            cipher: tls.cipher.clone(),
            group: tls.group.clone(),
            sni: tls.sni.clone(),
            client_name: tls.client_name.clone(),
            client_subject: tls.client_subject.clone(),
            client_fingerprint: tls.client_fingerprint.clone(),
            verified: tls.verified,
        }),
        recipients_refused: stage.recipients_refused,
        errors: stage.errors,
        transactions: stage.transactions,
    }
}

fn mail(decision: &Recorded, mail: &Mail, stage: &RecordedStage) -> MailScene {
    let path = ReversePath::parse(&format!("<{}>", mail.sender));
    let with = |outcome: &'static str| {
        let those = decision.recipients.iter().filter(move |recipient| recipient.outcome == outcome);
        those.map(|recipient| Arc::new(rcpt(&recipient.rcpt)))
    };
    let complete = matches!(stage.stage, "data" | "message");
    MailScene {
        id: decision.transaction.clone(),
        sender: path.map_or_else(|_| Address::of_text(&mail.sender), |path| Address::from(&path)),
        size: mail.size,
        body: mail.body,
        smtputf8: mail.smtputf8,
        requiretls: mail.requiretls,
        ret: mail.ret,
        envid: mail.envid.clone(),
        parameters: mail.parameters.iter().map(|text| parameter(text)).collect(),
        recipients: with("accepted").take(stage.accepted).collect(),
        discarded: with("discarded").filter(|_| complete).collect(),
        quarantined: with("quarantined").filter(|_| complete).collect(),
    }
}

fn parameter(text: &str) -> Param {
    let (keyword, value) =
        text.split_once('=').map_or((text, None), |(keyword, value)| (keyword, Some(value)));
    Param { keyword: keyword.to_owned(), value: value.map(str::to_owned) }
}

fn rcpt(rcpt: &Rcpt) -> RcptScene {
    let path = ForwardPath::parse(&format!("<{}>", rcpt.address));
    RcptScene {
        address: path.map_or_else(|_| Address::of_text(&rcpt.address), |path| Address::from(&path)),
        is_ours: rcpt.is_ours,
        notify: rcpt.notify.clone(),
        orcpt: rcpt.orcpt.clone(),
    }
}

fn message(decision: &Recorded) -> Option<MessageScene> {
    let nothing = Header::default();
    let kept = decision.header.as_ref().unwrap_or(&nothing);
    let text = kept.fields.concat() + "\r\n";
    let header = message::header::Header::of_message(text.as_bytes(), usize::MAX)?;
    let mut scene = MessageScene::new(decision.size, header);
    if !kept.whole {
        let known = kept.known.iter().cloned().collect();
        scene.partial = Some(Partial { size: kept.size, received: kept.received, known });
    }
    Some(scene)
}
