//! The command line.

use std::ffi::OsString;

use anyhow::{Result, bail};
use lexopt::{Arg, ValueExt};

/// What `cargo xtask help` prints.
pub const HELP: &str = "\
cargo xtask <command>

  setup                install what is missing: wasm toolchain, wasm-bindgen, npm packages, browsers
  lint                 rustfmt, clippy (native and wasm), tsc: no warning passes
  test [suite…]        lint, then the suites (all, or the named ones); ends with `N passed, N failed`
  help                 this text

`test` and `lint` do the set-up they need by themselves.";

/// A command line that was understood.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// `help`, `--help`, or nothing at all.
    Help,
    /// `setup`
    Setup,
    /// `lint`
    Lint,
    /// `test [suite…]`
    Test {
        /// The suites to run; empty means all of them.
        suites: Vec<String>,
    },
}

/// Reads the arguments that follow the program's name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut words = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Value(value) => words.push(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut words = words.into_iter();
    let Some(name) = words.next() else {
        return Ok(Command::Help);
    };
    let rest: Vec<String> = words.collect();
    if name == "test" {
        return Ok(Command::Test { suites: rest });
    }
    if let Some(extra) = rest.first() {
        bail!("`{name}` takes no argument, and `{extra}` was given");
    }
    match name.as_str() {
        "help" => Ok(Command::Help),
        "setup" => Ok(Command::Setup),
        "lint" => Ok(Command::Lint),
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
        assert_eq!(parsed("lint"), Ok(Command::Lint));
        assert_eq!(parsed("test"), Ok(Command::Test { suites: vec![] }));
        assert_eq!(
            parsed("test native sdk"),
            Ok(Command::Test {
                suites: vec!["native".into(), "sdk".into()]
            })
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(parsed("tset").unwrap_err().contains("`tset`"));
        assert!(parsed("setup now").unwrap_err().contains("`now`"));
        assert!(parsed("lint --fix").unwrap_err().contains("--fix"));
    }
}
