use ::metrics::{counter, with_local_recorder};
use opentelemetry_proto::tonic::metrics::v1::{Gauge, NumberDataPoint};
use tokio::net::TcpListener;
use tonic::transport::Endpoint;

use super::*;
use crate::metrics::recorder;

fn settings(address: std::net::SocketAddr) -> Settings {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("it is a URL");
    let (every, timeout) = (Duration::from_secs(60), Duration::from_secs(10));
    Settings { endpoint: endpoint.connect_timeout(timeout), headers: MetadataMap::new(), every, timeout }
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
    let settings = settings(silent.local_addr().expect("it is bound"));
    let pusher = Pusher::start(shown(), &Resource::builder_empty().build(), settings.clone());
    // The first push is under way by then, and hangs.
    tokio::time::sleep(settings.every + Duration::from_secs(1)).await;

    let asked = Instant::now();
    pusher.stop().await;
    assert!(asked.elapsed() <= LAST_WITHIN + Duration::from_millis(10), "{:?}", asked.elapsed());
}

#[test]
fn messages_are_bounded_and_hold_every_metric_once() {
    let metric = |series: usize| {
        let data_points = vec![NumberDataPoint::default(); series];
        Metric { name: series.to_string(), data: Some(Data::Gauge(Gauge { data_points })), ..Metric::default() }
    };
    let series = [1_500, 400, 200, 1_900, 5_000, 1, 0, 1_999];
    let messages = messages(series.map(metric).to_vec());
    let of = |message: &Vec<Metric>| message.iter().map(series_of).collect::<Vec<_>>();
    assert_eq!(messages.iter().map(of).collect::<Vec<_>>().concat(), series);
    for message in &messages {
        assert!(message.len() == 1 || of(message).iter().sum::<usize>() <= SERIES_MAX, "{:?}", of(message));
    }
    assert_eq!(messages.len(), 5, "and no more messages than that takes");
}
