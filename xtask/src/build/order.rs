//! Puts functions that resemble each other next to each other.
//!
//! gzip finds a repetition only within the last 32 KiB, and a module is thirty times as long. Code that was compiled from one generic
//! function for many types is much the same bytes each time: side by side it costs a fifteenth less, and runs as it did.
//!
//! The order is found greedily: after each function comes the one of which the most short sequences of bytes stand within gzip's reach,
//! and those that are near count twice, for gzip writes a short distance with fewer bits. Binaryen's `reorder-functions-by-name` does the
//! moving: here each function is named by its place.

use std::collections::{BTreeSet, HashMap, VecDeque};

use anyhow::{Context, Result};
use wasm_encoder::{NameMap, NameSection};
use wasmparser::{Parser, Payload, TypeRef};

/// Bytes of the sequences that are compared.
const SHINGLE: usize = 6;
/// Bytes of functions behind a place that count as within reach. Some less than gzip's 32 KiB.
const REACH: usize = 28_000;
/// Bytes of functions behind a place that count twice.
const NEAR: usize = 3_000;
/// A sequence that more functions have tells nothing: it is within reach everywhere.
const COMMON: usize = 60;

/// The module with every function named such that the order of the names is the order in which functions ought to stand.
pub fn name_by_place(module: &[u8]) -> Result<Vec<u8>> {
    let mut imported = 0;
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload.context("the module cannot be read")? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if let TypeRef::Func(_) = import?.ty {
                        imported += 1;
                    }
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body.as_bytes()),
            _ => {}
        }
    }
    let mut names = NameMap::new();
    for import in 0..imported {
        names.append(import, &format!("import{import:06}"));
    }
    for (function, place) in (imported..).zip(places(&bodies)) {
        names.append(function, &format!("place{place:06}"));
    }
    let mut section = NameSection::new();
    section.functions(&names);
    let mut named = module.to_vec();
    wasm_encoder::Section::append_to(&section, &mut named);
    Ok(named)
}

/// Where each function ought to stand.
fn places(bodies: &[&[u8]]) -> Vec<usize> {
    let shared = Shared::of(bodies);
    let (mut reach, mut near) = (
        Window::new(REACH, shared.owners.len()),
        Window::new(NEAR, shared.owners.len()),
    );
    let mut scores = vec![0_i64; bodies.len()];
    // In a long function more is repeated anyway; a short one is soon repeated as a whole.
    let scale: Vec<f64> = bodies
        .iter()
        .map(|body| 1.0 / f64::from(u32::try_from(body.len()).unwrap_or(u32::MAX)).sqrt())
        .collect();
    let mut left: Vec<usize> = (0..bodies.len()).collect();
    // The longest first; a function that resembles nobody begins anew with the longest that is left.
    left.sort_by_key(|function| (usize::MAX - bodies[*function].len(), *function));
    let mut places = vec![0; bodies.len()];
    for place in 0..bodies.len() {
        let (mut best, mut most) = (0, -1.0);
        for (at, function) in left.iter().enumerate() {
            // Exact: the sums are far below 2^53.
            let score = scores[*function] as f64 * scale[*function];
            if score > most {
                (best, most) = (at, score);
            }
        }
        let next = left.remove(best);
        places[next] = place;
        for window in [&mut reach, &mut near] {
            window.add(next, bodies[next].len(), &shared, &mut scores);
        }
    }
    places
}

/// The sequences that several functions have, by numbers.
struct Shared {
    /// Those of each function.
    sequences: Vec<Vec<usize>>,
    /// The functions that have one.
    owners: Vec<Vec<usize>>,
}

impl Shared {
    fn of(bodies: &[&[u8]]) -> Self {
        let mut numbers: HashMap<&[u8], usize> = HashMap::new();
        let mut owners: Vec<Vec<usize>> = Vec::new();
        let mut sequences = Vec::new();
        for (function, body) in bodies.iter().enumerate() {
            let distinct: BTreeSet<&[u8]> = body.windows(SHINGLE).collect();
            let mut of_function = Vec::new();
            for sequence in distinct {
                let number = *numbers.entry(sequence).or_insert(owners.len());
                if number == owners.len() {
                    owners.push(Vec::new());
                }
                owners[number].push(function);
                of_function.push(number);
            }
            sequences.push(of_function);
        }
        for of_function in &mut sequences {
            of_function.retain(|number| (2..=COMMON).contains(&owners[*number].len()));
        }
        Self { sequences, owners }
    }

    /// How much a sequence counts: less, the more functions have it.
    fn weight(&self, number: usize) -> i64 {
        64 / (1 + i64::from(self.owners[number].len().max(1).ilog2()))
    }
}

/// The functions that were placed last.
struct Window {
    size: usize,
    bytes: usize,
    functions: VecDeque<(usize, usize)>,
    /// How many functions of the window have each sequence.
    counts: Vec<u32>,
}

impl Window {
    fn new(size: usize, sequences: usize) -> Self {
        Self {
            size,
            bytes: 0,
            functions: VecDeque::new(),
            counts: vec![0; sequences],
        }
    }

    /// Adds a function of so many bytes, lets go of those that are out of reach, and keeps the scores of all.
    fn add(&mut self, function: usize, bytes: usize, shared: &Shared, scores: &mut [i64]) {
        self.functions.push_back((function, bytes));
        self.bytes += bytes;
        for number in &shared.sequences[function] {
            if self.counts[*number] == 0 {
                for owner in &shared.owners[*number] {
                    scores[*owner] += shared.weight(*number);
                }
            }
            self.counts[*number] += 1;
        }
        while self.bytes > self.size && self.functions.len() > 1 {
            let Some((function, bytes)) = self.functions.pop_front() else {
                break;
            };
            self.bytes -= bytes;
            for number in &shared.sequences[function] {
                self.counts[*number] -= 1;
                if self.counts[*number] == 0 {
                    for owner in &shared.owners[*number] {
                        scores[*owner] -= shared.weight(*number);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_resemble_each_other_stand_together() {
        let family = |first: u8| -> Vec<Vec<u8>> {
            (0..4)
                .map(|one| {
                    let mut body: Vec<u8> = (0..200).map(|at| first.wrapping_add(at)).collect();
                    body[one * 7] = 0xff;
                    body
                })
                .collect()
        };
        let (a, b) = (family(0), family(100));
        let mixed: Vec<&[u8]> = a
            .iter()
            .zip(&b)
            .flat_map(|(a, b)| [a.as_slice(), b.as_slice()])
            .collect();
        let places = places(&mixed);
        let mut sorted = places.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6, 7], "each place once");
        let first: Vec<bool> = places.iter().step_by(2).map(|place| *place < 4).collect();
        assert!(first.iter().all(|is| *is == first[0]), "{places:?}");
    }

    #[test]
    fn an_empty_module_stays_a_module() {
        let empty = b"\0asm\x01\0\0\0";
        let named = name_by_place(empty).unwrap();
        assert_eq!(named[..8], empty[..]);
        assert!(Parser::new(0).parse_all(&named).all(|part| part.is_ok()));
        assert!(name_by_place(b"no module").is_err());
    }
}
