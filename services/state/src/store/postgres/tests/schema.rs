//! The schema restates what must hold.

use super::*;

#[tokio::test]
async fn the_schema_restates_the_invariants() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    let record =
        "INSERT INTO records (id, head, revision, deleted_at, expires, shard, tenant, namespace, partition, key)";
    let write = "INSERT INTO history (shard, seq, record, previous, revision, time, write_id, blind, vector, invocation, \
                 content_type, value, expires)";
    let one = "gen_random_uuid(), false, '\\x00', ''";
    let good = format!("{record} VALUES (1, 1, 1, NULL, NULL, 0, 't', 'n', 'p', 'k')");
    sqlx::raw_sql(AssertSqlSafe(good)).execute(&mut process.connection).await.unwrap();
    for wrong in [
        "INSERT INTO epochs (epoch, state, begun) VALUES (1, 'current', 0)".to_owned(),
        "UPDATE epochs SET state = 'lost'".into(),
        "UPDATE epochs SET lost_writes = 1".into(),
        "UPDATE deciders SET lease_ms = -1".into(),
        "INSERT INTO deciders (only_row, epoch, who, server, timeline) SELECT 2, epoch, 'postgres', 1, 1 FROM epochs"
            .into(),
        "UPDATE deciders SET who = 'redis'".into(),
        "UPDATE deciders SET place = 'nowhere'".into(),
        "UPDATE deciders SET epoch = epoch + 1".into(),
        "INSERT INTO shards (shard, epoch, who) SELECT 64, epoch, 'postgres' FROM epochs".into(),
        "UPDATE shards SET dirty = true".into(),
        "UPDATE shards SET bound_writes = 1".into(),
        "UPDATE shards SET position = -1".into(),
        "UPDATE shards SET swept = 1".into(),
        format!("{record} VALUES (2, 1, 1, NULL, NULL, 0, 't', 'n', 'p', 'k')"),
        format!("{record} VALUES (2, 0, 1, NULL, NULL, 0, 't', 'n', 'p', 'l')"),
        format!("{record} VALUES (2, 1, 0, NULL, NULL, 0, 't', 'n', 'p', 'l')"),
        format!("{record} VALUES (2, 1, 1, 5, 5, 0, 't', 'n', 'p', 'l')"),
        format!("{record} VALUES (2, 1, 1, NULL, NULL, 64, 't', 'n', 'p', 'l')"),
        format!("{write} VALUES (0, 1, 1, 1, 1, 0, {one}, NULL, NULL, NULL)"),
        format!("{write} VALUES (0, 1, 0, 0, 1, 0, {one}, NULL, NULL, NULL)"),
        format!("{write} VALUES (0, 1, 1, 0, 1, 0, {one}, 'text/plain', NULL, NULL)"),
        format!("{write} VALUES (0, 1, 1, 0, 1, 0, {one}, NULL, NULL, 5)"),
        "INSERT INTO fences (tenant, scope, fence) VALUES ('t', 's', -1)".into(),
        "INSERT INTO fences (tenant, scope, fence, copies) VALUES ('t', 's', 1, 1)".into(),
        "INSERT INTO duties (duty) VALUES ('nothing')".into(),
    ] {
        let refused =
            sqlx::raw_sql(AssertSqlSafe(wrong.clone())).execute(&mut process.connection).await.expect_err(&wrong);
        let code = refused.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        assert!(code.starts_with("23"), "{wrong}: {refused}");
    }
}

#[tokio::test]
async fn texts_that_the_server_cannot_take_are_stored_all_the_same() {
    use crate::store::conformance::{change, read, take};

    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    let mut odd = change("k", 1, 1, 0, Some("v"));
    let edition = std::sync::Arc::make_mut(&mut odd.edition);
    edition.value.as_mut().unwrap().content_type = "text\0plain".into();
    edition.writer.invocation_id = "\0".into();
    take(&mut process, [odd]).await;
    let found = read(&process, "k").await.unwrap();
    assert_eq!(&*found.value.unwrap().content_type, "text\u{fffd}plain");
}
