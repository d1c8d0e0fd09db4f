//! What both are asked: each function, aggregation, operator and modifier that 2.42 has by itself, then
//! what a seed makes of them together, then what both must refuse.
//!
//! Left out or kept apart, for 3.x means something else by them: `holt_winters` (renamed); quantiles of native
//! histograms (interpolated otherwise); names of labels that 2.42 refuses; the metric name after `atan2`, which
//! 2.42 keeps; deviations of a single NaN (0 in 2.42); `rate` and `increase` that meet zero before a gap
//! (extrapolated further by 2.42, so they are asked of counters alone, and those stay high); samples
//! and steps of subqueries at the very beginning of a window.

use super::data::Random;

/// Random compositions beside the systematic queries.
const COMPOSED: usize = 260;

const COUNTERS: [&str; 4] = [
    "requests_total",
    "errors_total",
    r#"requests_total{code!="404"}"#,
    "latency_seconds_count",
];
const GAUGES: [&str; 4] = [
    "temperature_celsius",
    "queue_length",
    r#"temperature_celsius{zone=~"in|none"}"#,
    r#"{__name__="queue_length",instance!~"b.*"}"#,
];
const WINDOWS: [&str; 3] = ["1m", "5m", "12m30s"];
/// The first three are for counters.
const OVER_TIME: [&str; 17] = [
    "rate",
    "increase",
    "irate",
    "delta",
    "idelta",
    "deriv",
    "changes",
    "resets",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "last_over_time",
    "present_over_time",
];
const OF_VALUES: [&str; 31] = [
    "abs",
    "ceil",
    "exp",
    "floor",
    "ln",
    "log10",
    "log2",
    "sgn",
    "sqrt",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cos",
    "cosh",
    "sin",
    "sinh",
    "tan",
    "tanh",
    "deg",
    "rad",
    "round",
    "timestamp",
    "day_of_month",
    "day_of_week",
    "days_in_month",
    "hour",
    "minute",
    "month",
];
/// The last two are of a single NaN what they are since 3.0.
const AGGREGATIONS: [&str; 8] = [
    "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar",
];
const ARITHMETIC: [&str; 6] = ["+", "-", "*", "/", "%", "^"];
const COMPARISONS: [&str; 6] = ["==", "!=", ">", "<", ">=", "<="];
const GROUPINGS: [&str; 5] = [
    "",
    " by (instance)",
    " by (code, method)",
    " without (instance)",
    " by (none)",
];

/// Every query, in a fixed order.
pub(super) fn all(seed: u64) -> Vec<String> {
    let mut queries: Vec<String> = ALONE.iter().map(|query| (*query).to_owned()).collect();
    for function in OVER_TIME {
        let gauge = match function {
            "rate" | "increase" => "latency_seconds_sum",
            _ => "temperature_celsius",
        };
        for series in ["requests_total", gauge, "odd"] {
            queries.push(format!("{function}({series}[5m])"));
        }
        queries.push(format!("{function}(errors_total[2m] offset 3m)"));
        queries.push(format!(
            "{function}(max_over_time(requests_total[1m])[10m:40s])"
        ));
    }
    for function in OF_VALUES {
        for series in ["temperature_celsius", "odd"] {
            queries.push(format!("{function}({series})"));
        }
    }
    for aggregation in AGGREGATIONS {
        for grouping in GROUPINGS {
            queries.push(format!("{aggregation}{grouping} (requests_total)"));
        }
        queries.push(format!("{aggregation}(odd)"));
    }
    for operator in ARITHMETIC.into_iter().chain(COMPARISONS) {
        queries.push(format!("temperature_celsius {operator} 3.5"));
        queries.push(format!("2 {operator} queue_length"));
        queries.push(format!(
            "queue_length {operator} ignoring (zone) group_right temperature_celsius"
        ));
        queries.push(format!("odd {operator} on (instance) queue_length"));
    }
    queries.push(
        "sum by (instance) (temperature_celsius atan2 ignoring (zone) group_left queue_length)"
            .to_owned(),
    );
    queries.push("1 atan2 -2".to_owned());
    for comparison in COMPARISONS {
        queries.push(format!("odd {comparison} bool odd"));
        queries.push(format!("1 {comparison} bool 2"));
    }
    let mut composer = Composer(Random::new(seed));
    queries.extend((0..COMPOSED).map(|_| composer.vector(3)));
    queries.extend(REFUSED.iter().map(|query| (*query).to_owned()));
    queries
}

