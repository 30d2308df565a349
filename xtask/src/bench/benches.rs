//! The table of benches, and how one is run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::figure::{Aim, Better, Figure, Measured, Row};
use crate::build::{self, Package};
use crate::npm;
use crate::paths::Paths;
use crate::process;
use crate::setup::{self, Need};

/// One program that measures.
pub struct Bench {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it measures, in a few words.
    pub about: &'static str,
    /// What it needs on the machine, beside what building the package needs.
    pub needs: &'static [Need],
    /// How long it may take before it is stopped.
    pub limit: Duration,
    /// Measures.
    pub measure: fn(&Session<'_>, &Bench) -> Result<Measured>,
}

/// All benches, in the order in which they run.
pub const BENCHES: &[Bench] = &[
    Bench {
        name: "size",
        about: "what the package weighs on its way to a browser",
        needs: &[],
        limit: minutes(1),
        measure: size,
    },
    Bench {
        name: "append",
        about: "events made durable, beside Dexie and IndexedDB itself",
        needs: BROWSER,
        limit: minutes(15),
        measure: by_program,
    },
    Bench {
        name: "replay",
        about: "events read again after a cursor, beside Dexie and IndexedDB itself",
        needs: BROWSER,
        limit: minutes(10),
        measure: by_program,
    },
    Bench {
        name: "turns",
        about: "turns of members whose model answers at once",
        needs: BROWSER,
        limit: minutes(10),
        measure: by_program,
    },
    Bench {
        name: "peers",
        about: "turns on a stubbed fetch, beside the AI SDK and LangGraph",
        needs: BROWSER,
        limit: minutes(10),
        measure: by_program,
    },
    Bench {
        name: "spawn",
        about: "fifty new members",
        needs: BROWSER,
        limit: minutes(5),
        measure: by_program,
    },
    Bench {
        name: "roster",
        about: "a large mob brought to what it ought to be, and looked up in its ledger",
        needs: BROWSER,
        limit: minutes(10),
        measure: by_program,
    },
    Bench {
        name: "memory",
        about: "what a member weighs that has nothing to do",
        needs: BROWSER,
        limit: minutes(10),
        measure: by_program,
    },
    Bench {
        name: "start",
        about: "from loading the module to the first member",
        needs: BROWSER,
        limit: minutes(10),
        measure: by_program,
    },
    Bench {
        name: "idle",
        about: "what a runtime does in a minute in which there is nothing to do",
        needs: BROWSER,
        limit: minutes(10),
        measure: by_program,
    },
    Bench {
        name: "rpc",
        about: "JSON-RPC calls, in a page and to a mob in workerd",
        needs: BROWSER,
        limit: minutes(10),
        measure: by_program,
    },
    Bench {
        name: "modules",
        about: "calls of modules, a routing table that is large, and schedules that come rarely",
        needs: BROWSER,
        limit: minutes(10),
        measure: by_program,
    },
    Bench {
        name: "sse",
        about: "events to the readers of event streams, in a page and from a mob in workerd",
        needs: BROWSER,
        limit: minutes(25),
        measure: by_program,
    },
    Bench {
        name: "cold-start",
        about: "the first answer of a mob in workerd that is not in memory",
        needs: &[],
        limit: minutes(10),
        measure: by_program,
    },
    Bench {
        name: "isolate",
        about: "how many mobs live in one isolate of workerd",
        needs: &[],
        limit: minutes(10),
        measure: by_program,
    },
];

/// What a bench needs that runs in a browser.
const BROWSER: &[Need] = &[Need::Chromium];

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// What every bench measures: the package as it is published, built when this is made.
pub struct Session<'a> {
    paths: &'a Paths,
    package: Package,
}

