//! `session` and what hangs on it.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use rhai::{Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::question::{Answer, Question};
use super::super::scene::{SessionScene, client_network};
use super::super::turn::Turn;
use crate::smtp::path::Domain;

/// `session`.
#[derive(Clone, Debug)]
pub(in super::super) struct Session(Arc<View>);

/// The session, with what nearly every policy reads made once.
#[derive(Debug)]
struct View {
    scene: Arc<SessionScene>,
    ip: ImmutableString,
    network: OnceLock<ImmutableString>,
}

impl Session {
    pub(in super::super) fn new(scene: &Arc<SessionScene>) -> Self {
        let ip = scene.client.ip.to_string().into();
        Self(Arc::new(View { scene: Arc::clone(scene), ip, network: OnceLock::new() }))
    }

    /// The same for two handles of one session, while there is one of them.
    pub(in super::super) fn mark(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl View {
    fn network(&self) -> &ImmutableString {
        self.network.get_or_init(|| client_network(self.client.ip).into())
    }
}

impl Deref for View {
    type Target = SessionScene;

    fn deref(&self) -> &SessionScene {
        &self.scene
    }
}

/// `session.client`.
#[derive(Clone, Debug)]
struct Client(Arc<View>);

/// `session.auth`.
#[derive(Clone, Debug)]
struct Auth(Arc<View>);

/// `session.tls`.
#[derive(Clone, Debug)]
struct Tls(Arc<View>);

pub(super) fn register(engine: &mut Engine) {
    register_session(engine);
    register_client(engine);
    register_auth(engine);
    register_tls(engine);
}

fn register_session(engine: &mut Engine) {
    engine
        .register_type_with_name::<Session>("Session")
        .register_get("id", |s: &mut Session| text(&s.0.id))
        .register_get("listener", |s: &mut Session| text(&s.0.listener))
        .register_get("hostname", |s: &mut Session| text(&s.0.hostname))
        .register_get("helo", |s: &mut Session| text(&s.0.helo))
        .register_get("helo_ip", |s: &mut Session| ip_text(literal_ip(&s.0.helo)))
        .register_get("helo_verb", |s: &mut Session| text(s.0.helo_verb))
        .register_get("inside", |s: &mut Session| s.0.is_inside())
        .register_get("local", |s: &mut Session| s.0.is_local())
        .register_get("trusted", |s: &mut Session| s.0.trusted)
        .register_get("server_ip", |s: &mut Session| ip_text(s.0.server_ip))
        .register_get("client", |s: &mut Session| Client(Arc::clone(&s.0)))
        .register_get("auth", |s: &mut Session| Auth(Arc::clone(&s.0)))
        .register_get("tls", |s: &mut Session| Tls(Arc::clone(&s.0)))
        .register_get("recipients_refused", |s: &mut Session| count(s.0.recipients_refused))
        .register_get("errors", |s: &mut Session| count(s.0.errors))
        .register_get("transactions", |s: &mut Session| count(s.0.transactions));
}

/// The address in an address literal (RFC 5321 4.1.3).
fn literal_ip(helo: &str) -> Option<IpAddr> {
    match Domain::parse(helo) {
        Ok(Domain::Literal(ip)) => Some(ip.to_canonical()),
        _ => None,
    }
}

fn ip_text(ip: Option<IpAddr>) -> ImmutableString {
    ip.map(|ip| ip.to_string().into()).unwrap_or_default()
}

/// The verified name, which is the first that `fcrdns` finds; empty without one.
fn client_name(
    call: &NativeCallContext<'_>,
    session: &SessionScene,
) -> Result<ImmutableString, Box<EvalAltResult>> {
    if !session.client.name.is_empty() {
        return Ok(text(&session.client.name));
    }
    let known = Turn::of(call)?.fact(call, Question::Fcrdns)?;
    let Answer::Lookup(found) = known else { return Ok(ImmutableString::new()) };
    let verified = found.values.first().filter(|_| found.result == "pass");
    Ok(verified.map(|name| text(name)).unwrap_or_default())
}

fn register_client(engine: &mut Engine) {
    engine
        .register_type_with_name::<Client>("Client")
        .register_get("ip", |c: &mut Client| c.0.ip.clone())
        .register_get("port", |c: &mut Client| i64::from(c.0.client.port))
        .register_get("network", |c: &mut Client| c.0.network().clone())
        .register_get("name", |call: NativeCallContext<'_>, c: &mut Client| client_name(&call, &c.0));
}

fn register_auth(engine: &mut Engine) {
    engine
        .register_type_with_name::<Auth>("Auth")
        .register_get("user", |a: &mut Auth| text(&a.0.auth.user))
        .register_get("mechanism", |a: &mut Auth| text(&a.0.auth.mechanism));
}

fn register_tls(engine: &mut Engine) {
    fn part(session: &SessionScene, of: impl Fn(&super::super::scene::TlsScene) -> &str) -> ImmutableString {
        session.tls.as_ref().map_or_else(ImmutableString::new, |tls| text(of(tls)))
    }
    engine
        .register_type_with_name::<Tls>("Tls")
        .register_get("active", |t: &mut Tls| t.0.tls.is_some())
        .register_get("version", |t: &mut Tls| part(&t.0, |tls| &tls.version))
        .register_get("cipher", |t: &mut Tls| part(&t.0, |tls| &tls.cipher))
        .register_get("sni", |t: &mut Tls| part(&t.0, |tls| &tls.sni))
        .register_get("group", |t: &mut Tls| part(&t.0, |tls| &tls.group))
        .register_get("client_name", |t: &mut Tls| part(&t.0, |tls| &tls.client_name))
        .register_get("client_subject", |t: &mut Tls| part(&t.0, |tls| &tls.client_subject))
        .register_get("client_fingerprint", |t: &mut Tls| part(&t.0, |tls| &tls.client_fingerprint))
        .register_get("verified", |t: &mut Tls| t.0.tls.as_ref().is_some_and(|tls| tls.verified));
}

pub(super) fn text(text: &str) -> ImmutableString {
    text.into()
}

/// Counters that a script sees as whole numbers.
pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
