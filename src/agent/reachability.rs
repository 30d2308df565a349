//! Why a page could not reach a server: browsers hide the reason from scripts, so the likely one is worked out from the addresses.
//!
//! Rules: CORS (Fetch standard, section 3.2), mixed content (W3C Mixed Content, section 4), the local-network permission (WICG
//! Local Network Access).

/// Where a request was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageContext {
    /// The page's or worker's origin, e.g. `https://example.org`.
    pub origin: String,
    /// The global `isSecureContext`.
    pub is_secure_context: bool,
}

/// The likely cause of a request to `url` that failed without an answer, and what to do about it, in words for people.
///
/// `None` where no browser rule explains it: then the server is simply not there, or the network is.
pub fn network_hint(page: &PageContext, url: &str) -> Option<String> {
    let Some((scheme, authority, host)) = split(url) else {
        return Some(format!(
            "`{url}` is no complete address; it should begin with http:// or https://"
        ));
    };
    if scheme != "http" && scheme != "https" {
        return Some(format!(
            "addresses that begin with {scheme}: cannot be fetched; use http:// or https://"
        ));
    }
    let (page_scheme, page_authority, page_host) = split(&page.origin)?;
    let origin = &page.origin;
    if (&scheme, with_port(&scheme, &authority))
        == (&page_scheme, with_port(&page_scheme, &page_authority))
    {
        return None;
    }
    let network = Network::of(&host);
    let from_wider_network = network < Network::of(&page_host);
    if page_scheme == "https" && scheme == "http" && network == Network::Public {
        return Some(format!(
            "mixed content: this page came over https, and browsers block its requests to plain http addresses; give {authority} \
             an https address, or open this page from http://localhost"
        ));
    }
    let cors = format!(
        "CORS: is the server running, and does it allow this page's origin with `Access-Control-Allow-Origin: {origin}`? \
         (Ollama: set OLLAMA_ORIGINS={origin}; LM Studio: switch on CORS in the server settings)"
    );
    if !from_wider_network {
        return Some(cors);
    }
    let whose = if network == Network::Loopback {
        "this computer"
    } else {
        "the local network"
    };
    if !page.is_secure_context {
        return Some(format!(
            "local-network permission: browsers let only pages over https ask for access to {whose}; open this page over https or \
             from http://localhost. Otherwise {cors}"
        ));
    }
    let mixed = if page_scheme == "https" && scheme == "http" {
        " Some browsers also block this as mixed content: then give it an https address."
    } else {
        ""
    };
    Some(format!(
        "local-network permission: the browser asks before a website may reach {whose}; allow it in this site's settings.{mixed} \
         Otherwise {cors}"
    ))
}

/// The host of an absolute address, in lower case, without user, port and the brackets of IPv6.
pub fn host_of(url: &str) -> Option<String> {
    split(url).map(|(_, _, host)| host)
}

/// How near a host is; nearer is less.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Network {
    Loopback,
    Local,
    Public,
}

impl Network {
    fn of(host: &str) -> Self {
        if host == "localhost" || host.ends_with(".localhost") || host == "::1" {
            return Self::Loopback;
        }
        // The address is one that a URL parser has taken, so that its beginning tells: the standard library's parsers would
        // check it once more, for five kilobytes.
        if let [Some(a), Some(b), Some(_), Some(_)] = octets(host) {
            return match (a, b) {
                (0 | 127, _) => Self::Loopback,
                (10, _) | (172, 16..=31) | (192, 168) | (169, 254) => Self::Local,
                _ => Self::Public,
            };
        }
        if let Some((first, _)) = host.split_once(':') {
            let first = u16::from_str_radix(first, 16).unwrap_or(0);
            let local = matches!(first, 0xfc00..=0xfdff | 0xfe80..=0xfebf);
            return if local { Self::Local } else { Self::Public };
        }
        // Names without a dot and `.local` names (RFC 6762) resolve only nearby.
        if host.ends_with(".local") || !host.contains('.') {
            Self::Local
        } else {
            Self::Public
        }
    }
}

/// The four numbers of an IPv4 address, if there are four.
fn octets(host: &str) -> [Option<u8>; 4] {
    let mut octets = [None; 4];
    for (at, part) in host.split('.').enumerate() {
        match octets.get_mut(at) {
            Some(octet) => *octet = part.parse().ok(),
            None => return [None; 4],
        }
    }
    octets
}

