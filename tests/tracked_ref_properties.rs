//! The parser against an oracle that was written from the rule's words and shares no code with it.

use pg_workspace_plugins::tracked_ref::{canonicalize, is_canonical, parse};
use proptest::prelude::*;

/// White space as `char` knows it, and everything by `String`: slow and plain.
fn oracle(text: &str) -> Option<String> {
    let trimmed: String = text.trim_matches(char::is_whitespace).to_owned();
    if trimmed.is_empty() || trimmed == "none" {
        return Some("none".to_owned());
    }
    let (kind, value) = trimmed.split_once(':')?;
    (["tag", "sha", "ref"].contains(&kind) && value.chars().count() >= 1).then_some(trimmed)
}

fn canonical(text: &str) -> Option<String> {
    canonicalize(text.as_bytes())
        .ok()
        .map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// Texts that come close to the rule's edges far more often than random ones would.
fn near_valid() -> impl Strategy<Value = String> {
    let space = prop::sample::select(vec![
        "", " ", "\t", "\u{a0}", "\u{85}", "\u{2003}", "\u{3000}", "\u{200b}", "\u{feff}",
        "\u{1680}",
    ]);
    let head = prop::sample::select(vec![
        "", "none", "None", "tag", "tag:", "sha:", "ref:", "TAG:", "branch:", "latest", ":",
    ]);
    let tail = prop_oneof![
        Just(String::new()),
        "[a-z0-9.^~*/-]{1,12}",
        "\\PC{0,4}",
        Just("latest".to_owned()),
    ];
    (space.clone(), head, tail, space).prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn agrees_with_the_oracle_near_the_edges(text in near_valid()) {
        prop_assert_eq!(canonical(&text), oracle(&text));
    }

    #[test]
    fn agrees_with_the_oracle_on_anything(text in any::<String>()) {
        prop_assert_eq!(canonical(&text), oracle(&text));
    }

    #[test]
    fn canonical_values_are_fixed_points(text in near_valid()) {
        if let Some(value) = canonical(&text) {
            prop_assert!(is_canonical(value.as_bytes()));
            prop_assert_eq!(canonical(&value), Some(value.clone()));
            let parsed = parse(value.as_bytes()).unwrap();
            let expected = value.split_once(':').map(|(_, value)| value.as_bytes());
            prop_assert_eq!(parsed.value(), expected);
        }
        prop_assert_eq!(is_canonical(text.as_bytes()), canonical(&text).as_deref() == Some(&text));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let shown = canonicalize(&bytes).map(<[u8]>::to_vec).map_err(|error| error.to_string());
        if let Ok(value) = shown {
            prop_assert!(is_canonical(&value));
        }
    }
}
