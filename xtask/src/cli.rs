//! The command line.

use std::ffi::OsString;

use anyhow::{Result, bail};
use lexopt::{Arg, ValueExt};

use crate::serve::Options;

/// What `cargo xtask help` prints.
pub const HELP: &str = "\
cargo xtask <command>

  setup                install what is missing: wasm toolchain, wasm-bindgen, npm packages, browsers
  serve                build the console and show it in a browser, at http://127.0.0.1:8787/
      --port N           at this port; 0 is any free one
      --no-open          without opening a browser
      --no-build         serve what was built last
  build                release build: the npm package in target/npm/, and its sizes
  lint                 rustfmt, clippy (native and wasm), tsc: no warning passes
  test [suite…]        lint, then the suites (all, or the named ones); ends with `N passed, N failed`
  bench [bench…]       the figures (all, or the named ones) beside those of others, as a table and as JSON in target/bench/
  help                 this text

Every command does the set-up that it needs by itself.";

/// A command line that was understood.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// `help`, `--help`, or nothing at all.
    Help,
    /// `setup`
    Setup,
    /// `serve [--port N] [--no-open] [--no-build]`
    Serve(Options),
    /// `build`
    Build,
    /// `lint`
    Lint,
    /// `test [suite…]`
    Test {
        /// The suites to run; empty means all of them.
        suites: Vec<String>,
    },
    /// `bench [bench…]`
    Bench {
        /// The benches to run; empty means all of them.
        benches: Vec<String>,
    },
}

/// Reads the arguments that follow the program's name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let mut parser = lexopt::Parser::from_args(args);
    let name = match parser.next()? {
        None | Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Command::Help),
        Some(Arg::Value(name)) => name.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    let mut named = vec![];
    let mut options = Options {
        port: None,
        open: true,
        build: true,
    };
    while let Some(arg) = parser.next()? {
        match (name.as_str(), arg) {
            (_, Arg::Short('h') | Arg::Long("help")) => return Ok(Command::Help),
            ("test" | "bench", Arg::Value(value)) => named.push(value.string()?),
            ("serve", Arg::Long("port")) => options.port = Some(parser.value()?.parse()?),
            ("serve", Arg::Long("no-open")) => options.open = false,
            ("serve", Arg::Long("no-build")) => options.build = false,
            (_, other) => return Err(other.unexpected().into()),
        }
    }
    match name.as_str() {
        "help" => Ok(Command::Help),
        "setup" => Ok(Command::Setup),
        "serve" => Ok(Command::Serve(options)),
        "build" => Ok(Command::Build),
        "lint" => Ok(Command::Lint),
        "test" => Ok(Command::Test { suites: named }),
        "bench" => Ok(Command::Bench { benches: named }),
        _ => bail!("there is no command `{name}`; see `cargo xtask help`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn command_lines_are_understood() {
        assert_eq!(parsed(""), Ok(Command::Help));
        assert_eq!(parsed("test --help"), Ok(Command::Help));
        assert_eq!(parsed("setup"), Ok(Command::Setup));
        assert_eq!(parsed("build"), Ok(Command::Build));
        assert_eq!(parsed("lint"), Ok(Command::Lint));
        assert_eq!(parsed("test"), Ok(Command::Test { suites: vec![] }));
        assert_eq!(
            parsed("test native sdk"),
            Ok(Command::Test {
                suites: vec!["native".into(), "sdk".into()]
            })
        );
        assert_eq!(parsed("bench"), Ok(Command::Bench { benches: vec![] }));
        assert_eq!(
            parsed("bench append idle"),
            Ok(Command::Bench {
                benches: vec!["append".into(), "idle".into()]
            })
        );
        assert_eq!(
            parsed("serve"),
            Ok(Command::Serve(Options {
                port: None,
                open: true,
                build: true
            }))
        );
        let quiet = Options {
            port: Some(0),
            open: false,
            build: false,
        };
        assert_eq!(
            parsed("serve --no-open --port 0 --no-build"),
            Ok(Command::Serve(quiet))
        );
        assert_eq!(
            parsed("serve --port=8080"),
            Ok(Command::Serve(Options {
                port: Some(8080),
                open: true,
                build: true
            }))
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, named) in [
            ("tset", "tset"),
            ("setup now", "now"),
            ("lint --fix", "--fix"),
            ("bench --all", "--all"),
            ("serve --port x", "x"),
            ("serve --port 65536", "65536"),
            ("--port", "--port"),
        ] {
            assert!(parsed(line).unwrap_err().contains(named), "{line}");
        }
    }
}
