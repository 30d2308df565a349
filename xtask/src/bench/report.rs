//! The figures as JSON, for programs.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Outcome;
use super::figure::{Figure, Row};
use crate::paths::Paths;

/// The form of the file; another number if its fields change their meaning.
const FORMAT: u32 = 1;

/// Writes the report to `bench/figures.json` in cargo's target directory.
pub fn write(paths: &Paths, outcomes: &[Outcome]) -> Result<PathBuf> {
    let file = paths.target.join("bench/figures.json");
    fs::create_dir_all(paths.target.join("bench"))?;
    let at = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let processors = thread::available_parallelism()?.get();
    let text = serde_json::to_string_pretty(&report(outcomes, at.as_millis() as u64, processors))?;
    fs::write(&file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

fn report(outcomes: &[Outcome], at_ms: u64, processors: usize) -> Value {
    let browsers = outcomes
        .iter()
        .filter_map(|outcome| outcome.measured.as_ref().ok());
    let browser = browsers
        .map(|measured| &measured.browser)
        .find(|name| !name.is_empty());
    json!({
        "format": FORMAT,
        "at_ms": at_ms,
        "machine": {
            "os": std::env::consts::OS,
            "architecture": std::env::consts::ARCH,
            "processors": processors,
            "browser": browser,
        },
        "benches": outcomes.iter().map(bench).collect::<Vec<_>>(),
    })
}

fn bench(outcome: &Outcome) -> Value {
    match &outcome.measured {
        Ok(measured) => json!({
            "name": outcome.name,
            "figures": measured.figures.iter().map(figure).collect::<Vec<_>>(),
        }),
        Err(fault) => json!({ "name": outcome.name, "fault": fault }),
    }
}

fn figure(figure: &Figure) -> Value {
    json!({
        "title": figure.title,
        "unit": figure.unit,
        "better": figure.better,
        "how": figure.how,
        "rows": figure.rows.iter().map(|shown| row(figure, shown)).collect::<Vec<_>>(),
    })
}

fn row(figure: &Figure, row: &Row) -> Value {
    let spread = row.spread();
    let mut value = json!({
        "name": row.name,
        "minimum": spread.map(|spread| spread.minimum),
        "median": spread.map(|spread| spread.median),
        "maximum": spread.map(|spread| spread.maximum),
        "samples": row.samples,
    });
    if let (Some(aim), Some(verdict)) = (&row.aim, figure.verdict(row)) {
        value["aim"] = json!(aim);
        value["reached"] = json!(verdict.reached);
        // A multiple of nothing is no number, and null in JSON.
        value["ratio"] = json!(verdict.ratio);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::super::figure::tests::{figure as of, row};
    use super::super::figure::{Aim, Measured};
    use super::*;

    #[test]
    fn the_report_has_every_run_and_every_verdict() {
        let measured = Measured {
            browser: "Chromium 1".into(),
            figures: vec![of(vec![
                row("ours", &[2.0, 1.0, 6.0], Some(Aim::AtLeast(4.0))),
                row("other", &[3.0], None),
                row("none", &[1.0], Some(Aim::AtMost(0.0))),
            ])],
        };
        let outcomes = [
            Outcome {
                name: "append",
                measured: Ok(measured),
            },
            Outcome {
                name: "idle",
                measured: Err("it broke".into()),
            },
        ];
        let report = report(&outcomes, 7, 2);
        assert_eq!(report["format"], FORMAT);
        assert_eq!(report["machine"]["browser"], "Chromium 1");
        assert_eq!(report["benches"][1]["fault"], "it broke");
        let figure = &report["benches"][0]["figures"][0];
        assert_eq!(figure["better"], "more");
        let ours = json!({
            "name": "ours", "minimum": 1.0, "median": 2.0, "maximum": 6.0, "samples": [2.0, 1.0, 6.0],
            "aim": { "at_least": 4.0 }, "reached": false, "ratio": 0.5,
        });
        assert_eq!(figure["rows"][0], ours);
        assert_eq!(figure["rows"][1].get("aim"), None);
        assert_eq!(figure["rows"][2]["ratio"], Value::Null);
    }
}
