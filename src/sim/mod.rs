//! The simulator: the whole runtime in one thread against a seeded scheduler and a virtual clock.
//!
//! A run depends on its seed and on nothing else, so a failing seed replays exactly.

mod driver;
mod random;
mod report;
mod scheduler;
mod storage;
mod world;
#[cfg(any(not(target_arch = "wasm32"), test))]
mod zones;

#[cfg(test)]
mod tests;

pub use random::SimRandom;
pub use report::{SimError, TaskReport, Unfinished};
pub use scheduler::{CrashSwitch, Sim};
pub use storage::{CommitFault, FaultyStorage, SimDisk, StoragePlan};
#[cfg(any(not(target_arch = "wasm32"), test))]
pub use zones::BundledZones;
