use model::labels::Labels;

use super::*;

fn expand(text: &str) -> Result<String, String> {
    let context = TemplateContext {
        external_labels: Labels::from_pairs([("region", "eu")]),
        external_url: "http://host/prefix".into(),
        query: Arc::new(|query| {
            if query == "bad(" {
                return Err("1:4: parse error: unclosed left parenthesis".to_owned());
            }
            let sample = |instance: &str, value| InstantSample {
                labels: Labels::from_pairs([
                    ("__name__", "metric"),
                    ("instance", instance),
                    ("__value__", "a"),
                ]),
                timestamp: Timestamp(0),
                value: SampleValue::Float(value),
            };
            Ok(match query {
                "none" => Vec::new(),
                _ => vec![sample("b", 21.0), sample("a", 11.0)],
            })
        }),
        now: Timestamp(1_500),
    };
    let labels = Labels::from_pairs([("instance", "host.example.org:9100"), ("job", "node")]);
    let template = Template::parse("Rule", text)?;
    let expander = template.with(&context);
    expander.expand(&labels, &SampleValue::Float(1_234_567.891))
}

#[test]
fn templates_print_what_upstream_prints() {
    for (text, expected) in [
        ("plain", "plain"),
        ("{{ $value }}", "1.234567891e+06"),
        ("{{ .Value | humanize }}", "1.235M"),
        (
            "{{ $labels.instance }} {{ .Labels.job }}",
            "host.example.org:9100 node",
        ),
        ("{{ $labels.missing }}|", "|"),
        (
            "{{ $labels }}",
            "map[instance:host.example.org:9100 job:node]",
        ),
        ("{{ if $labels.missing }}a{{ else }}b{{ end }}", "b"),
        ("{{ index $labels \"job\" }}", "node"),
        (
            "{{ $externalLabels.region }} {{ $externalURL }}",
            "eu http://host/prefix",
        ),
        (
            "{{ externalURL }} {{ pathPrefix }}",
            "http://host/prefix /prefix",
        ),
        (
            "{{ with query \"metric\" }}{{ . | first | value }}{{ end }}",
            "21",
        ),
        ("{{ query \"metric\" | first | label \"instance\" }}", "b"),
        (
            "{{ range query \"metric\" | sortByLabel \"instance\" }}{{ .Labels.instance }}:{{ .Value }} {{ end }}",
            "a:11 b:21 ",
        ),
        ("{{ query \"metric\" | first | strvalue }}", "a"),
        ("{{ range query \"none\" }}x{{ else }}none{{ end }}", "none"),
        ("{{ (query \"metric\" | first).Labels.instance }}", "b"),
        (
            "{{ humanize1024 1048576.0 }} {{ humanizeDuration 3661 }} {{ humanizePercentage 0.1234567 }}",
            "1Mi 1h 1m 1s 12.35%",
        ),
        (
            "{{ humanizeTimestamp 1435065584.128 }}",
            "2015-06-23 13:19:44.128 +0000 UTC",
        ),
        (
            "{{ (1435065584.128 | toTime).Year }} {{ (toTime 0).Format \"2006-01-02T15:04:05Z07:00\" }}",
            "2015 1970-01-01T00:00:00Z",
        ),
        ("{{ toTime 0.5 }}", "1970-01-01 00:00:00.5 +0000 UTC"),
        (
            "{{ \"1h30m\" | parseDuration }} {{ toDuration 5400 }}",
            "5400 1h30m0s",
        ),
        (
            "{{ title \"aa bB CC\" }} {{ toUpper \"aB\" }} {{ toLower \"aB\" }}",
            "Aa BB CC AB ab",
        ),
        (
            "{{ match \"a+\" \"baa\" }} {{ reReplaceAll \"(a)b\" \"x$1\" \"ab ab\" }}",
            "true xa xa",
        ),
        (
            "{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }} {{ stripPort \"[::1]:80\" }}",
            "host.example.org host:9100 ::1",
        ),
        ("{{ stripDomain \"10.0.0.1:80\" }}", "10.0.0.1:80"),
        (
            "{{ tableLink \"up{a=\\\"b\\\"} == 1\" }}",
            "/graph?g0.expr=up%7Ba%3D%22b%22%7D+%3D%3D+1&g0.tab=1",
        ),
        (
            "{{ define \"x\" }}[{{ .arg0 }}{{ .arg1 }}]{{ end }}{{ template \"x\" (args 1 \"2\") }}{{ tmpl \"x\" (args \"a\" 3.5) }}",
            "[12][a3.5]",
        ),
        (
            "{{ printf \"%.2f %v %5.1f%% %s\" $value 1e6 12.34 $labels.job }}",
            "1234567.89 1e+06  12.3% node",
        ),
        (
            "{{ print $value }} {{ print \"a\" 1 2 \"b\" }}",
            "1.234567891e+06 a1 2b",
        ),
        (
            "{{ $x := 1 }}{{ range $i, $e := query \"metric\" }}{{ $x = $i }}{{ end }}{{ $x }}",
            "1",
        ),
        (
            "{{- /* a comment */ -}} {{ toJson $labels }}",
            "{\"instance\":\"host.example.org:9100\",\"job\":\"node\"}",
        ),
        (
            "{{ if gt $value 100.0 }}big{{ end }}{{ $.Labels.job }}",
            "bignode",
        ),
        (
            "{{ printf \"%s %d %T %v\" $value $value $value $labels.job }}",
            "%!s(float64=1.234567891e+06) %!d(float64=1.234567891e+06) float64 node",
        ),
        (
            "{{ index $labels \"nope\" }}|{{ index $labels \"job\" }}",
            "|node",
        ),
        (
            "{{ query \"x\" | first }}",
            "{map[__name__:metric __value__:a instance:b] 21}",
        ),
        (
            "{{ range $i, $e := query \"x\" }}{{ if $i }}{{ break }}{{ end }}x{{ end }}",
            "x",
        ),
        (
            "{{ now }} {{ safeHtml \"<b>\" }} {{ urlQueryEscape \"a b&\" }}",
            "1.5 <b> a+b%26",
        ),
    ] {
        assert_eq!(expand(text), Ok(expected.to_owned()), "{text}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (text, part) in [
        (
            "{{ foo }}",
            "template: __alert_Rule:1: function \"foo\" not defined",
        ),
        (
            "a\n{{ $foo }}",
            "template: __alert_Rule:2: undefined variable \"$foo\"",
        ),
        (
            "{{ range $v := query \"x\" }}{{ end }}{{ $v }}",
            "undefined variable \"$v\"",
        ),
        ("{{ if }}{{ end }}", "template: __alert_Rule:1:"),
        ("{{ $labels.x", "template: __alert_Rule:1:"),
        ("{{ end }}", "template: __alert_Rule:1: unexpected {{end}}"),
        (
            "a {{ end }} b",
            "template: __alert_Rule:1: unexpected {{end}}",
        ),
        ("{{ if true }}a", "template: __alert_Rule:1: unexpected EOF"),
        (
            "{{ range query \"x\" }}{{ if true }}a{{ end }}",
            "unexpected EOF",
        ),
        ("{{ define \"x\" }}a", "unexpected EOF"),
        ("{{ else }}", "template: __alert_Rule:1:"),
        (
            "{{ break }}",
            "template: __alert_Rule:1: {{break}} outside {{range}}",
        ),
        (
            "{{ humanize \"abc\" }}",
            "error calling humanize: strconv.ParseFloat",
        ),
        ("{{ .Foo }}", "can't evaluate field Foo in type struct"),
        ("{{ $value.x }}", "can't evaluate field x in type float64"),
        (
            "{{ query \"none\" | first }}",
            "first() called on vector with no elements",
        ),
        ("{{ query \"bad(\" }}", "unclosed left parenthesis"),
        ("{{ humanize \"a\" }}", "invalid syntax"),
        ("{{ template \"x\" }}", "undefined template: x"),
        (
            "{{ define \"x\" }}{{ tmpl \"x\" . }}{{ end }}{{ tmpl \"x\" . }}",
            "recursion limit",
        ),
    ] {
        let error = expand(text).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn numbers_are_humanized_as_upstream_does() {
    for (function, value, expected) in [
        ("humanize", "0.0", "0"),
        ("humanize", "1.0", "1"),
        ("humanize", "1234567.0", "1.235M"),
        ("humanize", ".12", "120m"),
        ("humanize", "-1000", "-1k"),
        ("humanize", "\"NaN\"", "NaN"),
        ("humanize", "\"+Inf\"", "+Inf"),
        ("humanize1024", "1024", "1ki"),
        ("humanize1024", "0.5", "0.5"),
        ("humanizeDuration", "0", "0s"),
        ("humanizeDuration", "899.99", "14m 59s"),
        ("humanizeDuration", "86400", "1d 0h 0m 0s"),
        ("humanizeDuration", "-1", "-1s"),
        ("humanizeDuration", ".1", "100ms"),
        ("humanizeDuration", "0.0001", "100us"),
        ("humanizeDuration", "1234567", "14d 6h 56m 7s"),
        ("humanizeDuration", "59.56", "59.56s"),
        ("humanizePercentage", "-0.22222", "-22.22%"),
        ("humanizePercentage", "\"+Inf\"", "+Inf%"),
        ("humanizeTimestamp", "\"-Inf\"", "-Inf"),
    ] {
        let text = format!("{{{{ {function} {value} }}}}");
        assert_eq!(expand(&text), Ok(expected.to_owned()), "{text}");
    }
}
