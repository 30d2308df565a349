//! What every host promises, as functions from a host. `shim_sim.rs` runs them on the simulator under many seeds,
//! `shim_page.rs` and `shim_worker.rs` in a browser, `tests/edge` on an edge runtime.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use mobkit_web::shim::{
    Aborted, Elapsed, Host, HostDriver, Notify, Tail, TailRead, TaskGroup, YieldBudget,
};

/// Calls `$run!(case)` for every case of the suite, so that no environment can leave one out.
macro_rules! for_each_shim_case {
    ($run:ident) => {
        $run!(scheduled_instants);
        $run!(a_sleep_of_nothing_is_ready_at_once);
        $run!(a_cancelled_timer_stays_silent);
        $run!(a_sleep_beyond_the_limit_does_not_fire_early);
        $run!(abort_before_the_first_poll);
        $run!(abort_while_waiting_drops_the_future_at_once);
        $run!(abort_after_the_end_keeps_the_output);
        $run!(abort_from_inside);
        $run!(a_dropped_handle_detaches);
        $run!(a_join_handle_wakes_its_waiter);
        $run!(nested_spawns_begin_after_their_spawner);
        $run!(dropping_a_group_ends_everything_in_it);
        $run!(a_group_can_be_dropped_from_inside);
        $run!(a_group_survives_destructors_that_use_it);
        $run!(yielding_lets_others_run);
        $run!(yielding_with_a_clock_that_stands_still);
        $run!(a_dropped_yield_harms_nobody);
        $run!(notify_wakes_all_waiters);
        $run!(notify_counts_from_creation);
        $run!(an_interval_skips_missed_ticks);
        $run!(timeouts);
        $run!(a_tail_wraps_around);
        $run!(a_tail_wakes_its_readers);
        $run!(random_numbers_and_ids);
    };
}
pub(crate) use for_each_shim_case;

const MS: Duration = Duration::from_millis(1);

/// Counts its drop, for futures to hold.
struct Mark(Rc<Cell<u32>>);

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn mark() -> (Mark, Rc<Cell<u32>>) {
    let count = Rc::new(Cell::new(0));
    (Mark(count.clone()), count)
}

/// Holds `mark` and never ends.
async fn hold(mark: Mark) {
    let _mark = mark;
    pending::<()>().await;
}

#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A driver like another, but for its timers and its clock.
struct Altered {
    inner: Rc<dyn HostDriver>,
    /// A timer beyond it fires at once, as `setTimeout` does.
    limit: Duration,
    clock_stands_still: bool,
    timers: Cell<u32>,
}

impl Altered {
    fn host(host: &Host, limit: Duration, clock_stands_still: bool) -> (Host, Rc<Altered>) {
        let driver = Rc::new(Altered {
            inner: host.driver(),
            limit,
            clock_stands_still,
            timers: Cell::new(0),
        });
        (Host::new(driver.clone()), driver)
    }
}

impl HostDriver for Altered {
    fn now_ms(&self) -> u64 {
        self.inner.now_ms()
    }
    fn monotonic(&self) -> Duration {
        if self.clock_stands_still {
            Duration::ZERO
        } else {
            self.inner.monotonic()
        }
    }
    fn spawn(&self, task: LocalBoxFuture<'static, ()>, origin: &'static Location<'static>) {
        self.inner.spawn(task, origin);
    }
    fn timer(&self, after: Duration) -> LocalBoxFuture<'static, ()> {
        self.timers.set(self.timers.get() + 1);
        if after > self.limit {
            Box::pin(std::future::ready(()))
        } else {
            self.inner.timer(after)
        }
    }
    fn timer_limit(&self) -> Duration {
        self.limit
    }
    fn yield_now(&self) -> LocalBoxFuture<'static, ()> {
        self.inner.yield_now()
    }
    fn fill_random(&self, buffer: &mut [u8]) {
        self.inner.fill_random(buffer);
    }
}

pub async fn scheduled_instants(host: Host) {
    let start = host.instant();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut tasks = Vec::new();
    for wait in [40, 0, 60, 20] {
        let (inner, seen) = (host.clone(), seen.clone());
        tasks.push(host.spawn(async move {
            inner.sleep_until(start + MS * wait).await;
            assert!(inner.instant() >= start + MS * wait, "early at {wait}");
            seen.borrow_mut().push(wait);
        }));
    }
    for task in tasks {
        assert_eq!(task.await, Ok(()));
    }
    assert_eq!(*seen.borrow(), [0, 20, 40, 60]);
    let took = host.instant() - start;
    assert!(took >= MS * 60 && took < MS * 5_000, "took {took:?}");
}

