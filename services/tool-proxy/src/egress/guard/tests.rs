use super::*;
use crate::egress::settings::Settings;

fn guard(url: &str, allow_private: bool) -> Result<Guard, Refusal> {
    Guard::new("t", url, allow_private, Arc::default())
}

fn admits(guard: &Guard, addresses: &[&str]) -> bool {
    let found = addresses.iter().map(|address| SocketAddr::new(address.parse().expect("an address"), 0));
    guard.admit_all(&found.collect::<Vec<_>>()).is_ok()
}

#[test]
fn whoever_writes_a_private_address_plainly_permits_it_and_no_other() {
    for url in
        ["http://127.0.0.1:1/x", "https://10.1.2.3", "http://[::1]:1?q", "http://[fd12::1]/", "HTTP://100.64.0.1/"]
    {
        let guard = guard(url, false).expect(url);
        assert!(!admits(&guard, &["127.0.0.1"]), "{url}: a name that leads there is another matter");
    }
    for url in ["http://8.8.8.8/", "https://tool.example/", "https://xn--bcher-kva.example:8443/"] {
        guard(url, false).expect(url);
    }
}

#[test]
fn a_written_address_that_is_neither_private_nor_public_needs_its_network() {
    let urls = [
        "http://169.254.169.254/latest",
        "http://169.254.1.1/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://[64:ff9b::a00:1]/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://240.0.0.1/",
    ];
    for url in urls {
        for allow_private in [false, true] {
            assert!(matches!(guard(url, allow_private), Err(Refusal::Address { .. })), "{url}");
        }
    }
    let settings =
        Settings { allow_private: vec!["169.254.1.0/24".into(), "169.254.169.254".into()], ..Settings::default() };
    let allowed = Arc::new(Allowed::new(&settings).expect("they are networks"));
    for url in &urls[..2] {
        Guard::new("t", url, false, Arc::clone(&allowed)).expect(url);
    }
}

#[test]
fn a_host_is_written_as_it_is_meant() {
    let disguised = [
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://127.0.0.1./",
        "http://0/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://%6c%6f%63alhost/",
        "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
        "http://\u{2460}\u{2461}\u{2466}.0.0.1/",
        "http://127\u{3002}0\u{3002}0\u{3002}1/",
        "http://local\u{ad}host/",
        "http://b\u{fc}cher.example/",
        "http:127.0.0.1/",
        "http:\\\\127.0.0.1/",
        "http:///127.0.0.1/",
        "http://tool.example\\@127.0.0.1/",
        " http://127.0.0.1/",
        "http://127.0.\t0.1/",
    ];
    for url in disguised {
        assert!(matches!(guard(url, true), Err(Refusal::Disguised(_))), "{url:?}: {:?}", guard(url, true));
    }
    for url in ["http://u@h/", "http://u:p@h/", "http://:p@h/", "http://127.0.0.1@h/", "http://h%2f@127.0.0.1/"] {
        assert_eq!(guard(url, true).expect_err(url), Refusal::Userinfo, "{url}");
    }
    for url in [
        "",
        "h",
        "//h/",
        "ftp://h/",
        "file:///etc/passwd",
        "gopher://h/",
        "http://",
        "http://[::1%25lo]/",
        "http://[::1/",
        "http://256.1.1.1/",
        "http://1.2.3.4.5/",
        "http://a b/",
        "unix:/run/x",
        "data:,x",
        "javascript:0",
    ] {
        assert!(matches!(guard(url, true), Err(Refusal::NotWeb(_))), "{url:?}: {:?}", guard(url, true));
    }
    for url in ["ftp://user:canary@h", "ftp://h/?key=canary", "http://user:canary@h:x/", "http://a b/?key=canary"] {
        let refusal = guard(url, true).expect_err(url).to_string();
        assert!(!refusal.contains("canary"), "{refusal}");
    }
}

#[test]
fn a_name_with_one_forbidden_address_is_forbidden() {
    let guard = guard("https://tool.example/", false).expect("a name");
    assert!(admits(&guard, &["93.184.215.14", "2606:4700::1"]));
    for other in ["127.0.0.1", "10.0.0.1", "::1", "169.254.169.254", "::ffff:192.168.0.1"] {
        assert!(!admits(&guard, &[other]), "{other}");
        assert!(!admits(&guard, &["93.184.215.14", other]), "{other} last");
        assert!(!admits(&guard, &[other, "93.184.215.14"]), "{other} first");
    }
}

#[test]
fn localhost_is_this_machine_and_nothing_else_and_no_other_name_is() {
    let here = guard("http://localhost:1/", false).expect("a name");
    assert!(admits(&here, &["127.0.0.1", "::1"]));
    assert!(!admits(&here, &["10.0.0.1"]));
    for url in ["http://localhost./", "http://x.localhost/", "http://localhost.localdomain/", "http://ip6-localhost/"] {
        assert!(!admits(&guard(url, false).expect(url), &["127.0.0.1"]), "{url}");
    }
}

#[test]
fn only_the_same_scheme_host_and_port_without_credentials_is_home() {
    let guard = guard("https://tool.example/a?b", false).expect("a name");
    for url in ["https://tool.example/", "https://TOOL.example:443/x?y#z"] {
        assert!(guard.is_home(&Url::parse(url).expect(url)), "{url}");
    }
    for url in [
        "http://tool.example/",
        "http://tool.example:443/",
        "https://tool.example:444/",
        "https://tool.example./",
        "https://x.tool.example/",
        "https://tool.example.evil/",
        "https://u@tool.example/",
        "https://:p@tool.example/",
        "wss://tool.example/",
    ] {
        assert!(!guard.is_home(&Url::parse(url).expect(url)), "{url}");
    }
}

#[test]
fn a_refusal_is_told_once_and_so_many_at_the_most() {
    let guard = guard("https://tool.example/", false).expect("a name");
    for _ in 0..3 {
        for port in 0..TOLD_MAX + 8 {
            guard.refused(Refusal::Elsewhere(format!("https://h:{port}")));
        }
    }
    assert_eq!(guard.told.lock().len(), TOLD_MAX);
}
