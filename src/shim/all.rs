//! Futures side by side.

use std::future::poll_fn;
use std::task::Poll;

use futures::future::LocalBoxFuture;

/// What all futures answer, in their order, or the first failure; the others are dropped then. For few: each is polled whenever one of
/// them is woken.
pub(crate) async fn all<T, E>(futures: Vec<LocalBoxFuture<'_, Result<T, E>>>) -> Result<Vec<T>, E> {
    let mut running: Vec<_> = futures.into_iter().map(Some).collect();
    let mut answers: Vec<Option<T>> = running.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (running, answer) in running.iter_mut().zip(&mut answers) {
            if let Some(future) = running
                && let Poll::Ready(outcome) = future.as_mut().poll(cx)
            {
                *running = None;
                match outcome {
                    Ok(value) => *answer = Some(value),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        }
        match running.iter().all(Option::is_none) {
            true => Poll::Ready(Ok(answers.drain(..).flatten().collect())),
            false => Poll::Pending,
        }
    })
    .await
}
