use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::from_document(&Document::parse("t.toml", text, [])?)
}

#[test]
fn the_defaults_hold() {
    Config::default().validate().unwrap();
    parse("").unwrap();
}

#[test]
fn a_namespace_says_how_safe_its_writes_are() {
    let config = parse("[state.namespaces.\"scratch pad\"]\ndurability = \"cached\"\n").unwrap();
    assert_eq!(config.namespace("scratch pad").unwrap().durability, Some(Durability::Cached));
    assert!(config.namespace("other").is_none());
}

#[test]
fn settings_that_contradict_each_other_name_their_key() {
    for (text, key) in [
        ("[state]\nvalue_max = \"0B\"\n", "state.value_max"),
        ("[state]\nvalue_max = \"16MiB\"\n", "state.message_max"),
        ("[state]\nlanes = 0\n", "state.lanes"),
        ("[state]\ncommit_delay = \"2m\"\n", "state.commit_delay"),
        ("[state]\ndecider_lease = \"1m\"\n", "state.decider_lease"),
        ("[state.waiting]\nbytes_max = \"1MiB\"\n", "state.waiting.bytes_max"),
        ("[state.keep]\ntombstones = \"1h\"\n", "state.keep.tombstones"),
        ("[state.namespaces.x]\ndurability = \"sometimes\"\n", "state.namespaces.x.durability"),
        ("[state.namespaces.x]\nttl = \"10ms\"\n", "state.namespaces.x.ttl"),
        ("[state.namespaces.\"a.b\"]\nttl = \"9000d\"\n", "state.namespaces.a.b.ttl"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.key.as_deref(), Some(key), "{error}");
    }
}
