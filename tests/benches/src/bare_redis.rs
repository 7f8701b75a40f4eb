//! Redis alone, as a compare-and-set at it is written by hand: one script that compares a version and writes value and next
//! version. Each caller has a connection, as it has one to the state service. Nothing of it is stored anywhere else, nobody is
//! told who wrote in between, and no lease is looked at.

use redis::aio::MultiplexedConnection;

use crate::{
    echo::payload,
    load::{Call, Load, drive},
};

const COMPARE_AND_SET: &str = "
local held = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if held ~= tonumber(ARGV[1]) then return -held end
redis.call('HSET', KEYS[1], 'version', held + 1, 'value', ARGV[2])
return held + 1";

/// Compare-and-sets over a share of the keys for each caller.
pub(crate) async fn compare_and_set(url: &str, callers: usize, keys: usize) -> Load {
    let run = uuid::Uuid::now_v7();
    let mut all = Vec::new();
    for caller in 0..callers {
        let records = (caller..keys).step_by(callers).map(|key| (format!("{run}-{key}"), 0)).collect();
        all.push(Caller {
            connection: connect(url).await,
            script: redis::Script::new(COMPARE_AND_SET),
            records,
            next: 0,
        });
    }
    drive(all).await
}

/// Reads of records that are there.
pub(crate) async fn read(url: &str, callers: usize, keys: usize) -> Load {
    let run = uuid::Uuid::now_v7();
    let mut connection = connect(url).await;
    for key in 0..keys {
        let mut write = redis::cmd("HSET");
        write.arg(format!("{run}-{key}")).arg("version").arg(1).arg("value").arg(&*payload());
        write.query_async::<()>(&mut connection).await.expect("Redis writes");
    }
    let mut all = Vec::new();
    for caller in 0..callers {
        let records = (caller..keys).step_by(callers).map(|key| format!("{run}-{key}")).collect();
        all.push(Reader { connection: connect(url).await, records, next: 0 });
    }
    drive(all).await
}

async fn connect(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("a URL");
    client.get_multiplexed_async_connection().await.expect("Redis is there")
}

struct Caller {
    connection: MultiplexedConnection,
    script: redis::Script,
    records: Vec<(String, i64)>,
    next: usize,
}

impl Call for Caller {
    async fn call(&mut self) {
        let (key, version) = &mut self.records[self.next];
        let mut call = self.script.key(&*key);
        call.arg(*version).arg(&*payload());
        *version = call.invoke_async(&mut self.connection).await.expect("Redis answers");
        assert!(*version > 0, "nobody else writes it");
        self.next = (self.next + 1) % self.records.len();
    }
}

struct Reader {
    connection: MultiplexedConnection,
    records: Vec<String>,
    next: usize,
}

impl Call for Reader {
    async fn call(&mut self) {
        let mut read = redis::cmd("HMGET");
        read.arg(&self.records[self.next]).arg("version").arg("value");
        let (version, value): (i64, Vec<u8>) = read.query_async(&mut self.connection).await.expect("Redis answers");
        assert!(version == 1 && !value.is_empty(), "it is there");
        self.next = (self.next + 1) % self.records.len();
    }
}
