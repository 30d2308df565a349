//! `cargo xtask serve`: builds the console and shows it. The server is a static one with the security headers that a deployment needs as well;
//! nothing of the product runs on it.
//!
//! Tests start the same server with `cargo xtask serve --no-open --no-build --port 0` and read the address from the line `listening on http://127.0.0.1:PORT/`.

mod headers;
mod site;

use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use tiny_http::{Header, Request, Response, Server};

use crate::paths::{self, Paths};
use crate::{build, setup};

/// The port if none is asked for.
const DEFAULT_PORT: u16 = 8787;
/// How many ports are tried from the default one on.
const PORTS_TRIED: u16 = 20;
/// Requests answered at the same time.
const THREADS: usize = 4;

/// The options of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The port; 0 is any free one, `None` the default one or the next that is free.
    pub port: Option<u16>,
    /// Whether to open a browser.
    pub open: bool,
    /// Whether to set up and build first; otherwise what was built last is served.
    pub build: bool,
}

/// Builds, listens, opens the browser, and serves until it is interrupted.
pub fn run(paths: &Paths, options: Options) -> Result<()> {
    let site = paths.www().join("console/dist");
    if options.build {
        let tools = setup::run(paths, build::NEEDS)?;
        build::dev(paths, &tools)?;
        build::console(paths)?;
    }
    if !site.join("index.html").is_file() {
        bail!("www/console/dist has no index.html: run `cargo xtask serve` without `--no-build`");
    }

    let listener = listen(options.port)?;
    let address = format!("http://{}/", listener.local_addr()?);
    let server = Server::from_listener(listener, None)
        .map_err(|error| anyhow!("cannot serve at {address}: {error}"))?;
    println!("listening on {address}");
    if options.open {
        open_browser(&address);
    }
    serve(Arc::new(server), site)
}

fn listen(port: Option<u16>) -> Result<TcpListener> {
    let bind = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    if let Some(port) = port {
        return bind(port)
            .with_context(|| format!("port {port} is not free: choose another with `--port`"));
    }
    for port in DEFAULT_PORT..DEFAULT_PORT + PORTS_TRIED {
        if let Ok(listener) = bind(port) {
            if port != DEFAULT_PORT {
                println!("port {DEFAULT_PORT} is taken; {port} is the next free one");
            }
            return Ok(listener);
        }
    }
    bail!("the ports from {DEFAULT_PORT} on are taken: choose one with `--port`")
}

fn serve(server: Arc<Server>, site: PathBuf) -> Result<()> {
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (server, site) = (Arc::clone(&server), site.clone());
            thread::spawn(move || {
                for request in server.incoming_requests() {
                    // A browser that went away does not want its answer any more.
                    let _ = respond(request, &site);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| anyhow!("the server stopped"))?;
    }
    Ok(())
}

fn respond(request: Request, site: &std::path::Path) -> std::io::Result<()> {
    let answer = site::answer(site, request.method().as_str(), request.url());
    let mut response = Response::from_data(answer.body).with_status_code(answer.status);
    for (name, value) in answer.headers {
        // The names and values are constants of this crate, which its tests send.
        if let Ok(header) = Header::from_bytes(name, value) {
            response.add_header(header);
        }
    }
    request.respond(response)
}

fn open_browser(address: &str) {
    let opener = ["xdg-open", "open"].into_iter().find_map(paths::which);
    let display = cfg!(target_os = "macos")
        || env::var_os("DISPLAY").is_some()
        || env::var_os("WAYLAND_DISPLAY").is_some();
    let opened = display
        && opener.is_some_and(|opener| {
            Command::new(opener)
                .arg(address)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .is_ok()
        });
    if !opened {
        println!("no browser can be opened here: open the address yourself");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_file_arrives_with_all_its_headers() {
        let site = env::temp_dir().join(format!("mobkit-serve-{}", std::process::id()));
        std::fs::create_dir_all(&site).unwrap();
        std::fs::write(site.join("a.wasm"), "module").unwrap();
        let listener = listen(Some(0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(Server::from_listener(listener, None).unwrap());
        let serving = thread::spawn({
            let (server, site) = (Arc::clone(&server), site.clone());
            move || respond(server.recv().unwrap(), &site)
        });

        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(b"GET /a.wasm HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        serving.join().unwrap().unwrap();
        assert!(
            text.starts_with("HTTP/1.1 200") && text.ends_with("module"),
            "{text}"
        );
        for (name, value) in headers::headers(std::path::Path::new("a.wasm")) {
            assert!(
                text.contains(&format!("\r\n{name}: {value}\r\n")),
                "{name} is not in {text}"
            );
        }
        assert_eq!(
            text.matches("Content-Type").count(),
            2,
            "one of its own, one in nosniff's name: {text}"
        );
        std::fs::remove_dir_all(site).unwrap();
    }

    #[test]
    fn a_taken_port_that_was_asked_for_is_named() {
        let taken = listen(Some(0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(
            listen(Some(port))
                .unwrap_err()
                .to_string()
                .contains(&port.to_string())
        );
    }
}
