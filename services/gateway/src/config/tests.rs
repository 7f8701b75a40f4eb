use super::*;
use crate::admission::Terms;

fn load(text: &str) -> Result<Config, ConfigError> {
    Config::from_document(&Document::parse("t.toml", text, []).expect("it is TOML"))
}

fn refused(text: &str) -> String {
    load(text).expect_err("it must be refused").to_string()
}

/// A configuration with keys; each is (name, the key's text, tenant, role).
fn keys(keys: &[(&str, &str, &str, &str)]) -> String {
    let dir = tempfile::tempdir().expect("a temporary directory").keep();
    let entry = |(index, (name, key, tenant, role)): (usize, &(&str, &str, &str, &str))| {
        let path = dir.join(index.to_string());
        std::fs::write(&path, key).expect("the file is written");
        let path = path.display();
        format!("[[gateway.keys]]\nname = {name:?}\nkey = \"file:{path}\"\ntenant = {tenant:?}\nrole = {role:?}\n")
    };
    keys.iter().enumerate().map(entry).collect()
}

const LONG: &str = "0123456789abcdef";

#[test]
fn without_a_file_nobody_needs_a_key() {
    let config = load("").expect("defaults hold");
    assert!(config.keys().are_open());
    assert_eq!(config.address(), "127.0.0.1:7070");
}

#[test]
fn declared_and_extra_agents_are_taken_and_no_others() {
    let text = "[gateway]\nextra_agents = [\"echo\"]\n[agents.disputes]\nmodel = \"default\"\n";
    let agents = load(text).expect("it holds").agents();
    assert!(agents.admit("disputes").is_ok() && agents.admit("echo").is_ok() && agents.admit("other").is_err());
}

#[test]
fn any_agent_is_taken_where_that_is_said_or_none_is_declared() {
    for text in ["[gateway]\nagents = \"any\"\n[agents.disputes]\nmodel = \"default\"\n", ""] {
        assert!(load(text).expect("it holds").agents().admit("other").is_ok(), "{text:?}");
    }
    let none = load("[gateway]\nagents = \"declared\"\n").expect("it holds").agents();
    assert!(none.admit("other").is_err());
}

#[test]
fn a_key_belongs_to_its_tenant_and_role() {
    let config = load(&keys(&[("shop", LONG, "acme", "worker")])).expect("it holds");
    let identity = config.keys().find(LONG).cloned().expect("the key is known");
    assert_eq!((identity.tenant.as_str(), identity.role, identity.name.as_str()), ("acme", Role::Worker, "shop"));
}

#[test]
fn keys_that_would_not_protect_are_refused() {
    for (text, why) in [
        (keys(&[("shop", "short", "acme", "caller")]), "at least 16"),
        (keys(&[("shop", LONG, "acme", "mesh")]), "the mesh has its own"),
        (keys(&[("shop", LONG, "a b", "caller")]), "name and tenant"),
        (keys(&[("shop", LONG, "acme", "caller"), ("other", LONG, "acme", "caller")]), "the same key"),
        (keys(&[("shop", LONG, "a", "caller"), ("shop", "fedcba9876543210", "a", "caller")]), "there twice"),
        (
            "[[gateway.keys]]\nname = \"a\"\nkey = \"env:HOLDFAST_TEST_NO_SUCH\"\ntenant = \"a\"\nrole = \"caller\"\n"
                .into(),
            "not set",
        ),
        (
            "[[gateway.keys]]\nname = \"a\"\nkey = \"sk-plain-text-key\"\ntenant = \"a\"\nrole = \"caller\"\n".into(),
            "by reference",
        ),
    ] {
        let error = refused(&text);
        assert!(error.contains(why) && error.starts_with("t.toml:") && !error.contains(LONG), "{error}");
    }
}