/// What stands for itself.
const ALONE: [&str; 87] = [
    "1",
    "-1.5e3",
    "0x1f",
    "Inf",
    "NaN",
    "\"text\"",
    "time()",
    "pi()",
    "vector(7)",
    "scalar(build_info)",
    "scalar(queue_length{instance=\"a:9100\"})",
    "absent(nothing)",
    "absent(nothing{a=\"b\",c=~\"d\"})",
    "absent(queue_length)",
    "absent_over_time(nothing[5m])",
    "absent_over_time(queue_length[5m])",
    "year()",
    "hour(vector(1))",
    "minute()",
    "month(vector(1e9))",
    "day_of_year()",
    "days_in_month(vector(1.7e9))",
    "requests_total",
    "requests_total{code=\"\"}",
    "requests_total{nothing=\"\"}",
    "{job=\"api\",code=~\"4..|5..\"}",
    "requests_total{code=~\".+\",method!=\"get\"}",
    "requests_total offset 5m",
    "requests_total offset -2m",
    "requests_total @ start()",
    "requests_total @ end()",
    "sum(rate(requests_total[5m] @ end()))",
    "rate(requests_total[5m] @ start() offset 1m)",
    "-temperature_celsius",
    "+queue_length",
    "clamp(temperature_celsius, 0, 10)",
    "clamp_min(temperature_celsius, 3)",
    "clamp_max(temperature_celsius, 3)",
    "clamp(temperature_celsius, 10, 0)",
    "round(temperature_celsius, 0.25)",
    "quantile_over_time(0.9, temperature_celsius[5m])",
    "quantile_over_time(2, temperature_celsius[5m])",
    "quantile_over_time(-1, odd[5m])",
    "predict_linear(temperature_celsius[10m], 600)",
    "deriv(temperature_celsius[30m])",
    "label_replace(requests_total, \"host\", \"$1\", \"instance\", \"(.*):.*\")",
    "label_replace(queue_length, \"host\", \"x\", \"nothing\", \"\")",
    "label_replace(queue_length, \"instance\", \"\", \"instance\", \".*\")",
    "label_join(requests_total, \"both\", \"-\", \"code\", \"method\")",
    "label_join(queue_length, \"both\", \",\")",
    "sort(temperature_celsius)",
    "sort_desc(temperature_celsius)",
    "topk(2, temperature_celsius)",
    "bottomk(3, temperature_celsius)",
    "topk by (zone) (1, temperature_celsius)",
    "topk(0, temperature_celsius)",
    "bottomk(99, queue_length)",
    "quantile(0.5, temperature_celsius)",
    "quantile by (zone) (0.99, temperature_celsius)",
    "quantile(-1, queue_length)",
    "count_values(\"v\", build_info)",
    "count_values by (version) (\"v\", build_info)",
    "histogram_quantile(0.9, latency_seconds_bucket)",
    "histogram_quantile(0.5, rate(latency_seconds_bucket[5m]))",
    "histogram_quantile(0.99, sum by (le) (rate(latency_seconds_bucket[5m])))",
    "histogram_quantile(-1, latency_seconds_bucket)",
    "histogram_quantile(2, latency_seconds_bucket)",
    "histogram_quantile(0.9, sum without (le) (latency_seconds_bucket))",
    "sum by (instance) (rate(latency_seconds_sum[5m])) / sum by (instance) (rate(latency_seconds_count[5m]))",
    "requests_total and on (instance) build_info{version=\"1\"}",
    "requests_total unless on (instance) build_info{version=\"1\"}",
    "queue_length or temperature_celsius",
    "requests_total and errors_total",
    "requests_total or on (instance) build_info",
    "rate(requests_total[5m]) * on (instance) group_left (version) build_info",
    "build_info * on (instance) group_right (version) sum by (instance, code) (requests_total)",
    "max_over_time(temperature_celsius[10m:1m])",
    "avg_over_time(rate(requests_total[2m])[10m:30s] offset 1m)",
    "sum_over_time(sum(queue_length)[5m:])",
    "max_over_time(deriv(queue_length[3m])[20m:45s] @ end())",
    "min_over_time((queue_length > 0)[10m:15s])",
    "vector(time()) - timestamp(queue_length)",
    "sum(count by (instance) (requests_total))",
    "histogram_quantile(0.99, sum by (le, instance) (rate(latency_seconds_bucket{job=\"api\",instance=~\"a.*|b.*|c.*\"}[5m]))) > -(0.25 + avg_over_time(queue_length{job=\"api\"}[5m]) * on (instance) group_left (version) max without (job) (build_info{job=~\"a+p+i+\",version!=\"3\"}))",
    "2 ^ 3 ^ 2",
    "-2 ^ 2",
    "1 - 2 - 3",
];

