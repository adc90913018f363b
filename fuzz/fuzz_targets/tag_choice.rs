//! Lines: what is wanted, what is installed, then tags. Any text: no panic, the choice is one of
//! the tags, nothing in its stream beats it for another order of them, and precedence is an order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pg_workspace_plugins::tag_choice::{compare_versions, resolve, split_range};
use std::cmp::Ordering;

fn check_order(prefix: &str, tags: &[&str]) {
    for pair in tags.windows(2) {
        let forth = compare_versions(prefix, pair[0], pair[1]);
        let back = compare_versions(prefix, pair[1], pair[0]);
        assert_eq!(forth, back.map(Ordering::reverse));
    }
}

fuzz_target!(|input: &str| {
    let mut lines = input.split('\n');
    let (value, installed) = (lines.next().unwrap_or(""), lines.next());
    let tags: Vec<&str> = lines.collect();
    let wanted = format!("tag:{value}");
    let prefix = split_range(value).map_or("", |(prefix, range)| {
        assert_eq!(format!("{prefix}{range}"), value);
        prefix
    });
    check_order(prefix, &tags);
    let chosen = resolve(&wanted, tags.iter().copied(), installed);
    assert_eq!(
        resolve(&wanted, tags.iter().rev().copied(), installed),
        chosen
    );
    let Some(chosen) = chosen else { return };
    assert!(tags.contains(&chosen));
    assert!(chosen.starts_with(prefix));
    // A tag that was chosen is chosen again when it stands alone.
    assert_eq!(resolve(&wanted, [chosen], installed), Some(chosen));
});
