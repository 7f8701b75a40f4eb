use std::{collections::BTreeSet, time::Duration};

use ::metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram, with_local_recorder,
};

use super::*;
use crate::metrics::recorder;

fn record() {
    describe_counter!("a_total", Unit::Count, "Things that\nhappened.");
    describe_gauge!("b_bytes", Unit::Bytes, "How much.");
    describe_histogram!("c_seconds", Unit::Seconds, "How long.");
    counter!("a_total", "agent" => "one \"two\", {three}").increment(3);
    counter!("a_total", "agent" => "other", "what" => "x=y").increment(u64::from(u32::MAX));
    gauge!("b_bytes").set(0.1 + 0.2);
    for (backend, seconds) in [("redis", 0.0001), ("redis", 0.3), ("redis", 7_000.0), ("sqlite", 0.02)] {
        histogram!("c_seconds", "backend" => backend).record(seconds);
    }
    histogram!("d_tokens").record(17.0);
    counter!("e_total").increment(0);
}

fn series(name: &str, attributes: &[KeyValue], further: Option<String>) -> String {
    let label = |attribute: &KeyValue| {
        let Some(any_value::Value::StringValue(value)) = attribute.value.clone().and_then(|value| value.value) else {
            panic!("labels are text")
        };
        format!("{}={value:?}", attribute.key)
    };
    let labels: Vec<_> = attributes.iter().map(label).chain(further).collect();
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) }
}

/// What a collector would show as Prometheus' text.
fn told(metrics: &[Metric]) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    for Metric { name, data, .. } in metrics {
        let points = match data.as_ref().expect("a metric has data") {
            Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic }) => {
                assert_eq!((*aggregation_temporality, *is_monotonic), (Cumulative.into(), true));
                data_points.clone()
            }
            Data::Gauge(Gauge { data_points }) => data_points.clone(),
            Data::Histogram(Histogram { data_points, aggregation_temporality }) => {
                assert_eq!(*aggregation_temporality, i32::from(Cumulative));
                data_points.iter().for_each(|point| told.extend(of_histogram(name, point)));
                continue;
            }
            other => panic!("not of ours: {other:?}"),
        };
        told.extend(points.iter().map(|point| {
            let Some(Value::AsDouble(value)) = point.value else { panic!("a point has a number") };
            format!("{} {value}", series(name, &point.attributes, None))
        }));
    }
    told
}

fn of_histogram(name: &str, point: &HistogramDataPoint) -> Vec<String> {
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1, "the last one has no bound");
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
    let bounds = point.explicit_bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    let below = point.bucket_counts.iter().scan(0, |below, count| {
        *below += count;
        Some(*below)
    });
    let bucket = |(bound, below): (String, u64)| {
        format!("{} {below}", series(&format!("{name}_bucket"), &point.attributes, Some(format!("le={bound:?}"))))
    };
    let of = |part: &str| series(&format!("{name}_{part}"), &point.attributes, None);
    let sum = format!("{} {}", of("sum"), point.sum.expect("a histogram has a sum"));
    bounds.zip(below).map(bucket).chain([sum, format!("{} {}", of("count"), point.count)]).collect()
}

#[test]
fn a_collector_gets_every_value_of_the_page_and_no_other() {
    let (recorder, shown) = recorder().expect("the bounds are some");
    let page = with_local_recorder(&recorder, || {
        shown.process.describe();
        record();
        shown.page()
    });
    let samples = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let written: BTreeSet<_> = samples.map(str::to_owned).collect();
    assert!(written.iter().any(|line| line.starts_with("process_resident_memory_bytes ")), "{page}");

    let times = Times::new(shown.since, shown.since + Duration::from_secs(1));
    let metrics = metrics(&page, &shown.units, times);
    assert_eq!(told(&metrics), written);
}

#[test]
fn each_metric_has_its_unit_its_help_and_its_beginning() {
    let (recorder, shown) = recorder().expect("the bounds are some");
    with_local_recorder(&recorder, record);
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
    let times = Times::new(since, since + Duration::from_secs(1));
    let metrics = metrics(&shown.recorded.render(), &shown.units, times);
    let find = |name: &str| metrics.iter().find(|metric| metric.name == name).expect("it is there");

    assert_eq!((&*find("a_total").description, &*find("a_total").unit), ("Things that\nhappened.", "{count}"));
    assert_eq!((&*find("b_bytes").unit, &*find("c_seconds").unit, &*find("d_tokens").unit), ("By", "s", ""));
    let Some(Data::Sum(sum)) = &find("a_total").data else { panic!("it is a counter") };
    let times = |point: &NumberDataPoint| (point.start_time_unix_nano, point.time_unix_nano);
    assert!(sum.data_points.iter().all(|point| times(point) == (5_000_000_000, 6_000_000_000)), "{sum:?}");
}
