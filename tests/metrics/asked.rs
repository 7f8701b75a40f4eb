//! Dashboards, alerts and the live view ask for what there is, and in a way that has an answer.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;

use super::code::{Metrics, sources};
use super::{root, told};

#[test]
fn dashboards_and_alerts_ask_for_metrics_and_labels_that_there_are() {
    let metrics = Metrics::read(&root());
    let mut asked = 0;
    for told::Question { whose, asks, .. } in told::questions(&root()) {
        let names = told::names(&asks);
        assert!(!names.is_empty() || whose == "HoldfastServiceDown", "{whose} asks for nothing of ours: {asks}");
        for name in names {
            let known = metrics.find(&name);
            let metric = known.unwrap_or_else(|| panic!("{whose} asks for {name}, which nothing counts: {asks}"));
            let labels: BTreeSet<_> =
                told::labels(&asks).filter(|label| !told::GIVEN.contains(&label.as_str())).collect();
            let strange: Vec<_> = labels.iter().filter(|label| !metric.contains(*label)).collect();
            assert!(strange.is_empty(), "{whose}: {name} has no labels {strange:?}, but {metric:?}: {asks}");
            asked += 1;
        }
    }
    assert!(asked > 50, "the questions were found: {asked}");
}

#[test]
fn what_is_asked_for_by_its_value_has_that_value() {
    let metrics = Metrics::read(&root());
    let mut asked = 0;
    for told::Question { whose, asks, .. } in told::questions(&root()) {
        for (name, label, is_pattern, value) in told::values(&asks) {
            if told::GIVEN.contains(&label.as_str()) {
                assert_eq!((label.as_str(), value.as_str()), ("job", "holdfast"), "{whose}: {asks}");
                continue;
            }
            let words = words(&metrics, &name);
            for wanted in if is_pattern { value.split('|').collect() } else { vec![value.as_str()] } {
                let wanted = if is_pattern { wanted.to_owned() } else { regex::escape(wanted) };
                let wanted = Regex::new(&format!("^(?:{wanted})$")).expect("a pattern");
                assert!(words.iter().any(|word| wanted.is_match(word)), "{whose}: {name} never has {label} {wanted}");
            }
            asked += 1;
        }
    }
    assert!(asked > 3, "the values were found: {asked}");
}

/// The words in the sources of the crates that have a metric.
fn words(metrics: &Metrics, name: &str) -> BTreeSet<String> {
    let word = Regex::new(r#""(\w+)""#).expect("a pattern");
    let crates = metrics.described.get(name).map(|metric| metric.of.clone()).unwrap_or_default();
    let folders =
        crates.iter().flat_map(|of| ["services", "shared"].map(|place| root().join(place).join(of).join("src")));
    let texts = folders.filter(|folder| folder.is_dir()).flat_map(|folder| sources(&folder));
    let texts = texts.map(|file| fs::read_to_string(file).expect("a source can be read"));
    texts.flat_map(|text| word.captures_iter(&text).map(|found| found[1].to_owned()).collect::<Vec<_>>()).collect()
}

#[test]
fn what_is_written_beside_an_answer_stands_in_it() {
    let metrics = Metrics::read(&root());
    for told::Question { whose, asks, beside } in told::questions(&root()) {
        let has = told::grouped(&asks).unwrap_or_else(|| {
            let of_metrics = told::names(&asks).into_iter().filter_map(|name| metrics.find(&name)).flatten().cloned();
            of_metrics.chain(told::GIVEN.map(str::to_owned)).collect()
        });
        let strange: Vec<_> = told::shown(&beside).into_iter().filter(|label| !has.contains(label)).collect();
        assert!(strange.is_empty(), "{whose} shows {strange:?}, and its answers have {has:?}: {asks}");
    }
}

#[test]
fn only_what_rises_is_asked_how_fast_it_does() {
    let metrics = Metrics::read(&root());
    for told::Question { whose, asks, .. } in told::questions(&root()) {
        for name in told::rising(&asks) {
            let falls = metrics.described.get(&name).is_some_and(|metric| metric.kind != "counter");
            assert!(!falls, "{whose}: {name} falls too, or is a histogram without one of its parts: {asks}");
        }
        let quantiles = asks.matches("histogram_quantile(").count();
        let buckets = told::rising(&asks).iter().filter(|name| name.ends_with("_bucket")).count();
        assert_eq!(quantiles, buckets, "{whose}: quantiles are of buckets: {asks}");
        assert_eq!(quantiles > 0, told::grouped(&asks).is_some_and(|by| by.contains("le")), "{whose}: {asks}");
    }
}

#[test]
fn the_first_of_what_alerts_count_alerts_too() {
    let increase = Regex::new(r"increase\(([^\[]+)\[(\w+)\]\)").expect("a pattern");
    let mut asked = 0;
    for told::Question { whose, asks, .. } in told::alerts(&root()) {
        let all = asks.matches("increase(").count();
        for found in increase.captures_iter(&asks) {
            let (whole, [of, within]) = found.extract();
            // The new series first: of one that has both, `or` takes what stands before it.
            let counted = format!("(({of} unless {of} offset {within}) or {whole})");
            assert!(asks.contains(&counted), "{whose}: nobody hears of a series that begins with a count: {asks}");
            asked += 1;
        }
        assert_eq!(increase.find_iter(&asks).count(), all, "{whose}: increases are understood: {asks}");
    }
    assert!(asked > 3, "they were found: {asked}");
}

#[test]
fn the_live_view_reads_metrics_that_there_are() {
    let (metrics, name) = (Metrics::read(&root()), Regex::new(r#""((?:holdfast|process)_\w+)""#).expect("a pattern"));
    let mut read = 0;
    for file in sources(&root().join("services/holdfast/src/top")) {
        let text = fs::read_to_string(&file).expect("a source can be read");
        let text = text.split("#[cfg(test)]").next().expect("a beginning");
        for found in name.captures_iter(text).filter(|_| !file.ends_with("tests.rs")) {
            let known = metrics.find(&found[1]).is_some() || metrics.described.contains_key(&found[1]);
            assert!(known, "{} reads {}, which nothing counts", file.display(), &found[1]);
            read += 1;
        }
    }
    assert!(read > 20, "they were found: {read}");
}
