//! A directory as a site: from a request's method and address to the answer.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::headers;

/// An answer, complete.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// All headers but those about the connection and the length.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The body; a `HEAD` request's is left out when it is sent.
    pub body: Vec<u8>,
}

/// Answers one request from the files under `root`.
pub fn answer(root: &Path, method: &str, url: &str) -> Answer {
    if !matches!(method, "GET" | "HEAD") {
        return refusal(405, "only GET and HEAD are answered here\n");
    }
    let Some(path) = site_path(url) else {
        return refusal(400, "the address is not a path below the site's root\n");
    };
    match read_below(root, &path) {
        Some(body) => Answer {
            status: 200,
            headers: headers::headers(&path),
            body,
        },
        None => refusal(404, "not found\n"),
    }
}

fn refusal(status: u16, text: &str) -> Answer {
    let mut headers = headers::headers(Path::new("refusal.txt"));
    headers.retain(|(name, _)| *name != "Cache-Control");
    headers.push(("Cache-Control", "no-store"));
    Answer {
        status,
        headers,
        body: text.into(),
    }
}

/// The file a URL names, relative to the root; `None` if it is malformed or leads elsewhere.
fn site_path(url: &str) -> Option<PathBuf> {
    let path = url.split(['?', '#']).next()?.strip_prefix('/')?;
    let mut path = PathBuf::from(percent_decoded(path)?);
    if !path
        .components()
        .all(|component| matches!(component, Component::Normal(_)))
    {
        return None;
    }
    if path.as_os_str().is_empty() || url.split(['?', '#']).next()?.ends_with('/') {
        path.push("index.html");
    }
    Some(path)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}

/// The file's content, unless a link leads out of the root.
fn read_below(root: &Path, path: &Path) -> Option<Vec<u8>> {
    let file = root.join(path).canonicalize().ok()?;
    if !file.starts_with(root.canonicalize().ok()?) {
        return None;
    }
    fs::read(file).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_paths_below_the_root() {
        let cases = [
            ("/", Some("index.html")),
            ("/?a=/../b", Some("index.html")),
            ("/assets/a%20b.js#top", Some("assets/a b.js")),
            ("/guide/", Some("guide/index.html")),
            ("/%C3%BC.txt", Some("ü.txt")),
            ("/../secret", None),
            ("/a/../../secret", None),
            ("/%2e%2e/secret", None),
            ("/..%2fsecret", None),
            ("//etc/passwd", None),
            ("/%2Fetc/passwd", None),
            ("/a%00.js", None),
            ("/a%", None),
            ("/a%+1", None),
            ("/%ff", None),
            ("http://elsewhere/", None),
            ("", None),
        ];
        for (url, expected) in cases {
            assert_eq!(site_path(url), expected.map(PathBuf::from), "{url}");
        }
    }

    #[test]
    fn files_are_served_and_links_to_the_outside_are_not() {
        let root = std::env::temp_dir().join(format!("mobkit-site-{}", std::process::id()));
        let site = root.join("site");
        fs::create_dir_all(&site).unwrap();
        fs::write(site.join("index.html"), "<p>").unwrap();
        fs::write(root.join("secret.txt"), "secret").unwrap();
        std::os::unix::fs::symlink(root.join("secret.txt"), site.join("link.txt")).unwrap();

        let page = answer(&site, "GET", "/");
        assert_eq!(
            (page.status, page.body.as_slice()),
            (200, b"<p>".as_slice())
        );
        assert_eq!(answer(&site, "HEAD", "/index.html").status, 200);
        assert_eq!(answer(&site, "GET", "/link.txt").status, 404);
        assert_eq!(answer(&site, "GET", "/absent.js").status, 404);
        assert_eq!(answer(&site, "GET", "/../secret.txt").status, 400);
        assert_eq!(answer(&site, "POST", "/").status, 405);
        let refused = answer(&site, "GET", "/absent.js");
        assert!(
            refused
                .headers
                .contains(&("X-Content-Type-Options", "nosniff"))
        );
        assert!(
            refused
                .headers
                .contains(&("Content-Type", "text/plain; charset=utf-8"))
        );
        fs::remove_dir_all(root).unwrap();
    }
}
