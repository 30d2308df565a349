//! The table of suites. A suite enters it together with its first test.

use std::cell::OnceCell;
use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::build::{self, Package};
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
    pub command: fn(&Session<'_>, &Tools) -> Result<Command>,
}

/// One run of the suites, with what they share.
pub struct Session<'a> {
    /// Where things are.
    pub paths: &'a Paths,
    package: OnceCell<Package>,
}

impl<'a> Session<'a> {
    /// A run that has built nothing yet.
    pub fn new(paths: &'a Paths) -> Self {
        let package = OnceCell::new();
        Self { paths, package }
    }

    /// The npm package, if a suite needed it.
    pub fn package(&self) -> Option<&Package> {
        self.package.get()
    }

    /// Builds the npm package, once in a run.
    fn release(&self, tools: &Tools) -> Result<()> {
        if self.package.get().is_none() {
            let package = build::release(self.paths, tools)?;
            self.package.get_or_init(|| package);
        }
        Ok(())
    }
}

/// What a suite needs that runs the package in Chromium.
const RELEASE: &[Need] = &[Need::Wasm, Need::WasmBindgen, Need::Npm, Need::Chromium];

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
        command: |session, _| Ok(node_tests(session, "sdk", "test")),
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
        command: |session, tools| in_browser(session, tools, "chromedriver"),
    },
    Suite {
        name: "wasm-firefox",
        about: "the crate in Firefox",
        needs: &[Need::Wasm, Need::WasmBindgen, Need::Firefox],
        limit: minutes(15),
        command: |session, tools| in_browser(session, tools, "geckodriver"),
    },
    Suite {
        name: "downstream",
        about: "a crate that uses the library, tested with wasm-pack as its users would",
        needs: &[
            Need::Wasm,
            Need::WasmBindgen,
            Need::WasmPack,
            Need::Chromium,
        ],
        limit: minutes(10),
        command: downstream,
    },
    Suite {
        name: "edge",
        about: "the shim, storage, the contract and mobs that are served, in workerd and Deno",
        needs: &[Need::Wasm, Need::WasmBindgen, Need::Npm],
        limit: minutes(15),
        command: edge,
    },
    Suite {
        name: "sdk-browser",
        about: "the package in a page and in a worker of Chromium",
        needs: RELEASE,
        limit: minutes(10),
        command: |session, tools| packaged(session, tools, "test:browser"),
    },
    Suite {
        name: "sdk-bundlers",
        about: "the packed tarball under Vite, esbuild and as a plain module script",
        needs: RELEASE,
        limit: minutes(10),
        command: |session, tools| packaged(session, tools, "test:bundlers"),
    },
    Suite {
        name: "playwright",
        about: "the page end to end in Chromium, killed and restarted, on a profile on disk",
        needs: RELEASE,
        limit: minutes(30),
        command: |session, tools| end_to_end(session, tools, "test"),
    },
    Suite {
        name: "firefox",
        about: "the page end to end in Firefox, driven by plain WebDriver",
        needs: &[Need::Wasm, Need::WasmBindgen, Need::Npm, Need::Firefox],
        limit: minutes(15),
        command: firefox,
    },
];

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

fn native(session: &Session<'_>, _: &Tools) -> Result<Command> {
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
        .current_dir(&session.paths.root);
    Ok(command)
}

/// The tests of one npm package, which Node's test runner runs.
fn node_tests(session: &Session<'_>, package: &str, script: &str) -> Command {
    let mut command = npm::run_script(session.paths, script, &[package]);
    // One line for a test; without a terminal the runner would write a page for each.
    command.env("NODE_OPTIONS", "--test-reporter=spec");
    command
}

fn console(session: &Session<'_>, _: &Tools) -> Result<Command> {
    // The page sees the published face of `sdk`, which is in its build.
    process::run(&mut npm::run_script(session.paths, "build", &["sdk"]))?;
    Ok(node_tests(session, "console", "test"))
}

/// A crate outside of this one, under the tool that its authors would use.
fn downstream(session: &Session<'_>, tools: &Tools) -> Result<Command> {
    let root = &session.paths.root;
    let mut command = tools.command("wasm-pack")?;
    tools.for_wasm(&mut command)?;
    command.args(["test", "--headless", "--chrome", "--mode", "no-install"]);
    command.arg("tests/downstream").current_dir(root);
    command.env(
        "WASM_BINDGEN_TEST_WEBDRIVER_JSON",
        root.join("webdriver.json"),
    );
    command.env("WASM_BINDGEN_TEST_TIMEOUT", "300");
    Ok(command)
}

/// A suite of `sdk` that runs what is published.
fn packaged(session: &Session<'_>, tools: &Tools, script: &str) -> Result<Command> {
    session.release(tools)?;
    Ok(node_tests(session, "sdk", script))
}

/// The crate's suites and what is published, on a host that is no browser.
fn edge(session: &Session<'_>, tools: &Tools) -> Result<Command> {
    build::edge_suite(session.paths, tools)?;
    session.release(tools)?;
    Ok(node_tests(session, "edge", "test"))
}

/// The page as people get it: with the optimised module, from the project's own server.
fn end_to_end(session: &Session<'_>, tools: &Tools, script: &str) -> Result<Command> {
    session.release(tools)?;
    build::console(session.paths)?;
    let mut command = node_tests(session, "e2e", script);
    command.env("MOBKIT_XTASK", env::current_exe()?);
    Ok(command)
}

fn firefox(session: &Session<'_>, tools: &Tools) -> Result<Command> {
    let mut command = end_to_end(session, tools, "test:firefox")?;
    command.env("GECKODRIVER", driver(tools, "geckodriver")?);
    Ok(command)
}

/// Where a browser's WebDriver is.
fn driver(tools: &Tools, name: &str) -> Result<PathBuf> {
    tools
        .which(name)
        .with_context(|| format!("there is no {name}"))
}

/// The crate's wasm tests, in the browser that the driver starts. `webdriver.json` has the browser's flags.
fn in_browser(session: &Session<'_>, tools: &Tools, name: &str) -> Result<Command> {
    let mut command = tools.wasm_cargo(session.paths)?;
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
    command.env(name.to_uppercase(), driver(tools, name)?);
    Ok(command)
}
