//! A last word before a text leaves: asked when the connection stands and takes the body.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Whoever sends under a deadline of its own: a process may be frozen for minutes between any two lines, and connecting
/// takes its time.
pub trait Permit: Send + Sync + 'static {
    /// Whether the text may leave now. Asked once, in the moment before its first byte is given to the connection.
    fn granted(&self) -> bool;

    /// Status and headers of an answer have come.
    fn answered(&self) {}
}

/// Sends whenever the connection is ready.
#[derive(Debug, Clone, Copy, Default)]
pub struct Always;

impl Permit for Always {
    fn granted(&self) -> bool {
        true
    }
}

/// A request body that is withheld when its permit is refused.
pub(crate) struct Guarded {
    bytes: Option<Bytes>,
    permit: Arc<dyn Permit>,
    withheld: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
#[error("withheld: its time is over")]
pub(crate) struct Withheld;

impl Guarded {
    /// The body, and a flag that tells afterwards whether it was withheld.
    pub(crate) fn new(bytes: Vec<u8>, permit: Arc<dyn Permit>) -> (Self, Arc<AtomicBool>) {
        let withheld = Arc::new(AtomicBool::new(false));
        (Self { bytes: Some(bytes.into()), permit, withheld: withheld.clone() }, withheld)
    }
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = Withheld;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Withheld>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        if self.permit.granted() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        // SEND-SAFETY: not one byte of the body has left, and the head promises more than none, so the server can't act on it.
        self.withheld.store(true, Ordering::Release);
        Poll::Ready(Some(Err(Withheld)))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
