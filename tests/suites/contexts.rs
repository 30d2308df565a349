//! The lease over Web Locks and the signal over broadcast channels, in a page and in a worker alike.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use mobkit_web::shim::{Elapsed, Host};
use mobkit_web::storage::{AcquireMode, Lease, LeaseError, LeaseGuard, Signal};
use mobkit_web::web::{BroadcastSignal, WebLocks};

/// Calls `$run!(case)` for every case of the suite.
macro_rules! for_each_context_case {
    ($run:ident) => {
        $run!(a_lock_has_one_holder);
        $run!(a_waiter_gets_the_lock_when_it_is_released);
        $run!(a_waiter_that_gives_up_leaves_the_queue);
        $run!(a_stolen_lock_is_lost_by_its_holder);
        $run!(a_refused_lock_says_why);
        $run!(a_signal_reaches_others_and_not_its_sender);
        $run!(signals_in_a_burst_are_merged);
        $run!(yields_are_not_held_back);
    };
}
pub(crate) use for_each_context_case;

const MS: Duration = Duration::from_millis(1);

fn lock(host: &Host) -> WebLocks {
    WebLocks::new(&format!("mobkit-test-{}", host.uuid_v7()))
}

async fn take(lock: &WebLocks, mode: AcquireMode) -> LeaseGuard {
    let taken = lock.acquire(mode).await.expect("locks work here");
    taken.expect("nobody holds it")
}

pub async fn a_lock_has_one_holder(host: Host) {
    let lock = lock(&host);
    let guard = take(&lock, AcquireMode::IfAvailable).await;
    let second = lock.acquire(AcquireMode::IfAvailable).await;
    assert!(second.expect("locks work here").is_none());
    // Another name is another lock.
    drop(take(&self::lock(&host), AcquireMode::IfAvailable).await);
    drop(guard);
    drop(take(&lock, AcquireMode::Wait).await);
}

pub async fn a_waiter_gets_the_lock_when_it_is_released(host: Host) {
    let lock = lock(&host);
    let first = take(&lock, AcquireMode::Wait).await;
    let lost = first.lost();
    let waiter = host.spawn({
        let lock = lock.clone();
        async move { take(&lock, AcquireMode::Wait).await }
    });
    host.sleep(MS * 30).await;
    assert!(!waiter.is_finished());
    drop(first);
    let second = waiter.await.expect("nobody aborts it");
    // A release is no loss.
    assert_eq!(host.timeout(MS * 30, lost).await, Err(Elapsed));
    drop(second);
}

pub async fn a_waiter_that_gives_up_leaves_the_queue(host: Host) {
    let lock = lock(&host);
    let first = take(&lock, AcquireMode::Wait).await;
    let waiting = lock.acquire(AcquireMode::Wait);
    assert!(host.timeout(MS * 20, waiting).await.is_err());
    // One that gives up in the very moment of the grant lets go of it again.
    let task = host.spawn({
        let lock = lock.clone();
        async move { lock.acquire(AcquireMode::Wait).await }
    });
    host.yield_now().await;
    drop(first);
    task.abort();
    drop(take(&lock, AcquireMode::Wait).await);
}

pub async fn a_stolen_lock_is_lost_by_its_holder(host: Host) {
    let lock = lock(&host);
    let first = take(&lock, AcquireMode::Wait).await;
    let mut lost = first.lost();
    assert!((&mut lost).now_or_never().is_none());
    let second = take(&lock, AcquireMode::Steal).await;
    assert_eq!(host.timeout(MS * 1_000, lost).await, Ok(()));
    // The former holder's release does not open the lock of the new one.
    drop(first);
    host.sleep(MS * 20).await;
    let third = lock.acquire(AcquireMode::IfAvailable).await;
    assert!(third.expect("locks work here").is_none());
    drop(second);
    drop(take(&lock, AcquireMode::Wait).await);
}

pub async fn a_refused_lock_says_why(_host: Host) {
    let answer = WebLocks::new("-reserved").acquire(AcquireMode::Wait).await;
    match answer.expect_err("the standard reserves such names") {
        LeaseError::Refused(error) => assert_eq!(error.name, "NotSupportedError"),
        other => panic!("{other}"),
    }
}

pub async fn a_signal_reaches_others_and_not_its_sender(host: Host) {
    let name = format!("mobkit-test-{}", host.uuid_v7());
    let open = |name: &str| BroadcastSignal::open(name).expect("channels work here");
    let (a, b, other) = (open(&name), open(&name), open("mobkit-test-other"));
    let (mut at_a, mut at_b, mut elsewhere) = (a.changed(), b.changed(), other.changed());
    a.notify();
    let heard = host.timeout(MS * 2_000, at_b.next()).await;
    assert_eq!(heard, Ok(Some(())));
    assert_eq!(host.timeout(MS * 20, at_a.next()).await, Err(Elapsed));
    let heard = host.timeout(MS * 20, elsewhere.next()).await;
    assert_eq!(heard, Err(Elapsed));
    b.notify();
    let heard = host.timeout(MS * 2_000, at_a.next()).await;
    assert_eq!(heard, Ok(Some(())));
}

pub async fn signals_in_a_burst_are_merged(host: Host) {
    let name = format!("mobkit-test-{}", host.uuid_v7());
    let open = || BroadcastSignal::open(&name).expect("channels work here");
    let (a, b) = (open(), open());
    let mut changed = b.changed();
    for _ in 0..50 {
        a.notify();
    }
    host.sleep(MS * 100).await;
    assert_eq!(changed.next().await, Some(()));
    let more = host.timeout(MS * 20, changed.next()).await;
    assert_eq!(more, Err(Elapsed));
    // The stream keeps the channel open, a handle is not needed.
    drop(b);
    a.notify();
    let heard = host.timeout(MS * 2_000, changed.next()).await;
    assert_eq!(heard, Ok(Some(())));
}

/// A chain of `setTimeout(0)` takes four milliseconds a piece; a busy machine may be slow once, not every time.
pub async fn yields_are_not_held_back(host: Host) {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = host.instant();
        for _ in 0..50 {
            host.yield_now().await;
        }
        best = best.min(host.instant() - start);
    }
    assert!(best < MS * 100, "50 yields took {best:?}");
}
