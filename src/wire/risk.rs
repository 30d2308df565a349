//! How much is at stake when somebody acts (MobKit contract, section 15.4).

use super::json::words;

words! {
    /// How much is at stake.
    pub enum RiskTier {
        /// Nothing.
        R0 = "r0",
        /// Little.
        R1 = "r1",
        /// Something: it is written down.
        R2 = "r2",
        /// Much: somebody has to approve.
        R3 = "r3",
    }
}
