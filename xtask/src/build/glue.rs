//! The glue as a factory. `wasm-bindgen` writes a script with one global, for one instance of the module. Every runtime has an instance
//! of its own, so that one that panics does not harm the others: the script becomes the body of a function, and each call makes a new instance's glue.

use anyhow::{Result, bail};

/// The name that `wasm-bindgen` gives the global.
const GLOBAL: &str = "let wasm_bindgen =";

/// The globals that the glue shall see are given to the factory, so that its caller can stand between the instance and the rest of the page.
/// `www/sdk/src/instance.ts` is the caller.
const SIGNATURE: &str =
    "export function createInstance({ WebAssembly, AbortController, navigator }) {";

/// The module around the script that `wasm-bindgen --target no-modules` wrote.
pub fn wrap_script(script: &str) -> Result<String> {
    if !script.contains(GLOBAL) {
        bail!(
            "wasm-bindgen's script does not begin with `{GLOBAL}`: its form has changed, and xtask/src/build/glue.rs must follow"
        );
    }
    Ok(format!(
        "/** A fresh instance's glue: call its `initSync({{ module }})` with the compiled module first. */\n\
         {SIGNATURE}\n{}\n  return wasm_bindgen;\n}}\n",
        script.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_becomes_the_body_of_a_factory() {
        let wrapped =
            wrap_script("let wasm_bindgen = (function(exports) {\n    return exports;\n})({});\n")
                .unwrap();
        let lines: Vec<&str> = wrapped.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                SIGNATURE,
                "let wasm_bindgen = (function(exports) {",
                "    return exports;",
                "})({});",
                "  return wasm_bindgen;",
                "}",
            ]
        );
    }

    #[test]
    fn another_form_of_script_is_refused() {
        assert!(
            wrap_script("export default function init() {}")
                .unwrap_err()
                .to_string()
                .contains("glue.rs")
        );
    }
}
