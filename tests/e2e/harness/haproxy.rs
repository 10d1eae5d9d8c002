//! A real HAProxy, from Debian's package, in front of a Gatepost.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};

use tempfile::TempDir;

use super::{folder, free_port, server};

/// A load balancer that passes connections on, with a PROXY header in front.
#[derive(Debug)]
pub(crate) struct HaProxy {
    _folder: TempDir,
    port: u16,
    child: Child,
}

impl HaProxy {
    /// One that connects to `server` with these words behind it: `send-proxy-v2`, `check`.
    #[track_caller]
    pub(crate) fn in_front_of(server: SocketAddr, words: &str) -> Self {
        let (folder, port) = (folder("haproxy"), free_port());
        let configuration = format!(
            "global
    maxconn 100
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
listen smtp
    bind 127.0.0.1:{port}
    server gatepost {server} {words}
"
        );
        fs::write(folder.path().join("haproxy.cfg"), configuration).unwrap();
        let mut command = Command::new("haproxy");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        // `-db`: in the foreground and without workers, so that its end is the end of all of it.
        command.arg("-db").arg("-f").arg(folder.path().join("haproxy.cfg"));
        let child = server::start(command, &folder.path().join("output"), || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { _folder: folder, port, child }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
