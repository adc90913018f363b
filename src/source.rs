//! Where a plugin comes from: which repository a source names, and what a source must not hold.
//!
//! # Syntax
//!
//! A source is a location, optionally followed by `#` and a fragment. A location is a URL
//! (`github://`, `gitea://`, `https://`, `http://`, `ssh://`, `git://`, `file://`, each also with
//! `git+` in front) or scp-like (`user@host:path`). Everything else names no repository.

use gix_url::{ArgumentSafety, Scheme, Url};
use std::fmt::{self, Write};
use std::net::Ipv6Addr;

const SCHEMES: [&str; 7] = ["github", "gitea", "https", "http", "ssh", "git", "file"];
const SSH_SCHEMES: [&str; 3] = ["ssh", "git+ssh", "ssh+git"];

/// What to do about a source that holds a secret.
pub const SECRET_HINT: &str =
    "Leave credentials to git: a credential helper or an ssh key of whoever fetches.";

/// Why a source must not be stored. Its text never contains any part of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// `user:password@`, or what looks like the first half of it.
    Password,
    /// `user@` where the server would take the user name for a token.
    TokenAsUser,
    /// `?…`, where tokens and signatures are passed.
    Query,
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secret::Password => "a password",
            Secret::TokenAsUser => "a user name where a token may stand",
            Secret::Query => "a query string",
        })
    }
}

/// The identity of the repository that `source` names, or `None`.
///
/// Sources of the same repository have the same identity: `host[:port]/path`, `gitea:owner/name`
/// or `file:/path`. A source in which [`secret_in`] finds something has none.
#[must_use]
pub fn upstream(source: &str) -> Option<String> {
    let location = before(source, &['#']);
    let illegal = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if secret_in(source).is_some() || location.contains(illegal) {
        return None;
    }
    match location.split_once("://") {
        Some((scheme, rest)) => url_upstream(scheme, rest),
        None => scp_upstream(location),
    }
}

/// The first reason why `source` must not be stored. Works on any text, parseable or not.
#[must_use]
pub fn secret_in(source: &str) -> Option<Secret> {
    let Some((head, _)) = source.split_once("://") else {
        return scp_secret(source);
    };
    // A proxy's URL holds another one, so that every authority counts, not only the first.
    let mut authorities = source.match_indices("://");
    scp_secret(head)
        .or_else(|| {
            authorities.find_map(|(at, mark)| {
                authority_secret(scheme_at_end(&source[..at]), &source[at + mark.len()..])
            })
        })
        .or_else(|| {
            before(source, &['#'])
                .contains('?')
                .then_some(Secret::Query)
        })
}

/// `text` up to the first of `ends`.
fn before<'a>(text: &'a str, ends: &[char]) -> &'a str {
    text.split_once(ends).map_or(text, |(head, _)| head)
}

/// `https` in `https`, and in `https://proxy/https`.
fn scheme_at_end(text: &str) -> &str {
    let other = |c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c));
    text.rsplit(other).next().unwrap_or(text)
}

fn scp_secret(text: &str) -> Option<Secret> {
    let (user, _) = before(text, &['#']).split_once('@')?;
    user.contains(':').then_some(Secret::Password)
}

fn authority_secret(scheme: &str, rest: &str) -> Option<Secret> {
    // curl, and so git, skips surplus slashes and takes the host behind them.
    let is_file = scheme_is(scheme, "file") || scheme_is(scheme, "git+file");
    let rest = if is_file {
        rest
    } else {
        rest.trim_start_matches('/')
    };
    let authority = before(rest, &['/', '?', '#']);
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if has_colon(user) || !ends_in_port(host) {
        return Some(Secret::Password);
    }
    let may_be_token = !user.is_empty() && !SSH_SCHEMES.iter().any(|ssh| scheme_is(scheme, ssh));
    may_be_token.then_some(Secret::TokenAsUser)
}

fn scheme_is(scheme: &str, name: &str) -> bool {
    scheme.eq_ignore_ascii_case(name)
}

fn has_colon(user: &str) -> bool {
    user.contains(':') || user.contains("%3a") || user.contains("%3A")
}

