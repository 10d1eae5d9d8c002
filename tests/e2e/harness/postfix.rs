//! A real Postfix, from Debian's package, with folders and a port of its own.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use tempfile::TempDir;

use super::{Authority, Dovecot, Program, SOON, folder, free_port, server, tail, until};

const MASTER: &str = "/usr/lib/postfix/sbin/master";
const NOBODY: u32 = 65534;

/// What becomes of mail that was accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Afterwards {
    /// It goes to a Maildir.
    Delivered,
    /// It waits in the queue, so that under load the time goes into accepting.
    Held,
}

/// A Postfix that takes mail for example.org: for suzie, joe and load, and for nobody else there.
#[derive(Debug)]
pub(crate) struct Postfix {
    folder: TempDir,
    port: u16,
    master: Option<Child>,
}

impl Postfix {
    /// One that delivers into Maildirs.
    pub(crate) fn delivering() -> Self {
        Self::start(Afterwards::Delivered, "")
    }

    /// One that delivers into Maildirs, for suzie@example.net.
    pub(crate) fn of_example_net() -> Self {
        let more = "virtual_mailbox_domains = example.net\nvirtual_mailbox_maps = inline:{ suzie@example.net=suzie/ }\n";
        Self::start(Afterwards::Delivered, more)
    }

    /// One that delivers into Maildirs and takes mail under TLS only.
    pub(crate) fn encrypting(authority: &Authority) -> Self {
        let (certificate, key) = (authority.certificate.display(), authority.key.display());
        let tls = format!(
            "smtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = {certificate}\nsmtpd_tls_key_file = {key}\n"
        );
        Self::start(Afterwards::Delivered, &tls)
    }

    /// One that delivers into Maildirs, with more lines of `main.cf`.
    pub(crate) fn with(more: &str) -> Self {
        Self::start(Afterwards::Delivered, more)
    }

    /// One that delivers into Maildirs, takes whoever Dovecot knows at his word, and keeps his mail to others in its queue.
    pub(crate) fn authenticating(dovecot: &Dovecot) -> Self {
        let sasl = format!(
            "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = {}\n\
             smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination\n\
             defer_transports = smtp\nsmtpd_error_sleep_time = 0\n",
            dovecot.socket().display()
        );
        Self::start(Afterwards::Delivered, &sasl)
    }

    /// One that asks for our certificate besides, and logs whether it was issued by the authority in `ca`.
    pub(crate) fn asking(authority: &Authority, ca: &Path) -> Self {
        let (certificate, key) = (authority.certificate.display(), authority.key.display());
        let tls = format!(
            "smtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = {certificate}\nsmtpd_tls_key_file = {key}\n\
             smtpd_tls_CAfile = {}\nsmtpd_tls_ask_ccert = yes\nsmtpd_tls_loglevel = 1\n",
            ca.display()
        );
        Self::start(Afterwards::Delivered, &tls)
    }

    /// One that keeps what it accepts in its queue.
    pub(crate) fn holding() -> Self {
        Self::start(Afterwards::Held, "")
    }

    /// One that delivers into Maildirs, with more lines in its main.cf.
    pub(crate) fn configured(more: &str) -> Self {
        Self::start(Afterwards::Delivered, more)
    }

    fn start(afterwards: Afterwards, more: &str) -> Self {
        let folder = folder("postfix");
        let port = free_port();
        lay_out(folder.path());
        let main = main_cf(folder.path(), afterwards) + more;
        fs::write(folder.path().join("etc/main.cf"), main).unwrap();
        fs::write(folder.path().join("etc/master.cf"), master_cf(port)).unwrap();
        let mut postfix = Self { folder, port, master: None };
        postfix.start_again();
        postfix
    }

    /// Starts the one that was killed, with all that it had.
    pub(crate) fn start_again(&mut self) {
        assert!(self.master.is_none(), "it runs");
        let mut command = Command::new(MASTER);
        command.args(["-d", "-c"]).arg(self.path("etc"));
        let answer = || TcpStream::connect(self.address()).ok();
        self.master = Some(server::start(command, &self.path("output"), answer));
    }

