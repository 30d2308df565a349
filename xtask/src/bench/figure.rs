//! Figures: what was measured, over several runs, and how it stands to what is aimed at.

use serde::{Deserialize, Serialize};

/// What one bench measured, as its program writes it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Measured {
    /// Which browser, in its own words; empty if there was none.
    #[serde(default)]
    pub browser: String,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// One table of numbers of the same unit.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Figure {
    /// What is measured.
    pub title: String,
    /// In what.
    pub unit: String,
    /// Which of two numbers is the better one.
    pub better: Better,
    /// How it is measured, for whoever wants to know what the number means.
    pub how: String,
    /// One line for each contender or circumstance.
    pub rows: Vec<Row>,
}

/// Which of two numbers is the better one.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The larger one.
    More,
    /// The smaller one.
    Less,
}

/// What one contender came to, or one circumstance.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Row {
    /// Who or what.
    pub name: String,
    /// One value for each run; at least one.
    pub samples: Vec<f64>,
    /// What the median shall be.
    #[serde(default)]
    pub aim: Option<Aim>,
}

/// What a median shall be.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Aim {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
    /// So many times the median of another row, or more.
    Times {
        /// So many times.
        times: f64,
        /// The other row's name.
        of: String,
    },
}

/// How a row stands to its aim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Whether the median is what it shall be.
    pub reached: bool,
    /// The median in terms of the bound, or of the other row's median.
    pub ratio: f64,
}

/// A row's values in three.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub minimum: f64,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The largest.
    pub maximum: f64,
}

impl Row {
    /// Smallest, middle and largest; `None` without a value.
    pub fn spread(&self) -> Option<Spread> {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted.get(middle.checked_sub(1)?)? + sorted[middle]) / 2.0
        };
        Some(Spread {
            minimum: *sorted.first()?,
            median,
            maximum: *sorted.last()?,
        })
    }
}

impl Figure {
    /// How a row of this figure stands to its aim; `None` if it has none.
    pub fn verdict(&self, row: &Row) -> Option<Verdict> {
        let median = row.spread()?.median;
        let bound = match row.aim.as_ref()? {
            Aim::AtLeast(bound) | Aim::AtMost(bound) => *bound,
            Aim::Times { of, .. } => {
                let other = self.rows.iter().find(|other| other.name == *of)?;
                other.spread()?.median
            }
        };
        // Nothing against nothing is as much as it.
        let ratio = if median == bound { 1.0 } else { median / bound };
        let reached = match row.aim.as_ref()? {
            Aim::AtLeast(_) => ratio >= 1.0,
            Aim::AtMost(_) => median <= bound,
            Aim::Times { times, .. } => ratio >= *times,
        };
        Some(Verdict { reached, ratio })
    }

    /// What makes the figure say nothing, or something else than it seems to.
    pub fn fault(&self) -> Option<String> {
        for row in &self.rows {
            let fault = if row.samples.is_empty() {
                "has no value"
            } else if row.samples.iter().any(|value| !value.is_finite()) {
                "has a value that is no number"
            } else if row.aim.is_some() && self.verdict(row).is_none() {
                "is compared with a row that is not there"
            } else {
                continue;
            };
            return Some(format!("“{}” of “{}” {fault}", row.name, self.title));
        }
        self.rows
            .is_empty()
            .then(|| format!("“{}” has no row", self.title))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn row(name: &str, samples: &[f64], aim: Option<Aim>) -> Row {
        Row {
            name: name.into(),
            samples: samples.to_vec(),
            aim,
        }
    }

    pub fn figure(rows: Vec<Row>) -> Figure {
        Figure {
            title: "events appended".into(),
            unit: "events/s".into(),
            better: Better::More,
            how: "All at once.".into(),
            rows,
        }
    }

    #[test]
    fn the_middle_of_any_number_of_runs_is_found() {
        let spread = |samples: &[f64]| {
            let found = row("a", samples, None).spread();
            found.map(|spread| (spread.minimum, spread.median, spread.maximum))
        };
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0]), Some((3.0, 3.0, 3.0)));
        assert_eq!(spread(&[10.0, 9.0]), Some((9.0, 9.5, 10.0)));
        assert_eq!(spread(&[10.0, 9.0, 100.0]), Some((9.0, 10.0, 100.0)));
    }

    #[test]
    fn a_median_is_held_against_its_aim() {
        let times = |times| Aim::Times {
            times,
            of: "other".into(),
        };
        let cases = [
            (Aim::AtLeast(300.0), 300.0, true, 1.0),
            (Aim::AtLeast(300.0), 150.0, false, 0.5),
            (Aim::AtMost(20.0), 20.0, true, 1.0),
            (Aim::AtMost(20.0), 30.0, false, 1.5),
            (Aim::AtMost(0.0), 0.0, true, 1.0),
            (Aim::AtMost(0.0), 2.0, false, f64::INFINITY),
            (times(6.0), 60.0, true, 6.0),
            (times(6.0), 30.0, false, 3.0),
        ];
        for (aim, median, reached, ratio) in cases {
            let figure = figure(vec![
                row("ours", &[median - 1.0, median, 1e6], Some(aim.clone())),
                row("other", &[10.0], None),
            ]);
            let verdict = figure.verdict(&figure.rows[0]);
            assert_eq!(verdict, Some(Verdict { reached, ratio }), "{aim:?}");
            assert_eq!(figure.verdict(&figure.rows[1]), None);
        }
    }

    #[test]
    fn a_figure_that_says_nothing_is_at_fault() {
        let absent = Aim::Times {
            times: 2.0,
            of: "b".into(),
        };
        let cases = [
            (vec![], Some("no row")),
            (vec![row("a", &[], None)], Some("no value")),
            (vec![row("a", &[f64::NAN], None)], Some("no number")),
            (vec![row("a", &[1.0], Some(absent))], Some("not there")),
            (vec![row("a", &[0.0], Some(Aim::AtMost(0.0)))], None),
        ];
        for (rows, named) in cases {
            let fault = figure(rows).fault();
            assert_eq!(fault.is_some(), named.is_some(), "{fault:?}");
            assert!(fault.unwrap_or_default().contains(named.unwrap_or("")));
        }
    }

    #[test]
    fn what_a_program_writes_is_understood() {
        let text = r#"{"browser":"Chromium 1","figures":[{"title":"t","unit":"ms","better":"less","how":"h","rows":[
            {"name":"a","samples":[1,2.5],"aim":{"at_most":20}},
            {"name":"b","samples":[3],"aim":{"times":{"times":6,"of":"a"}}},
            {"name":"c","samples":[4]}]}]}"#;
        let measured: Measured = serde_json::from_str(text).unwrap();
        let rows = &measured.figures[0].rows;
        assert_eq!(rows[0].aim, Some(Aim::AtMost(20.0)));
        assert_eq!(rows[2].aim, None);
        assert!(measured.figures[0].fault().is_none());
        assert!(serde_json::from_str::<Measured>(r#"{"figures":[],"b":1}"#).is_err());
    }
}
