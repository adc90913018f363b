//! The choice of a tag against an oracle that reads names by hand, sorts everything, takes the last.

use pg_workspace_plugins::tag_choice::{compare_versions, resolve, split_range};
use proptest::prelude::*;
use semver::BuildMetadata;
use std::cmp::Ordering;

/// A part of a pre-release: numbers are lower than words and compare as numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u128),
    Word(String),
}

#[derive(Clone, Debug)]
struct Oracle {
    tag: String,
    core: [u128; 3],
    strict: bool,
    pre: Vec<Part>,
    build: String,
}

fn without_leading_zero(text: &str) -> bool {
    text == "0" || !text.starts_with('0')
}

fn number(text: &str) -> Option<u128> {
    (!text.is_empty() && text.chars().all(|c| c.is_ascii_digit())).then(|| text.parse().unwrap())
}

fn parts(text: Option<&str>) -> Option<Vec<&str>> {
    let Some(text) = text else {
        return Some(vec![]);
    };
    let parts: Vec<&str> = text.split('.').collect();
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
    parts
        .iter()
        .all(|part| !part.is_empty() && part.chars().all(legal))
        .then_some(parts)
}

fn read(prefix: &str, tag: &str) -> Option<Oracle> {
    if !tag.starts_with(prefix) {
        return None;
    }
    let mut name = &tag[prefix.len()..];
    if name.starts_with('v') || name.starts_with('V') {
        name = &name[1..];
    }
    let (rest, build) = name
        .split_once('+')
        .map_or((name, None), |(a, b)| (a, Some(b)));
    let (core_text, pre) = rest
        .split_once('-')
        .map_or((rest, None), |(a, b)| (a, Some(b)));
    let texts: Vec<&str> = core_text.split('.').collect();
    let numbers: Vec<u128> = texts
        .iter()
        .map(|text| number(text))
        .collect::<Option<_>>()?;
    if numbers.len() > 3 {
        return None;
    }
    let strict_core = texts.len() == 3
        && texts.iter().all(|text| without_leading_zero(text))
        && numbers.iter().all(|n| *n <= u128::from(u64::MAX));
    let pre = parts(pre)?.into_iter().map(|part| match number(part) {
        Some(_) if !without_leading_zero(part) => None,
        Some(n) => Some(Part::Number(n)),
        None => Some(Part::Word(part.to_owned())),
    });
    let pre = pre.collect::<Option<Vec<_>>>()?;
    parts(build)?;
    if !strict_core && rest.len() + build.map_or(0, |b| b.len() + 1) > core_text.len() {
        return None;
    }
    let core = [0, 1, 2].map(|place| numbers.get(place).copied().unwrap_or(0));
    let build = build.unwrap_or("").to_owned();
    Some(Oracle {
        tag: tag.to_owned(),
        core,
        strict: strict_core,
        pre,
        build,
    })
}

fn precedence(a: &Oracle, b: &Oracle) -> Ordering {
    let stable_last = a.pre.is_empty().cmp(&b.pre.is_empty());
    a.core
        .cmp(&b.core)
        .then(stable_last)
        .then_with(|| a.pre.cmp(&b.pre))
}

fn total(a: &Oracle, b: &Oracle) -> Ordering {
    let build = |o: &Oracle| BuildMetadata::new(&o.build).unwrap();
    precedence(a, b)
        .then_with(|| build(a).cmp(&build(b)))
        .then_with(|| a.tag.as_bytes().cmp(b.tag.as_bytes()))
}

/// Only what the generated tags can break: the rest of the rules is tested where it is written.
fn legal(tag: &str) -> bool {
    !tag.contains([' ', ':', '~', '^', '*', '?', '[', '\\'])
        && !tag.contains("..")
        && !tag.ends_with('.')
        && tag.split('/').all(|part| {
            !part.is_empty() && !part.starts_with('.') && part.strip_suffix(".lock").is_none()
        })
}

