//! The embedded upstream: a Maildir that takes every message, so that Gatepost can be tried without a mail server.
//!
//! A message is stored once, whoever its recipients are, byte for byte as it would have gone upstream (CRLF line ends
//! included, which readers of Maildirs take), below one added field: `Return-Path`, which the system that makes final
//! delivery has to add (RFC 5321 4.4). Fields that name recipients are not added: they would tell each of them
//! about the others.

use std::fs::{self, DirBuilder};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::fault::{Failure, Fault, FaultKind};
use crate::durable::{self, CopyError, Disk, RealDisk};
use crate::message::spool::Outgoing;
use crate::metrics::UpstreamMetrics;
use crate::smtp::command::{Command, MailCommand};
use crate::smtp::extensions::Extensions;
use crate::smtp::path::ReversePath;
use crate::smtp::receipt::Receipt;
use crate::smtp::reply::{Code, EnhancedCode, Reply};

/// How long storing a message may take before the session gives up waiting. The disk cannot be interrupted: a message
/// that is stored later is one that the client sends again.
const PATIENCE: Duration = Duration::from_secs(8 * 60);

/// What a Maildir can take: anything.
pub(super) fn extensions() -> Arc<Extensions> {
    Arc::new(Extensions { size: Some(None), eight_bit_mime: true, ..Extensions::default() })
}

/// The answer to VRFY, and to EXPN (RFC 5321 3.5.3): anybody may have a box here, and there are no lists.
pub(super) fn no_answer(command: &Command) -> Reply {
    match command {
        Command::Vrfy(_) => Reply::new(
            Code::literal::<252>(),
            Some(EnhancedCode::new(2, 1, 5)),
            "cannot verify, but will take it",
        ),
        _ => Reply::new(Code::literal::<502>(), Some(EnhancedCode::new(5, 5, 1)), "there are no lists here"),
    }
}

/// One session's way into a Maildir.
#[derive(Debug)]
pub(super) struct Delivery {
    maildir: Arc<Maildir>,
    metrics: UpstreamMetrics,
    sender: Option<ReversePath>,
}

impl Delivery {
    pub(super) const fn new(maildir: Arc<Maildir>, metrics: UpstreamMetrics) -> Self {
        Self { maildir, metrics, sender: None }
    }

    /// Accepts any recipient.
    pub(super) fn rcpt(&mut self, mail: &MailCommand) -> Reply {
        self.sender = Some(mail.path.clone());
        Reply::new(Code::literal::<250>(), Some(EnhancedCode::new(2, 1, 5)), "Ok")
    }

    pub(super) fn reset(&mut self) {
        self.sender = None;
    }

    pub(super) async fn deliver(&mut self, message: &Outgoing) -> Result<Receipt, Failure> {
        let no_recipient = || Fault::new(FaultKind::Unexpected, "no recipient was accepted");
        let sender = self.sender.take().ok_or_else(no_recipient)?;
        let (maildir, message) = (Arc::clone(&self.maildir), message.reader());
        let began = Instant::now();
        let stored = blocking(move || maildir.store(&sender, message)).await;
        self.metrics.up(stored.is_ok());
        self.metrics.reply("end_of_data", if stored.is_ok() { 2 } else { 0 }, began.elapsed());
        Ok(stored?)
    }
}

/// A folder with `tmp`, `new` and `cur` (<https://cr.yp.to/proto/maildir.html>).
#[derive(Debug)]
pub(super) struct Maildir {
    root: PathBuf,
    /// Our host name, in the form in which it may stand in a file's name.
    host: String,
    stored: AtomicU64,
    /// Whether this process saw the folders to disk: those that it found may be another's that was cut short.
    made: AtomicBool,
    disk: Box<dyn Disk>,
}

impl Maildir {
    /// The Maildir at `root`, of the host `hostname`. Nothing is touched yet.
    pub(super) fn new(root: PathBuf, hostname: &str) -> Self {
        let (stored, made, disk) = (AtomicU64::new(0), AtomicBool::new(false), Box::new(RealDisk));
        Self { root, host: safe(hostname), stored, made, disk }
    }

    /// Makes the folders that are not there, for their owner's eyes only.
    pub(super) async fn make(maildir: Arc<Self>) -> Result<(), Fault> {
        blocking(move || maildir.make_folders().map_err(|e| maildir.fault(&e))).await
    }

    /// Stores `message` and says so once nothing short of a broken disk can lose it. Blocks.
    ///
    /// # Errors
    /// [`FaultKind::NoSpace`], [`FaultKind::Store`], or [`FaultKind::Spool`] when the message cannot be read; no part of
    /// it is left behind.
    fn store(&self, sender: &ReversePath, message: impl Read) -> Result<Receipt, Fault> {
        let name = self.unique_name();
        let (unfinished, finished) = (self.folder("tmp").join(&name), self.folder("new").join(&name));
        let stored = self
            .make_folders()
            .map_err(CopyError::File)
            .and_then(|()| self.write(&unfinished, sender, message))
            .and_then(|()| self.publish(&unfinished, &finished).map_err(CopyError::File));
        stored.map(|()| Receipt::from_durable_store(&name)).map_err(|error| {
            // Whichever of the two there is; the client is told to try again, so neither may stay.
            let _ = fs::remove_file(&unfinished);
            let _ = fs::remove_file(&finished);
            match error {
                CopyError::File(e) => self.fault(&e),
                CopyError::Message(e) => Fault::new(FaultKind::Spool, e.to_string()),
            }
        })
    }

