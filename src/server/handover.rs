//! Sockets that systemd opened for us, so that a restart refuses no connection (`sd_listen_fds(3)`).
//!
//! systemd keeps such a socket open while we are gone: who connects then waits in the kernel until the next process accepts.

use std::env;
use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use socket2::SockRef;

/// What systemd calls a socket that has no name (`sd_listen_fds_with_names(3)`).
const NAMELESS: &str = "unknown";

/// The sockets that came with the process, by name.
#[derive(Debug, Default)]
pub struct Handed(Vec<(String, TcpListener)>);

/// Why a listener has no socket.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// Nothing came at all: the service was not started by its socket unit.
    #[error(
        "no socket was handed over by systemd: is it started by a socket unit, with `FileDescriptorName={0}`?"
    )]
    None(String),
    /// Others came, but not this one.
    #[error("no socket named `{name}` was handed over by systemd; there is {known}")]
    Unknown {
        /// The one that is wanted.
        name: String,
        /// Those that came.
        known: String,
    },
    /// What came is no socket on which we could accept connections.
    #[error("the socket `{name}` from systemd cannot be used: {why}")]
    Unusable {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
}

impl Handed {
    /// Takes over what came with the process (`LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES`). To be called once.
    ///
    /// # Errors
    /// When one of them is no listening TCP socket.
    pub fn take() -> Result<Self, HandoverError> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let mut handed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..handed.len() {
            let name = names.next().unwrap_or(NAMELESS).to_owned();
            match listening(&mut handed, index) {
                Ok(Some(socket)) => sockets.push((name, socket)),
                Ok(None) => {}
                Err(error) => return Err(HandoverError::Unusable { name, why: error.to_string() }),
            }
        }
        Ok(Self(sockets))
    }

    /// Whether there is a socket of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn check(&self, name: &str) -> Result<(), HandoverError> {
        if self.left().any(|known| known == name) { Ok(()) } else { Err(self.missing(name)) }
    }

    /// All sockets of this name; a socket unit with several `ListenStream=` gives them the same one.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(&mut self, name: &str) -> Result<Vec<TcpListener>, HandoverError> {
        self.check(name)?;
        Ok(self.0.extract_if(.., |(known, _)| known == name).map(|(_, socket)| socket).collect())
    }

    /// The names of those that nobody took.
    pub fn left(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn missing(&self, name: &str) -> HandoverError {
        if self.0.is_empty() {
            return HandoverError::None(name.to_owned());
        }
        let known = self.left().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        HandoverError::Unknown { name: name.to_owned(), known }
    }
}

fn listening(handed: &mut ListenFd, index: usize) -> io::Result<Option<TcpListener>> {
    let Some(socket) = handed.take_tcp_listener(index)? else { return Ok(None) };
    if !SockRef::from(&socket).is_listener()? {
        return Err(io::Error::other("it does not listen (the socket unit needs `Accept=no`)"));
    }
    Ok(Some(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    #[test]
    fn sockets_are_found_by_name_and_taken_once() {
        let mut handed = Handed(vec![
            ("smtp".to_owned(), socket()),
            ("submission".to_owned(), socket()),
            ("smtp".to_owned(), socket()),
        ]);
        assert_eq!(handed.named("smtp").unwrap().len(), 2);
        assert_eq!(handed.left().collect::<Vec<_>>(), ["submission"]);
        let error = handed.named("smtp").unwrap_err().to_string();
        assert!(error.contains("`smtp`") && error.contains("there is `submission`"), "{error}");
    }

    #[test]
    fn who_was_not_started_by_a_socket_is_told_so() {
        let error = Handed::default().named("smtp").unwrap_err().to_string();
        assert!(error.contains("FileDescriptorName=smtp"), "{error}");
    }
}