impl<'a> Session<'a> {
    /// Sets up and builds what the chosen benches need.
    pub fn open(paths: &'a Paths, chosen: &[&Bench]) -> Result<Self> {
        let browser = chosen.iter().any(|bench| bench.needs == BROWSER);
        let needs = if browser { BROWSER } else { &[] };
        let tools = setup::run(paths, &[build::NEEDS, needs].concat())?;
        let package = build::release(paths, &tools)?;
        if browser {
            build::bench(paths, &tools)?;
        }
        Ok(Self { paths, package })
    }
}

/// What a bench's program leaves behind.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Fault { fault: String },
    Measured(Measured),
}

/// Runs the bench of the same name in `www/bench`.
fn by_program(session: &Session<'_>, bench: &Bench) -> Result<Measured> {
    // Profiles lie here too: a temporary directory may be one in memory, and no measure of what is durable.
    let directory = session.paths.target.join("bench").join(bench.name);
    // What a run left behind that was stopped must not be taken for this one's.
    clear(&directory)?;
    fs::create_dir_all(&directory)?;
    let answer = directory.join("answer.json");
    let mut command = npm::run_script(session.paths, "bench", &["bench"]);
    command.args(["--silent", "--", bench.name]).arg(&answer);
    let finished = process::stream(&mut command, bench.limit)?;
    if finished.timed_out {
        bail!(
            "stopped after its limit of {} minutes",
            bench.limit.as_secs() / 60
        );
    }
    let measured = read(&answer);
    clear(&directory)?;
    measured
}

fn clear(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}

fn read(answer: &Path) -> Result<Measured> {
    let text =
        fs::read_to_string(answer).context("it ended without an answer: what it said is above")?;
    let measured = match serde_json::from_str(&text).context("its answer is not understood")? {
        Answer::Fault { fault } => bail!("{fault}"),
        Answer::Measured(measured) => measured,
    };
    match measured.figures.iter().find_map(Figure::fault) {
        Some(fault) => bail!("{fault}"),
        None => Ok(measured),
    }
}

/// The package against its budget. The build is the same every time, so one run is enough.
fn size(session: &Session<'_>, _: &Bench) -> Result<Measured> {
    let (bytes, budget) = session.package.gzip();
    let row = Row {
        name: "module, glue and the package's JavaScript".into(),
        samples: vec![bytes as f64],
        aim: budget.map(|budget| Aim::AtMost(budget as f64)),
    };
    let figure = Figure {
        title: "the package after gzip".into(),
        unit: "bytes".into(),
        better: Better::Less,
        how: "Each file compressed at the highest level, added up. The aim is the budget in wasm-pack.toml.".into(),
        rows: vec![row],
    };
    Ok(Measured {
        browser: String::new(),
        figures: vec![figure],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str) -> Result<Measured, String> {
        let file = std::env::temp_dir().join(format!(
            "mobkit-bench-{}-{:?}.json",
            std::process::id(),
            std::thread::current().id()
        ));
        fs::write(&file, text).unwrap();
        let measured = read(&file).map_err(|error| format!("{error:#}"));
        fs::remove_file(file).unwrap();
        measured
    }

    #[test]
    fn an_answer_is_figures_or_a_fault() {
        let figure = r#"{"title":"t","unit":"ms","better":"less","how":"","rows":[{"name":"a","samples":[1]}]}"#;
        let good = format!(r#"{{"browser":"b","figures":[{figure}]}}"#);
        assert_eq!(answered(&good).unwrap().figures.len(), 1);
        let empty = good.replace("[1]", "[]");
        assert!(answered(&empty).unwrap_err().contains("no value"));
        let fault = r#"{"fault":"there is no Chromium"}"#;
        assert_eq!(answered(fault).unwrap_err(), "there is no Chromium");
        assert!(answered("{").unwrap_err().contains("not understood"));
    }

    #[test]
    fn no_answer_is_a_fault() {
        let absent = Path::new("/nonexistent/answer.json");
        assert!(
            read(absent)
                .unwrap_err()
                .to_string()
                .contains("without an answer")
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), BENCHES.len());
    }
}
