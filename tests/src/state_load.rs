//! What writes cost readers, and what many records cost memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_proto::state::v1::{
    Address, BatchPutRequest, GetRequest, Precondition, PutRequest, Value, batch_put_request, precondition,
};
use holdfast_testkit::Mesh;
use prost::bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tonic::transport::Channel;

use crate::load::{Findings, Size, resident_mib};

/// Records that readers read; all of them fit into the cache.
const READ: u64 = 10_000;
const READERS: u32 = 8;
/// Reads of each reader in a second: far from all that the service can do.
const PACE: u32 = 100;
const WRITERS: u64 = 64;
/// What a record holds.
const BYTES: usize = 100;
const BATCH: u64 = 100;
/// What a process holds beside its cache: code, buffers, the log of what waits for the store, the store's own pages.
const BESIDE_MIB: f64 = 192.0;
const CACHE_MIB: f64 = 64.0;

/// What is wanted.
#[derive(Debug, Clone, Copy)]
struct Plan {
    span: Duration,
    records: u64,
}

/// Runs it.
///
/// # Panics
/// Where a call fails.
pub async fn run(size: Size) -> Findings {
    let plan = match size {
        Size::Quick => Plan { span: Duration::from_secs(2), records: 100_000 },
        Size::Full => Plan { span: Duration::from_secs(10), records: 5_000_000 },
    };
    let mut findings = Findings::default();
    let config = format!("[state]\ncache = \"{CACHE_MIB}MiB\"\n");
    let mut mesh = Mesh::builder().only(&[Peer::State]).config(config).start().await;
    fill(&mesh, "read", READ).await;
    let idle = reads(&mesh, plan.span).await;
    let writers = Writers::start(&mesh);
    let beside = reads(&mesh, plan.span).await;
    let written = writers.stop().await;
    findings.tell("read_p50_idle_us", idle.p50.as_secs_f64() * 1e6);
    findings.tell("read_p99_idle_us", idle.p99.as_secs_f64() * 1e6);
    findings.tell("read_p50_beside_us", beside.p50.as_secs_f64() * 1e6);
    findings.tell("read_p99_beside_us", beside.p99.as_secs_f64() * 1e6);
    findings.tell("writes_per_s_beside", written as f64 / plan.span.as_secs_f64());
    findings.at_most("read_p99_ratio", beside.p99.div_duration_f64(idle.p99), 3.0);

    let begun = Instant::now();
    fill(&mesh, "many", plan.records).await;
    findings.tell("records", plan.records as f64);
    findings.tell("records_filled_per_s", plan.records as f64 / begun.elapsed().as_secs_f64());
    let held = resident_mib(mesh.process(Peer::State).id()).expect("it runs");
    findings.at_most("resident_mib", held, CACHE_MIB + BESIDE_MIB);
    findings
}

fn service(mesh: &Mesh) -> StateServiceClient<Channel> {
    StateServiceClient::new(mesh.channel(Peer::State))
}

fn value() -> Option<Value> {
    Some(Value { data: Bytes::from_static(&[b'7'; BYTES]), content_type: String::new() })
}

/// So many records, a hundred to a partition, by as many callers as have one.
async fn fill(mesh: &Mesh, namespace: &'static str, records: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..32 {
        let (mut service, next) = (service(mesh), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let batch = next.fetch_add(1, Ordering::Relaxed);
                if batch * BATCH >= records {
                    return;
                }
                let write =
                    |key: u64| batch_put_request::Write { key: key.to_string(), value: value(), ..Default::default() };
                let request = BatchPutRequest {
                    namespace: namespace.into(),
                    partition: batch.to_string(),
                    writes: (0..BATCH).map(write).collect(),
                    ..Default::default()
                };
                service.batch_put(request).await.expect("these records are new");
                if batch > 0 && (batch * BATCH).is_multiple_of(1_000_000) {
                    println!("  {} records", batch * BATCH);
                }
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.expect("no caller panics");
    }
}

struct Spans {
    p50: Duration,
    p99: Duration,
}

/// Paced reads; each span counts from when the read was due, so that a stall counts for all that it held up.
async fn reads(mesh: &Mesh, span: Duration) -> Spans {
    let until = Instant::now() + span;
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let mut service = service(mesh);
        readers.spawn(async move {
            let mut ticks = interval(Duration::from_secs(1) / PACE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let (mut spans, mut next) = (Vec::new(), u64::from(reader) * 997);
            loop {
                let due = ticks.tick().await;
                if due >= until {
                    return spans;
                }
                next = (next + 7_919) % READ;
                let address = address("read", next);
                let request = GetRequest { address: Some(address), ..Default::default() };
                service.get(request).await.expect("it was written");
                spans.push(due.elapsed());
            }
        });
    }
    let mut spans: Vec<Duration> = readers.join_all().await.into_iter().flatten().collect();
    spans.sort_unstable();
    Spans { p50: spans[spans.len() / 2], p99: spans[spans.len() * 99 / 100] }
}

fn address(namespace: &str, record: u64) -> Address {
    Address { namespace: namespace.into(), partition: (record / BATCH).to_string(), key: (record % BATCH).to_string() }
}

/// Writers that write again as soon as they are answered.
struct Writers {
    writers: JoinSet<u64>,
    enough: Arc<AtomicBool>,
}

impl Writers {
    fn start(mesh: &Mesh) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (mut service, enough) = (service(mesh), Arc::clone(&enough));
            writers.spawn(async move {
                let mut written = 0;
                while !enough.load(Ordering::Relaxed) {
                    let overwrite = precondition::Precondition::Overwrite(precondition::Overwrite {});
                    let request = PutRequest {
                        address: Some(address("written", writer * 100 + written % 100)),
                        value: value(),
                        precondition: Some(Precondition { precondition: Some(overwrite) }),
                        ..Default::default()
                    };
                    service.put(request).await.expect("it overwrites");
                    written += 1;
                }
                written
            });
        }
        Self { writers, enough }
    }

    async fn stop(self) -> u64 {
        // The last answers are under way.
        self.enough.store(true, Ordering::Relaxed);
        self.writers.join_all().await.into_iter().sum()
    }
}
