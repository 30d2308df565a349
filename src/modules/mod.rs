//! What the module runtime does beside the mob (MobKit contract, sections 14 and 15).
//!
//! So far the part of scheduling that needs no runtime: which schedules are due at a tick, and which of them nobody has
//! dispatched yet. The room knows `wire` and `log`; what it needs from the host it declares as a port.

pub mod schedule;
