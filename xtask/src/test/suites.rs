//! The table of suites. A suite enters it together with its first test.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::paths::Paths;

/// One program that runs tests.
pub struct Suite {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in a few words.
    pub about: &'static str,
    /// How long it may take, compiling included, before it is stopped.
    pub limit: Duration,
    /// Does the set-up that it needs and gives the command that runs it.
    pub command: fn(&Paths) -> Result<Command>,
}

/// All suites, in the order in which they run: what fails fastest comes first.
pub const SUITES: &[Suite] = &[Suite {
    name: "native",
    about: "every crate on this machine's processor, documentation examples included",
    limit: minutes(25),
    command: native,
}];

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

fn native(paths: &Paths) -> Result<Command> {
    let mut command = Command::new("cargo");
    // All binaries run even if one fails, so that the count is whole.
    command
        .args([
            "test",
            "--workspace",
            "--features",
            "mobkit-web/testing",
            "--no-fail-fast",
            "--quiet",
        ])
        .current_dir(&paths.root);
    Ok(command)
}
