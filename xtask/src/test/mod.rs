//! `cargo xtask test`: lint, then the suites in order, with minutes and counts for each. A suite that ran no test has failed.

mod count;
mod suites;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::paths::Paths;
use crate::{lint, process, setup};
use count::Counts;
use suites::{SUITES, Session, Suite};

/// How one suite ended.
struct Outcome {
    name: &'static str,
    counts: Counts,
    took: Duration,
    /// Why it failed although no test of it did.
    fault: Option<String>,
}

/// Runs lint and the named suites, or all of them. The last line is `N passed, N failed`.
pub fn run(paths: &Paths, names: &[String]) -> Result<ExitCode> {
    let chosen = choose(names)?;
    let mut outcomes = vec![];
    outcomes.push(checked("lint", || lint::run(paths)));
    let session = Session::new(paths);
    for suite in chosen {
        println!("\n{} — {}", suite.name, suite.about);
        let started = Instant::now();
        let (counts, fault) = match run_suite(&session, suite) {
            Ok(ended) => ended,
            Err(error) => (Counts::default(), Some(format!("{error:#}"))),
        };
        outcomes.push(Outcome {
            name: suite.name,
            counts,
            took: started.elapsed(),
            fault,
        });
    }
    if let Some(package) = session.package() {
        outcomes.push(checked("size", || package.check_budget()));
    }
    let total = outcomes.iter().fold(Counts::default(), |total, outcome| {
        total + outcome.verdict()
    });
    println!("\n{}", table(&outcomes));
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A check that is no test: it counts only if it fails.
fn checked(name: &'static str, check: impl FnOnce() -> Result<()>) -> Outcome {
    let started = Instant::now();
    let fault = check().err().map(|error| format!("{error:#}"));
    Outcome {
        name,
        counts: Counts::default(),
        took: started.elapsed(),
        fault,
    }
}

fn choose(names: &[String]) -> Result<Vec<&'static Suite>> {
    if names.is_empty() {
        return Ok(SUITES.iter().collect());
    }
    let known = || {
        SUITES
            .iter()
            .map(|suite| suite.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    names
        .iter()
        .map(
            |name| match SUITES.iter().find(|suite| suite.name == name) {
                Some(suite) => Ok(suite),
                None => bail!("there is no suite `{name}`; the suites are {}", known()),
            },
        )
        .collect()
}

fn run_suite(session: &Session<'_>, suite: &Suite) -> Result<(Counts, Option<String>)> {
    let tools = setup::run(session.paths, suite.needs)?;
    let mut command = (suite.command)(session, &tools)?;
    let finished = process::stream(&mut command, suite.limit)?;
    let counts = count::count(&finished.output);
    let fault = if finished.timed_out {
        Some(format!(
            "stopped after its limit of {} minutes",
            suite.limit.as_secs() / 60
        ))
    } else {
        count::fault(&finished.output, finished.success, counts).map(str::to_owned)
    };
    Ok((counts, fault))
}

impl Outcome {
    /// The counts, with a fault of the whole suite as one more failure.
    fn verdict(&self) -> Counts {
        Counts {
            failed: self.counts.failed + u32::from(self.fault.is_some()),
            ..self.counts
        }
    }
}

/// The table of all suites, one line each.
fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "{:<16}{:>8}{:>8}{:>8}{:>9}\n",
        "suite", "passed", "failed", "skipped", "minutes"
    );
    for outcome in outcomes {
        let Counts {
            passed,
            failed,
            skipped,
        } = outcome.verdict();
        let minutes = outcome.took.as_secs_f64() / 60.0;
        text += &format!(
            "{:<16}{passed:>8}{failed:>8}{skipped:>8}{minutes:>9.1}\n",
            outcome.name
        );
        if let Some(fault) = &outcome.fault {
            text += &format!("  {}: {fault}\n", outcome.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(passed: u32, failed: u32, fault: Option<&str>) -> Outcome {
        Outcome {
            name: "native",
            counts: Counts {
                passed,
                failed,
                skipped: 1,
            },
            took: Duration::from_secs(90),
            fault: fault.map(Into::into),
        }
    }

    #[test]
    fn the_table_has_counts_minutes_and_faults() {
        let text = table(&[outcome(12, 0, None), outcome(0, 0, Some("ran no test"))]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1].split_whitespace().collect::<Vec<_>>(),
            ["native", "12", "0", "1", "1.5"]
        );
        assert_eq!(
            lines[2].split_whitespace().collect::<Vec<_>>(),
            ["native", "0", "1", "1", "1.5"]
        );
        assert_eq!(lines[3], "  native: ran no test");
    }

    #[test]
    fn a_fault_counts_as_a_failure() {
        assert_eq!(outcome(3, 2, None).verdict().failed, 2);
        assert_eq!(outcome(3, 2, Some("stopped")).verdict().failed, 3);
    }

    #[test]
    fn suites_are_chosen_by_name() {
        assert_eq!(choose(&[]).unwrap().len(), SUITES.len());
        assert_eq!(choose(&["native".into()]).unwrap()[0].name, "native");
        let Err(error) = choose(&["nativ".into()]) else {
            panic!("an unknown suite was accepted")
        };
        assert!(error.to_string().contains("`nativ`") && error.to_string().contains("native"));
    }
}
