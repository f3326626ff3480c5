//! One client's connection and the one to the server that belongs to it.

use std::{future::pending, io, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::faults::{Faults, Order};

const CHUNK: usize = 16 * 1024;
/// So many delayed chunks may be on their way before the server is made to wait.
const ON_THE_WAY: usize = 1_024;

/// How a connection came to its end.
enum End {
    /// Both sides had said all.
    Closed,
    HalfOpen,
    Reset,
    ReplyDropped,
}

pub(super) async fn serve(mut client: TcpStream, faults: Arc<Faults>) {
    let Some((id, mut orders)) = faults.admit() else {
        reset(client);
        return;
    };
    let link = Link { faults, id };
    let mut upstream = None;
    let end = tokio::select! {
        biased;
        end = ordered(&mut orders) => end,
        end = link.carry(&mut client, &mut upstream) => end,
    };
    match end {
        End::Closed => {}
        End::Reset => reset(client),
        End::HalfOpen => {
            drop(upstream);
            tokio::select! {
                _ = swallow(&mut client) => {}
                _ = orders.wait_for(|order| *order == Order::Reset) => reset(client),
            }
        }
        End::ReplyDropped => {
            reset(client);
            drop(link);
            // Just closing would take back what the server has not read yet. After the end of the requests it does all of
            // them, and then ends the replies.
            if let Some(mut upstream) = upstream {
                let _ = upstream.shutdown().await;
                let _ = swallow(&mut upstream).await;
            }
        }
    }
}

async fn ordered(orders: &mut watch::Receiver<Order>) -> End {
    match orders.wait_for(|order| *order != Order::Run).await.as_deref() {
        Ok(Order::HalfOpen) => End::HalfOpen,
        // Without an owner there is nobody left who could want it.
        _ => End::Reset,
    }
}

/// Closed with unsent data thrown away, which the kernel tells the other side as a reset.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
}

/// Up to the end of what the other side sends.
async fn swallow(stream: &mut TcpStream) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    while stream.read(&mut chunk).await? > 0 {}
    Ok(())
}

/// Its entry among the live ones; dropped, it is none.
struct Link {
    faults: Arc<Faults>,
    id: u64,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.faults.forget(self.id);
    }
}

impl Link {
    async fn carry(&self, client: &mut TcpStream, upstream: &mut Option<TcpStream>) -> End {
        if self.faults.is_harmed(self.id) {
            let _ = swallow(client).await;
            return pending().await;
        }
        let Ok(stream) = TcpStream::connect(self.faults.upstream()).await else { return self.broken().await };
        let upstream = upstream.insert(stream);
        // Delays are for the faults to make.
        let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), upstream.split());
        let both = tokio::try_join!(self.requests(from_client, to_server), self.replies(from_server, to_client));
        both.err().unwrap_or(End::Closed)
    }

    async fn requests(&self, mut from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), End> {
        while let Some(chunk) = self.read(&mut from).await? {
            self.faults.requested(self.id, &chunk);
            self.deliver(&to, &chunk).await?;
        }
        self.finish(to).await
    }

    async fn replies(&self, mut from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), End> {
        let (queue, mut queued) = mpsc::channel(ON_THE_WAY);
        let receive = async move {
            while let Some(chunk) = self.read(&mut from).await? {
                let due = self.faults.replied(self.id).ok_or(End::ReplyDropped)?;
                // It is open as long as this function is.
                let _ = queue.send((due, chunk)).await;
            }
            Ok(())
        };
        let pass_on = async {
            while let Some((due, chunk)) = queued.recv().await {
                // Even a timer that has run out takes a millisecond.
                if due > Instant::now() {
                    sleep_until(due).await;
                }
                self.deliver(&to, &chunk).await?;
            }
            self.finish(to).await
        };
        tokio::try_join!(receive, pass_on).map(|_| ())
    }

    /// `None` at the end of the stream.
    async fn read(&self, from: &mut ReadHalf<'_>) -> Result<Option<Vec<u8>>, End> {
        let mut chunk = vec![0; CHUNK];
        match from.read(&mut chunk).await {
            Ok(0) => Ok(None),
            Ok(length) => {
                chunk.truncate(length);
                Ok(Some(chunk))
            }
            Err(_) => Err(self.broken().await),
        }
    }

    async fn deliver(&self, to: &WriteHalf<'_>, mut chunk: &[u8]) -> Result<(), End> {
        while !chunk.is_empty() {
            if to.writable().await.is_err() {
                return Err(self.broken().await);
            }
            match self.faults.pass(self.id, || to.try_write(chunk)) {
                None => return Ok(()),
                Some(Ok(written)) => chunk = &chunk[written..],
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Some(Err(_)) => return Err(self.broken().await),
            }
        }
        Ok(())
    }

    /// Passes the end of one stream on.
    async fn finish(&self, mut to: WriteHalf<'_>) -> Result<(), End> {
        if !self.faults.may_end(self.id) {
            return pending().await;
        }
        let _ = to.shutdown().await;
        Ok(())
    }

    /// One side is gone in disorder: the other learns it, unless nothing passes.
    async fn broken(&self) -> End {
        if self.faults.may_end(self.id) { End::Reset } else { pending().await }
    }
}
