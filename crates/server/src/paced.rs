//! A connection whose other side must take what it asked for: the next byte before long, and all of it not below a floor.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use reelhouse_service::Pace;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// Writes under a bound. Only the time in which the other side takes nothing counts.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    stream: S,
    pace: Pace,
    idle: Duration,
    deadline: Pin<Box<Sleep>>,
    /// Since when it takes nothing.
    stuck: Option<Instant>,
}

impl<S> Paced<S> {
    pub(crate) fn new(stream: S, pace: Pace, idle: Duration) -> Self {
        Self { stream, pace, idle, deadline: Box::pin(sleep(idle)), stuck: None }
    }

    /// What a write came to, or that it takes too long.
    fn judge(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let too_slow = |what| Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)));
        match written {
            Poll::Pending => {
                if self.stuck.is_none() {
                    self.stuck = Some(Instant::now());
                    self.deadline.as_mut().reset(Instant::now() + self.idle);
                }
                ready!(self.deadline.as_mut().poll(cx));
                too_slow("the client takes nothing")
            }
            Poll::Ready(Ok(bytes)) => {
                let waited = self.stuck.take().map_or(Duration::ZERO, |since| since.elapsed());
                if self.pace.keeps(waited, bytes as u64) {
                    Poll::Ready(Ok(bytes))
                } else {
                    too_slow("the client takes too little")
                }
            }
            failed => failed,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.judge(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bytes);
        this.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// For how long somebody may read so many bytes each second from a connection that holds 1000 on the way.
    async fn lasts(rate: usize) -> Duration {
        let (ours, mut theirs) = tokio::io::duplex(1000);
        let mut paced = Paced::new(ours, Pace::new(1000, SECOND * 60), SECOND * 60);
        let reads = tokio::spawn(async move {
            let mut buffer = vec![0; rate.max(1)];
            while rate > 0 && theirs.read_exact(&mut buffer).await.is_ok() {
                tokio::time::sleep(SECOND).await;
            }
            std::future::pending::<()>().await;
        });
        let since = Instant::now();
        let sends = async { while paced.write_all(&[0; 100]).await.is_ok() {} };
        let _ = tokio::time::timeout(SECOND * 600, sends).await;
        reads.abort();
        since.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_too_little_is_cut() {
        // Nothing, a byte a second, below the floor, and above it.
        assert_eq!(lasts(0).await.as_secs(), 60);
        assert!(lasts(1).await <= SECOND * 121);
        assert!((60..=70).contains(&lasts(900).await.as_secs()), "{:?}", lasts(900).await);
        assert_eq!(lasts(1100).await, SECOND * 600);
    }
}
