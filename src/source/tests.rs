use super::*;

fn upstreams(expected: Option<&str>, sources: &[&str]) {
    for source in sources {
        assert_eq!(upstream(source).as_deref(), expected, "{source:?}");
    }
}

#[test]
fn repositories_on_github() {
    upstreams(
        Some("github.com/foo/bar"),
        &[
            "github://Foo/Bar#tag:v1",
            "https://GitHub.com:443/Foo/Bar.git",
            "https://github.com/foo/bar/",
            "git@github.com:Foo/Bar.git",
            "ssh://git@github.com/Foo/Bar",
            "git+https://github.com/foo/bar.git",
            "github://foo/bar/plugins/x#v1",
            "GitHub://foo/bar",
            "git+github://foo//bar.git/x",
            "https://github.com./foo/bar/tree/main",
            "https://github.com/foo/bar.GIT",
        ],
    );
    upstreams(
        Some("github.com:8443/foo/bar"),
        &["https://github.com:8443/Foo/Bar/x"],
    );
}

#[test]
fn repositories_elsewhere() {
    for (source, expected) in [
        ("gitea://Acme/p/plugins/x#main", "gitea:Acme/p"),
        ("gitea://Acme/p.git/x", "gitea:Acme/p"),
        (
            "ssh://git@host.example:2222/a/b.git",
            "host.example:2222/a/b",
        ),
        (
            "git+https://host.Example/A/B.git/sub/dir#v1#x",
            "host.example/A/B",
        ),
        ("http://host:80/a/b.git", "host/a/b"),
        ("git://host:9418/a/b", "host/a/b"),
        ("https://host./a//b", "host/a/b"),
        ("ssh+git://git@host:22/a/b", "host/a/b"),
        ("git+ssh://git@host:443/a/b", "host:443/a/b"),
        ("HTTPS://HOST:/a/b", "host/a/b"),
        ("https://host/a/b.git.git", "host/a/b.git"),
        ("https://host/a/.git", "host/a/.git"),
        ("https://host/a%20b/%2e%2ec", "host/a%20b/%2e%2ec"),
        ("https://[2001:DB8::1]:443/a", "[2001:db8::1]/a"),
        ("ssh://git@[::1]:2222/a", "[::1]:2222/a"),
        ("ssh://git@host/~user/a%20b", "host/~user/a%20b"),
        ("git@host:2222/a", "host/2222/a"),
        ("git@host:/a/b.git", "host/a/b"),
        ("git@host:~user/a", "host/~user/a"),
        ("git@[::1]:a/b", "[::1]/a/b"),
        ("file:///srv/git/a.git", "file:/srv/git/a"),
        ("file://localhost/srv//git/A/", "file:/srv/git/A"),
        ("git+file:///srv/a.git/sub", "file:/srv/a"),
    ] {
        upstreams(Some(expected), &[source]);
    }
}

#[test]
fn what_names_no_repository() {
    upstreams(
        None,
        &[
            "",
            "#",
            "my-plugin",
            "local://x",
            "local://x#v1",
            "ext::sh -c x",
            "foo:bar",
            "github://foo",
            "github://",
            "github:///foo/bar",
            "github://foo/../bar",
            "github://foo/..git",
            "github://foo:1/bar",
            "github://foo.git/bar",
            "github://-foo/bar",
            "gitea://Acme",
            "gitea:///Acme/p",
            "gitea://Acme/%2E./p",
            "gitea://-Acme/p",
            "https://github.com/foo",
            "git@github.com:foo",
            "https://host",
            "https://host/",
            "https://host/.",
            "https://host/a/../b",
            "https://host/a/...git",
            "https://host/%2e%2E/b",
            "https://host/a%2f..%2fb",
            "https://host/a/.%2e.git",
            "https://host/a%0ab",
            "https://host/a%5cb",
            "https://host/a%zz",
            "https://host/-a",
            "https://host//-a/b",
            "https://host/a\\b",
            "https://host/a b",
            " https://host/a",
            "https://host/a\u{a0}b",
            "https://host/a\u{1}",
            "https://host:0/a",
            "https://host:65536/a",
            "https://-host/a",
            "https://h%2fost/a",
            "https://host../a",
            "https://.host/a",
            "https:///host/a",
            "https://b\u{fc}cher/a",
            "https://[::1/a",
            "https://[fe80::1%25eth0]/a",
            "https://[x]/a",
            "ssh:///a",
            "ssh://host",
            "file://host/a",
            "file://",
            "file:///",
            "file:///a/../b",
            "file:///%2e%2e/a",
            "git@host:",
            "@host:a",
            "git@:a",
            "./git@host:a",
            "git@ho/st:a",
            "git@host",
            "a?b@host:c",
            "a@b?c:d",
            "a@t?:-b",
            "[git@host:22]:a",
            "-oProxyCommand=x@host:a",
            "git@-host:a",
            "git@host:-a",
            "ssh://-x@host/a",
            "://host/a",
            "git+://host/a",
            "git+git+https://host/a",
        ],
    );
}

#[test]
fn secrets() {
    use Secret::{Password, Query, TokenAsUser};
    for (source, expected) in [
        ("https://u:p@host/a/b", Password),
        ("https://tok@host/a/b", TokenAsUser),
        ("https://host/a/b?token=1", Query),
        ("HTTPS://:p@host/a", Password),
        ("ssh://git:p@host/a", Password),
        ("ssh://git%3Ap@host/a", Password),
        ("https://u:p#w@host/a", Password),
        ("https://u:p/w@host/a", Password),
        ("https://u:p?w@host/a", Password),
        ("https://u:12345678#w@host/a", Password),
        ("https://[u:p]#w@host/a", Password),
        ("https://u:p@w@host/a", Password),
        ("https://host:+80/a", Password),
        ("https:////u:p@host/a", Password),
        ("local://u:p@x", Password),
        ("git+https://tok@host/a", TokenAsUser),
        ("github://tok@foo/bar", TokenAsUser),
        ("file://tok@localhost/a", TokenAsUser),
        ("https://proxy/https://u:p@host/a", Password),
        ("https://proxy/https://tok@host/a", TokenAsUser),
        ("ssh://git@host/a?b", Query),
        ("u:p@host:a", Password),
        ("u:p@host:a://b", Password),
        ("https:/u:p@host/a", Password),
    ] {
        assert_eq!(secret_in(source), Some(expected), "{source}");
        upstreams(None, &[source]);
    }
}

#[test]
fn no_secrets() {
    for source in [
        "",
        "@",
        ":",
        "my-plugin",
        "my-plugin@1.0:x",
        "git@host:path",
        "git@host:a@b",
        "ssh://git@host",
        "SSH://git@host:22/a",
        "git+ssh://git@host/a",
        "ssh+git://git@host/a",
        "https://host:8080/a",
        "https://host:/a",
        "https://[::1]:80/a",
        "https://[fe80::1%25e]/a",
        "https://host/a#v?1",
        "https://host/a@b:c",
        "https://@host/a",
        "file:///C:/a",
        "file:///a:b@c/d",
        "a?b",
        "x#u:p@y",
        "https://proxy/ssh://git@host/a",
        "://",
    ] {
        assert_eq!(secret_in(source), None, "{source}");
    }
}

#[test]
fn texts_of_secrets() {
    assert_eq!(Secret::Password.to_string(), "a password");
    assert_eq!(
        Secret::TokenAsUser.to_string(),
        "a user name where a token may stand"
    );
    assert_eq!(Secret::Query.to_string(), "a query string");
}