/// `^`, `~` and `.*` on the numbers alone, as the manual of Cargo explains them.
fn inside(range: &str, core: [u128; 3]) -> bool {
    let texts = range
        .trim_start_matches(['^', '~'])
        .split('.')
        .filter(|text| *text != "*");
    let wanted: Vec<u128> = texts.map(|text| text.parse().unwrap()).collect();
    let lowest = [0, 1, 2].map(|place| wanted.get(place).copied().unwrap_or(0));
    let fixed = match range.as_bytes()[0] {
        b'^' => wanted
            .iter()
            .position(|n| *n != 0)
            .map_or(wanted.len(), |place| place + 1),
        b'~' => wanted.len().min(2),
        _ => wanted.len(),
    };
    core >= lowest && core[..fixed] == lowest[..fixed]
}

fn oracle(prefix: &str, range: &str, tags: &[String], installed: Option<&str>) -> Option<String> {
    let mut all: Vec<Oracle> = tags.iter().filter_map(|tag| read(prefix, tag)).collect();
    all.retain(|o| legal(&o.tag));
    if let Some(installed) = installed.and_then(|tag| read(prefix, tag)) {
        all.retain(|o| o.core[0] <= installed.core[0] + 500);
    }
    all.sort_by(total);
    let stable: Vec<&Oracle> = all
        .iter()
        .filter(|o| o.strict && o.pre.is_empty())
        .collect();
    let strict: Vec<&Oracle> = all.iter().filter(|o| o.strict).collect();
    let numeric: Vec<&Oracle> = all.iter().filter(|o| !o.strict).collect();
    let stage = if range != "*" {
        stable
            .into_iter()
            .filter(|o| inside(range, o.core))
            .collect()
    } else if !stable.is_empty() {
        stable
    } else if !strict.is_empty() {
        strict
    } else {
        numeric
    };
    stage.last().map(|o| o.tag.clone())
}

fn prefix() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "", "", "plugin-a/", "plugin-a-", "v", "a..b/"])
        .prop_map(str::to_owned)
}

fn digits() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => "[0-3]", 4 => "1?[0-9]", 2 => "0[0-9]", 2 => "50[0-4]", 1 => "2024",
        1 => "1844674407370955161[0-9]", 1 => "[1-9][0-9]{20,25}"
    ]
}

fn suffix(mark: &'static str) -> impl Strategy<Value = String> {
    let part = prop_oneof![4 => "[0-2]", 2 => "[ab]", 1 => "0[0-2]", 1 => "1[0-9]", 1 => "[a-]b", 1 => "lock", 1 => ""];
    let dotted = prop::collection::vec(part, 1..4)
        .prop_map(move |parts| format!("{mark}{}", parts.join(".")));
    prop_oneof![3 => Just(String::new()), 1 => dotted]
}

fn tag() -> impl Strategy<Value = String> {
    let name = (
        prefix(),
        "[vV]?",
        prop::collection::vec(digits(), 1..4),
        suffix("-"),
        suffix("+"),
    );
    let version = (
        prefix(),
        "[vV]?",
        [digits(), digits(), digits()],
        suffix("-"),
        suffix("+"),
    );
    prop_oneof![
        6 => version.prop_map(|(p, v, core, pre, build)| format!("{p}{v}{}{pre}{build}", core.join("."))),
        3 => name.prop_map(|(p, v, core, pre, build)| format!("{p}{v}{}{pre}{build}", core.join("."))),
        1 => "[v0-2.+a/-]{0,8}",
        1 => prop::sample::select(vec!["latest", "nightly", "v1.2.3.4", "é1.0.0"]).prop_map(str::to_owned),
    ]
}

/// Sets that lack the first stages too, which mixed ones hardly ever do.
fn tags() -> impl Strategy<Value = Vec<String>> {
    let numeric = (prefix(), "[vV]?", prop::collection::vec(digits(), 1..3));
    let numeric = numeric
        .prop_map(|(p, v, core)| format!("{p}{v}{}", core.join(".")))
        .boxed();
    let prerelease = (prefix(), "[vV]?[0-1]\\.[0-1]\\.[0-1]-[ab0-2](\\.[ab0-9])?");
    let prerelease = prerelease.prop_map(|(p, name)| p + &name);
    prop_oneof![
        4 => prop::collection::vec(tag(), 0..24),
        1 => prop::collection::vec(numeric.clone(), 0..12),
        1 => prop::collection::vec(prop_oneof![numeric, prerelease], 0..12),
    ]
}

