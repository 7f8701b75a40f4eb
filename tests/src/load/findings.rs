use serde_json::{Map, Value, json};

/// What a proof found: its figures, and which bounds they break. Each is printed when it is found.
#[derive(Debug, Default)]
pub struct Findings {
    figures: Map<String, Value>,
    broken: Vec<String>,
}

impl Findings {
    /// A figure without a bound.
    pub fn tell(&mut self, name: impl Into<String>, figure: f64) {
        self.note(name.into(), figure, None);
    }

    /// A figure that must not be less.
    pub fn at_least(&mut self, name: impl Into<String>, figure: f64, bound: f64) {
        self.note(name.into(), figure, Some((figure >= bound, format!("at least {bound}"))));
    }

    /// A figure that must not be more.
    pub fn at_most(&mut self, name: impl Into<String>, figure: f64, bound: f64) {
        self.note(name.into(), figure, Some((figure <= bound, format!("at most {bound}"))));
    }

    fn note(&mut self, name: String, figure: f64, bound: Option<(bool, String)>) {
        let figure = (figure * 1_000.0).round() / 1_000.0;
        match &bound {
            None => println!("  {name:42} {figure:>12}"),
            Some((true, bound)) => println!("  {name:42} {figure:>12}   {bound}"),
            Some((false, bound)) => println!("  {name:42} {figure:>12}   {bound}: BROKEN"),
        }
        if bound.is_some_and(|(holds, _)| !holds) {
            self.broken.push(name.clone());
        }
        self.figures.insert(name, json!(figure));
    }

    /// Whether no bound is broken.
    pub fn hold(&self) -> bool {
        self.broken.is_empty()
    }

    /// All of it, for the proof's last line.
    pub fn into_figures(mut self) -> Value {
        if !self.broken.is_empty() {
            self.figures.insert("broken".into(), json!(self.broken));
        }
        Value::Object(self.figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_broken_bound_breaks_the_proof_and_is_named() {
        let mut findings = Findings::default();
        findings.tell("seen", 1.0);
        findings.at_least("goodput", 0.9, 0.9);
        assert!(findings.hold());
        findings.at_most("refused_ms", 10.1, 10.0);
        assert!(!findings.hold());
        assert_eq!(findings.into_figures()["broken"], json!(["refused_ms"]));
    }

    #[test]
    fn what_is_no_number_keeps_no_bound() {
        let mut findings = Findings::default();
        findings.at_most("ratio", f64::NAN, 1.0);
        assert!(!findings.hold());
    }
}
