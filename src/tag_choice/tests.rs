use super::*;

/// Tags as a real repository has them, of several streams and of none.
const MIXED: [&str; 16] = [
    "v1.0.0",
    "v1.9.0",
    "v1.10.0",
    "v1.11.0",
    "v2.0.0-rc.1",
    "latest",
    "v1",
    "v1.2",
    "nightly",
    "2024.01.05",
    "Release-1.0",
    "plugin-a/v1.2.3",
    "plugin-a/v1.10.0",
    "plugin-a-v9.9.9",
    "v1.010.0",
    "v1.11.0-rc.9",
];
const TOO_LONG: &str = "v99999999999999999999.0.0";

/// Checks a choice in the given order, reversed, and with every tag twice.
fn chooses(wanted: &str, tags: &[&str], installed: Option<&str>, expected: Option<&str>) {
    let forth = tags.iter().copied();
    let back = || tags.iter().rev().copied();
    assert_eq!(
        resolve(wanted, forth.clone(), installed),
        expected,
        "{wanted} {tags:?}"
    );
    assert_eq!(
        resolve(wanted, back(), installed),
        expected,
        "{wanted} {tags:?} reversed"
    );
    assert_eq!(
        resolve(wanted, back().chain(forth), installed),
        expected,
        "{wanted} twice"
    );
}

