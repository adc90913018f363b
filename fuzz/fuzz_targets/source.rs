//! Any text: no panic, nothing that holds a secret has an identity, an identity is its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pg_workspace_plugins::source::{secret_in, upstream};

/// Whether the identity reads the same after `https://`: not as another port, file or repository.
fn is_https_able(identity: &str) -> bool {
    let Some((host, path)) = identity.split_once('/') else {
        return false;
    };
    !(host.starts_with("gitea:") || host.starts_with("file:") || host.ends_with(":443"))
        && !path.contains('?')
        && !path.split('/').any(|segment| {
            segment
                .strip_suffix(".git")
                .is_some_and(|stem| !stem.is_empty())
        })
}

fuzz_target!(|source: &str| {
    let identity = upstream(source);
    if let Some(secret) = secret_in(source) {
        assert_eq!(identity, None);
        assert!(!secret.to_string().is_empty());
    }
    let Some(identity) = identity else { return };
    assert!(!identity.contains(|c: char| c.is_control() || c.is_whitespace() || "#\\".contains(c)));
    let (place, path) = identity.split_once('/').expect("a path");
    assert!(!place.is_empty() && !place.starts_with('-') && !place.contains('@'));
    assert!(!path.starts_with('-') || place.starts_with("gitea:"));
    assert!(
        path.split('/')
            .all(|segment| !matches!(segment, "" | "." | ".."))
    );
    if is_https_able(&identity) {
        assert_eq!(upstream(&format!("https://{identity}")), Some(identity));
    }
});
