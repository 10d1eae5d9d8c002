//! What others get to see of a session: policies when they are asked, the upstream, the books.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::books::Here;
use super::journal::{LoggedIn, Origin};
use super::judge::Judge;
use super::{Listener, Peer};
use crate::message::header::Header;
use crate::policy::scene::{
    Address, AuthScene, ClientScene, MailScene, MessageScene, Moment, RcptScene, Scene, SessionScene,
    TlsScene,
};
use crate::session::stage::Violation;
use crate::session::{Hello, Question, Session, Transaction};
use crate::smtp::auth::Login;
use crate::smtp::command::MailCommand;
use crate::smtp::params::{Body, RcptParams, Ret};
use crate::smtp::path::ForwardPath;
use crate::upstream::ClientName;
use crate::{tls, upstream};

/// The scene of the session's open question; `None` when none is open. `message` is what has arrived at [`Question::Message`].
pub(super) fn of(
    session: &Session,
    listener: &Listener,
    connection: &Connection,
    message: Option<(u64, Header)>,
) -> Option<Scene> {
    let question = session.question()?;
    let moment = match question {
        Question::Connect => Moment::Connect,
        Question::Helo(_) => Moment::Helo,
        Question::Auth(_) => Moment::Auth,
        Question::Mail(mail) => Moment::Mail(Arc::new(mail_scene(connection, mail))),
        Question::Rcpt(rcpt) => {
            let rcpt = rcpt_scene(listener, &rcpt.path, &rcpt.params);
            Moment::Rcpt(Arc::new(open_mail(session.transaction()?, listener, connection)), rcpt)
        }
        Question::Data | Question::Chunk(_) => {
            Moment::Data(Arc::new(open_mail(session.transaction()?, listener, connection)))
        }
        Question::Message => {
            let (size, header) = message?;
            let mut mail = open_mail(session.transaction()?, listener, connection);
            mail.size = size;
            Moment::Message(Arc::new(mail), Arc::new(MessageScene::new(size, header)))
        }
        Question::Violation(event) => Moment::Violation(*event),
        Question::LoginRefused(_) => Moment::Violation(Violation::AuthFailed),
        Question::Inquiry(_) | Question::Tls => return None,
    };
    let hello = match question {
        Question::Helo(hello) => Some(hello),
        _ => session.hello(),
    };
    Some(Scene { session: Arc::new(session_scene(session, listener, connection, hello)), moment })
}

/// The scene of a session that is over.
pub(super) fn closing(session: &Session, listener: &Listener, connection: &Connection) -> Scene {
    let session = session_scene(session, listener, connection, session.hello());
    Scene { session: Arc::new(session), moment: Moment::Close }
}

/// What is known about the connection beside the dialogue.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: String,
    pub(super) peer: Peer,
    /// The name of the client, as a hop verified it; empty when none did.
    pub(super) name: String,
    /// The login that a hop told us; empty without one.
    pub(super) login: String,
    pub(super) tls: Option<tls::Info>,
    /// The id of the open transaction.
    pub(super) transaction: String,
}

fn session_scene(
    session: &Session,
    listener: &Listener,
    connection: &Connection,
    hello: Option<&Hello>,
) -> SessionScene {
    let counters = session.counters();
    SessionScene {
        id: connection.id.clone(),
        listener: Arc::clone(&listener.name),
        hostname: listener.terms.hostname.as_str().into(),
        client: ClientScene {
            ip: connection.peer.ip,
            port: connection.peer.port,
            name: connection.name.clone(),
        },
        server_ip: connection.peer.server_ip(),
        helo: hello.map(helo_name).unwrap_or_default(),
        helo_verb: hello.map(|hello| if hello.extended { "EHLO" } else { "HELO" }).unwrap_or_default(),
        trusted: listener.trusts(connection.peer),
        auth: auth_scene(connection, session.login()),
        tls: connection.tls.as_ref().map(tls_scene),
        recipients_refused: counters.recipients_refused.into(),
        errors: counters.errors.into(),
        transactions: counters.transactions.into(),
    }
}

/// Who logged in: with us, or with the hop that spoke for the client.
fn auth_scene(connection: &Connection, login: Option<&Login>) -> AuthScene {
    match login {
        Some(login) => {
            AuthScene { user: login.user.clone(), mechanism: login.mechanism.name().to_lowercase() }
        }
        None if connection.login.is_empty() => AuthScene::default(),
        None => AuthScene { user: connection.login.clone(), mechanism: "xclient".to_owned() },
    }
}

/// The same for the log.
fn login<'a>(connection: &'a Connection, login: Option<&'a Login>) -> Option<LoggedIn<'a>> {
    let told = || LoggedIn { user: &connection.login, mechanism: "XCLIENT" };
    match login {
        Some(login) => Some(LoggedIn::from(login)),
        None => (!connection.login.is_empty()).then(told),
    }
}