fn range() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just("*".to_owned()),
        3 => "[~^][0-3](\\.[0-3](\\.[0-3])?)?",
        2 => "[0-3]\\.(\\*|[0-3]\\.\\*)",
    ]
}

fn shuffled() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    tags().prop_flat_map(|tags| (Just(tags.clone()), Just(tags).prop_shuffle()))
}

fn choose<'a>(wanted: &str, tags: &'a [String], installed: Option<&str>) -> Option<&'a str> {
    resolve(wanted, tags.iter().map(String::as_str), installed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn agrees_with_the_oracle(
        tags in tags(), prefix in prefix(), range in range(), installed in prop::option::of(tag())
    ) {
        let wanted = format!("tag:{prefix}{range}");
        let expected = oracle(&prefix, &range, &tags, installed.as_deref());
        prop_assert_eq!(choose(&wanted, &tags, installed.as_deref()), expected.as_deref());
    }

    #[test]
    fn latest_is_the_star_of_the_stream_without_prefix(tags in tags(), installed in prop::option::of(tag())) {
        let installed = installed.as_deref();
        prop_assert_eq!(choose("tag:latest", &tags, installed), choose("tag:*", &tags, installed));
    }

    #[test]
    fn neither_order_nor_repetition_matters(
        (tags, other) in shuffled(), prefix in prefix(), range in range(), installed in prop::option::of(tag())
    ) {
        let wanted = format!("tag:{prefix}{range}");
        let chosen = choose(&wanted, &tags, installed.as_deref());
        prop_assert_eq!(choose(&wanted, &other, installed.as_deref()), chosen);
        let twice = [other, tags.clone()].concat();
        prop_assert_eq!(choose(&wanted, &twice, installed.as_deref()), chosen);
    }

    #[test]
    fn an_exact_tag_is_itself_or_nothing(tags in tags(), wanted in tag()) {
        let present = tags.contains(&wanted) && legal(&wanted) && wanted != "latest";
        if wanted != "latest" {
            prop_assert_eq!(choose(&format!("tag:{wanted}"), &tags, None), present.then_some(wanted.as_str()));
        }
    }

    #[test]
    fn any_text_gives_one_of_the_tags_or_nothing(
        wanted in "(tag:)?\\PC{0,12}", tags in prop::collection::vec("\\PC{0,12}", 0..8), installed in "\\PC{0,12}"
    ) {
        if let Some(chosen) = choose(&wanted, &tags, Some(&installed)) {
            prop_assert!(tags.iter().any(|tag| tag == chosen));
        }
    }

    #[test]
    fn prefix_and_range_make_up_the_value(value in "[a-c0-9.*^~/-]{0,12}|\\PC{0,12}") {
        match split_range(&value) {
            Some((prefix, range)) => {
                prop_assert_eq!(format!("{prefix}{range}"), value.clone());
                prop_assert!(!prefix.contains(['^', '~', '*']));
                prop_assert!(range.contains(['^', '~', '*']));
            }
            None => prop_assert!(!value.contains(['^', '~', '*'])),
        }
    }

    #[test]
    fn a_prefix_and_a_range_are_told_apart(prefix in "([a-z]+[0-9]?[/-])?", range in range()) {
        let value = format!("{prefix}{range}");
        prop_assert_eq!(split_range(&value), Some((prefix.as_str(), range.as_str())));
    }

    #[test]
    fn precedence_agrees_with_the_oracle(prefix in prefix(), a in tag(), b in tag()) {
        let expected = match (read(&prefix, &a), read(&prefix, &b)) {
            (Some(a), Some(b)) => Some(precedence(&a, &b)),
            _ => None,
        };
        prop_assert_eq!(compare_versions(&prefix, &a, &b), expected);
    }

    #[test]
    fn precedence_is_transitive(tags in prop::collection::vec(tag(), 3)) {
        let compare = |a: usize, b: usize| compare_versions("", &tags[a], &tags[b]);
        if let (Some(ab), Some(bc), Some(ac)) = (compare(0, 1), compare(1, 2), compare(0, 2))
            && ab != Ordering::Greater
            && bc != Ordering::Greater
        {
            prop_assert_eq!(ac, ab.then(bc));
        }
    }
}
