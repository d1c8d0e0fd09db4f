//! No body makes the parser panic, and what was written is what is read.

use proptest::prelude::*;

use super::super::*;

/// Reads a body to its end or its first fault.
fn drain(body: &str, format: Format) -> Vec<(Labels, u64)> {
    let mut parser = Parser::new(body, format);
    let mut samples = Vec::new();
    while let Ok(Some(item)) = parser.next() {
        if let Item::Sample(sample) = item
            && let Ok(labels) = sample.to_labels()
        {
            samples.push((labels, sample.value.to_bits()));
        }
    }
    samples
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

proptest! {
    #[test]
    fn no_text_panics(body in "\\PC*") {
        drain(&body, Format::Text);
        drain(&body, Format::OpenMetrics);
    }

    #[test]
    fn no_near_miss_panics(body in "([a#{}\"\\\\,= \n\t1.eE+-]|HELP|TYPE|UNIT|EOF|NaN|ü){0,40}") {
        drain(&body, Format::Text);
        drain(&body, Format::OpenMetrics);
    }

    #[test]
    fn any_names_and_values_survive(
        name in "\\PC{1,8}",
        pairs in proptest::collection::btree_map("\\PC{1,8}", "(\\PC|\n){1,8}", 0..4),
        value in any::<f64>().prop_filter("a number", |v| !v.is_nan()),
    ) {
        prop_assume!(!pairs.contains_key(METRIC_NAME));
        let labels = std::iter::once(quoted(&name))
            .chain(pairs.iter().map(|(name, value)| format!("{}={}", quoted(name), quoted(value))))
            .collect::<Vec<_>>()
            .join(",");
        let body = format!("{{{labels}}} {value}\n# EOF\n");
        let mut want = Labels::from_pairs(&pairs).to_builder();
        want.set(METRIC_NAME, &name);
        for format in [Format::Text, Format::OpenMetrics] {
            prop_assert_eq!(drain(&body, format), vec![(want.build(), value.to_bits())]);
        }
    }
}
