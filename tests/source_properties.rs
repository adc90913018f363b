//! Sources that are built from their parts, so that the right answer is known without parsing.

use pg_workspace_plugins::source::{Secret, secret_in, upstream};
use proptest::prelude::*;

const HOSTED: [(&str, u16); 8] = [
    ("https", 443),
    ("http", 80),
    ("ssh", 22),
    ("git", 9418),
    ("git+https", 443),
    ("git+http", 80),
    ("git+ssh", 22),
    ("ssh+git", 22),
];

fn scheme() -> impl Strategy<Value = (String, u16)> {
    let any_case = |text: String| {
        let letters = prop::collection::vec(any::<bool>(), text.len());
        letters.prop_map(move |upper| {
            let cased = text.chars().zip(upper);
            cased
                .map(|(c, up)| if up { c.to_ascii_uppercase() } else { c })
                .collect()
        })
    };
    prop::sample::select(HOSTED.to_vec())
        .prop_flat_map(move |(name, port)| (any_case(name.to_owned()), Just(port)))
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9_][a-zA-Z0-9_-]{0,5}(\\.[a-zA-Z0-9]{1,5}){0,2}",
        1 => Just("GitLab.Example".to_owned()),
        1 => Just("[2001:DB8::1]".to_owned()),
    ]
}

/// A name, which neither ends in `.git` nor starts with what a command line takes for an option,
/// and cannot form another `://` with the slashes after it.
fn segment() -> impl Strategy<Value = String> {
    let any = "[a-zA-Z0-9_~%+@:.-]{1,8}".prop_map(|text| text.replace('%', "%2E"));
    any.prop_filter("names a folder", |text| {
        let decoded = text.replace("%2E", ".");
        let stem = decoded.strip_suffix(".git").unwrap_or(&decoded);
        !text.starts_with('-')
            && stem != "."
            && stem != ".."
            && text.strip_suffix(".git").is_none()
            && !text.ends_with(':')
    })
}

fn segments() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(segment(), 1..5)
}

/// What may follow the repository without changing which one it is.
fn tail() -> impl Strategy<Value = String> {
    (
        "/{0,2}|\\.git/{0,2}|\\.git/sub(/dir\\.git)?",
        "(#[a-z:#^*]{0,6})?",
    )
        .prop_map(|(path, fragment)| path + &fragment)
}

fn slashes() -> impl Strategy<Value = String> {
    "/{1,3}"
}

/// A location of any shape near a source, so that checks are reached, not only the first one.
fn near_source() -> impl Strategy<Value = String> {
    prop_oneof![
        "(git\\+)?(https|ssh|git|file|github|gitea|local)://[a-zA-Z0-9@:/?#%.\\[\\]\\\\-]{0,24}",
        "[a-z@:/?#%.\\[-]{0,24}",
        "\\PC{0,24}",
        any::<String>(),
    ]
}

