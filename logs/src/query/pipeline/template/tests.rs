use model::labels::Labels;

use super::LineTemplate;
use crate::query::pipeline::WorkingLabels;

fn render(template: &str) -> Result<String, String> {
    let mut labels = WorkingLabels::default();
    labels.begin_stream(&Labels::from_pairs([("app", "Web"), ("n", "3")]));
    labels.begin_entry(&Labels::empty());
    let compiled = LineTemplate::compile(template)?;
    compiled
        .process(1_700_000_000_123_000_000, "the line", &mut labels)
        .ok_or_else(|| {
            labels
                .get_or_error("__error_details__")
                .unwrap_or_default()
                .to_owned()
        })
}

#[test]
fn templates_render() {
    for (template, expected) in [
        ("L={{.app}};{{.missing}}!", "L=Web;!"),
        ("{{ .app | upper }}-{{ .missing | lower }}", "WEB-"),
        ("{{ if .missing }}x{{ else }}y{{ end }}", "y"),
        ("{{ __line__ | trunc 3 }}", "the"),
        ("{{ __line__ | trunc -4 }}", "line"),
        ("{{ Replace __line__ \"e\" \"E\" 1 }}", "thE line"),
        ("{{ .app | replace \"W\" \"w\" }}", "web"),
        (
            "{{ add 1 2 3 }} {{ div 7 2 }} {{ mulf 1.5 2 }} {{ .n | int | add 1 }}",
            "6 3 3 4",
        ),
        ("{{ round 2.345 2 }} {{ ceil 1.2 }}", "2.35 2"),
        ("{{ substr 1 3 __line__ }}", "he"),
        ("{{ alignLeft 5 .app }}|{{ alignRight 2 .app }}", "Web  |eb"),
        (
            "{{ regexReplaceAll \"(l)ine\" __line__ \"${1}ane\" }}",
            "the lane",
        ),
        ("{{ count \"e\" __line__ }}", "2"),
        ("{{ default \"d\" .missing }}", "d"),
        (
            "{{ b64enc \"hello\" }} {{ b64dec \"aGVsbG8=\" }}",
            "aGVsbG8= hello",
        ),
        (
            "{{ urlencode \"a b&c\" }} {{ urldecode \"a+b%26\" }}",
            "a+b%26c a b&",
        ),
        ("{{ (fromJson \"{\\\"a\\\":{\\\"b\\\":2}}\").a.b }}", "2"),
        ("{{ bytes \"1KB\" }} {{ duration \"1m30s\" }}", "1000 90"),
        ("{{ title \"some words\" }}", "Some Words"),
        (
            "{{ __timestamp__ | date \"2006-01-02T15:04:05.000Z07:00\" }}",
            "2023-11-14T22:13:20.123Z",
        ),
        ("{{ __timestamp__ | unixEpochMillis }}", "1700000000123"),
        (
            "{{ unixToTime \"1700000000\" | date \"Mon Jan _2 3PM\" }}",
            "Tue Nov 14 10PM",
        ),
        (
            "{{ toDate \"2006-01-02\" \"2023-11-14\" | unixEpoch }}",
            "1699920000",
        ),
        (
            "{{ toDate \"02/Jan/2006:15:04:05 -0700\" \"14/Nov/2023:23:13:20 +0100\" | unixEpoch }}",
            "1700000000",
        ),
        (
            "{{ range $i, $e := fromJson \"[1,2]\" }}{{ $e }};{{ end }}",
            "1;2;",
        ),
        ("{{ printf \"%s-%d\" .app 5 }}", "Web-5"),
        (
            "{{ toDateInZone \"2006-01-02 15:04\" \"UTC\" \"2023-07-01 12:00\" }}",
            "2023-07-01 12:00:00 +0000 UTC",
        ),
    ] {
        assert_eq!(render(template), Ok(expected.to_owned()), "{template}");
    }
}

#[test]
fn wrong_templates_are_refused_before_they_run() {
    for (template, part) in [
        ("{{ nosuchfunc }}", "function \"nosuchfunc\" not defined"),
        ("{{", "unclosed action"),
        ("{{ if }}", "empty command"),
    ] {
        let error = render(template).expect_err(template);
        assert!(error.contains(part), "{template}: {error}");
    }
}

#[test]
fn a_failing_template_marks_the_entry() {
    let error = render("{{ div 1 0 }}").expect_err("division by zero");
    assert!(error.contains("division by zero"), "{error}");
}
