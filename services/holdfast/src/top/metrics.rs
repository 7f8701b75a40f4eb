//! A service's metrics page: Prometheus' text format, as far as it is of interest here.

/// One line of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

/// What was kept of one page.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Page(Vec<Sample>);

/// What the panes show; the rest of a page is not kept. Histograms count with all of their lines.
const KEPT: [&str; 17] = [
    "holdfast_requests_total",
    "holdfast_request_seconds",
    "holdfast_circuit_state",
    "holdfast_queue_depth",
    "holdfast_queue_drain_rate",
    "holdfast_queue_wait_seconds",
    "holdfast_state_read_seconds",
    "holdfast_state_write_seconds",
    "holdfast_state_conflicts_total",
    "holdfast_state_dirty_writes",
    "holdfast_state_unstored_age_seconds",
    "holdfast_state_epochs_lost_total",
    "holdfast_llm_provider_429_total",
    "holdfast_llm_tokens_total",
    "holdfast_llm_tokens_estimated_total",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
];
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

impl Page {
    /// Reads a page. Lines that nobody asks for, and those that are none, are passed by.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| is_kept(line)).filter_map(sample).collect())
    }

    /// The samples of this name.
    pub(crate) fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }
}

impl Sample {
    /// The value of a label; empty where it has none.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value)
    }
}

fn is_kept(line: &str) -> bool {
    let name = line.split(['{', ' ']).next().unwrap_or_default();
    let family = PARTS.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
    KEPT.contains(&name) || KEPT.contains(&family)
}

fn sample(line: &str) -> Option<Sample> {
    let (name, labels, rest) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, rest) = labels(rest)?;
            (name, labels, rest)
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            (name, Vec::new(), rest)
        }
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// The labels up to the closing brace, and what stands behind it.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, behind) = value(quoted)?;
        labels.push((name.to_owned(), value));
        rest = behind;
    }
}

/// A label's value up to its closing quote: `\"`, `\\` and `\n` stand for what they mean.
fn value(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_shown_is_a_metric_that_exists() {
        let told = include_str!("../../../../deploy/metrics.md");
        for name in KEPT {
            assert!(told.contains(&format!("| `{name}` |")), "{name} is not among the mesh's metrics");
        }
    }

    #[test]
    fn a_page_is_read_with_its_labels_and_without_what_nobody_shows() {
        let page = Page::parse(
            "# HELP holdfast_queue_depth x\n# TYPE holdfast_queue_depth gauge\n\
             holdfast_queue_depth{agent=\"a \\\"b\\\" \\\\ {c}\",x=\"1\"} 3\nholdfast_queue_drain_rate 2.5\n\
             holdfast_other_total 7\nholdfast_request_seconds_bucket{method=\"M\",le=\"+Inf\"} 4\nholdfast_queue_depth{ 1",
        );
        let depth: Vec<_> = page.of("holdfast_queue_depth").collect();
        assert_eq!((depth.len(), depth[0].label("agent"), depth[0].value), (1, "a \"b\" \\ {c}", 3.0));
        assert_eq!(page.of("holdfast_queue_drain_rate").next().map(|sample| sample.value), Some(2.5));
        assert_eq!(page.of("holdfast_request_seconds_bucket").next().map(|sample| sample.label("le")), Some("+Inf"));
        assert_eq!(page.of("holdfast_other_total").count(), 0);
    }
}
