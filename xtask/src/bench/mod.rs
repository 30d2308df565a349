//! `cargo xtask bench`: what the package can do, in numbers, beside what people use instead. Nothing here fails for being slow: a
//! missed aim is shown as missed. A bench that could not run is a failure.

mod benches;
mod figure;
mod report;
mod table;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::paths::Paths;
use benches::{BENCHES, Bench, Session};
use figure::Measured;

/// What one bench came to.
struct Outcome {
    name: &'static str,
    /// The figures, or why there are none.
    measured: Result<Measured, String>,
}

/// Measures with the named benches, or with all of them; prints a table and writes the same as JSON.
pub fn run(paths: &Paths, names: &[String]) -> Result<ExitCode> {
    let chosen = choose(names)?;
    let session = Session::open(paths, &chosen)?;
    let mut outcomes = vec![];
    for bench in chosen {
        println!("\n{} — {}", bench.name, bench.about);
        let measured = (bench.measure)(&session, bench).map_err(|error| format!("{error:#}"));
        if let Err(fault) = &measured {
            println!("  {}: {fault}", bench.name);
        }
        outcomes.push(Outcome {
            name: bench.name,
            measured,
        });
    }
    println!("\n{}", table::render(&outcomes));
    let written = report::write(paths, &outcomes)?;
    println!("the same as JSON: {}", written.display());
    let all = outcomes.iter().all(|outcome| outcome.measured.is_ok());
    Ok(if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn choose(names: &[String]) -> Result<Vec<&'static Bench>> {
    if names.is_empty() {
        return Ok(BENCHES.iter().collect());
    }
    if let Some(unknown) = names
        .iter()
        .find(|name| BENCHES.iter().all(|bench| bench.name != **name))
    {
        let known: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        bail!(
            "there is no bench `{unknown}`; the benches are {}",
            known.join(", ")
        );
    }
    // In the table's order, each once, however they were named.
    let named = |bench: &&Bench| names.iter().any(|name| name == bench.name);
    Ok(BENCHES.iter().filter(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benches_are_chosen_by_name() {
        let chosen = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            choose(&names).map(|chosen| chosen.iter().map(|bench| bench.name).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&[]).unwrap().len(), BENCHES.len());
        assert_eq!(chosen(&["append", "size"]).unwrap(), ["size", "append"]);
        let error = chosen(&["append", "sise"]).unwrap_err().to_string();
        assert!(
            error.contains("`sise`") && error.contains("append"),
            "{error}"
        );
    }
}
