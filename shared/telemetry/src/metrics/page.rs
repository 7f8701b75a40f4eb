//! Reads the page that the recorder writes. Source:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

/// A line that says something.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'p> {
    /// What the metric of this name is of.
    Help { name: &'p str, text: String },
    /// A metric begins.
    Type { name: &'p str, kind: Kind },
    /// A value of the metric that has begun.
    Sample(Sample<'p>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, PartialEq)]
pub(super) struct Sample<'p> {
    /// The metric's, with what part of a histogram it is.
    pub(super) name: &'p str,
    pub(super) labels: Vec<(&'p str, String)>,
    pub(super) value: &'p str,
}

/// The lines of a page. What is not understood is left out.
pub(super) fn lines(page: &str) -> impl Iterator<Item = Line<'_>> {
    page.lines().filter_map(line)
}

fn line(text: &str) -> Option<Line<'_>> {
    if let Some(help) = text.strip_prefix("# HELP ") {
        let (name, text) = help.split_once(' ')?;
        return Some(Line::Help { name, text: unescaped(text) });
    }
    if let Some(of_type) = text.strip_prefix("# TYPE ") {
        let (name, kind) = of_type.split_once(' ')?;
        let kind = match kind {
            "counter" => Kind::Counter,
            "gauge" => Kind::Gauge,
            "histogram" => Kind::Histogram,
            _ => return None,
        };
        return Some(Line::Type { name, kind });
    }
    Some(text).filter(|text| !text.starts_with('#')).and_then(sample).map(Line::Sample)
}

fn sample(text: &str) -> Option<Sample<'_>> {
    // A value holds no space, a label may.
    let (series, value) = text.rsplit_once(' ')?;
    match series.split_once('{') {
        None => Some(Sample { name: series, labels: Vec::new(), value }),
        Some((name, labels)) => Some(Sample { name, labels: self::labels(labels.strip_suffix('}')?)?, value }),
    }
}

fn labels(mut text: &str) -> Option<Vec<(&str, String)>> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let end = closing_quote(rest)?;
        labels.push((name, unescaped(&rest[..end])));
        text = rest[end + 1..].trim_start_matches(',');
    }
    Some(labels)
}

/// Where the quote stands that nothing takes its meaning from.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, character)| {
        let closes = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        closes.then_some(at)
    })
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, if character == '\\' { characters.next() } else { None }) {
            (_, Some('n')) => plain.push('\n'),
            (_, Some(escaped)) => plain.push(escaped),
            (plainly, None) => plain.push(plainly),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_what_they_were_before_they_were_written() {
        let text = r#"a_total{agent="say \"hi\"",path="C:\\dir",note="two\nlines, }{ and a = sign"} 3"#;
        let Some(Line::Sample(Sample { name, labels, value })) = line(text) else { panic!("it is a sample") };
        assert_eq!((name, value), ("a_total", "3"));
        let wanted = [("agent", "say \"hi\""), ("path", "C:\\dir"), ("note", "two\nlines, }{ and a = sign")];
        assert_eq!(labels, wanted.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn what_is_not_a_line_of_the_format_is_left_out() {
        for text in ["", "alone", "# nothing", "a{b=\"c 1", "a{b} 1", "# TYPE a summary"] {
            assert_eq!(line(text), None, "{text}");
        }
    }
}
