//! Comparing long lists.

use std::fmt::Debug;

/// Differences that a failure shows.
const SHOWN: usize = 10;

/// Fails unless both hold the same, in whatever order, and shows only what differs.
pub fn assert_same<T: Ord + Debug>(
    found: impl IntoIterator<Item = T>,
    expected: impl IntoIterator<Item = T>,
    what: &str,
) {
    let mut surplus: Vec<T> = found.into_iter().collect();
    let mut missing = Vec::new();
    surplus.sort_unstable();
    for wanted in expected {
        match surplus.binary_search(&wanted) {
            Ok(at) => drop(surplus.remove(at)),
            Err(_) => missing.push(wanted),
        }
    }
    assert!(
        surplus.is_empty() && missing.is_empty(),
        "{what}: {} too many: {:#?}, {} missing: {:#?}",
        surplus.len(),
        surplus.iter().take(SHOWN).collect::<Vec<_>>(),
        missing.len(),
        missing.iter().take(SHOWN).collect::<Vec<_>>()
    );
}
