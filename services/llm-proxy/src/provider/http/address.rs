//! Where a provider is.

use std::net::IpAddr;

use http::Uri;
use url::Url;

use super::Settings;

/// The provider's address.
pub(in super::super) fn address(settings: &Settings) -> Result<Url, String> {
    let url = Url::parse(&settings.base_url).map_err(|error| format!("is no address: {error}"))?;
    if url.cannot_be_a_base() || !url.has_host() { Err("is no address of a server".into()) } else { Ok(url) }
}

/// A request's target.
pub(in super::super) fn uri(url: &Url) -> Result<Uri, String> {
    url.as_str().parse().map_err(|error| format!("is no address of a server: {error}"))
}

/// Goes on in the path. A name with a slash stays one name.
pub(in super::super) fn push(url: &mut Url, names: &[&str]) {
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(names);
    }
}

/// Whether a URL names this machine.
pub(super) fn is_loopback(url: &str) -> bool {
    let url = Url::parse(url).ok();
    url.as_ref().and_then(Url::host_str).is_some_and(|host| {
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        ip.map_or(host == "localhost", |ip| ip.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn this_machine_is_known_by_its_names() {
        for url in ["http://127.0.0.1:7076/v1", "http://[::1]:80/v1", "https://localhost/v1", "http://127.8.0.1/"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["https://api.openai.com/v1", "http://10.0.0.1/v1", "https://localhost.example/v1", "no url"] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
