//! An expression of PromQL: any text is parsed, as an expression and as a selector; what parses is formatted, on one
//! line and on many, and both parse to the tree that they were made of.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsdb::query::format::pretty::pretty;
use tsdb::query::parser::Syntax;
use tsdb::query::{parse, parse_series_selector, parse_with};

fuzz_target!(|input: &str| {
    let _ = parse_series_selector(input);
    let _ = parse_with(input, Syntax::Stable);
    let Ok(tree) = parse(input) else { return };
    let line = tree.to_string();
    for text in [&line, &pretty(&tree)] {
        let again = parse(text);
        let again = again
            .unwrap_or_else(|error| panic!("{input:?} became {text:?}, which is none: {error}"));
        assert_eq!(again.to_string(), line, "{input:?} became {text:?}");
        // NaN equals nothing; of such trees the texts have to do.
        assert!(
            again == tree || line.contains("NaN"),
            "{input:?} became {text:?}"
        );
    }
});
