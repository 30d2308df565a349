//! The glue as a factory. `wasm-bindgen` writes a script with one global, for one instance of the module. Every runtime has an instance
//! of its own, so that one that panics does not harm the others: the script becomes the body of a function, and each call makes a new instance's glue.

use anyhow::{Result, bail};

/// The name that `wasm-bindgen` gives the global.
const GLOBAL: &str = "let wasm_bindgen =";

/// The globals that the glue shall see are given to the factory, so that its caller can stand between the instance and the rest of the page.
/// `www/sdk/src/instance.ts` is the caller.
const SIGNATURE: &str =
    "export function createInstance({ WebAssembly, AbortController, navigator }) {";

/// The script's ways to fetch a module and to compile it. Each instance is made of a module that is compiled: nobody calls them, and no
/// minifier sees that.
const UNUSED: [(&str, &str); 2] = [
    ("    async function __wbg_load(", "    function initSync("),
    (
        "    let __wbg_init_promise;",
        "    return Object.assign(__wbg_init, { initSync }, exports);",
    ),
];

/// The script without what nobody calls.
fn without_unused(script: &str) -> Result<String> {
    let mut script = script.to_owned();
    for (from, to) in UNUSED {
        let (Some(start), Some(end)) = (script.find(from), script.find(to)) else {
            bail!(
                "wasm-bindgen's script has no `{from}` before `{to}`: its form has changed, and xtask/src/build/glue.rs must follow"
            );
        };
        if end < start {
            bail!("wasm-bindgen's script has `{to}` before `{from}`");
        }
        script.replace_range(start..end, "");
    }
    Ok(script.replace(
        UNUSED[1].1,
        "    return Object.assign(exports, { initSync });",
    ))
}

/// The module around the script that `wasm-bindgen --target no-modules` wrote.
pub fn wrap_script(script: &str) -> Result<String> {
    if !script.contains(GLOBAL) {
        bail!(
            "wasm-bindgen's script does not begin with `{GLOBAL}`: its form has changed, and xtask/src/build/glue.rs must follow"
        );
    }
    let script = without_unused(script)?;
    Ok(format!(
        "/** A fresh instance's glue: call its `initSync({{ module }})` with the compiled module first. */\n\
         {SIGNATURE}\n{}\n  return wasm_bindgen;\n}}\n",
        script.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "let wasm_bindgen = (function(exports) {
    function used() {}
    async function __wbg_load(module) {}
    function initSync(module) {}
    let __wbg_init_promise;
    async function __wbg_init() {}
    return Object.assign(__wbg_init, { initSync }, exports);
})({});
";

    #[test]
    fn the_script_becomes_the_body_of_a_factory() {
        let wrapped = wrap_script(SCRIPT).unwrap();
        let lines: Vec<&str> = wrapped.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                SIGNATURE,
                "let wasm_bindgen = (function(exports) {",
                "    function used() {}",
                "    function initSync(module) {}",
                "    return Object.assign(exports, { initSync });",
                "})({});",
                "  return wasm_bindgen;",
                "}",
            ]
        );
    }

    #[test]
    fn a_script_of_other_functions_is_refused() {
        for (part, _) in UNUSED {
            assert!(wrap_script(&SCRIPT.replace(part, "")).is_err(), "{part}");
        }
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
