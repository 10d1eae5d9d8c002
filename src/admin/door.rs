//! Sockets and connections of the endpoint.

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::{Access, Way};
use super::crowd::{Crowd, Standing};
use super::health::Health;
use super::office::Office;
use super::records::Seats;
use super::routes::Door;
use crate::metrics::Metrics;

/// How long a request's header may take to arrive.
pub(super) const HEADER_TIME: Duration = Duration::from_secs(5);

/// How long to wait when the system has no connection to give, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most bytes of a request that are kept.
const REQUEST_BYTES: usize = 16 * 1024;

/// Where the endpoint is.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Place {
    /// At an address, for everybody who reaches it.
    Tcp(SocketAddr),
    /// At a UNIX socket of mode 0600, for its owner.
    Unix(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A place that is open; nobody is answered yet.
#[derive(Debug)]
pub enum Entry {
    /// Over TCP.
    Tcp(TcpListener),
    /// Over a UNIX socket.
    Unix(UnixListener, SocketFile),
}

/// The file of a UNIX socket. It goes with us, unless somebody else has put another in its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            // Who comes next replaces it all the same.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens `place`.
///
/// # Errors
/// The address is in use; the folder of the socket is not there, or not ours to write in; or a file that is no socket has its name.
pub fn open(place: &Place) -> io::Result<Entry> {
    match place {
        Place::Tcp(address) => {
            let socket = std::net::TcpListener::bind(address)?;
            socket.set_nonblocking(true)?;
            Ok(Entry::Tcp(TcpListener::from_std(socket)?))
        }
        Place::Unix(path) => {
            let (listener, file) = bind_unix(path)?;
            Ok(Entry::Unix(listener, file))
        }
    }
}

/// Binds beside the name and moves the socket there, so that nobody ever finds it with other rights, and one that a process left
/// behind is replaced.
fn bind_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    use std::os::unix::fs::FileTypeExt;
    if fs::symlink_metadata(path).is_ok_and(|file| !file.file_type().is_socket()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let listener = UnixListener::bind(&beside)?;
    let moved = fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| fs::symlink_metadata(path));
    match moved {
        Ok(file) => Ok((listener, SocketFile { path: path.to_owned(), inode: file.ino() })),
        Err(error) => {
            // The error that matters is the first one.
            let _ = fs::remove_file(&beside);
            Err(error)
        }
    }
}

/// What is served.
#[derive(Debug)]
pub struct Served {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How it goes.
    pub health: Arc<Health>,
    /// Who may see more than that.
    pub access: Access,
    /// Who knows more than that.
    pub office: Option<Arc<dyn Office>>,
}

/// Serves at all entries until `stop` is cancelled; then answers under way have a second to end.
///
/// Cancel `stop` after the last session, so that `/readyz` can say that Gatepost is draining.
pub async fn serve(entries: Vec<Entry>, served: Served, stop: CancellationToken) {
    let Served { metrics, health, access, office } = served;
    let door = Arc::new(Door { metrics, health, access, office, seats: Seats::default() });
    let serving = TaskTracker::new();
    for entry in entries {
        serving.spawn(serve_at(entry, Arc::clone(&door), stop.clone()));
    }
    serving.close();
    serving.wait().await;
}

async fn serve_at(entry: Entry, door: Arc<Door>, stop: CancellationToken) {
    let mut crowd = Crowd::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&entry, &door) => accepted,
        };
        match accepted {
            Ok((standing, connection)) => crowd.add(standing, connection),
            Err(error) => {
                tracing::warn!(%error, "admin connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(entry);
    crowd.finish().await;
}

type Connection = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn accept(entry: &Entry, door: &Arc<Door>) -> io::Result<(Arc<Standing>, Connection)> {
    let (door, standing) = (Arc::clone(door), Arc::<Standing>::default());
    let shown = Arc::clone(&standing);
    let connection: Connection = match entry {
        Entry::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            let own = stream.local_addr()?.ip().to_canonical();
            Box::pin(serve_connection(stream, door, Way::Network(own), shown))
        }
        Entry::Unix(listener, _) => {
            let (stream, _) = listener.accept().await?;
            Box::pin(serve_connection(stream, door, Way::Socket, shown))
        }
    };
    Ok((standing, connection))
}

/// Answers one request. What goes wrong on the way concerns the client alone.
pub(super) async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    door: Arc<Door>,
    way: Way,
    standing: Arc<Standing>,
) {
    let answer = service_fn(|request| {
        let (door, standing) = (Arc::clone(&door), Arc::clone(&standing));
        async move { Ok::<_, Infallible>(door.answer(way, &standing, &request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(REQUEST_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!(%error, "admin connection failed");
            }
        }
        () = standing.time_is_up() => tracing::debug!("admin client is too slow"),
    }
}
