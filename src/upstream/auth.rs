//! AUTH towards a mail server (RFC 4954): what the client says, line by line.
//!
//! - A password goes only where nobody can read it: under TLS, or to this machine itself.
//! - A connection that was asked to authenticate anybody serves nobody else, and one that did is never replaced: whoever
//!   connects again is a stranger to the server.

use super::connection::{Connection, Exchange};
use super::dialogue::Dialogue;
use super::fault::{Failure, Fault, FaultKind, one_line};
use super::identity::Client;
use super::mail_server::host;
use super::target::Identity;
use crate::smtp::auth::{AuthCommand, AuthLine, Mechanism};
use crate::smtp::reply::{Class, Reply};

/// What a connection knows of a login.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Login {
    /// Nothing was said about one.
    #[default]
    None,
    /// The server waits for a response.
    Asked,
    /// There was an exchange, and it came to nothing.
    Failed,
    /// The server accepted it.
    Done,
}

impl Dialogue {
    /// Says `line` of the client's exchange, on a connection that the first one opens, and gives the server's answer: a
    /// challenge (334), the acceptance (235), or a refusal.
    pub(super) async fn auth(&mut self, line: &AuthLine) -> Result<Reply, Failure> {
        let mut connection = match line {
            AuthLine::Begin(command) => self.connection_for(command).await?,
            AuthLine::Response(_) | AuthLine::Cancel => {
                let asked = self.login == Login::Asked;
                self.connection.take().filter(|_| asked).ok_or_else(no_exchange)?
            }
        };
        self.login = Login::Failed;
        let reply = connection.ask(Exchange::Auth, &line.wire()).await?;
        let class = reply.code().class();
        if *line == AuthLine::Cancel && matches!(class, Class::Completed | Class::Intermediate) {
            // RFC 4954 4: it has to refuse. Whom it knows now, or what it waits for, is anybody's guess.
            let detail = format!("auth: a cancelled exchange was answered with {}", one_line(&reply));
            return Err(Fault::new(FaultKind::Unexpected, detail).into());
        }
        self.connection = Some(connection);
        self.login = match class {
            Class::Completed => Login::Done,
            Class::Intermediate => Login::Asked,
            Class::Transient | Class::Permanent => Login::Failed,
        };
        Ok(reply)
    }

    /// Whether the connection is there on which the server accepted a login.
    pub(super) fn holds_login(&self) -> bool {
        self.login == Login::Done && self.connection.is_some()
    }

    /// Another name of the same client: the login stays, and where the server goes by the client's own words it hears the new
    /// ones.
    pub(super) async fn rename(&mut self, client: Client) {
        self.reset().await;
        let name = client.greeting(self.server.hostname()).to_owned();
        self.client = client;
        if matches!(self.server.identity(), Identity::None | Identity::XForward) {
            return;
        }
        let Some(mut connection) = self.connection.take() else { return };
        match connection.ehlo(&name).await {
            Ok(()) => self.connection = Some(connection),
            Err(failure) => tracing::debug!(%failure, "upstream does not take the client's new name"),
        }
    }

    /// A connection on which this command may be said: the one there is, or a fresh one.
    async fn connection_for(&mut self, command: &AuthCommand) -> Result<Connection, Failure> {
        self.reset().await;
        let used = self.connection.take().filter(|_| self.login != Login::Asked);
        let used = used.and_then(|mut used| used.wire.quiet().is_ok().then_some(used));
        let connection = match used {
            Some(used) => used,
            None => self.server.connect(Some(&self.client)).await?,
        };
        match may_carry(&connection, &command.mechanism) {
            Ok(()) => Ok(connection),
            Err(fault) => {
                self.connection = Some(connection);
                Err(fault.into())
            }
        }
    }
}

fn may_carry(connection: &Connection, mechanism: &Mechanism) -> Result<(), Fault> {
    if !connection.is_confidential() {
        let detail = "AUTH is not relayed: the connection is in the clear and leaves this machine";
        return Err(Fault::new(FaultKind::Tls, detail));
    }
    if !connection.extensions().auth.iter().any(|offered| offered == mechanism.name()) {
        let detail = format!("AUTH {} is no longer offered", mechanism.name());
        return Err(Fault::new(FaultKind::Capability, detail));
    }
    Ok(())
}

fn no_exchange() -> Fault {
    Fault::new(FaultKind::Lost, "the connection went in the middle of AUTH")
}

/// Whether `HOST:PORT` is on this machine, whatever DNS says.
pub fn is_loopback(address: &str) -> bool {
    let host = host(address);
    match host.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine() {
        for near in ["127.0.0.1:25", "127.8.9.1:25", "[::1]:25", "[::ffff:127.0.0.1]:25", "localhost:25"] {
            assert!(is_loopback(near), "{near}");
        }
        for far in
            ["192.0.2.1:25", "[2001:db8::1]:25", "0.0.0.0:25", "localhost.example.org:25", "mail:25", ""]
        {
            assert!(!is_loopback(far), "{far}");
        }
    }
}