pub async fn a_sleep_of_nothing_is_ready_at_once(host: Host) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut sleep = host.sleep(Duration::ZERO);
    assert!(Pin::new(&mut sleep).poll(&mut cx).is_ready());
    let mut past = host.sleep_until(host.instant());
    assert!(Pin::new(&mut past).poll(&mut cx).is_ready());
}

pub async fn a_cancelled_timer_stays_silent(host: Host) {
    let wakes = Arc::new(CountingWaker::default());
    let waker = Waker::from(wakes.clone());
    let mut sleep = host.sleep(MS * 50);
    let poll = Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker));
    assert!(poll.is_pending());
    drop(sleep);
    let rang = Rc::new(Cell::new(false));
    let task = host.spawn({
        let (host, rang) = (host.clone(), rang.clone());
        async move {
            host.sleep(MS * 50).await;
            rang.set(true);
        }
    });
    host.yield_now().await;
    task.abort();
    host.sleep(MS * 120).await;
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    assert!(!rang.get());
    assert_eq!(task.await, Err(Aborted));
}

pub async fn a_sleep_beyond_the_limit_does_not_fire_early(host: Host) {
    let (low, driver) = Altered::host(&host, MS * 10, false);
    let start = low.instant();
    low.sleep(MS * 45).await;
    assert!(low.instant() - start >= MS * 45);
    // Five of them, fewer where timers come late.
    assert!(driver.timers.get() >= 2, "{} timers", driver.timers.get());
    // The longest time of all neither overflows nor fires.
    let mut forever = low.sleep(Duration::MAX);
    let ended = low.timeout(MS * 35, &mut forever).await;
    assert_eq!(ended, Err(Elapsed));
    let mut forever = host.sleep(Duration::MAX);
    assert_eq!(host.timeout(MS * 20, &mut forever).await, Err(Elapsed));
}

pub async fn abort_before_the_first_poll(host: Host) {
    let (held, dropped) = mark();
    let task = host.spawn(async move {
        let _held = held;
        unreachable!("it was aborted before its first poll");
    });
    task.abort();
    assert_eq!(dropped.get(), 1);
    assert!(task.is_finished());
    host.yield_now().await;
    let result: Result<(), Aborted> = task.await;
    assert_eq!(result, Err(Aborted));
}

pub async fn abort_while_waiting_drops_the_future_at_once(host: Host) {
    let (held, dropped) = mark();
    let task = host.spawn(hold(held));
    host.yield_now().await;
    assert_eq!(dropped.get(), 0);
    task.abort_handle().abort();
    assert_eq!(dropped.get(), 1);
    task.abort();
    assert_eq!(task.await, Err(Aborted));
    assert_eq!(dropped.get(), 1);
}

pub async fn abort_after_the_end_keeps_the_output(host: Host) {
    let task = host.spawn(async { 7 });
    host.yield_now().await;
    assert!(task.is_finished());
    task.abort();
    assert_eq!(task.await, Ok(7));
}

pub async fn abort_from_inside(host: Host) {
    // The poll in which it happens goes on to its end; there is no next one.
    let reached = Rc::new(Cell::new(0));
    let own = Rc::new(RefCell::new(None::<mobkit_web::shim::AbortHandle>));
    let task = host.spawn({
        let (host, reached, own) = (host.clone(), reached.clone(), own.clone());
        async move {
            own.borrow().as_ref().expect("set below").abort();
            reached.set(1);
            host.yield_now().await;
            reached.set(2);
        }
    });
    *own.borrow_mut() = Some(task.abort_handle());
    assert_eq!(task.await, Err(Aborted));
    host.yield_now().await;
    host.yield_now().await;
    assert_eq!(reached.get(), 1);

    // A task that ends in that very poll has ended.
    let task = host.spawn({
        let own = own.clone();
        async move {
            own.borrow().as_ref().expect("set below").abort();
            5
        }
    });
    *own.borrow_mut() = Some(task.abort_handle());
    assert_eq!(task.await, Ok(5));
}

pub async fn a_dropped_handle_detaches(host: Host) {
    let ran = Rc::new(Cell::new(false));
    drop(host.spawn({
        let (host, ran) = (host.clone(), ran.clone());
        async move {
            host.yield_now().await;
            ran.set(true);
        }
    }));
    host.sleep(MS * 20).await;
    assert!(ran.get());
}

