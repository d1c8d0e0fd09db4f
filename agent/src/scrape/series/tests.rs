//! Scrapes of one target in turn, each rendered as the samples it hands on.

use model::sample::is_stale_nan;

use super::*;

/// A target and its cache.
struct Bench {
    cache: SeriesCache,
    at: i64,
    counts: Counts,
}

impl Bench {
    fn new(conflicts: Conflicts) -> Self {
        let target = Labels::from_pairs([("job", "j"), ("instance", "i")]);
        Self {
            cache: SeriesCache::new(target, conflicts),
            at: 0,
            counts: Counts::default(),
        }
    }

    fn scrape(
        &mut self,
        format: Format,
        body: &str,
        samples_max: usize,
    ) -> Result<Scraped, String> {
        self.at += 1000;
        self.counts = Counts::default();
        let at = Timestamp(self.at);
        self.cache
            .read(body, format, at, samples_max, &mut self.counts)
            .map_err(|error| error.to_string())
    }

    /// The samples of a good scrape.
    fn good(&mut self, body: &str) -> Vec<String> {
        render(
            &self
                .scrape(Format::Text, body, 0)
                .expect("a good scrape")
                .series,
        )
    }

    /// The message of a bad one, and what its rollback hands on.
    fn bad(&mut self, body: &str, samples_max: usize) -> (String, Vec<String>) {
        let error = self
            .scrape(Format::Text, body, samples_max)
            .expect_err("a bad scrape");
        (error, render(&self.cache.fail(Timestamp(self.at))))
    }
}

