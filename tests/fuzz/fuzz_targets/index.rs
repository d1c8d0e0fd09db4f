//! The index of a part: any bytes are opened, asked for names, values and labels, and searched.
#![no_main]

use std::collections::BTreeSet;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use model::matcher::{MatchOp, Matcher};
use storage::disk::Disk as _;
use storage::disk::sim::SimDisk;
use storage::index::reader::IndexReader;
use storage::index::select::{label_names, label_values, select};
use storage::part::reader::PartFile;

fuzz_target!(|bytes: &[u8]| {
    let disk = SimDisk::new(0);
    let path = Path::new("/0.part");
    let file = disk.create(path).expect("a file");
    file.append(bytes).expect("room");
    let Ok(index) = PartFile::open(&disk, path).and_then(|file| IndexReader::open(&file)) else {
        return;
    };
    let mut texts = BTreeSet::new();
    let _ = label_names(&index, &[], &mut texts);
    for (op, name, value) in [
        (MatchOp::Equal, "__name__", "even"),
        (MatchOp::NotEqual, "series", "1"),
        (MatchOp::Regex, "series", "1.*|[2-9]"),
        (MatchOp::NotRegex, "__name__", "o.+"),
    ] {
        let matcher = [Matcher::new(op, name, value).expect("valid")];
        if let Ok(found) = select(&index, &matcher) {
            let found = found.into_iter().take(100).collect();
            let _ = index.labels_of(&found, |_, _| {});
        }
        let _ = label_values(&index, name, &matcher, &mut texts);
    }
});
