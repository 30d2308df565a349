//! A future with a time limit.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::Sleep;

/// The time limit of [`Host::timeout`](super::Host::timeout) was reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the time limit was reached")]
pub struct Elapsed;

pub(super) async fn run<F: Future>(mut limit: Sleep, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        // The future first: work that is done is not thrown away for having ended in the last instant.
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        pin!(&mut limit).poll(cx).map(|()| Err(Elapsed))
    })
    .await
}
