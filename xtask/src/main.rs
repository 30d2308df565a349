//! The project's own commands: `cargo xtask …`. `cargo xtask help` lists them.
#![forbid(unsafe_code)]

mod bench;
mod build;
mod cli;
mod lint;
mod npm;
mod paths;
mod process;
mod serve;
mod setup;
mod test;

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::Command;
use crate::paths::Paths;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let command = cli::parse(std::env::args_os().skip(1))?;
    if let Command::Help = command {
        println!("{}", cli::HELP);
        return Ok(ExitCode::SUCCESS);
    }
    let paths = Paths::find()?;
    match command {
        Command::Help => {}
        Command::Setup => {
            setup::run(&paths, setup::Need::ALL)?;
        }
        Command::Serve(options) => serve::run(&paths, options)?,
        Command::Build => build::run(&paths)?,
        Command::Lint => lint::run(&paths)?,
        Command::Test { suites } => return test::run(&paths, &suites),
        Command::Bench { benches } => return bench::run(&paths, &benches),
    }
    Ok(ExitCode::SUCCESS)
}
