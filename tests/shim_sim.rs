//! The shim's suite on the simulator, under many seeds.
#![cfg(not(target_arch = "wasm32"))]

#[path = "suites/shim.rs"]
mod suite;

use mobkit_web::sim::Sim;

macro_rules! run {
    ($case:ident) => {
        #[test]
        fn $case() {
            for seed in 0..100 {
                let sim = Sim::new(seed);
                println!("seed {seed}");
                sim.block_on(suite::$case(sim.host()));
            }
        }
    };
}
suite::for_each_shim_case!(run);

/// What a browser cannot promise: timers fire exactly when they are due.
#[test]
fn virtual_timers_are_exact() {
    use std::time::Duration;
    for seed in 0..100 {
        let sim = Sim::new(seed);
        let host = sim.host();
        sim.block_on(async {
            for wait in [1, 17, 1_000_000] {
                let due = host.instant() + Duration::from_micros(wait);
                host.sleep_until(due).await;
                assert_eq!(host.instant(), due, "seed {seed}");
            }
        });
    }
}