#[test]
fn a_tenant_that_nobody_spoke_of_may_take_no_more_than_its_part() {
    let terms = load("").expect("defaults hold").gateway.terms();
    assert_eq!((terms.rate, terms.calls_max, terms.waits_max), (None, 5_000, 5_000));
    let whole = (5_000, 20_000, 128 << 20, 64 << 20);
    let shares = |terms: Terms| (terms.workers_max, terms.leased_max, terms.request_bytes_max, terms.unread_bytes_max);
    assert_eq!(shares(terms), whole, "who is alone leaves room for nobody");
    let key = |name, tenant| (name, if name == "shop" { LONG } else { "fedcba9876543210" }, tenant, "caller");
    let terms = load(&keys(&[key("shop", "acme"), key("other", "acme")])).expect("it holds").gateway.terms();
    assert_eq!(shares(terms), whole);
    let two = keys(&[key("shop", "acme"), key("other", "umbrella")]);
    let terms = load(&two).expect("it holds").gateway.terms();
    assert_eq!(shares(terms), (2_500, 5_000, 64 << 20, 32 << 20));
    let small = format!("[gateway]\npayload_max = \"2MiB\"\nbytes_max = \"3MiB\"\nunread_bytes_max = \"1MiB\"\n{two}");
    let terms = load(&small).expect("it holds").gateway.terms();
    assert_eq!(
        (terms.request_bytes_max, terms.unread_bytes_max),
        ((2 << 20) + (256 << 10), 1 << 20),
        "one of each fits"
    );
    let terms = load("[gateway]\ntenant_rate = 2.5\n").expect("it holds").gateway.terms();
    assert_eq!((terms.rate, terms.burst), (Some(2.5), 3), "a burst of one second");
}

#[test]
fn limits_that_contradict_each_other_are_refused_by_name() {
    for (text, key) in [
        ("[gateway]\npayload_max = \"65MiB\"\n", "gateway.payload_max"),
        ("[gateway]\nbytes_max = \"1MiB\"\n", "gateway.bytes_max"),
        ("[gateway]\ntenant_bytes_max = \"1MiB\"\n", "gateway.tenant_bytes_max"),
        ("[gateway]\ntenant_bytes_max = \"129MiB\"\n", "gateway.tenant_bytes_max"),
        ("[gateway]\ntenant_unread_bytes_max = \"1KiB\"\n", "gateway.tenant_unread_bytes_max"),
        ("[gateway]\ntenant_unread_bytes_max = \"65MiB\"\n", "gateway.tenant_unread_bytes_max"),
        ("[gateway]\nwaiting_max = 30000\n", "gateway.waiting_max"),
        ("[gateway]\nwaiting_max = 0\n", "gateway.waiting_max"),
        ("[gateway]\nworkers_max = 10000\n", "gateway.workers_max"),
        ("[gateway]\ntenant_rate = -1.0\n", "gateway.tenant_rate"),
        ("[gateway]\ntenant_burst = 5\n", "gateway.tenant_burst"),
        ("[gateway]\ntenant_concurrency = 0\n", "gateway.tenant_concurrency"),
        ("[gateway]\ntenant_waiting_max = 0\n", "gateway.tenant_waiting_max"),
        ("[gateway]\ntenant_workers_max = 0\n", "gateway.tenant_workers_max"),
        ("[gateway]\ntenant_leased_max = 0\n", "gateway.tenant_leased_max"),
        ("[gateway]\ntenant_leased_max = 20001\n", "gateway.tenant_leased_max"),
        ("[gateway]\ntenant_workers_max = 5001\n", "gateway.tenant_workers_max"),
        ("[gateway]\nunread_max = \"65MiB\"\n", "gateway.unread_max"),
        ("[gateway]\nslow_max = \"0s\"\n", "gateway.slow_max"),
        ("[tenants.a]\nburst = 5\n", "tenants.a.burst"),
        ("[gateway]\nanswer_within = \"0s\"\n", "gateway.answer_within"),
        ("[gateway]\nextra_agents = [\"a b\"]\n", "gateway.extra_agents"),
        ("[gateway]\nagents = \"all\"\n", "gateway.agents"),
        ("[gateway]\nadress = \"x\"\n", "gateway.adress"),
    ] {
        let error = refused(text);
        assert!(error.starts_with(&format!("t.toml:2: {key}")), "{error}");
    }
}

#[test]
fn a_host_that_no_client_could_mean_is_refused() {
    for section in ["gateway.mcp", "gateway.openai"] {
        assert!(load(&format!("[{section}]\nhosts = [\"a.example\", \"a.example:443\"]\n")).is_ok());
        let refused = refused(&format!("[{section}]\nhosts = [\"https://a.example\"]\n"));
        assert!(refused.contains(&format!("{section}.hosts")) && refused.contains("NAME:PORT"), "{refused}");
    }
}
