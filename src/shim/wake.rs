//! The port for time that outlives the host.

/// One alarm that rings even if the host has died or was evicted meanwhile: whoever keeps it opens the mob again and tells it
/// ([`UnifiedRuntime::woken`](crate::runtime::UnifiedRuntime::woken)). A host that does not die of itself needs none: there a timer
/// does it.
pub trait Wake {
    /// Sets the alarm to a time, in milliseconds since the Unix epoch, in place of any that is set; none takes it away. To ring
    /// twice, or for nothing, is harmless. `works` says whether something is under way that the host had better let end.
    fn arm(&self, at: Option<u64>, works: bool);
}
