//! The headers of every answer. A page's policy does not bind its worker, so each gets its own: the page talks to this server only, and the worker
//! alone, where the runtime and the models' addresses live, may connect elsewhere.

use std::path::Path;

/// What the page may do. There is no inline script and no inline style.
const PAGE_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                           worker-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a worker may do: run the module, and reach the model server that the user named.
const WORKER_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' http: https:; \
                             object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The headers for the file at `path`, which is relative to the site's root.
pub fn headers(path: &Path) -> Vec<(&'static str, &'static str)> {
    vec![
        ("Content-Type", media_type(path)),
        (
            "Content-Security-Policy",
            if is_worker(path) {
                WORKER_POLICY
            } else {
                PAGE_POLICY
            },
        ),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cache-Control", caching(path)),
    ]
}

/// A script with `worker` in its file name is a worker's entry: the console's build names them so.
fn is_worker(path: &Path) -> bool {
    extension(path) == "js"
        && path.file_name().is_some_and(|name| {
            name.to_string_lossy()
                .to_ascii_lowercase()
                .contains("worker")
        })
}

/// Files under `assets/` carry a hash of their content in their name and never change; all others are asked for anew. None is forbidden to
/// be kept: that would bar the page from the browser's back-forward cache.
fn caching(path: &Path) -> &'static str {
    if path.starts_with("assets") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    }
}

/// The media type by the file's ending. `application/wasm` is what lets a browser compile while it loads.
fn media_type(path: &Path) -> &'static str {
    match extension(path) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "toml" => "application/toml",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn extension(path: &Path) -> &str {
    path.extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(path: &str, name: &str) -> &'static str {
        headers(Path::new(path))
            .into_iter()
            .find(|(candidate, _)| *candidate == name)
            .unwrap()
            .1
    }

    #[test]
    fn only_a_workers_script_may_connect_elsewhere() {
        for (path, elsewhere) in [
            ("index.html", false),
            ("assets/index-a1b2.js", false),
            ("assets/runtime.worker-a1b2.js", true),
            ("assets/worker-a1b2.js", true),
            ("assets/sharedWorker-a1b2.js", true),
            ("worker.html", false),
            ("workers/index.js", false),
        ] {
            let policy = header(path, "Content-Security-Policy");
            assert_eq!(
                policy.contains("connect-src 'self' http: https:"),
                elsewhere,
                "{path}"
            );
            assert!(
                policy.contains("connect-src 'self'") && policy.contains("'wasm-unsafe-eval'"),
                "{path}"
            );
        }
    }

    #[test]
    fn no_policy_allows_inline_code_or_evaluation() {
        for policy in [PAGE_POLICY, WORKER_POLICY] {
            assert!(!policy.contains("'unsafe-inline'") && !policy.contains("'unsafe-eval'"));
            for directive in [
                "object-src 'none'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            ] {
                assert!(
                    policy.split("; ").any(|part| part == directive),
                    "{directive} is not in {policy}"
                );
            }
        }
    }

    #[test]
    fn pages_are_never_kept_and_hashed_files_always() {
        assert_eq!(header("index.html", "Cache-Control"), "no-cache");
        assert_eq!(header("demo.toml", "Cache-Control"), "no-cache");
        assert!(header("assets/index-a1b2.js", "Cache-Control").contains("immutable"));
    }

    #[test]
    fn media_types_are_those_browsers_insist_on() {
        assert_eq!(header("a.wasm", "Content-Type"), "application/wasm");
        assert_eq!(
            header("a.js", "Content-Type"),
            "text/javascript; charset=utf-8"
        );
        assert_eq!(header("a", "Content-Type"), "application/octet-stream");
    }
}