/// What both must refuse, and why.
const REFUSED: [&str; 27] = [
    "",
    "sum(",
    "requests_total{",
    "requests_total{code=}",
    "requests_total[5m",
    "rate(requests_total)",
    "rate(requests_total[5m]",
    "sum(requests_total[5m])",
    "nosuchfunction(queue_length)",
    "abs(1)",
    "abs()",
    "clamp(queue_length, 1)",
    "1 and 2",
    "1 == 2",
    "queue_length + on (",
    "\"a\" + 1",
    "{}",
    "{code=\"\"}",
    "{code=~\".*\"}",
    "requests_total{code=~\"(\"}",
    "label_replace(queue_length, \"host\", \"$1\", \"instance\", \"(\")",
    "queue_length * temperature_celsius * on (job) errors_total",
    "queue_length + on (job) temperature_celsius",
    "temperature_celsius * on (instance) group_left temperature_celsius",
    "queue_length offset queue_length",
    "queue_length @ nothing",
    "requests_total[5m:1m",
];

/// Puts expressions together, all of them well typed.
struct Composer(Random);

impl Composer {
    /// An instant vector, `depth` deep at most.
    fn vector(&mut self, depth: usize) -> String {
        let choice = if depth == 0 {
            self.0.below(2)
        } else {
            self.0.below(9)
        };
        match choice {
            0 => self.0.one(&GAUGES).to_owned(),
            1 => self.over_time(),
            2 | 3 => self.aggregation(depth),
            4 => {
                let operator = self.0.one(&ARITHMETIC);
                let left = match operator {
                    // The remainder of a power that 2.42 rounds otherwise in its last bit may be any.
                    "%" => self.0.one(&GAUGES).to_owned(),
                    _ => self.vector(depth - 1),
                };
                format!("({left}) {operator} {}", self.scalar())
            }
            5 => {
                let (left, right) = (self.by_instance(depth - 1), self.by_instance(depth - 1));
                let operator = self
                    .0
                    .one(&["+", "-", "*", "/", "and", "or", "unless", "> bool"]);
                let matching = self.0.one(&["", " on (instance)", " ignoring (none)"]);
                format!("({left}) {operator}{matching} ({right})")
            }
            6 => {
                let function = self
                    .0
                    .one(&["abs", "ceil", "floor", "sgn", "sqrt", "exp", "ln"]);
                format!("{function}({})", self.vector(depth - 1))
            }
            7 => {
                let function = self
                    .0
                    .one(&["max_over_time", "avg_over_time", "count_over_time"]);
                let step = self.0.one(&["20s", "1m", "95s"]);
                format!("{function}(({})[7m7s:{step}])", self.vector(depth - 1))
            }
            _ => {
                let comparison = self.0.one(&[">", "<", ">= bool", "!= bool"]);
                format!("({}) {comparison} 1.25", self.vector(depth - 1))
            }
        }
    }

    fn over_time(&mut self) -> String {
        let counter = self.0.below(2) == 0;
        let series = self.0.one(if counter { &COUNTERS } else { &GAUGES });
        let functions = if counter { &OVER_TIME } else { &OVER_TIME[3..] };
        let (function, window) = (self.0.one(functions), self.0.one(&WINDOWS));
        let offset = self.0.one(&[
            "",
            "",
            " offset 90s",
            " offset -45s",
            " @ end()",
            " @ start() offset -10m",
        ]);
        // Several names may come together under one label set otherwise.
        format!("{function}({series}[{window}]{offset})")
    }

    fn aggregation(&mut self, depth: usize) -> String {
        let (aggregation, grouping) = (self.0.one(&AGGREGATIONS[..6]), self.0.one(&GROUPINGS));
        format!("{aggregation}{grouping} ({})", self.vector(depth - 1))
    }

    /// One series for each instance, which two of can be matched.
    fn by_instance(&mut self, depth: usize) -> String {
        let aggregation = self.0.one(&["sum", "avg", "max", "count"]);
        format!("{aggregation} by (instance) ({})", self.vector(depth))
    }

    fn scalar(&mut self) -> String {
        self.0
            .one(&[
                "2",
                "-0.5",
                "1e3",
                "time() / 1e9",
                "scalar(queue_length{instance=\"a:9100\"})",
                "scalar(errors_total)",
            ])
            .to_owned()
    }
}
