//! Time zones of the IANA database that is compiled in: the same on every machine.

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;

use crate::modules::schedule::TimeZones;

/// The zones of the IANA database, as it was when the program was built.
#[derive(Clone, Debug)]
pub struct BundledZones(TimeZoneDatabase);

impl BundledZones {
    /// All zones.
    pub fn new() -> Self {
        Self(TimeZoneDatabase::bundled())
    }
}

impl Default for BundledZones {
    fn default() -> Self {
        Self::new()
    }
}

impl TimeZones for BundledZones {
    fn is_known(&self, zone: &str) -> bool {
        self.0.get(zone).is_ok()
    }

    fn offset_ms(&self, zone: &str, utc_ms: i64) -> Option<i64> {
        let zone = self.0.get(zone).ok()?;
        let at = Timestamp::from_millisecond(utc_ms).ok()?;
        Some(i64::from(zone.to_offset(at).seconds()) * 1000)
    }
}
