//! How big the product is: raw, and as it travels.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;

/// One file's bytes, raw and compressed at the highest level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// What the table calls it.
    pub name: String,
    /// Bytes as they are.
    pub raw: u64,
    /// Bytes after gzip.
    pub gzip: u64,
    /// Bytes after brotli.
    pub brotli: u64,
}

impl Size {
    /// Measures a file.
    pub fn of_file(name: impl Into<String>, path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::of_bytes(name, &bytes)
    }

    fn of_bytes(name: impl Into<String>, bytes: &[u8]) -> Result<Self> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(bytes)?;
        let gzip = gzip.finish()?;
        let mut compressed = Vec::new();
        brotli::BrotliCompress(
            &mut &*bytes,
            &mut compressed,
            &BrotliEncoderParams::default(),
        )?;
        Ok(Self {
            name: name.into(),
            raw: bytes.len() as u64,
            gzip: gzip.len() as u64,
            brotli: compressed.len() as u64,
        })
    }

    /// The sum of several files that travel one by one.
    pub fn total(sizes: &[Self]) -> Self {
        let sum = |part: fn(&Self) -> u64| sizes.iter().map(part).sum();
        Self {
            name: "total".into(),
            raw: sum(|size| size.raw),
            gzip: sum(|size| size.gzip),
            brotli: sum(|size| size.brotli),
        }
    }
}

/// The table of all files and their total.
pub fn table(sizes: &[Size]) -> String {
    let total = Size::total(sizes);
    let mut text = format!(
        "{:<28}{:>12}{:>12}{:>12}\n",
        "bytes", "raw", "gzip", "brotli"
    );
    for size in sizes.iter().chain([&total]) {
        let [raw, gzip, brotli] = [size.raw, size.gzip, size.brotli].map(grouped);
        text += &format!("{:<28}{raw:>12}{gzip:>12}{brotli:>12}\n", size.name);
    }
    text
}

/// Refuses a total above the budget; says how much of it is left otherwise.
pub fn check_budget(sizes: &[Size], budget: u64) -> Result<String> {
    let gzip = Size::total(sizes).gzip;
    let [total, allowed] = [gzip, budget].map(grouped);
    if gzip > budget {
        let over = grouped(gzip - budget);
        bail!("{total} bytes after gzip are {over} over the budget of {allowed}");
    }
    let left = grouped(budget - gzip);
    Ok(format!(
        "within the budget of {allowed} bytes after gzip; {left} left"
    ))
}

/// `1234567` as `1 234 567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(gzip: u64) -> Size {
        Size {
            name: "a".into(),
            raw: 1_234_567,
            gzip,
            brotli: 9,
        }
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1 000"),
            (1_234_567, "1 234 567"),
            (100_000, "100 000"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn the_table_ends_with_the_total() {
        let text = table(&[size(300), size(200)]);
        let last = text.lines().last().unwrap();
        assert!(
            last.starts_with("total")
                && last.contains("2 469 134")
                && last.contains(" 500 ")
                && last.ends_with(" 18"),
            "{last}"
        );
    }

    #[test]
    fn the_budget_is_for_the_total() {
        assert!(
            check_budget(&[size(300), size(200)], 500)
                .unwrap()
                .contains("0 left")
        );
        assert!(
            check_budget(&[size(300), size(201)], 500)
                .unwrap_err()
                .to_string()
                .contains("1 over")
        );
    }

    #[test]
    fn repetition_compresses() {
        let size = Size::of_bytes("zeros", &[0; 10_000]).unwrap();
        assert_eq!(size.raw, 10_000);
        assert!(size.gzip < 100 && size.brotli < size.gzip, "{size:?}");
    }
}