    /// Ends all its processes at once, as a crash of the machine would.
    pub(crate) fn kill(&mut self) {
        let Some(master) = self.master.take() else { return };
        server::kill(master);
        // The port is free again when the last of them is gone.
        until("the end of Postfix", SOON, || TcpStream::connect(self.address()).is_err().then_some(()));
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("maillog")).unwrap_or_default()
    }

    /// The first line of the log that has all these words, as soon as it is there.
    #[track_caller]
    pub(crate) fn logged(&self, words: &[&str]) -> String {
        server::logged(|| self.log(), words)
    }

    /// The messages that were delivered to this recipient, as soon as there are so many.
    #[track_caller]
    pub(crate) fn delivered(&self, to: &str, count: usize) -> Vec<Vec<u8>> {
        server::delivered(&self.path("box"), to, count)
    }

    /// Everything that was delivered to this recipient, once nothing is under way any more.
    #[track_caller]
    pub(crate) fn all_delivered(&self, to: &str) -> Vec<Vec<u8>> {
        until("an empty queue", SOON, || self.queued().is_empty().then_some(()));
        let new = self.path("box").join(to).join("new");
        fs::read_dir(&new)
            .into_iter()
            .flatten()
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect()
    }

    /// The queue ids of all complete messages in the queue, with the words in brackets of their `Subject`.
    ///
    /// Only a message that Postfix answers for is complete: its file has the mode 0700 (`mail_queue.h`).
    pub(crate) fn queued(&self) -> Vec<(String, String)> {
        let folders = ["incoming", "active", "deferred", "hold"].map(|name| self.path("queue").join(name));
        let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(Result::unwrap);
        let complete =
            files.filter(|file| file.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o100 != 0));
        complete
            .map(|file| (file.file_name().into_string().unwrap(), mark(&fs::read(file.path()).unwrap())))
            .collect()
    }

    /// What it knows of the envelope of a message in its queue, as `postcat` shows it.
    #[track_caller]
    pub(crate) fn envelope(&self, id: &str) -> String {
        Program::new("postcat").arg("-c").arg(self.path("etc")).words("-e -q").arg(id).succeed().output
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("== Postfix's log\n{}", tail(&self.path("maillog"), 40));
        }
    }
}

/// The folders that `postfix start` would make, without its look at the rest of the system.
fn lay_out(folder: &Path) {
    let (postfix, postdrop) = (id_of("passwd", "postfix"), id_of("group", "postdrop"));
    let make = |name: &str, mode: u32, user: Option<u32>, group: Option<u32>| {
        let path = folder.join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        chown(&path, user, group).unwrap_or_else(|error| panic!("Postfix needs root to start it: {error}"));
    };
    make("etc", 0o755, None, None);
    make("queue", 0o755, None, None);
    make("queue/pid", 0o755, None, None);
    make("data", 0o700, Some(postfix), None);
    make("box", 0o700, Some(NOBODY), None);
    let private = [
        "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved",
        "trace",
    ];
    for name in private {
        make(&format!("queue/{name}"), 0o700, Some(postfix), None);
    }
    make("queue/maildrop", 0o730, Some(postfix), Some(postdrop));
    make("queue/public", 0o710, Some(postfix), Some(postdrop));
}

/// The number of a user (`passwd`) or a group (`group`).
fn id_of(database: &str, name: &str) -> u32 {
    let entry = Program::new("getent").arg(database).arg(name).run().output;
    let number = entry.split(':').nth(2).and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("no {name} in {database}: tests/run installs Postfix"))
}

fn main_cf(folder: &Path, afterwards: Afterwards) -> String {
    let folder = folder.display();
    let hold = match afterwards {
        Afterwards::Delivered => "",
        Afterwards::Held => ", check_recipient_access static:HOLD",
    };
    format!(
        "compatibility_level = 3.6
         queue_directory = {folder}/queue
         data_directory = {folder}/data
         command_directory = /usr/sbin
         daemon_directory = /usr/lib/postfix/sbin
         mail_owner = postfix
         setgid_group = postdrop
         maillog_file = {folder}/maillog
         maillog_file_prefixes = {folder}
         inet_interfaces = 127.0.0.1
         inet_protocols = ipv4
         myhostname = mail.example.org
         mydestination =
         mynetworks =
         alias_maps =
         alias_database =
         virtual_mailbox_domains = example.org
         virtual_mailbox_maps = inline:{{ suzie@example.org=suzie/, joe@example.org=joe/, load@example.org=load/ }}
         virtual_mailbox_base = {folder}/box
         virtual_uid_maps = static:{NOBODY}
         virtual_gid_maps = static:{NOBODY}
         virtual_minimum_uid = 1
         virtual_mailbox_limit = 0
         message_size_limit = 104857600
         in_flow_delay = 0
         smtpd_authorized_xclient_hosts = 127.0.0.1
         smtpd_relay_restrictions = reject_unauth_destination
         smtpd_recipient_restrictions = reject_unlisted_recipient{hold}
         smtpd_peername_lookup = no
         smtpd_client_connection_count_limit = 0
         smtpd_client_connection_rate_limit = 0
         local_header_rewrite_clients =
        "
    )
    .lines()
    .map(|line| format!("{}\n", line.trim()))
    .collect()
}

fn master_cf(port: u16) -> String {
    format!(
        "127.0.0.1:{port} inet n - n - 100 smtpd
tlsmgr unix - - n 1000? 1 tlsmgr
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"
    )
}

/// The part in brackets of a queue file's `Subject: [...]`, which no boundary between its records cuts.
fn mark(file: &[u8]) -> String {
    let subject = b"Subject: [";
    let at = memchr::memmem::find(file, subject).map(|at| at + subject.len());
    let rest = at.map_or(&[][..], |at| &file[at..]);
    let word = rest.split(|byte| *byte == b']').next().unwrap_or_default();
    String::from_utf8_lossy(word).into_owned()
}
