use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::from_document(&Document::parse("test", text, std::iter::empty())?)
}

#[test]
fn the_defaults_hold() {
    let config = parse("").unwrap();
    assert_eq!(config.lease_ttl.0, Duration::from_secs(10));
    assert_eq!(config.stream_grace.0, Duration::from_secs(2));
}

#[test]
fn a_setting_that_does_not_hold_is_named() {
    for (text, key) in [
        ("[queue]\nlease_ttl = \"1ms\"", "queue.lease_ttl"),
        ("[queue]\nstream_grace = \"1m\"", "queue.stream_grace"),
        ("[queue]\nattempts = 0", "queue.attempts"),
        ("[queue]\nbackoff_multiplier = 0.5", "queue.backoff_multiplier"),
        ("[queue]\ndepth_soft = 1.5", "queue.depth_soft"),
        ("[queue]\nagent_depth_max = 0", "queue.agent_depth_max"),
        ("[queue]\npayload_max = \"1000MiB\"", "queue.payload_max"),
        ("[queue]\nretention = \"1h\"", "queue.report_ttl"),
        ("[queue]\nretention = \"2d\"\nidempotency_ttl = \"3d\"", "queue.idempotency_ttl"),
        ("[queue]\nunread_bytes_max = \"1KiB\"", "queue.unread_bytes_max"),
        ("[queue]\nstore_patience = \"0s\"", "queue.store_patience"),
        ("[queue]\nwatches_max = 0", "queue.watches_max"),
        ("[queue]\nchunk_max = \"0B\"", "queue.chunk_max"),
        ("[queue]\nlease_wait_max = \"0s\"", "queue.lease_wait_max"),
        ("[queue]\nagent_depth_bytes_max = \"0B\"", "queue.agent_depth_bytes_max"),
        ("[queue]\ntenant_depth_bytes_max = \"1KiB\"", "queue.tenant_depth_bytes_max"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.key.as_deref(), Some(key), "{error}");
    }
}

#[test]
fn one_tenant_alone_does_not_fill_the_queue_unless_that_is_agreed() {
    let limits = parse("[queue]\ndepth_max = 100\n[tenants.big]\ndepth_max = 100\nweight = 3").unwrap().limits();
    assert_eq!((limits.total.items, limits.agent.items, limits.tenant.items), (100, 100, 80));
    assert_eq!(limits.tenants["big"].items, 100);
}

#[test]
fn no_part_is_promised_more_than_all_may_have() {
    for (text, key) in [
        ("[queue]\ndepth_max = 100\nagent_depth_max = 101", "queue.agent_depth_max"),
        ("[queue]\ndepth_max = 100\ntenant_depth_max = 101", "queue.tenant_depth_max"),
        ("[queue]\nagent_depth_bytes_max = \"2GiB\"", "queue.agent_depth_bytes_max"),
        ("[queue]\ntenant_depth_bytes_max = \"2GiB\"", "queue.tenant_depth_bytes_max"),
        ("[queue]\ndepth_max = 100\n[tenants.big]\ndepth_max = 101", "tenants.big.depth_max"),
        ("[tenants.big]\ndepth_bytes_max = \"2GiB\"", "tenants.big.depth_bytes_max"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.key.as_deref(), Some(key), "{error}");
    }
    parse("[queue]\ndepth_max = 100\nagent_depth_max = 100\ntenant_depth_max = 100").unwrap();
}
