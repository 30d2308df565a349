//! One hint of alignment for each instruction that reads or writes memory.
//!
//! The compiler notes how an address is aligned as far as it knows. Engines take no notice: what an instruction does is the same
//! for every hint. Two functions that differ in nothing else resemble each other more without: a two-hundredth after gzip.

use anyhow::{Context, Result};
use wasmparser::{Parser, Payload};

/// Gives each load and each store the hint of what it reads or writes. The module stays as long as it is.
pub fn level(module: &mut [u8]) -> Result<()> {
    let mut hints = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.context("the module cannot be read")?;
        if let Payload::CodeSectionEntry(body) = payload {
            let mut operators = body.get_operators_reader()?;
            while !operators.eof() {
                let at = usize::try_from(operators.original_position())?;
                operators.read()?;
                if let Some(natural) = natural(module[at]) {
                    hints.push((at + 1, natural));
                }
            }
        }
    }
    for (at, natural) in hints {
        // A greater number would be a second memory.
        if module[at] <= natural {
            module[at] = natural;
        }
    }
    Ok(())
}

/// The binary logarithm of how many bytes an instruction reads or writes; nothing for those that do neither.
fn natural(opcode: u8) -> Option<u8> {
    Some(match opcode {
        // Single bytes: `i32.load8_s` and so on, `i32.store8`, `i64.store8`.
        0x2c | 0x2d | 0x30 | 0x31 | 0x3a | 0x3c => 0,
        0x2e | 0x2f | 0x32 | 0x33 | 0x3b | 0x3d => 1,
        0x28 | 0x2a | 0x34 | 0x35 | 0x36 | 0x38 | 0x3e => 2,
        0x29 | 0x2b | 0x37 | 0x39 => 3,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        CodeSection, Function, FunctionSection, MemArg, MemArgTarget, MemorySection, MemoryType,
        Module, TypeSection,
    };

    use super::*;

    /// A function that copies eight bytes, and a byte, with these hints.
    fn module(eight: u32, one: u32) -> Vec<u8> {
        let at = |align| MemArg {
            offset: 40,
            align,
            target: MemArgTarget::default(),
            ordering: None,
        };
        let mut body = Function::new([]);
        body.instructions()
            // The opcode of a load as a constant.
            .i32_const(0x28)
            .i32_const(0x29)
            .i64_load(at(eight))
            .i64_store(at(eight))
            .i32_const(0)
            .i32_const(0)
            .i32_load8_u(at(one))
            .i32_store8(at(one))
            .end();
        let (mut types, mut functions, mut memories, mut code) = (
            TypeSection::new(),
            FunctionSection::new(),
            MemorySection::new(),
            CodeSection::new(),
        );
        types.ty().function([], []);
        functions.function(0);
        memories.memory(MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        code.function(&body);
        let mut module = Module::new();
        module
            .section(&types)
            .section(&functions)
            .section(&memories)
            .section(&code);
        module.finish()
    }

    #[test]
    fn hints_are_those_of_the_width() {
        for eight in 0..=3 {
            let mut levelled = module(eight, 0);
            level(&mut levelled).unwrap();
            assert_eq!(levelled, module(3, 0), "{eight}");
        }
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(level(&mut b"no module".to_vec()).is_err());
    }
}