pub async fn a_join_handle_wakes_its_waiter(host: Host) {
    let sleeper = host.spawn({
        let host = host.clone();
        async move {
            host.sleep(MS * 5).await;
            "slept"
        }
    });
    let waiter = host.spawn(async move { sleeper.await.map(str::len) });
    assert_eq!(waiter.await, Ok(Ok(5)));

    let aborted = host.spawn(pending::<()>());
    let abort = aborted.abort_handle();
    let waiter = host.spawn(aborted);
    host.yield_now().await;
    abort.abort();
    assert_eq!(waiter.await, Ok(Err(Aborted)));
}

pub async fn nested_spawns_begin_after_their_spawner(host: Host) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let outer = host.spawn({
        let (host, seen) = (host.clone(), seen.clone());
        async move {
            seen.borrow_mut().push("outer begins");
            let middle = host.spawn({
                let (host, seen) = (host.clone(), seen.clone());
                async move {
                    seen.borrow_mut().push("middle begins");
                    let inner = host.spawn({
                        let seen = seen.clone();
                        async move { seen.borrow_mut().push("inner") }
                    });
                    seen.borrow_mut().push("middle waits");
                    inner.await
                }
            });
            seen.borrow_mut().push("outer waits");
            middle.await
        }
    });
    assert!(seen.borrow().is_empty());
    assert_eq!(outer.await, Ok(Ok(Ok(()))));
    assert_eq!(
        *seen.borrow(),
        [
            "outer begins",
            "outer waits",
            "middle begins",
            "middle waits",
            "inner"
        ]
    );
}

pub async fn dropping_a_group_ends_everything_in_it(host: Host) {
    let count = Rc::new(Cell::new(0));
    let group = host.task_group();
    let nested = group.host().task_group();
    let mut tasks = Vec::new();
    for spawner in [group.host(), nested.host(), group.host()] {
        let mark = Mark(count.clone());
        let inner = spawner.clone();
        let inner_mark = Mark(count.clone());
        tasks.push(spawner.spawn(async move {
            // A child of a task in the group is in the group.
            inner.spawn(hold(inner_mark));
            inner.sleep(MS * 150).await;
            drop(mark);
            unreachable!("the group has ended");
        }));
    }
    let outside = host.spawn(async { 1 });
    assert_eq!(outside.await, Ok(1));
    host.yield_now().await;
    assert_eq!((group.len(), nested.len()), (6, 2));
    let late = group.host();
    drop(group);
    assert_eq!(count.get(), 6);
    assert!(nested.is_aborted() && nested.is_empty());
    for task in tasks {
        let result: Result<(), Aborted> = task.await;
        assert_eq!(result, Err(Aborted));
    }
    // It is over for those who come later, too.
    for spawner in [late.clone(), nested.host(), late.task_group().host()] {
        let (held, dropped) = mark();
        let task = spawner.spawn(hold(held));
        assert_eq!((task.is_finished(), dropped.get()), (true, 1));
        assert_eq!(task.await, Err(Aborted));
    }
    assert_eq!(host.spawn(async { 2 }).await, Ok(2));
    host.sleep(MS * 200).await;
}

pub async fn a_group_can_be_dropped_from_inside(host: Host) {
    let group = Rc::new(RefCell::new(Some(host.task_group())));
    let inner = group.borrow().as_ref().map(TaskGroup::host).expect("set");
    let (held, others) = mark();
    inner.spawn(hold(held));
    let reached = Rc::new(Cell::new(0));
    let task = inner.spawn({
        let (group, reached, host) = (group.clone(), reached.clone(), host.clone());
        async move {
            host.yield_now().await;
            drop(group.take());
            reached.set(1);
            host.yield_now().await;
            reached.set(2);
        }
    });
    assert_eq!(task.await, Err(Aborted));
    host.yield_now().await;
    assert_eq!((reached.get(), others.get()), (1, 1));
}

pub async fn a_group_survives_destructors_that_use_it(host: Host) {
    /// Spawns, aborts and makes groups while it is dropped.
    struct Busy {
        host: Host,
        other: Rc<RefCell<Vec<mobkit_web::shim::AbortHandle>>>,
        dropped: Rc<Cell<u32>>,
    }
    impl Drop for Busy {
        fn drop(&mut self) {
            self.dropped.set(self.dropped.get() + 1);
            self.host.spawn(async { unreachable!("the group ends") });
            let group = self.host.task_group();
            group.host().spawn(pending::<()>());
            let others = self.other.borrow().clone();
            for other in others {
                other.abort();
            }
        }
    }
    let group = host.task_group();
    let all = Rc::new(RefCell::new(Vec::new()));
    let dropped = Rc::new(Cell::new(0));
    for _ in 0..5 {
        let busy = Busy {
            host: group.host(),
            other: all.clone(),
            dropped: dropped.clone(),
        };
        let task = group.host().spawn(async move {
            let _busy = busy;
            pending::<()>().await;
        });
        all.borrow_mut().push(task.abort_handle());
    }
    host.yield_now().await;
    group.abort();
    assert_eq!(dropped.get(), 5);
    assert!(group.is_empty());
    host.yield_now().await;
}

