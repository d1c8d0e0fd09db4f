//! Writing an exposition: the form in which the agent's own collectors hand over what they read.
//!
//! cgroups and the node are targets like any other, except that their body is made in this process.
//! So they go through the same parser, cache, staleness and report series as a scrape over HTTP,
//! and a test of a collector compares text.

use std::fmt::Write as _;

/// A body in text 0.0.4.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    family: String,
}

/// The type of a family, as far as the collectors need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Exposition {
    /// Begins a family: the samples that follow are its own.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) -> &mut Self {
        name.clone_into(&mut self.family);
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self
    }

    /// One sample of the family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.text.push_str(&self.family);
        for (position, (name, text)) in labels.iter().enumerate() {
            self.text.push(if position == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            push_escaped(&mut self.text, text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
        self
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: f64) -> &mut Self {
        self.family(name, kind, help).sample(&[], value)
    }

    /// The body so far.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// Escapes a value between double quotes, as expositions and LogQL selectors alike read it.
pub(crate) fn push_escaped(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_text_0_0_4() {
        let mut body = Exposition::default();
        body.family("a", Kind::Gauge, "An a.")
            .sample(&[("x", "q\"\\\n"), ("y", "")], 0.5)
            .sample(&[], f64::INFINITY);
        body.single("b_total", Kind::Counter, "B.", 3.0);
        assert_eq!(
            body.into_text(),
            "# HELP a An a.\n# TYPE a gauge\na{x=\"q\\\"\\\\\\n\",y=\"\"} 0.5\na inf\n\
             # HELP b_total B.\n# TYPE b_total counter\nb_total 3\n"
        );
    }
}