/// Sorted, without the target's labels.
fn render(series: &[SeriesSamples]) -> Vec<String> {
    let mut rows: Vec<String> = series
        .iter()
        .map(|series| {
            let labels = series
                .labels
                .filtered(|name| name != "job" && name != "instance");
            let sample = series.samples[0];
            let at = sample.timestamp.millis();
            if is_stale_nan(sample.value) {
                format!("{labels} stale @{at}")
            } else {
                format!("{labels} {} @{at}", sample.value)
            }
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn what_vanishes_is_marked_stale_once() {
    let mut bench = Bench::new(Conflicts::Rename);
    assert_eq!(
        bench.good("a 1\nb{x=\"1\"} 2\n"),
        ["a 1 @1000", "b{x=\"1\"} 2 @1000"]
    );
    assert_eq!(bench.counts.added, 2);
    assert_eq!(bench.good("a 3\n"), ["a 3 @2000", "b{x=\"1\"} stale @2000"]);
    assert_eq!(bench.counts.added, 0);
    assert_eq!(bench.good("a 4\n"), ["a 4 @3000"]);
    assert_eq!(
        bench.good("a 4\nb{x=\"1\"} 5"),
        ["a 4 @4000", "b{x=\"1\"} 5 @4000"]
    );
    assert_eq!(bench.counts.added, 1);
}

#[test]
fn a_failed_scrape_hands_on_nothing_but_markers() {
    let mut bench = Bench::new(Conflicts::Rename);
    bench.good("a 1\nb 2\n");
    let (error, rows) = bench.bad("a 3\nc 4\nnonsense\n", 0);
    assert_eq!(error, "line 3: expected a value after the series");
    assert_eq!(rows, ["a stale @2000", "b stale @2000"]);
    let (_, rows) = bench.bad("a 3\nnonsense\n", 0);
    assert_eq!(rows, [""; 0], "marked already");
    assert_eq!(bench.good("a 5\n"), ["a 5 @4000"]);
}

#[test]
fn a_limit_fails_the_scrape() {
    let mut bench = Bench::new(Conflicts::Rename);
    bench.good("a 1\n");
    let (error, rows) = bench.bad("a 1\nb 1\nc 1\n", 2);
    assert_eq!(error, "sample limit of 2 exceeded");
    assert_eq!(rows, ["a stale @2000"]);
}

#[test]
fn a_label_twice_fails_the_scrape() {
    let mut bench = Bench::new(Conflicts::Rename);
    let (error, _) = bench.bad("a{x=\"1\",x=\"2\"} 1\n", 0);
    assert_eq!(
        error,
        "series a{x=\"1\",x=\"2\"}: label \"x\" is there twice"
    );
}

#[test]
fn own_timestamps_bypass_staleness() {
    let mut bench = Bench::new(Conflicts::Rename);
    assert_eq!(bench.good("a 1 500\nb 2\n"), ["a 1 @500", "b 2 @1000"]);
    assert_eq!(bench.good("b 2 600\n"), ["b 2 @600"]);
    assert_eq!(bench.good(""), [""; 0], "neither is ours to end");
    bench.good("a 1\n");
    assert_eq!(bench.good(""), ["a stale @5000"]);
}

#[test]
fn the_first_of_two_samples_is_kept() {
    let mut bench = Bench::new(Conflicts::Rename);
    assert_eq!(bench.good("a 1\na 2\n"), ["a 1 @1000"]);
    assert_eq!(bench.counts.duplicates, 1);
    assert_eq!(bench.good("a 1 10\na 2 20\n"), ["a 1 @10", "a 2 @20"]);
}

#[test]
fn another_order_of_labels_is_the_same_series() {
    let mut bench = Bench::new(Conflicts::Rename);
    bench.good("a{x=\"1\",y=\"2\"} 1\n");
    let rows = bench.good("a{y=\"2\",x=\"1\"} 2\n");
    assert_eq!(rows, ["a{x=\"1\", y=\"2\"} 2 @2000"]);
}

#[test]
fn conflicting_labels_are_renamed_or_honored() {
    let body = "a{job=\"own\",exported_job=\"older\"} 1\n";
    let labels = |conflicts| {
        let mut bench = Bench::new(conflicts);
        let scraped = bench.scrape(Format::Text, body, 0).expect("good");
        scraped.series[0].labels.to_string()
    };
    assert_eq!(
        labels(Conflicts::Rename),
        r#"a{exported_exported_job="own", exported_job="older", instance="i", job="j"}"#
    );
    assert_eq!(
        labels(Conflicts::Honor),
        r#"a{exported_job="older", instance="i", job="own"}"#
    );
}

#[test]
fn metadata_are_handed_on_when_they_change_and_again_after_a_minute() {
    let mut bench = Bench::new(Conflicts::Rename);
    let first = "# HELP a One.\n# TYPE a counter\na 1\n";
    let mut families = |body: &str, later: i64| {
        bench.at += later;
        let scraped = bench.scrape(Format::Text, body, 0).expect("good");
        let mut rows: Vec<String> = scraped
            .metadata
            .iter()
            .map(|m| format!("{} {} {}", m.family, m.metric_type.as_str(), m.help))
            .collect();
        rows.sort();
        rows
    };
    assert_eq!(families(first, 0), ["a counter One."]);
    assert_eq!(families(first, 0), [""; 0]);
    assert_eq!(
        families("# HELP a Two.\n# TYPE a counter\n# TYPE b gauge\n", 0),
        ["a counter Two.", "b gauge "]
    );
    assert_eq!(families("# TYPE b gauge\n", 60_000), ["b gauge "]);
}

#[test]
fn exemplars_go_with_their_sample() {
    let mut bench = Bench::new(Conflicts::Rename);
    let body = "a_total 1 # {trace_id=\"t\"} 0.5 2\n# EOF\n";
    let scraped = bench.scrape(Format::OpenMetrics, body, 0).expect("good");
    let exemplar = &scraped.series[0].exemplars[0];
    assert_eq!(exemplar.labels.to_string(), r#"{trace_id="t"}"#);
    assert_eq!(
        (exemplar.value, exemplar.timestamp),
        (0.5, Some(Timestamp(2000)))
    );
}
