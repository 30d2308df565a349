//! The suite of IndexedDB in a page.
#![cfg(target_arch = "wasm32")]

#[path = "suites/indexed_db.rs"]
mod suite;

use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

macro_rules! run {
    ($case:ident) => {
        #[wasm_bindgen_test]
        async fn $case() {
            suite::$case().await;
        }
    };
}
suite::for_each_storage_case!(run);
