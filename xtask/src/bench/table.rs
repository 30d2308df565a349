//! The figures as a table for people.

use super::Outcome;
use super::figure::{Aim, Better, Figure, Row};
use crate::build::grouped;

/// The longest line of a paragraph.
const WIDTH: usize = 110;

/// All figures, one table each, and then why those are missing that are.
pub fn render(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        match &outcome.measured {
            Ok(measured) => {
                for shown in &measured.figures {
                    text += &figure(shown);
                    text.push('\n');
                }
            }
            Err(fault) => text += &format!("{} could not run: {fault}\n\n", outcome.name),
        }
    }
    text
}

fn figure(figure: &Figure) -> String {
    let better = match figure.better {
        Better::More => "more is better",
        Better::Less => "less is better",
    };
    let mut text = format!("{} ({}; {better})\n", figure.title, figure.unit);
    let names = figure.rows.iter().map(|row| row.name.chars().count());
    let width = names.max().unwrap_or(0);
    text += &line(
        width,
        "",
        ["minimum", "median", "maximum"].map(Into::into),
        "",
    );
    for row in &figure.rows {
        let Some(spread) = row.spread() else { continue };
        let values = [spread.minimum, spread.median, spread.maximum].map(number);
        text += &line(width, &row.name, values, &aim(figure, row));
    }
    text + &paragraph(&figure.how)
}

fn line(width: usize, name: &str, values: [String; 3], rest: &str) -> String {
    let values: String = values.map(|value| format!("{value:>12}")).concat();
    let line = format!("  {name:<width$}{values}  {rest}");
    format!("{}\n", line.trim_end())
}

/// What the row shall be and whether it is.
fn aim(figure: &Figure, row: &Row) -> String {
    let (Some(aim), Some(verdict)) = (&row.aim, figure.verdict(row)) else {
        return String::new();
    };
    let state = if verdict.reached { "reached" } else { "MISSED" };
    let times = number(verdict.ratio);
    match aim {
        Aim::Times { times: wanted, of } => {
            format!(
                "aim: {} times “{of}”; it is {times} times: {state}",
                number(*wanted)
            )
        }
        Aim::AtLeast(bound) | Aim::AtMost(bound) => {
            let most = matches!(aim, Aim::AtMost(_));
            let bound_text = format!(
                "at {} {}",
                if most { "most" } else { "least" },
                number(*bound)
            );
            // A multiple of nothing says nothing.
            if verdict.reached || *bound == 0.0 {
                format!("aim: {bound_text}: {state}")
            } else {
                format!("aim: {bound_text}: {state}, it is {times} times that")
            }
        }
    }
}

/// With as many digits as mean something.
fn number(value: f64) -> String {
    if value.abs() >= 100.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", grouped(value.abs().round() as u64));
    }
    let digits = if value.abs() >= 10.0 { 1 } else { 2 };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Text in lines, indented as the tables are.
fn paragraph(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is a line from the start on");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::figure::Measured;
    use super::super::figure::tests::{figure as of, row};
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        for (value, text) in [
            (0.0, "0"),
            (7.0, "7"),
            (7.125, "7.12"),
            (20.0, "20"),
            (20.25, "20.2"),
            (99.96, "100"),
            (123.4, "123"),
            (1_234_567.8, "1 234 568"),
            (-120.0, "-120"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn rows_stand_side_by_side_with_their_aims() {
        let six = Aim::Times {
            times: 6.0,
            of: "Dexie".into(),
        };
        let figure = of(vec![
            row("the log", &[60_000.0, 70_000.0, 65_000.0], Some(six)),
            row("Dexie", &[10_000.0], None),
            row("replay", &[150_000.0], Some(Aim::AtLeast(300_000.0))),
            row("timers", &[2.0], Some(Aim::AtMost(0.0))),
        ]);
        let measured = Ok(Measured {
            browser: String::new(),
            figures: vec![figure],
        });
        let text = render(&[Outcome {
            name: "append",
            measured,
        }]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "events appended (events/s; more is better)");
        assert_eq!(lines[1], "              minimum      median     maximum");
        assert_eq!(
            lines[2],
            "  the log      60 000      65 000      70 000  aim: 6 times “Dexie”; it is 6.5 times: reached"
        );
        assert_eq!(lines[3], "  Dexie        10 000      10 000      10 000");
        assert!(
            lines[4].ends_with("aim: at least 300 000: MISSED, it is 0.5 times that"),
            "{}",
            lines[4]
        );
        assert!(lines[5].ends_with("aim: at most 0: MISSED"), "{}", lines[5]);
        assert_eq!(lines[6], "  All at once.");
    }

    #[test]
    fn a_bench_that_did_not_run_says_why() {
        let text = render(&[Outcome {
            name: "idle",
            measured: Err("there is no Chromium".into()),
        }]);
        assert_eq!(text, "idle could not run: there is no Chromium\n\n");
    }

    #[test]
    fn long_explanations_are_broken_between_words() {
        let text = paragraph(&"word ".repeat(60));
        assert!(text.lines().count() > 1);
        assert!(text.lines().all(|line| line.len() <= WIDTH + 2));
        assert_eq!(text.split_whitespace().count(), 60);
    }
}
