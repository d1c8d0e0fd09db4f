//! Wrong bytes in a part: the read that meets them says where, the rest goes on being served.

use ::model::matcher::{MatchOp, Matcher};
use ::model::time::TimeRange;
use storage::disk::sim::SimDisk;
use storage::wal::sync::FsyncPolicy;
use tsdb::ingest::batch::Batch;

use crate::support::{batch, open, state_after, try_read};

#[test]
fn a_flipped_bit_anywhere_in_a_part_is_named_and_quarantined() {
    let whole = SimDisk::new(3);
    let (store, _) = open(&whole, FsyncPolicy::Always).expect("opens");
    for number in 0..6 {
        store.append(&Batch::of(&batch(number))).expect("writes");
    }
    store.flush().expect("flushes");
    drop(store);
    let expected = state_after(6);
    let any = [Matcher::new(MatchOp::Regex, "__name__", ".*").expect("valid")];
    let (path, bytes) = whole
        .files()
        .into_iter()
        .find(|(path, _)| path.extension().is_some_and(|e| e == "part"))
        .expect("there is a part");
    let mut met = 0;
    for bit in (0..bytes * 8).step_by(13) {
        let disk = whole.after_kill();
        assert!(disk.flip_bit(&path, bit));
        let (store, recovered) = open(&disk, FsyncPolicy::Always).expect("opens");
        let quarantined = recovered.quarantined.len();
        match try_read(&store, TimeRange::ALL, &any) {
            Ok(rows) if quarantined == 0 => {
                assert_eq!(&rows, expected, "bit {bit} was not noticed");
            }
            Ok(_) => met += 1,
            Err(error) => {
                met += 1;
                let text = error.to_string();
                assert!(text.contains(&path.display().to_string()), "{text}");
                assert!(text.contains("corrupt at offset"), "{text}");
                // The next read is served from what is left.
                let rest = try_read(&store, TimeRange::ALL, &any).expect("the rest is served");
                assert!(rest.len() < expected.len());
                let all_right = rest
                    .iter()
                    .all(|(key, bits)| expected.get(key) == Some(bits));
                assert!(all_right, "bit {bit}");
            }
        }
    }
    assert!(met > 100, "damage was met {met} times");
}
