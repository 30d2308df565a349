//! The table of suites. A suite enters it together with its first test.

use std::env;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::build;
use crate::npm;
use crate::paths::Paths;
use crate::process;
use crate::setup::{Need, Tools, WASM_TARGET};

/// One program that runs tests.
pub struct Suite {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in a few words.
    pub about: &'static str,
    /// What it needs on the machine.
    pub needs: &'static [Need],
    /// How long it may take, compiling included, before it is stopped.
    pub limit: Duration,
    /// The command that runs it.
    pub command: fn(&Paths, &Tools) -> Result<Command>,
}

/// All suites, in the order in which they run: what fails fastest comes first.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "native",
        about: "every crate on this machine's processor, documentation examples included",
        needs: &[],
        limit: minutes(25),
        command: native,
    },
    Suite {
        name: "sdk",
        about: "the package's TypeScript in Node",
        needs: &[Need::Npm],
        limit: minutes(5),
        command: |paths, _| Ok(node_tests(paths, "sdk")),
    },
    Suite {
        name: "console",
        about: "the page over a scripted runtime, in Node and Chromium",
        needs: &[Need::Npm, Need::Chromium],
        limit: minutes(10),
        command: console,
    },
    Suite {
        name: "wasm-chromium",
        about: "the crate in Chromium",
        needs: &[Need::Wasm, Need::WasmBindgen, Need::Chromium],
        limit: minutes(15),
        command: |paths, tools| in_browser(paths, tools, "chromedriver"),
    },
    Suite {
        name: "wasm-firefox",
        about: "the crate in Firefox",
        needs: &[Need::Wasm, Need::WasmBindgen, Need::Firefox],
        limit: minutes(15),
        command: |paths, tools| in_browser(paths, tools, "geckodriver"),
    },
    Suite {
        name: "playwright",
        about: "the page end to end in Chromium, killed and restarted, on a profile on disk",
        needs: &[Need::Wasm, Need::WasmBindgen, Need::Npm, Need::Chromium],
        limit: minutes(30),
        command: end_to_end,
    },
];

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

fn native(paths: &Paths, _: &Tools) -> Result<Command> {
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

/// The tests of one npm package, which Node's test runner runs.
fn node_tests(paths: &Paths, package: &str) -> Command {
    let mut command = npm::run_script(paths, "test", &[package]);
    // One line for a test; without a terminal the runner would write a page for each.
    command.env("NODE_OPTIONS", "--test-reporter=spec");
    command
}

fn console(paths: &Paths, _: &Tools) -> Result<Command> {
    // The page sees the published face of `sdk`, which is in its build.
    process::run(&mut npm::run_script(paths, "build", &["sdk"]))?;
    Ok(node_tests(paths, "console"))
}

/// The page as people get it: with the optimised module, from the project's own server.
fn end_to_end(paths: &Paths, tools: &Tools) -> Result<Command> {
    build::optimised(paths, tools)?;
    process::run(&mut npm::run_script(paths, "build", &["console"]))?;
    let mut command = node_tests(paths, "e2e");
    command.env("MOBKIT_XTASK", env::current_exe()?);
    Ok(command)
}

/// The crate's wasm tests, in the browser that the driver starts. `webdriver.json` has the browser's flags.
fn in_browser(paths: &Paths, tools: &Tools, driver: &str) -> Result<Command> {
    let mut command = tools.wasm_cargo(paths)?;
    command.args(["test", "--package", "mobkit-web", "--target", WASM_TARGET]);
    command.args([
        "--lib",
        "--tests",
        "--features",
        "testing",
        "--no-fail-fast",
    ]);
    command.env(
        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER",
        "wasm-bindgen-test-runner",
    );
    // A test file that is not made for browsers is then left out with a notice, which fails the suite.
    command.env("WASM_BINDGEN_TEST_ONLY_WEB", "1");
    // Seconds for one file; its own default of twenty is too little for a busy machine.
    command.env("WASM_BINDGEN_TEST_TIMEOUT", "300");
    for other in [
        "chromedriver",
        "geckodriver",
        "safaridriver",
        "msedgedriver",
    ] {
        command.env_remove(other.to_uppercase());
    }
    let found = tools
        .which(driver)
        .with_context(|| format!("there is no {driver}"))?;
    command.env(driver.to_uppercase(), found);
    Ok(command)
}