pub async fn yielding_lets_others_run(host: Host) {
    let ran = Rc::new(Cell::new(0));
    for _ in 0..20 {
        let ran = ran.clone();
        host.spawn(async move { ran.set(ran.get() + 1) });
    }
    host.yield_now().await;
    assert_eq!(ran.get(), 20);
    // Timers get their turn, however long the yielding goes on.
    let rang = Rc::new(Cell::new(false));
    host.spawn({
        let (host, rang) = (host.clone(), rang.clone());
        async move {
            host.sleep(MS * 2).await;
            rang.set(true);
        }
    });
    while !rang.get() {
        host.yield_now().await;
    }
}

pub async fn yielding_with_a_clock_that_stands_still(host: Host) {
    let (still, _) = Altered::host(&host, Duration::MAX, true);
    let others = Rc::new(Cell::new(0));
    let other = host.spawn({
        let (host, others) = (host.clone(), others.clone());
        async move {
            loop {
                others.set(others.get() + 1);
                host.yield_now().await;
            }
        }
    });
    let mut budget = YieldBudget::new(&still);
    for _ in 0..10_000 {
        budget.step().await;
    }
    other.abort();
    assert_eq!(budget.yields(), 10);
    assert!(others.get() >= 5, "others ran {} times", others.get());
    // By time, where there is one: every step takes longer than the budget.
    let mut budget = YieldBudget::with_limits(&host, MS, 1_000);
    for _ in 0..3 {
        host.sleep(MS * 3).await;
        budget.step().await;
    }
    assert_eq!(budget.yields(), 3);
}

pub async fn a_dropped_yield_harms_nobody(host: Host) {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        let mut dropped = Box::pin(host.yield_now());
        assert!(dropped.as_mut().poll(&mut cx).is_pending());
    }
    for _ in 0..5 {
        host.yield_now().await;
    }
}

pub async fn notify_wakes_all_waiters(host: Host) {
    let notify = Notify::new();
    let woken = Rc::new(Cell::new(0));
    let tasks: Vec<_> = (0..1_000)
        .map(|_| {
            let (notified, woken) = (notify.notified(), woken.clone());
            host.spawn(async move {
                notified.await;
                woken.set(woken.get() + 1);
            })
        })
        .collect();
    host.yield_now().await;
    assert_eq!((notify.waiters(), woken.get()), (1_000, 0));
    for task in &tasks[..100] {
        task.abort();
    }
    assert_eq!(notify.waiters(), 900);
    notify.notify_waiters();
    assert_eq!(notify.waiters(), 0);
    host.yield_now().await;
    assert_eq!(woken.get(), 900);
}

pub async fn notify_counts_from_creation(host: Host) {
    let notify = Notify::new();
    notify.notify_waiters();
    let before = notify.notified();
    notify.notify_waiters();
    let after = notify.notified();
    before.await;
    assert_eq!(host.timeout(MS * 5, after).await, Err(Elapsed));
    // A waiter of this round is not taken away by one of the last round that is dropped late.
    let early = notify.notified();
    let mut early = pin!(early);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(early.as_mut().poll(&mut cx).is_pending());
    notify.notify_waiters();
    let waiter = host.spawn(notify.notified());
    host.yield_now().await;
    early.await;
    assert_eq!(notify.waiters(), 1);
    notify.notify_waiters();
    assert_eq!(waiter.await, Ok(()));
}

pub async fn an_interval_skips_missed_ticks(host: Host) {
    let period = MS * 100;
    let mut interval = host.interval(period);
    let first = interval.tick().await;
    assert!(host.instant() - first < period, "the first comes at once");
    let second = interval.tick().await;
    assert_eq!(second - first, period);
    assert!(host.instant() >= second);
    // One tick given up half-way is not lost.
    assert_eq!(host.timeout(MS, interval.tick()).await, Err(Elapsed));
    host.sleep_until(second + period * 4 + period / 2).await;
    // The late one comes at once, the others missed do not come, and the next is in its place.
    let third = interval.tick().await;
    assert_eq!(third - second, period);
    let now = host.instant();
    let fourth = interval.tick().await;
    assert!(fourth > now, "no burst");
    assert_eq!((fourth - first).as_nanos() % period.as_nanos(), 0);
}

