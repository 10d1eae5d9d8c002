//! Work in real time, asked for from the stopped clock of a transcript.
//!
//! A transcript's dialogue runs on a stopped clock that jumps ahead whenever nothing is left to do. A DNS look-up over real
//! sockets looks like "nothing to do" from there, and the clock would jump to the next timeout before the answer comes.
//! tokio does not let the clock jump while a *blocking* task is in flight, so real work is waited for in one.

use std::future::{Future, pending};
use std::panic::resume_unwind;

use tokio::runtime::Handle;

/// The runtime with a running clock, on which everything that has real sockets lives.
#[derive(Clone, Debug)]
pub(super) struct RealTime(Handle);

impl RealTime {
    /// Work is done on `runtime`, which must have its own threads.
    pub(super) const fn new(runtime: Handle) -> Self {
        Self(runtime)
    }

    /// Waits for `work` while the caller's clock stands still. A panic of the work is one of the caller's.
    pub(super) fn wait_for<T, F>(&self, work: F) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let runtime = self.0.clone();
        async move {
            match tokio::task::spawn_blocking(move || runtime.block_on(work)).await {
                Ok(done) => done,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    // A blocking task is cancelled only when its runtime goes, and the caller with it.
                    Err(_) => pending().await,
                },
            }
        }
    }

    /// Does `work` at once, by the clock of real time.
    pub(super) fn now<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = self.0.enter();
        work()
    }

    /// Begins `work` that nobody waits for.
    pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(&self, work: F) {
        self.0.spawn(work);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{Instant, timeout};

    use super::*;

    /// A server on loopback that takes 200 ms of real time for its answer.
    async fn slow_answer() -> u8 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            socket.write_all(b"x").await.unwrap();
        });
        TcpStream::connect(address).await.unwrap().read_u8().await.unwrap()
    }

    fn real_time() -> (tokio::runtime::Runtime, RealTime) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let bridge = RealTime::new(runtime.handle().clone());
        (runtime, bridge)
    }

    #[test]
    fn stopped_clock_stands_still_while_real_work_is_under_way() {
        let (runtime, bridge) = real_time();
        let stopped =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        stopped.block_on(async {
            let began = Instant::now();
            let answer = timeout(Duration::from_millis(50), bridge.wait_for(slow_answer())).await;
            assert_eq!(answer, Ok(b'x'), "the clock jumped past the timeout");
            assert_eq!(began.elapsed(), Duration::ZERO);
            tokio::time::sleep(Duration::from_secs(3600)).await;
            assert_eq!(began.elapsed(), Duration::from_secs(3600), "and jumps when nothing is left to do");
        });
        drop(stopped);
        runtime.shutdown_background();
    }

    #[test]
    fn without_the_bridge_the_clock_jumps() {
        let (runtime, _) = real_time();
        let stopped =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        stopped.block_on(async {
            let work = runtime.spawn(slow_answer());
            assert!(timeout(Duration::from_millis(50), work).await.is_err());
        });
        runtime.shutdown_background();
    }
}
