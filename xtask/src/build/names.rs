//! Short names between the module and its glue.
//!
//! `wasm-bindgen` puts a hash behind the name of each import, so that two versions of a crate can be in one module. No compressor
//! makes anything of a hash, and each stands in the module and in the glue. What is imported and exported under such a name gets a
//! number instead, on both sides.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use wasm_encoder::{EntityType, ExportKind, ExportSection, ImportSection, Module, RawSection};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

/// Hexadecimal digits of a hash.
const HASH: usize = 16;

/// The module and the script around it, without hashes in the names that they have for each other.
pub fn shorten(module: &[u8], script: &str) -> Result<(Vec<u8>, String)> {
    let mut short = Short::default();
    let mut shortened = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.context("the module cannot be read")?;
        match &payload {
            Payload::ImportSection(section) => {
                let mut imports = ImportSection::new();
                for import in section.clone().into_imports() {
                    let import = import?;
                    let TypeRef::Func(index) = import.ty else {
                        bail!("the module imports what is no function: {}", import.name);
                    };
                    let name = short.of(import.name);
                    imports.import(import.module, &name, EntityType::Function(index));
                }
                shortened.section(&imports);
            }
            Payload::ExportSection(section) => {
                let mut exports = ExportSection::new();
                for export in section.clone() {
                    let export = export?;
                    let name = short.of(export.name);
                    exports.export(&name, kind(export.kind)?, export.index);
                }
                shortened.section(&exports);
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    let (from, to) = (usize::try_from(range.start)?, usize::try_from(range.end)?);
                    let data = &module[from..to];
                    shortened.section(&RawSection { id, data });
                }
            }
        }
    }
    let mut script = script.to_owned();
    for (long, short) in &short.0 {
        if !script.contains(long) {
            bail!("the glue does not know of `{long}`");
        }
        script = script.replace(long, short);
    }
    Ok((shortened.finish(), script))
}

/// Each long name with the short one that it has been given.
#[derive(Default)]
struct Short(HashMap<String, String>);

impl Short {
    /// The name, or a shorter one if it ends with a hash. Such a name is no part of another one.
    fn of(&mut self, name: &str) -> String {
        let hash = name.len().checked_sub(HASH).and_then(|at| name.get(at..));
        match hash {
            Some(hash) if hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                let next = format!("w{}", self.0.len());
                self.0.entry(name.to_owned()).or_insert(next).clone()
            }
            _ => name.to_owned(),
        }
    }
}

fn kind(kind: ExternalKind) -> Result<ExportKind> {
    Ok(match kind {
        ExternalKind::Func => ExportKind::Func,
        ExternalKind::Table => ExportKind::Table,
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Global => ExportKind::Global,
        ExternalKind::Tag => ExportKind::Tag,
        other => bail!("the module exports a {other:?}, which is unknown here"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that exports what it imports.
    fn module(imported: &str, exported: &str) -> Vec<u8> {
        let mut types = wasm_encoder::TypeSection::new();
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        imports.import("./a_bg.js", imported, EntityType::Function(0));
        let mut exports = ExportSection::new();
        exports.export(exported, ExportKind::Func, 0);
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&exports);
        module.finish()
    }

    #[test]
    fn both_sides_have_the_new_name() {
        let long = module("__wbg_get_0123456789abcdef", "free");
        let script = "return {\n__wbg_get_0123456789abcdef: function() {}\n};";
        let (short, script) = shorten(&long, script).unwrap();
        assert_eq!(short, module("w0", "free"));
        assert_eq!(script, "return {\nw0: function() {}\n};");
    }

    #[test]
    fn exports_too() {
        let long = module("throw", "invoke__hfedcba9876543210");
        let script = "wasm.invoke__hfedcba9876543210()";
        let (short, script) = shorten(&long, script).unwrap();
        assert_eq!(
            (short, script.as_str()),
            (module("throw", "w0"), "wasm.w0()")
        );
    }

    #[test]
    fn glue_of_another_module_is_refused() {
        let long = module("__wbg_get_0123456789abcdef", "free");
        let refused = shorten(&long, "{}").unwrap_err();
        assert!(refused.to_string().contains("__wbg_get_0123456789abcdef"));
    }
}