/// The name that the client introduced itself with, in lower case. With a dot at its end it is the same one (RFC 1034 3.1).
pub(super) fn helo_name(hello: &Hello) -> String {
    let name = hello.greeting.text.to_lowercase();
    name.strip_suffix('.').filter(|name| !name.is_empty()).map(str::to_owned).unwrap_or(name)
}

fn tls_scene(info: &tls::Info) -> TlsScene {
    let client = info.client.as_deref().cloned().unwrap_or_default();
    TlsScene {
        version: info.version.to_owned(),
        cipher: info.cipher.clone(),
        group: info.group.clone().unwrap_or_default(),
        sni: info.sni.clone().unwrap_or_default().to_lowercase(),
        client_name: client.name,
        client_subject: client.subject,
        client_fingerprint: client.fingerprint,
        verified: client.verified,
    }
}

fn mail_scene(connection: &Connection, mail: &MailCommand) -> MailScene {
    MailScene {
        id: connection.transaction.clone(),
        sender: Address::from(&mail.path),
        size: mail.params.size.unwrap_or_default(),
        body: match mail.params.body {
            Some(Body::EightBitMime) => "8bitmime",
            Some(Body::BinaryMime) => "binarymime",
            Some(Body::SevenBit) | None => "7bit",
        },
        smtputf8: mail.params.smtputf8,
        requiretls: mail.params.require_tls,
        ret: match mail.params.ret {
            Some(Ret::Full) => "full",
            Some(Ret::Headers) => "hdrs",
            None => "",
        },
        envid: mail.params.env_id.clone().unwrap_or_default(),
        parameters: mail.params.as_written(),
        recipients: Vec::new(),
        discarded: Vec::new(),
        quarantined: Vec::new(),
    }
}

fn open_mail(transaction: &Transaction, listener: &Listener, connection: &Connection) -> MailScene {
    let mut mail = mail_scene(connection, &transaction.mail);
    let recipients = transaction.recipients.iter();
    mail.recipients = recipients.map(|rcpt| rcpt_scene(listener, &rcpt.path, &rcpt.params)).collect();
    let discarded = transaction.discarded.iter();
    mail.discarded = discarded.map(|one| rcpt_scene(listener, &one.rcpt.path, &one.rcpt.params)).collect();
    let quarantined = transaction.quarantined.iter();
    mail.quarantined =
        quarantined.map(|one| rcpt_scene(listener, &one.rcpt.path, &one.rcpt.params)).collect();
    mail
}

fn rcpt_scene(listener: &Listener, path: &ForwardPath, params: &RcptParams) -> Arc<RcptScene> {
    Arc::new(RcptScene {
        address: Address::from(path),
        is_ours: listener.border.is_ours(path),
        notify: params.notify.as_deref().unwrap_or_default().to_lowercase(),
        orcpt: params.orcpt.clone().unwrap_or_default(),
    })
}

pub(super) fn origin<'a>(
    session: &'a Session,
    connection: &'a Connection,
    listener: &'a Listener,
    judge: &'a Judge,
) -> Origin<'a> {
    Origin {
        session: &connection.id,
        listener: &listener.name,
        client: connection.peer.ip,
        client_name: judge.client_name().unwrap_or_default(),
        helo: judge.subject().helo.as_deref().unwrap_or_default(),
        tls: connection.tls.as_ref(),
        login: login(connection, session.login()),
        quiet: false,
    }
}

/// Where the session stands, for the books.
pub(super) fn here<'a>(
    session: &'a Session,
    connection: &'a Connection,
    listener: &'a Listener,
    judge: &'a Judge,
    upstream: Option<&'a upstream::Session>,
) -> Here<'a> {
    let upstream = upstream.map(|upstream| upstream.upstream().name());
    Here {
        origin: origin(session, connection, listener, judge),
        judge,
        transaction: &connection.transaction,
        open: session.transaction(),
        upstream,
    }
}

/// Whom the upstream is told it talks to. A client that nobody named has no address there: the load balancer's own, which the
/// connection has, may mean something to the upstream.
pub(super) fn identity(connection: &Connection, hello: Option<&Hello>, name: ClientName) -> upstream::Client {
    upstream::Client {
        ip: if connection.peer.named { connection.peer.ip } else { Ipv4Addr::UNSPECIFIED.into() },
        port: connection.peer.port,
        local: connection.peer.local,
        name,
        helo: hello.map(|hello| hello.greeting.text.clone()).unwrap_or_default(),
        esmtp: hello.is_some_and(|hello| hello.extended),
        login: Some(connection.login.clone()).filter(|login| !login.is_empty()),
    }
}