fn mixed(more: &[&'static str]) -> Vec<&'static str> {
    [&MIXED, [TOO_LONG].as_slice(), more].concat()
}

#[test]
fn streams_of_one_repository() {
    for (wanted, expected) in [
        ("tag:latest", Some("v1.11.0")),
        ("tag:*", Some("v1.11.0")),
        ("tag:plugin-a/*", Some("plugin-a/v1.10.0")),
        ("tag:plugin-a-*", Some("plugin-a-v9.9.9")),
        ("tag:plugin-a*", None),
        ("tag:^1.9", Some("v1.11.0")),
        ("tag:~1.9", Some("v1.9.0")),
        ("tag:1.*", Some("v1.11.0")),
        ("tag:1.10.*", Some("v1.10.0")),
        ("tag:2.*", None),
        ("tag:^2.0.0-rc.1", None),
        ("tag:plugin-a/^1.2", Some("plugin-a/v1.10.0")),
        ("tag:plugin-a/v1.*", Some("plugin-a/v1.10.0")),
        ("tag:plugin-a/V1.*", None),
        ("tag:plugin-a-9.*", Some("plugin-a-v9.9.9")),
        ("tag:v1.2.3", None),
        ("tag:v1.2", Some("v1.2")),
        ("tag:nightly", Some("nightly")),
        ("tag:^x", None),
        ("tag:^*", None),
        ("tag:*.*", None),
        ("tag:plugin-b/*", None),
        ("tag:", None),
        ("none", None),
        ("sha:abc123", None),
        ("ref:v1.0.0", None),
    ] {
        chooses(wanted, &mixed(&[]), None, expected);
    }
}

#[test]
fn build_metadata_breaks_ties_then_bytes() {
    let tags = mixed(&["v1.11.0+build.5", "1.11.0"]);
    chooses("tag:latest", &tags, None, Some("v1.11.0+build.5"));
    assert_eq!(
        compare_versions("", "v1.11.0", "v1.11.0+build.5"),
        Some(Ordering::Equal)
    );
    chooses(
        "tag:latest",
        &["1.0.0", "V1.0.0", "v1.0.0"],
        None,
        Some("v1.0.0"),
    );
    chooses(
        "tag:latest",
        &["1.0.0+10", "1.0.0+9"],
        None,
        Some("1.0.0+10"),
    );
}

#[test]
fn stages() {
    let prereleases = [
        "v1.0.0-alpha",
        "v1.0.0-alpha.1",
        "v1.0.0-alpha.beta",
        "v1.0.0-beta",
        "v1.0.0-beta.2",
        "v1.0.0-beta.11",
        "v1.0.0-rc.1",
    ];
    let forks = ["v0.3.0-gitea.1", "v0.4.0-gitea.1", "v0.4.0-gitea.2"];
    for (tags, expected) in [
        (prereleases.as_slice(), Some("v1.0.0-rc.1")),
        (&forks, Some("v0.4.0-gitea.2")),
        (&["v1", "v1.2", "v1.10"], Some("v1.10")),
        (&["2024.01.05", "2024.11.30"], Some("2024.11.30")),
        (&["v1", "v1.0.3", "v1.2"], Some("v1.0.3")),
        (&["v9", "v1.0.0-rc.1"], Some("v1.0.0-rc.1")),
        (&["v1.10.0", "v1.10.0-rc.1"], Some("v1.10.0")),
        (&["v1", "v1.0", "v01"], Some("v1.0")),
        (&["2024.1.5", "2024.01.05"], Some("2024.1.5")),
        (&["9", TOO_LONG], Some(TOO_LONG)),
        (&["1.2.3.4", "1.", ".1", "1..2", "v", "vV1"], None),
        (&["latest", "nightly", "stable"], None),
        (&[], None),
    ] {
        chooses("tag:latest", tags, None, expected);
    }
}

#[test]
fn a_jump_of_more_than_500_majors_is_excluded() {
    for (tags, installed, expected) in [
        (["v1.0.0", "v2.0.0", "2024.1.0"], Some("v1.0.0"), "v2.0.0"),
        (["v1.0.0", "v2.0.0", "2024.1.0"], Some("1.0"), "v2.0.0"),
        (["v1.0.0", "v2.0.0", "2024.1.0"], Some("main"), "2024.1.0"),
        (
            ["v1.0.0", "v2.0.0", "2024.1.0"],
            Some("a/v1.0.0"),
            "2024.1.0",
        ),
        (["v1.0.0", "v2.0.0", "2024.1.0"], None, "2024.1.0"),
        (
            ["v1.0.0", "v501.0.0", "v502.0.0"],
            Some("v1.0.0"),
            "v501.0.0",
        ),
        (["v1.0.0", "v2.0.0", "v3.0.0"], Some("v9.0.0"), "v3.0.0"),
        (
            ["v1.0.0-rc.1", "v2", "2024.1.0"],
            Some("v1.0.0-rc.1"),
            "v1.0.0-rc.1",
        ),
        (["1.0", "2.0", "2024.01.05"], Some("1.0"), "2.0"),
        (["1.0", "2.0", "2024.1.0"], Some("1.0"), "2.0"),
    ] {
        chooses("tag:latest", &tags, installed, Some(expected));
    }
    chooses("tag:2024.*", &["2024.1.0"], Some("v1.0.0"), None);
    chooses(
        "tag:2024.1.0",
        &["2024.1.0"],
        Some("v1.0.0"),
        Some("2024.1.0"),
    );
}

#[test]
fn names_that_git_refuses_are_never_chosen() {
    chooses(
        "tag:latest",
        &["v1.0.0", "v2.0.0-a.lock", "v1.0.0+a.lock"],
        None,
        Some("v1.0.0"),
    );
    chooses("tag:latest", &["v1", "v2.0.0-a.lock"], None, Some("v1"));
    chooses("tag:a b/*", &["a b/1.0.0"], None, None);
    for name in ["a b", "a:b", "a..b", "a/", "a.lock", "a\u{7f}"] {
        chooses(&format!("tag:{name}"), &[name], None, None);
    }
}

#[test]
fn ranges_are_split_from_their_prefix() {
    for (value, expected) in [
        ("*", Some(("", "*"))),
        ("^1.2", Some(("", "^1.2"))),
        ("~1.4", Some(("", "~1.4"))),
        ("1.*", Some(("", "1.*"))),
        ("1.2.*", Some(("", "1.2.*"))),
        ("1.2.3.*", Some(("1.", "2.3.*"))),
        ("plugin-a/^1.2", Some(("plugin-a/", "^1.2"))),
        ("plugin-a/*", Some(("plugin-a/", "*"))),
        ("plugin-a-1.*", Some(("plugin-a-", "1.*"))),
        ("plugin-a2.10.*", Some(("plugin-a", "2.10.*"))),
        ("plugin.*", Some(("plugin.", "*"))),
        ("plugin.1.*", Some(("plugin.", "1.*"))),
        ("plugin1*", Some(("plugin1", "*"))),
        (".*", Some((".", "*"))),
        ("é1.*", Some(("é", "1.*"))),
        ("a^1.*", Some(("a", "^1.*"))),
        ("1.*^", Some(("", "1.*^"))),
        ("^1.2, <1.9", Some(("", "^1.2, <1.9"))),
        ("latest", None),
        ("v1.0.0", None),
        ("", None),
    ] {
        assert_eq!(split_range(value), expected, "{value}");
    }
}

#[test]
fn precedence_of_two_tags() {
    use Ordering::{Equal, Greater, Less};
    for (prefix, a, b, expected) in [
        ("", "v1.9.0", "v1.10.0", Some(Less)),
        ("", "v1.0.0", "1.0.0+7", Some(Equal)),
        ("", "v1.0.0-rc.1", "v1.0.0", Some(Less)),
        ("", "v1.10", "v1.9", Some(Greater)),
        ("", "v1", "1.00.0", Some(Equal)),
        ("", "v1.2", "v1.2.0", Some(Equal)),
        ("", "v1.2", "v1.2.0-rc.1", Some(Greater)),
        ("", "v1.2.1", "v1.2", Some(Greater)),
        ("a/", "a/v1.0.0", "a/v2.0.0", Some(Less)),
        ("a/", "a/v1.0.0", "v2.0.0", None),
        ("", "main", "v2.0.0", None),
    ] {
        assert_eq!(compare_versions(prefix, a, b), expected, "{a} {b}");
        let reversed = expected.map(Ordering::reverse);
        assert_eq!(compare_versions(prefix, b, a), reversed, "{b} {a}");
    }
}
