//! That this is the only way out.

/// What would go around all of this, were it anywhere else.
#[test]
fn no_other_place_opens_connections_of_its_own() {
    const OURS: [&str; 2] = ["egress.rs", "egress"];
    const FORBIDDEN: [&str; 8] = [
        "Client::builder(",
        "reqwest::Client::new(",
        " Client::new(",
        "ClientBuilder",
        "reqwest::get(",
        "danger_accept",
        "TcpStream::connect",
        "lookup_host",
    ];
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it can be read") {
            let path = entry.expect("it can be read").path();
            if OURS.iter().any(|ours| path.ends_with(format!("src/{ours}"))) {
                continue;
            } else if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("it is text");
            // Tests stand at the end of a file, or in one of their own.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in FORBIDDEN.iter().filter(|_| !path.ends_with("tests.rs")) {
                assert!(!code.contains(word), "{} has {word:?}: clients come from egress", path.display());
            }
        }
    }
}