    /// Writes the whole message to the file `path`, and to disk.
    fn write(&self, path: &Path, sender: &ReversePath, message: impl Read) -> Result<(), CopyError> {
        let mut file = durable::create(path).map_err(CopyError::File)?;
        file.write_all(format!("Return-Path: {sender}\r\n").as_bytes()).map_err(CopyError::File)?;
        durable::copy(message, &mut file)?;
        self.disk.sync_file(&file).map_err(CopyError::File)
    }

    /// Moves a complete file to where readers look, and the move to disk. That its name also vanishes from `tmp` needs
    /// no sync: at worst a crash leaves a second name for the same file there, which readers remove after 36 hours.
    fn publish(&self, unfinished: &Path, finished: &Path) -> io::Result<()> {
        self.disk.rename(unfinished, finished)?;
        self.disk.sync_folder(&self.folder("new"))
    }

    fn make_folders(&self) -> io::Result<()> {
        let folders = ["tmp", "new", "cur"].map(|name| self.folder(name));
        if self.made.load(Ordering::Acquire) && folders.iter().all(|folder| folder.is_dir()) {
            return Ok(());
        }
        // A file that is safe in `new` is lost all the same if `new` itself is, or the root.
        durable::make_folder(&*self.disk, &self.root)?;
        for folder in &folders {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        self.disk.sync_folder(&self.root)?;
        self.made.store(true, Ordering::Release);
        Ok(())
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Never the same twice: not within the process by its counter, not after a restart by the time.
    fn unique_name(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, micros) = (now.as_secs(), now.subsec_micros());
        let number = self.stored.fetch_add(1, Ordering::Relaxed);
        format!("{seconds}.M{micros}P{}Q{number}.{}", process::id(), self.host)
    }

    fn fault(&self, error: &io::Error) -> Fault {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let kind = if full { FaultKind::NoSpace } else { FaultKind::Store };
        Fault::new(kind, format!("{}: {error}", self.root.display()))
    }
}

/// Runs `work`, which blocks, beside the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match timeout(PATIENCE, spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(e)) => Err(Fault::new(FaultKind::Store, e.to_string())),
        Err(_) => Err(Fault::new(FaultKind::Timeout, "the disk is not done").after_the_dot()),
    }
}

/// `/` and `:` have meanings in a Maildir's file names; a host name has no use for anything else that is not here.
fn safe(hostname: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' };
    hostname.chars().take(255).map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::watched::{Broken, Watched};

    use std::os::unix::fs::PermissionsExt;

    const MESSAGE: &[u8] = b"Subject: x\r\n\r\n.dot\r\n\xff\r\n";

    /// What is in a folder, if there is one.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_stored_message_is_whole_private_and_alone() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("deep/Maildir");
        let maildir = Maildir::new(root.clone(), "mx/1:2.example.org");
        let receipt = maildir.store(&ReversePath::Null, MESSAGE).unwrap();
        let stored = names(&root.join("new"));
        assert_eq!(stored.len(), 1);
        assert!(receipt.reply().lines().concat().contains(&stored[0]));
        assert!(stored[0].ends_with(".mx_1_2.example.org"), "{stored:?}");
        let file = root.join("new").join(&stored[0]);
        assert_eq!(fs::read(&file).unwrap(), [b"Return-Path: <>\r\n", MESSAGE].concat());
        assert_eq!((mode(&file), mode(&root.join("new"))), (0o600, 0o700));
        assert_eq!(names(&root.join("tmp")).len() + names(&root.join("cur")).len(), 0);
        for _ in 0..50 {
            maildir.store(&ReversePath::Null, MESSAGE).unwrap();
        }
        assert_eq!(names(&root.join("new")).len(), 51);
    }

    #[test]
    fn a_message_that_cannot_be_read_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::new(dir.path().to_owned(), "mx");
        let fault = maildir.store(&ReversePath::Null, Broken::default()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Spool);
        assert_eq!(names(&dir.path().join("tmp")).len() + names(&dir.path().join("new")).len(), 0);
    }

    #[test]
    fn a_receipt_comes_after_every_sync_in_order_and_a_failed_one_leaves_nothing() {
        let octets = MESSAGE.len() + "Return-Path: <>\r\n".len();
        let wanted = [
            "sync parent".to_owned(),
            "sync Maildir".to_owned(),
            format!("sync {octets} octets"),
            "rename to new/*.mx".to_owned(),
            "sync new".to_owned(),
        ];
        for fails_at in (1..=wanted.len()).map(Some).chain([None]) {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("parent/Maildir");
            fs::create_dir(dir.path().join("parent")).unwrap();
            let watched = Watched { fails_at, ..Watched::default() };
            let steps = Arc::clone(&watched.steps);
            let maildir = Maildir { disk: Box::new(watched), ..Maildir::new(root.clone(), "mx") };
            let stored = maildir.store(&ReversePath::Null, MESSAGE);
            assert_eq!(*steps.lock().unwrap(), wanted[..fails_at.unwrap_or(wanted.len())]);
            let kept = names(&root.join("tmp")).len() + names(&root.join("new")).len();
            match fails_at {
                Some(_) => assert_eq!((stored.unwrap_err().kind, kept), (FaultKind::Store, 0)),
                None => assert_eq!((stored.is_ok(), kept), (true, 1)),
            }
        }
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let maildir = Maildir::new(PathBuf::from("/nowhere"), "mx");
        let full = maildir.fault(&io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!((full.kind, full.reply().code().get()), (FaultKind::NoSpace, 452));
    }

    #[test]
    fn what_cannot_be_created_is_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let maildir = Maildir::new(dir.path().join("file/Maildir"), "mx");
        let fault = maildir.store(&ReversePath::Null, MESSAGE).unwrap_err();
        assert_eq!((fault.kind, fault.reply().code().get()), (FaultKind::Store, 451));
    }
}