pub async fn timeouts(host: Host) {
    assert_eq!(host.timeout(MS * 5, async { 3 }).await, Ok(3));
    let (held, dropped) = mark();
    let start = host.instant();
    assert_eq!(host.timeout(MS * 10, hold(held)).await, Err(Elapsed));
    assert!(host.instant() - start >= MS * 10);
    assert_eq!(dropped.get(), 1);
    // What is ready wins, even with no time at all.
    assert_eq!(host.timeout(Duration::ZERO, async { 4 }).await, Ok(4));
    // The time counts from the call, not from the first poll.
    let late = host.timeout(MS * 5, pending::<()>());
    host.sleep(MS * 10).await;
    let mut late = pin!(late);
    let at_once = poll_fn(|cx| Poll::Ready(late.as_mut().poll(cx))).await;
    assert_eq!(at_once, Poll::Ready(Err(Elapsed)));
}

pub async fn a_tail_wraps_around(_host: Host) {
    let tail = Tail::new(8, 100);
    assert_eq!((tail.latest(), tail.floor(), tail.len()), (100, 100, 0));
    assert_eq!(tail.read(100, 5), TailRead::Items(vec![]));
    assert_eq!(tail.read(99, 5), TailRead::Behind { floor: 100 });
    // Numbers may leave gaps: every third is used.
    for round in 1..=100u64 {
        let cursor = 100 + round * 3;
        tail.push(cursor, round);
        tail.mark_durable(cursor.saturating_sub(100));
        assert_eq!(tail.latest(), cursor);
        assert_eq!(tail.len() as u64, round.min(8));
        let oldest = round.saturating_sub(8) + 1;
        assert_eq!(tail.floor(), 100 + (oldest - 1) * 3);
        let TailRead::Items(items) = tail.read(tail.floor(), usize::MAX) else {
            panic!("the floor is in the ring")
        };
        let expected: Vec<_> = (oldest..=round).map(|n| (100 + n * 3, n)).collect();
        assert_eq!(items, expected);
        // A cursor that fell into a gap goes on with the next.
        let between = tail.read(cursor - 1, 9);
        assert_eq!(between, TailRead::Items(vec![(cursor, round)]));
    }
    assert_eq!(tail.read(0, 1), TailRead::Behind { floor: 376 });
    assert_eq!(tail.read(376, 1), TailRead::Items(vec![(379, 93)]));
    assert_eq!(tail.read(9_999, 1), TailRead::Items(vec![]));
    // 92 were dropped; those above what was durable at that moment count as shed.
    let shed = (9..=100u64).filter(|n| (n - 8) * 3 > (n * 3) - 100.min(n * 3));
    assert_eq!(tail.shed() as usize, shed.count());
    tail.forget_through(390);
    assert_eq!((tail.floor(), tail.len()), (390, 4));
    tail.restart_after(500);
    assert_eq!((tail.floor(), tail.latest(), tail.len()), (500, 500, 0));
}

pub async fn a_tail_wakes_its_readers(host: Host) {
    let tail = Tail::new(4, 0);
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let tail = tail.clone();
            host.spawn(async move {
                let (mut seen, mut after) = (Vec::new(), 0);
                while seen.len() < 30 {
                    match tail.read_next(after, 2).await {
                        TailRead::Items(items) => {
                            after = items.last().expect("never empty").0;
                            seen.extend(items.into_iter().map(|(_, item)| item));
                        }
                        TailRead::Behind { .. } => panic!("nobody is slow here"),
                    }
                }
                seen
            })
        })
        .collect();
    for round in 0..10u64 {
        tail.push_all((1..=3).map(|n| (round * 3 + n, round * 3 + n)));
        host.yield_now().await;
    }
    for reader in readers {
        assert_eq!(reader.await, Ok((1..=30).collect::<Vec<u64>>()));
    }
}

pub async fn random_numbers_and_ids(host: Host) {
    let mut large = vec![0; 70_000];
    host.fill_random(&mut large);
    assert!(
        large
            .chunks(1_000)
            .all(|chunk| chunk.iter().any(|b| *b != 0))
    );
    assert_ne!(host.random_u64(), host.random_u64());
    let before = host.now_ms();
    assert!(before > 1_700_000_000_000);
    let ids: Vec<_> = (0..1_000).map(|_| host.uuid_v7()).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    for id in ids {
        let parts: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(&id[14..15], "7", "{id}");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        let stamp = u64::from_str_radix(&id.replace('-', "")[..12], 16).expect("hex");
        assert!((before..=host.now_ms()).contains(&stamp), "{id}");
    }
}
