use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use ::metrics::{counter, with_local_recorder};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{
        ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    metrics::v1::NumberDataPoint,
};
use tokio::net::TcpListener;
use tonic::{
    Response,
    transport::{Endpoint, Server, server::TcpIncoming},
};

use super::*;
use crate::{
    collector::{
        Collector, Signal,
        secured::{KEY, Secured},
    },
    metrics::recorder,
};

fn at(address: std::net::SocketAddr, timeout: Duration) -> Collector {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("it is a URL");
    Collector { endpoint: endpoint.connect_timeout(timeout), headers: MetadataMap::new(), timeout }
}

fn push(collector: Collector) -> Push {
    Push::new(shown(), &Resource::builder_empty().build(), collector)
}

fn shown() -> Shown {
    let (recorder, shown) = recorder().expect("the bounds are some");
    with_local_recorder(&recorder, || counter!("a_total").increment(1));
    shown
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_never_answers_does_not_keep_a_process_from_ending() {
    // It takes connections, and that is all it does.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let collector = at(silent.local_addr().expect("it is bound"), Duration::from_secs(10));
    let settings = Settings { collector, every: Duration::from_secs(60) };
    let pusher = Pusher::start(shown(), &Resource::builder_empty().build(), settings.clone());
    // The first push is under way by then, and hangs.
    tokio::time::sleep(settings.every + Duration::from_secs(1)).await;

    let asked = Instant::now();
    pusher.stop().await;
    assert!(asked.elapsed() <= LAST_WITHIN + Duration::from_millis(10), "{:?}", asked.elapsed());
}

/// A collector that takes no more in one message than they all do, and refuses the first few.
#[derive(Debug, Clone, Default)]
struct Desk {
    refuses: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl MetricsService for Desk {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        if self.refuses.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(Status::invalid_argument("not this"));
        }
        let resources = request.into_inner().resource_metrics;
        let metrics = resources.iter().flat_map(|of| &of.scope_metrics).flat_map(|of| &of.metrics);
        self.taken.fetch_add(metrics.map(series_of).sum(), Relaxed);
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn series_of(metric: &Metric) -> usize {
    match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        _ => 0,
    }
}

#[tokio::test]
async fn a_metric_larger_than_a_message_is_pushed_in_parts_and_a_refused_part_keeps_back_no_other() {
    const SERIES: usize = 12_000;
    let (recorder, shown) = recorder().expect("the bounds are some");
    with_local_recorder(&recorder, || {
        for number in 0..SERIES {
            counter!("a_total", "of" => format!("{number:0500}")).increment(1);
        }
        counter!("b_total").increment(1);
    });
    let desk = Desk::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let collector = at(listener.local_addr().expect("it is bound"), Duration::from_secs(120));
    let server = Server::builder().add_service(MetricsServiceServer::new(desk.clone()));
    let server = tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let mut push = Push { shown, ..push(collector) };
    assert!(push.once().await, "each part is small enough");
    let all = desk.taken.swap(0, Relaxed);
    assert!(all > SERIES, "{all}");

    desk.refuses.store(1, Relaxed);
    assert!(!push.once().await, "a part was refused");
    let taken = desk.taken.load(Relaxed);
    assert!(taken > 0 && taken < all, "the others came: {taken} of {all}");
    server.abort();
}

#[test]
fn messages_are_bounded_and_hold_every_series_once() {
    let point = |bytes: usize| NumberDataPoint {
        attributes: vec![otlp::text("of", "x".repeat(bytes))],
        ..NumberDataPoint::default()
    };
    let metric = |(name, points, bytes): (&str, usize, usize)| {
        let data_points = vec![point(bytes); points];
        Metric { name: name.into(), data: Some(Data::Gauge(Gauge { data_points })), ..Metric::default() }
    };
    let metrics =
        [("a", 2, 1 << 20), ("b", 20, 1 << 20), ("c", 9_000, 1_000), ("d", 0, 0), ("e", 1, 9 << 20), ("f", 1, 9)];
    let messages = messages(metrics.map(metric).to_vec());
    for (name, points, _) in metrics {
        let parts = messages.iter().flatten().filter(|part| part.name == name);
        assert_eq!(parts.map(series_of).sum::<usize>(), points, "{name}");
    }
    for message in &messages {
        let bytes: usize = message.iter().map(Message::encoded_len).sum();
        assert!(bytes < 4 << 20 || message.len() == 1 && message[0].name == "e", "{bytes}");
    }
    assert_eq!(messages.len(), 1 + 10 + 4 + 1, "and no more messages than that takes");
}

#[tokio::test]
async fn metrics_go_over_tls_to_whom_a_trusted_authority_vouches_for_and_to_nobody_else() {
    let mut collector = Secured::open().await;
    // Where a machine trusts nobody at all, that is told at once.
    if let Ok(Some(stranger)) = collector.way(Signal::Metrics, false) {
        assert!(!push(stranger).once().await, "nobody vouches for it");
    }
    let known = collector.way(Signal::Metrics, true).unwrap().expect("it is named");
    assert!(push(known).once().await);
    let shown = Some(KEY.1.to_owned());
    assert_eq!(collector.got.try_recv(), Ok((Signal::Metrics, shown)), "who knows its authority shows it the key");
    assert!(collector.got.try_recv().is_err(), "and nobody else says anything");
}

#[tokio::test]
async fn a_collector_that_repeats_the_key_it_was_shown_does_not_get_it_into_the_log() {
    let mut push = push(at(([127, 0, 0, 1], 1).into(), Duration::from_secs(1)));
    let answer = Status::unauthenticated("no such key: canary");
    assert_eq!(push.why(&answer), answer.message(), "it was shown none");
    push.headers.insert("x-key", "canary".parse().unwrap());
    assert!(!push.why(&answer).contains("canary"));
    let broken = Status::from_error(Box::new(std::io::Error::other("the network is away")));
    assert_eq!(push.why(&broken), "the network is away", "that is no word of the collector's");
}