fn is_https_able(identity: &str) -> bool {
    let path = identity.split_once('/').map_or("", |(_, path)| path);
    let host = &identity[..identity.len() - path.len()];
    !host.starts_with("gitea:")
        && !host.starts_with("file:")
        && !host.contains(":443/")
        && !path.contains('?')
        && !path.split('/').any(|segment| {
            segment
                .strip_suffix(".git")
                .is_some_and(|stem| !stem.is_empty())
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_url_is_its_host_and_path(
        (scheme, default) in scheme(), host in host(), dot in "\\.?", port in prop::option::of(1..=u16::MAX),
        spelled in any::<bool>(), slashes in slashes(), path in segments(), tail in tail()
    ) {
        let host = if host.starts_with('[') { host } else { host + &dot };
        let written = match port {
            Some(port) => format!(":{port}"),
            None if spelled => format!(":{default}"),
            None => String::new(),
        };
        let source = format!("{scheme}://{host}{written}{slashes}{}{tail}", path.join(&slashes));
        let port = port.filter(|port| *port != default).map_or(String::new(), |port| format!(":{port}"));
        let host = host.to_lowercase();
        let expected = format!("{}{port}/{}", host.trim_end_matches('.'), path.join("/"));
        prop_assert_eq!(upstream(&source), Some(expected), "{}", source);
    }

    #[test]
    fn scp_like_is_its_host_and_path(
        user in "[a-z][a-z0-9.-]{0,5}", host in host(), slashes in "/?", path in segments(), tail in tail()
    ) {
        let source = format!("{user}@{host}:{slashes}{}{tail}", path.join("/"));
        let expected = format!("{}/{}", host.to_lowercase(), path.join("/"));
        prop_assert_eq!(upstream(&source), Some(expected), "{}", source);
    }

    #[test]
    fn github_is_owner_and_name_in_lower_case(
        start in prop::sample::select(vec![
            "github://", "git+github://", "https://github.com/", "https://GitHub.com./", "git@github.com:",
            "ssh://git@github.com/", "http://github.com:80/", "git://github.com//",
        ]),
        owner in "[a-zA-Z0-9]{1,8}", name in "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,6}[a-z]", tail in tail(),
        folder in "(/[a-z]{1,3}){0,2}"
    ) {
        prop_assume!(!name.to_lowercase().ends_with(".git"));
        let expected = format!("github.com/{owner}/{name}").to_lowercase();
        prop_assert_eq!(upstream(&format!("{start}{owner}/{name}{tail}")), Some(expected.clone()));
        prop_assert_eq!(upstream(&format!("{start}{owner}/{name}{folder}")), Some(expected));
    }

    #[test]
    fn gitea_keeps_its_scheme_and_case(owner in "[a-zA-Z0-9]{1,8}", name in "[a-zA-Z0-9]{1,8}", tail in tail()) {
        let expected = Some(format!("gitea:{owner}/{name}"));
        prop_assert_eq!(upstream(&format!("gitea://{owner}/{name}{tail}")), expected.clone());
        prop_assert_eq!(upstream(&format!("gitea://{owner}/{name}/x{tail}")), expected);
    }

    #[test]
    fn files_are_local(host in "(localhost|LOCALHOST)?", path in segments(), tail in tail()) {
        prop_assume!(!path[0].contains(['@', ':']));
        let source = format!("file://{host}/{}{tail}", path.join("/"));
        prop_assert_eq!(upstream(&source), Some(format!("file:/{}", path.join("/"))), "{}", source);
        let elsewhere = format!("file://host/{}{tail}", path.join("/"));
        prop_assert_eq!(upstream(&elsewhere), None);
    }

    #[test]
    fn an_identity_is_its_own_identity((scheme, _) in scheme(), host in host(), path in segments()) {
        let identity = upstream(&format!("{scheme}://{host}/{}", path.join("/"))).unwrap();
        prop_assert_eq!(upstream(&format!("https://{identity}")), Some(identity.clone()));
    }

    #[test]
    fn any_text_has_a_sound_identity_or_none(source in near_source()) {
        let identity = upstream(&source);
        if secret_in(&source).is_some() {
            prop_assert_eq!(&identity, &None);
        }
        let Some(identity) = identity else { return Ok(()) };
        prop_assert!(!identity.contains(|c: char| c.is_control() || c.is_whitespace() || "#\\".contains(c)));
        let (place, path) = identity.split_once(['/']).unwrap();
        prop_assert!(!place.is_empty() && !place.starts_with('-') && !place.contains('@'));
        prop_assert!(path.split('/').all(|segment| !matches!(segment, "" | "." | "..")));
        if is_https_able(&identity) {
            prop_assert_eq!(upstream(&format!("https://{identity}")), Some(identity.clone()));
        }
    }

    #[test]
    fn climbing_paths_name_nothing(
        (scheme, _) in scheme(), path in segments(), at in any::<prop::sample::Index>(),
        dots in "(\\.|%2e|%2E){1,2}(\\.git)?"
    ) {
        let mut path = path;
        path.insert(at.index(path.len() + 1), dots);
        prop_assert_eq!(upstream(&format!("{scheme}://host/{}", path.join("/"))), None);
        prop_assert_eq!(upstream(&format!("git@host:{}", path.join("/"))), None);
        prop_assert_eq!(upstream(&format!("gitea://{}", path.join("/"))), None);
        prop_assert_eq!(upstream(&format!("file:///{}", path.join("/"))), None);
    }

    #[test]
    fn passwords_are_found_whatever_they_hold(
        (scheme, _) in scheme(), proxy in "(https://proxy/)?", user in "[a-z]{0,4}",
        password in "[a-z][A-Z0-9@/?#:%]{3,12}", host in host()
    ) {
        let source = format!("{proxy}{scheme}://{user}:{password}@{host}/a");
        prop_assert_eq!(secret_in(&source), Some(Secret::Password), "{}", source);
        prop_assert_eq!(upstream(&source), None);
    }

    #[test]
    fn users_are_tokens_except_over_ssh((scheme, _) in scheme(), user in "[a-zA-Z0-9_.-]{1,12}", host in host()) {
        let source = format!("{scheme}://{user}@{host}/a");
        let expected = if scheme.to_lowercase().contains("ssh") { None } else { Some(Secret::TokenAsUser) };
        prop_assert_eq!(secret_in(&source), expected, "{}", source);
    }

    #[test]
    fn queries_are_found((scheme, _) in scheme(), path in segments(), query in "[a-z=&]{0,8}", fragment in "(#[a-z?]{0,4})?") {
        let source = format!("{scheme}://host/{}", path.join("/"));
        prop_assert_eq!(secret_in(&format!("{source}?{query}{fragment}")), Some(Secret::Query));
        prop_assert_eq!(secret_in(&format!("{source}{fragment}")), None);
    }

    #[test]
    fn the_reason_never_shows_the_secret(secret in "[A-Z0-9]{4,16}", (scheme, _) in scheme()) {
        for source in [
            format!("{scheme}://u:{secret}@host/a"), format!("{scheme}://{secret}@host/a"),
            format!("{scheme}://host/a?{secret}"), format!("u:{secret}@host:a"),
        ] {
            let text = secret_in(&source).map_or(String::new(), |secret| secret.to_string());
            let leaks = secret.as_bytes().windows(4).any(|part| text.as_bytes().windows(4).any(|other| other == part));
            prop_assert!(!leaks, "{}", text);
        }
    }
}
