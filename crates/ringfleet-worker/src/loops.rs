//! What a worker does beside its sending, in loops that end when it is told to stop.

use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Runs them, and tells of one that ended before: it must have panicked. Without a word the worker would go on without it, and
/// seem well: parked lanes would stay parked, or a STOP unheard.
pub(crate) struct Loops {
    tasks: TaskTracker,
    stop: CancellationToken,
    ended: mpsc::Sender<&'static str>,
}

/// Dropped when its loop ends, in whatever way.
struct Ends {
    what: &'static str,
    stop: CancellationToken,
    ended: mpsc::Sender<&'static str>,
}

impl Loops {
    /// With what tells which loop has ended before `stop`.
    pub(crate) fn new(stop: &CancellationToken) -> (Self, mpsc::Receiver<&'static str>) {
        let (ended, which) = mpsc::channel(1);
        (Self { tasks: TaskTracker::new(), stop: stop.clone(), ended }, which)
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(crate) fn spawn(&self, what: &'static str, run: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let ends = Ends { what, stop: self.stop.clone(), ended: self.ended.clone() };
        self.tasks.spawn(async move {
            let _ends = ends;
            run.await;
        })
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            // The first one is enough.
            let _ = self.ended.try_send(self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loop_that_ends_before_its_stop_is_told_of_and_one_that_ends_at_it_is_not() {
        let stop = CancellationToken::new();
        let (loops, mut ended) = Loops::new(&stop);
        let panics = loops.spawn("first", async { panic!("on purpose") });
        assert!(panics.await.is_err());
        assert_eq!(ended.try_recv(), Ok("first"));
        loops.spawn("second", async {}).await.unwrap();
        assert_eq!(ended.try_recv(), Ok("second"));
        let third = loops.spawn("third", stop.clone().cancelled_owned());
        stop.cancel();
        third.await.unwrap();
        assert!(ended.try_recv().is_err());
    }
}
