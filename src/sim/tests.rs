//! The simulator's own promises: the seed decides, time jumps, stuck worlds say so, a crash ends everything.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use super::{Sim, SimError};
use crate::shim::Aborted;

const MS: Duration = Duration::from_millis(1);

/// The order in which ten tasks of the given seed take three turns each.
fn order(seed: u64) -> Vec<u32> {
    let sim = Sim::new(seed);
    let host = sim.host();
    let seen = Rc::new(RefCell::new(Vec::new()));
    for task in 0..10 {
        let (inner, seen) = (host.clone(), seen.clone());
        host.spawn(async move {
            for _ in 0..3 {
                seen.borrow_mut().push(task);
                inner.sleep(MS).await;
            }
        });
    }
    sim.advance(MS * 10);
    seen.take()
}

#[test]
fn the_seed_decides_the_order() {
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    let mut sorted = order(3);
    sorted.sort();
    assert_eq!(sorted.len(), 30);
}

#[test]
fn drawing_bytes_does_not_shift_the_schedule() {
    let run = |draw: bool| {
        let sim = Sim::new(9);
        let host = sim.host();
        if draw {
            host.random_u64();
            sim.random().next_u64();
        }
        let seen = Rc::new(RefCell::new(Vec::new()));
        for task in 0..20 {
            let seen = seen.clone();
            host.spawn(async move { seen.borrow_mut().push(task) });
        }
        sim.run_until_idle();
        seen.take()
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn time_jumps_to_the_next_timer_and_stops_where_told() {
    let sim = Sim::new(1);
    let host = sim.host();
    let fired = Rc::new(RefCell::new(Vec::new()));
    for at in [30, 10, 20] {
        let (inner, fired) = (host.clone(), fired.clone());
        host.spawn(async move {
            inner.sleep(MS * at).await;
            fired.borrow_mut().push((at, inner.instant().offset()));
        });
    }
    sim.run_until_idle();
    assert_eq!(sim.armed_timers(), 3);
    sim.advance(MS * 25);
    assert_eq!(*fired.borrow(), [(10, MS * 10), (20, MS * 20)]);
    assert_eq!(sim.elapsed(), MS * 25);
    sim.block_on(host.sleep_until(host.instant() + MS * 100));
    assert_eq!(fired.borrow().len(), 3);
    assert_eq!(sim.elapsed(), MS * 125);
    assert_eq!(sim.armed_timers(), 0);
}

#[test]
fn the_wall_clock_moves_apart_from_the_timers() {
    let sim = Sim::new(1);
    let host = sim.host();
    let before = host.now_ms();
    sim.advance(Duration::from_secs(1));
    assert_eq!(host.now_ms(), before + 1000);
    let start = host.instant();
    sim.set_wall_clock(5);
    assert_eq!((host.now_ms(), host.instant()), (5, start));
    sim.advance(MS * 7);
    assert_eq!(host.now_ms(), 12);
}

#[test]
fn a_stuck_world_names_its_tasks() {
    let sim = Sim::new(77);
    sim.host().spawn(pending::<()>());
    let line = line!() - 1;
    let Err(error) = sim.try_block_on(pending::<()>()) else {
        panic!("nothing can resolve here")
    };
    let text = error.to_string();
    assert!(text.contains("seed 77"), "{text}");
    assert!(text.contains(&format!("tests.rs:{line}:")), "{text}");
    assert!(matches!(error, SimError::Stuck(report) if report.tasks.len() == 1));
}

#[test]
fn a_loop_that_only_wakes_itself_is_found() {
    let sim = Sim::new(1);
    let host = sim.host();
    sim.set_step_limit(1_000);
    let result = sim.try_block_on(async move {
        loop {
            host.yield_now().await;
        }
    });
    let result: Result<(), SimError> = result;
    assert!(matches!(result, Err(SimError::Livelock { .. })));
}

#[test]
fn a_yield_lets_every_ready_task_run_first() {
    for seed in 0..50 {
        let sim = Sim::new(seed);
        let host = sim.host();
        let ran = Rc::new(Cell::new(0));
        sim.block_on(async {
            for _ in 0..10 {
                let ran = ran.clone();
                host.spawn(async move { ran.set(ran.get() + 1) });
            }
            host.yield_now().await;
            assert_eq!(ran.get(), 10, "seed {seed}");
        });
    }
}

#[test]
fn a_crash_from_inside_ends_the_run_and_everything_in_it() {
    struct SpawnsWhenDropped(crate::shim::Host, Rc<Cell<u32>>);
    impl Drop for SpawnsWhenDropped {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
            let mark = self.1.clone();
            self.0.spawn(async move { mark.set(100) });
        }
    }
    let sim = Sim::new(3);
    let host = sim.host();
    let dropped = Rc::new(Cell::new(0));
    let mut handles = Vec::new();
    for _ in 0..3 {
        let guard = SpawnsWhenDropped(host.clone(), dropped.clone());
        let host = host.clone();
        handles.push(host.clone().spawn(async move {
            let _guard = guard;
            host.sleep(MS * 50).await;
        }));
    }
    let switch = sim.crash_switch();
    let guard = SpawnsWhenDropped(host.clone(), dropped.clone());
    let sleeper = host.clone();
    handles.push(host.spawn(async move {
        let _guard = guard;
        sleeper.sleep(MS).await;
        switch.crash();
        sleeper.sleep(MS).await;
        unreachable!("the process is dead");
    }));
    let result = sim.try_block_on(pending::<()>());
    assert!(matches!(result, Err(SimError::Crashed)));
    assert_eq!(dropped.get(), 4);
    assert_eq!(sim.armed_timers(), 0);
    assert!(sim.unfinished().tasks.is_empty());
    // Old hosts are dead, a new one goes on at the same instant.
    assert!(host.spawn(async {}).is_finished());
    for handle in handles {
        assert_eq!(sim.block_on(handle), Err(Aborted));
    }
    let host = sim.host();
    assert_eq!(sim.elapsed(), MS);
    assert_eq!(sim.block_on(host.clone().spawn(async { 1 })), Ok(1));
    assert_eq!(dropped.get(), 4);
}

#[test]
fn late_wakers_of_dead_tasks_are_harmless() {
    let sim = Sim::new(1);
    let host = sim.host();
    let kept = Rc::new(RefCell::new(None));
    let store = kept.clone();
    let task = host.spawn(std::future::poll_fn(move |cx| {
        *store.borrow_mut() = Some(cx.waker().clone());
        std::task::Poll::<()>::Pending
    }));
    sim.run_until_idle();
    task.abort();
    sim.run_until_idle();
    // The slot is another task's now.
    let polls = Rc::new(Cell::new(0));
    let count = polls.clone();
    host.spawn(std::future::poll_fn(move |_| {
        count.set(count.get() + 1);
        std::task::Poll::<()>::Pending
    }));
    sim.run_until_idle();
    kept.borrow().as_ref().expect("it was polled").wake_by_ref();
    sim.run_until_idle();
    assert_eq!(polls.get(), 1);
}

#[test]
fn a_dropped_world_frees_its_tasks() {
    let alive = Rc::new(());
    let sim = Sim::new(1);
    let host = sim.host();
    let held = (alive.clone(), host.clone());
    host.spawn(async move {
        let _held = held;
        pending::<()>().await;
    });
    drop(sim);
    assert_eq!(Rc::strong_count(&alive), 1);
}