/// Whether nothing but a port, possibly empty, follows the first colon outside an IPv6 address.
///
/// Where it is something else, a `#`, `/` or `?` in a password has cut off the `@`.
fn ends_in_port(host: &str) -> bool {
    let Some((_, port)) = after_ipv6(host).split_once(':') else {
        return true;
    };
    port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

/// What follows `[address]`; all of `host` if that is not what it starts with.
fn after_ipv6(host: &str) -> &str {
    let literal = host.strip_prefix('[').and_then(|h| h.split_once(']'));
    match literal {
        Some((address, rest)) if before(address, &['%']).parse::<Ipv6Addr>().is_ok() => rest,
        _ => host,
    }
}

fn url_upstream(scheme: &str, rest: &str) -> Option<String> {
    match transport(scheme)? {
        "github" => host_upstream("https", &format!("github.com/{}", owner_first(rest)?)),
        "gitea" => {
            let path = format!("/{}", owner_first(rest)?);
            check(&format!("localhost{path}"))?;
            Some(format!("gitea:{}", owner_and_name(&path)?))
        }
        "file" => file_upstream(rest),
        scheme => host_upstream(scheme, rest),
    }
}

/// The known scheme that `scheme` is, with any `git+` removed.
fn transport(scheme: &str) -> Option<&'static str> {
    if scheme_is(scheme, "ssh+git") {
        return Some("ssh");
    }
    let bare = match scheme.split_once('+') {
        Some((git, bare)) if scheme_is(git, "git") => bare,
        _ => scheme,
    };
    SCHEMES.into_iter().find(|known| scheme_is(bare, known))
}

/// `rest` if an owner stands where other URLs have their host.
fn owner_first(rest: &str) -> Option<&str> {
    let owner = before(rest, &['/']);
    (!owner.is_empty() && !owner.contains([':', '@'])).then_some(rest)
}

fn file_upstream(rest: &str) -> Option<String> {
    let (host, path) = rest.split_once('/')?;
    if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
        return None;
    }
    check(&format!("localhost/{path}"))?;
    Some(format!("file:/{}", repository(path)?.join("/")))
}

/// `user@host:path`. The user is required: without one, too much else looks the same.
fn scp_upstream(location: &str) -> Option<String> {
    let (user, rest) = location.split_once('@')?;
    let host_len = rest.len() - after_ipv6(rest).len();
    let (host, path) = rest.split_at(host_len + rest[host_len..].find(':')?);
    if user.is_empty() || user.contains(['/', '?', '[']) || host.contains(['/', '?']) {
        return None;
    }
    host_upstream("ssh", &format!("{user}@{host}/{}", &path[1..]))
}

fn host_upstream(scheme: &str, rest: &str) -> Option<String> {
    let url = check(rest)?;
    let (_, path) = rest.split_once('/')?;
    let mut identity = host(&url)?;
    let on_github = identity == "github.com";
    if let Some(port) = url
        .port
        .filter(|_| url.port != Scheme::from(scheme).default_port())
    {
        write!(identity, ":{port}").ok()?;
    }
    let path = if on_github {
        owner_and_name(&path.to_ascii_lowercase())?
    } else {
        repository(path)?.join("/")
    };
    Some(identity + "/" + &path)
}

/// Reads `authority/path` as an `https` URL, whatever its scheme: there gix-url is strictest, and
/// decodes the path but not the host. Refuses paths that would mean another place than they say.
fn check(rest: &str) -> Option<Url> {
    let url = gix_url::parse(format!("https://{rest}").as_str()).ok()?;
    let path = std::str::from_utf8(&url.path).ok()?;
    let dots =
        |segment: &str| matches!(segment.strip_suffix(".git").unwrap_or(segment), "." | "..");
    let refused = path.split('/').any(dots)
        || path.trim_start_matches('/').starts_with('-')
        || path.contains(|c: char| c.is_control() || c == '\\')
        || matches!(url.user_as_argument(), ArgumentSafety::Dangerous(_));
    (!refused).then_some(url)
}

/// The host in lower case, without its trailing dot, or the IPv6 address in its brackets.
fn host(url: &Url) -> Option<String> {
    // gix-url leaves the colon of an empty port with the host.
    let host = url.host()?.trim_end_matches(':');
    if host.starts_with('[') {
        // A zone means something on one machine only.
        return (!host.contains('%')).then(|| host.to_owned());
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_name = |label: &str| !label.is_empty() && label.bytes().all(legal);
    (host.split('.').all(is_name) && !host.starts_with('-')).then(|| host.to_ascii_lowercase())
}

/// The first two segments, which are the whole repository where there are only owners and names.
fn owner_and_name(path: &str) -> Option<String> {
    let segments = repository(path)?;
    Some(segments.get(..2)?.join("/"))
}

/// The segments up to and including the first `name.git`: what follows is a folder inside it.
fn repository(path: &str) -> Option<Vec<&str>> {
    let mut segments = Vec::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        if let Some(stem) = segment.strip_suffix(".git").filter(|stem| !stem.is_empty()) {
            segments.push(stem);
            break;
        }
        segments.push(segment);
    }
    (!segments.is_empty()).then_some(segments)
}

#[cfg(test)]
mod tests;
