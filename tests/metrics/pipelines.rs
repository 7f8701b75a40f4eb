//! The collector and Prometheus are set up so that everything named is there, and everything there is used.

use std::collections::BTreeSet;

use regex::Regex;
use tonic::Code;

use super::{root, told};

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(|word| word.trim().trim_matches('"')).filter(|word| !word.is_empty())
}

#[test]
fn the_collectors_pipelines_are_made_of_what_is_set_up_and_of_all_of_it() {
    let settings = told::read(&root(), "collector/collector.yaml");
    let (parts, service) = settings.split_once("\nservice:\n").expect("it has pipelines");
    let component = Regex::new(r"(?m)^  (\w+):").expect("a pattern");
    let next = Regex::new(r"\n\w+:\n").expect("a pattern");
    for section in ["receivers", "processors", "exporters"] {
        let (_, set_up) = parts.split_once(&format!("\n{section}:\n")).expect("a section");
        let set_up = next.split(set_up).next().expect("a beginning");
        let set_up: BTreeSet<&str> = component.captures_iter(set_up).map(|found| found.extract::<1>().1[0]).collect();
        let named = Regex::new(&format!(r"(?m)^      {section}: \[(.+)\]$")).expect("a pattern");
        let lists: Vec<&str> = named.captures_iter(service).map(|found| found.extract::<1>().1[0]).collect();
        assert_eq!(lists.len(), 2, "metrics and traces have {section}: {lists:?}");
        let named: BTreeSet<&str> = lists.iter().flat_map(|list| words(list)).collect();
        assert_eq!(named, set_up, "{section}");
        if section == "processors" {
            let ends =
                |list: &&str| words(list).next() == Some("memory_limiter") && words(list).last() == Some("batch");
            assert!(lists.iter().all(ends), "memory is guarded first, and batches are made last: {lists:?}");
        }
    }
    assert!(service.contains("\n    metrics:\n") && service.contains("\n    traces:\n"), "{service}");
}

#[test]
fn the_collector_keeps_conflicts_and_losses_by_the_codes_that_they_have() {
    let settings = told::read(&root(), "collector/collector.yaml");
    let policy = Regex::new(
        r"- name: (\w+)\n +type: numeric_attribute\n +numeric_attribute: \{ key: rpc\.grpc\.status_code, min_value: (\d+), max_value: (\d+) \}",
    )
    .expect("a pattern");
    let codes: Vec<_> =
        policy.captures_iter(&settings).map(|found| found.extract::<3>().1.map(str::to_owned)).collect();
    let wanted = [("conflicts", Code::Aborted), ("losses", Code::DataLoss)];
    let wanted = wanted.map(|(name, code)| [name.to_owned(), (code as i32).to_string(), (code as i32).to_string()]);
    assert_eq!(codes, wanted);
}

#[test]
fn the_collector_judges_no_trace_before_the_queue_is_called_slow() {
    let settings = told::read(&root(), "collector/collector.yaml");
    let alerts = told::read(&root(), "prometheus/alerts.yaml");
    let number = |text: &str, of: &str| -> u64 {
        let found = Regex::new(of).expect("a pattern").captures(text);
        found.unwrap_or_else(|| panic!("there is {of}"))[1].parse().expect("a number")
    };
    // The wait begins with the first span, which is told at once, and not with the last.
    let wait = number(&settings, r"\n    decision_wait: (\d+)s\n");
    let old = number(&alerts, r"\(holdfast_queue_oldest_age_seconds\) > (\d+)\n");
    assert!(wait >= old, "work that waits for {old} s is judged after {wait} s, before it runs");
    let traces = number(&settings, r"\n    num_traces: (\d+)\n");
    for kept in [r"\{ sampled_cache_size: ", "non_sampled_cache_size: "] {
        let kept = number(&settings, &format!(r"{kept}(\d+)"));
        assert!(kept > traces, "judgements of {kept} traces are known for no longer than {traces} traces");
    }
    let (room, spike) = (number(&settings, r" limit_mib: (\d+)"), number(&settings, r"spike_limit_mib: (\d+)"));
    assert!((room - spike) * 1024 / traces >= 40, "{traces} traces have no room in {room} MiB");
}

#[test]
fn prometheus_asks_every_service_where_it_listens_under_the_name_that_questions_have() {
    let (prometheus, compose) =
        (told::read(&root(), "prometheus/prometheus.yaml"), told::read(&root(), "compose.yaml"));
    let addresses = Regex::new(r#"HOLDFAST_MESH__\w+: "https://([\w:-]+)""#).expect("a pattern");
    let addresses: BTreeSet<&str> = addresses.captures_iter(&compose).map(|found| found.extract::<1>().1[0]).collect();
    let targets = Regex::new(r"targets: \[(.+)\]").expect("a pattern");
    let targets: BTreeSet<&str> =
        targets.captures_iter(&prometheus).flat_map(|found| words(found.extract::<1>().1[0])).collect();
    assert_eq!(targets, addresses);
    assert!(prometheus.contains("job_name: holdfast\n") && prometheus.contains("rule_files: [alerts.yaml]"));
    assert!(prometheus.contains("target_label: service\n"), "panels and alerts are by service");
}