/// Scheme, host with port, and bare host of an absolute address.
fn split(url: &str) -> Option<(String, String, String)> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let authority = rest[..end]
        .rsplit('@')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default().to_owned(),
        None => authority.split(':').next().unwrap_or_default().to_owned(),
    };
    (!scheme.is_empty() && !host.is_empty()).then(|| (scheme.to_ascii_lowercase(), authority, host))
}

fn with_port(scheme: &str, authority: &str) -> String {
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    match scheme {
        _ if has_port => authority.to_owned(),
        "https" => format!("{authority}:443"),
        _ => format!("{authority}:80"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likely_cause_is_named() {
        // (page, secure, address, what the hint begins with)
        let cases = [
            (
                "https://mob.example",
                true,
                "http://models.example/v1",
                Some("mixed content"),
            ),
            (
                "https://mob.example",
                true,
                "http://203.0.113.7:8080/v1",
                Some("mixed content"),
            ),
            (
                "https://mob.example",
                true,
                "https://api.example/v1",
                Some("CORS"),
            ),
            (
                "https://mob.example",
                true,
                "http://localhost:11434/v1",
                Some("local-network permission"),
            ),
            (
                "https://mob.example",
                true,
                "http://127.0.0.1:11434/v1",
                Some("local-network permission"),
            ),
            (
                "https://mob.example",
                true,
                "http://[::1]:11434/v1",
                Some("local-network permission"),
            ),
            (
                "https://mob.example",
                true,
                "http://192.168.1.5:11434/v1",
                Some("local-network permission"),
            ),
            (
                "https://mob.example",
                true,
                "http://nas.local:11434/v1",
                Some("local-network permission"),
            ),
            (
                "https://mob.example",
                true,
                "https://[fd00::5]/v1",
                Some("local-network permission"),
            ),
            (
                "http://mob.example",
                false,
                "http://localhost:11434/v1",
                Some("local-network permission: browsers let only"),
            ),
            (
                "http://192.168.1.9",
                false,
                "http://localhost:11434/v1",
                Some("local-network permission: browsers let only"),
            ),
            (
                "http://localhost:8000",
                true,
                "http://localhost:11434/v1",
                Some("CORS"),
            ),
            (
                "http://localhost:8000",
                true,
                "http://192.168.1.5:11434/v1",
                Some("CORS"),
            ),
            (
                "http://localhost:8000",
                true,
                "http://models.example/v1",
                Some("CORS"),
            ),
            (
                "http://localhost:8000",
                true,
                "https://api.example/v1",
                Some("CORS"),
            ),
            (
                "http://localhost:8000",
                true,
                "http://LOCALHOST:8000/v1",
                None,
            ),
            (
                "https://mob.example",
                true,
                "https://user@mob.example:443/v1",
                None,
            ),
            (
                "https://mob.example",
                true,
                "/v1",
                Some("`/v1` is no complete address"),
            ),
            (
                "https://mob.example",
                true,
                "localhost:11434/v1",
                Some("`localhost:11434/v1` is no complete address"),
            ),
            (
                "https://mob.example",
                true,
                "ftp://x.example/v1",
                Some("addresses that begin with ftp:"),
            ),
            ("null", false, "https://api.example/v1", None),
        ];
        for (origin, is_secure_context, url, expected) in cases {
            let page = PageContext {
                origin: origin.into(),
                is_secure_context,
            };
            let hint = network_hint(&page, url);
            match expected {
                None => assert_eq!(hint, None, "{origin} → {url}"),
                Some(start) => assert!(
                    hint.clone().unwrap_or_default().starts_with(start),
                    "{origin} → {url}: {hint:?}"
                ),
            }
        }
    }

    #[test]
    fn the_hint_names_the_origin_to_allow() {
        let page = PageContext {
            origin: "http://localhost:8000".into(),
            is_secure_context: true,
        };
        let hint = network_hint(&page, "http://localhost:11434/v1").unwrap();
        assert!(
            hint.contains("OLLAMA_ORIGINS=http://localhost:8000"),
            "{hint}"
        );
    }
}
