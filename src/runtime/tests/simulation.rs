//! The simulation suite: thousands of lives and deaths of one mob, and the proof that it would find what it looks for.

use super::people::People;
use super::trial::Trial;
use super::*;
use crate::runtime::SubscriptionStart;
use crate::shim::Fault;
use crate::sim::CommitFault;

/// Seeds of the suite.
const SEEDS: u64 = 1_000;

/// Seeds that one run goes through: `MOBKIT_SEEDS=10000 cargo test --release --lib simulation` for many.
fn seeds() -> u64 {
    let many = std::env::var("MOBKIT_SEEDS").ok();
    many.map_or(SEEDS, |many| {
        many.parse().expect("MOBKIT_SEEDS is a number of seeds")
    })
}

#[test]
fn a_thousand_seeds_break_no_promise() {
    let mut lives = 0;
    let seeds = seeds();
    for seed in 0..seeds {
        match Trial::random(seed, None).run() {
            Ok(watched) => lives += watched.lives.get(),
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
    }
    assert!(lives > seeds * 5 / 4, "many seeds crash: {lives} lives");
}

#[test]
fn a_conversation_survives_a_crash_before_in_and_after_every_commit() {
    let trial = |plans| Trial {
        seed: 42,
        plans,
        fault: None,
        people: People::Nobody,
        pace: 1,
        start: SubscriptionStart::Latest,
    };
    let mut reached = 0;
    for number in 1.. {
        for fault in [
            CommitFault::CrashBefore,
            CommitFault::CrashTorn,
            CommitFault::CrashAfter,
        ] {
            let plan = StoragePlan::seeded(42).at(number, fault.clone());
            let watched = trial(vec![plan])
                .run()
                .unwrap_or_else(|violation| panic!("commit {number}, {fault:?}: {violation}"));
            reached = if watched.lives.get() > 1 {
                number
            } else {
                reached
            };
        }
        if reached < number {
            break;
        }
    }
    assert!(reached >= 15, "the conversation has {reached} commits");
}

/// Each mistake that the runtime can be told to make is found within the suite's seeds, by what it breaks.
fn found(fault: Fault, symptom: &str) {
    let found = (0..SEEDS).find_map(|seed| {
        let violation = Trial::random(seed, Some(fault)).run().err()?;
        violation
            .contains(symptom)
            .then(|| println!("{fault:?} found by seed {seed}: {violation}"))
    });
    assert!(
        found.is_some(),
        "{fault:?}: none of {SEEDS} seeds says `{symptom}`"
    );
}

#[test]
fn the_simulator_finds_state_that_changes_before_its_commit() {
    found(Fault::ApplyBeforeCommit, "were told, and the ledger has");
}

#[test]
fn the_simulator_finds_an_answer_before_its_commit() {
    found(Fault::AnswerBeforeCommit, "an accepted message is lost");
}

#[test]
fn the_simulator_finds_a_cursor_ahead_of_its_projection() {
    found(Fault::CursorBeforeProjection, "is ahead of the projection");
}

#[test]
fn the_simulator_finds_a_mailbox_item_that_stays() {
    found(Fault::MailboxItemNotPopped, "left in a mailbox");
}

#[test]
fn the_simulator_finds_a_number_that_is_used_twice() {
    found(Fault::SequenceNumberReused, "names two events");
}

#[test]
fn the_simulator_finds_a_stale_token_that_is_accepted() {
    found(
        Fault::StaleTokenAccepted,
        "a holder whose token is stale wrote: Ok",
    );
}

#[test]
fn equal_seeds_run_equally() {
    let run = |seed| {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        let model = teamwork(&host);
        sim.block_on(async {
            let runtime = builder(&host, &disk, &model).build().await.unwrap();
            runtime
                .ask(&id("lead"), SendRequest::new("build a house"))
                .await
                .unwrap();
            all_events(&runtime).await
        })
    };
    assert_eq!(run(7), run(7));
}
