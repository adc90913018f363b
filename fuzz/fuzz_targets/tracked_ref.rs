#![no_main]

use libfuzzer_sys::fuzz_target;
use pg_workspace_plugins::tracked_ref::{canonicalize, is_canonical, parse};

fuzz_target!(|bytes: &[u8]| {
    match canonicalize(bytes) {
        Ok(value) => {
            assert!(is_canonical(value));
            assert_eq!(canonicalize(value).ok(), Some(value));
            assert!(parse(value).is_some());
        }
        Err(error) => {
            assert!(!is_canonical(bytes));
            assert!(parse(bytes).is_none());
            // At most 128 characters are shown, each escaped to `\u{10ffff}` at the longest.
            assert!(error.to_string().chars().count() < 128 * 10 + 200);
        }
    }
});
