//! What a message holds: read once, when a script first asks.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::letter::Letter;
use crate::message::mime::{Contents, Scanner};

/// Octets that are read at once.
const PIECE: usize = 64 * 1024;
/// A body that is smaller, and in memory, is read where it is asked about.
const SMALL: u64 = 32 * 1024;
/// For one message.
const DEADLINE: Duration = Duration::from_secs(30);

/// Reads messages, so many at a time that other work goes on.
#[derive(Debug)]
pub(super) struct Reader(Semaphore);

impl Reader {
    pub(super) fn new() -> Self {
        Self(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)))
    }

    /// What `letter` holds; `None` if it could not be read, or not in time.
    pub(super) async fn read(&self, letter: &Letter) -> Option<Arc<Contents>> {
        let until = Instant::now() + DEADLINE;
        if !letter.body.is_file() && letter.body.len() <= SMALL {
            return scan(letter, until);
        }
        let _turn = self.0.acquire().await.ok()?;
        let letter = letter.clone();
        spawn_blocking(move || scan(&letter, until)).await.ok()?
    }
}

fn scan(letter: &Letter, until: Instant) -> Option<Arc<Contents>> {
    let mut scanner = Scanner::new(&letter.header);
    let mut body = letter.body.reader();
    let size = usize::try_from(letter.body.len()).unwrap_or(PIECE).clamp(1, PIECE);
    let mut piece = vec![0; size];
    loop {
        let read = body.read(&mut piece).ok()?;
        if read == 0 {
            return Some(Arc::new(scanner.finish()));
        }
        scanner.push(piece.get(..read)?);
        if Instant::now() > until {
            return None;
        }
    }
}
