//! Where a source is asked: the URL that git would be given.

use gix_url::Url;
use pg_workspace_plugins::source;

use crate::config::Sources;
use crate::failure::{Failure, Kind};

/// The URL of the repository that a source names, by the operator's mappings.
///
/// # Errors
/// [`Kind::Source`] where the source names no repository, or nobody said where its host is.
pub fn locate(source: &str, sources: &Sources) -> Result<Url, Failure> {
    let unusable = |text: &str| Failure::new(Kind::Source, text);
    if let Some(secret) = source::secret_in(source) {
        return Err(unusable(&format!("the source holds {secret}")));
    }
    let identity =
        source::upstream(source).ok_or_else(|| unusable("the source names no repository"))?;
    let location = source.split('#').next().unwrap_or_default();
    let on_github = identity.strip_prefix("github.com/");
    let url = sources.rewritten(&match (location.split_once("://"), on_github) {
        (Some((scheme, rest)), _) => with_scheme(scheme, rest, &identity, sources)?,
        (None, Some(path)) => {
            let (host, _) = location.split_once(':').unwrap_or((location, ""));
            format!("{host}:{path}.git")
        }
        (None, None) => repository(location, 0),
    });
    let url = gix_url::parse(url.as_str())
        .map_err(|_| unusable("the mapped source is not a URL of git"))?;
    if url.password().is_some() {
        return Err(unusable("the mapped source holds a password"));
    }
    Ok(url)
}

fn with_scheme(
    scheme: &str,
    rest: &str,
    identity: &str,
    sources: &Sources,
) -> Result<String, Failure> {
    let scheme = scheme.to_ascii_lowercase();
    let scheme = match scheme.as_str() {
        "ssh+git" => "ssh",
        other => other.strip_prefix("git+").unwrap_or(other),
    };
    match scheme {
        "github" | "gitea" => mapped(scheme, rest, sources),
        // There a URL may go on behind owner and name, as that of a page does.
        _ if identity.starts_with("github.com/") => {
            let (host, _) = rest.split_once('/').unwrap_or((rest, ""));
            let path = identity.trim_start_matches("github.com/");
            Ok(format!("{scheme}://{host}/{path}.git"))
        }
        _ => Ok(repository(&format!("{scheme}://{rest}"), scheme.len() + 3)),
    }
}

/// `github://owner/name/folder` by the template of its scheme.
fn mapped(scheme: &str, rest: &str, sources: &Sources) -> Result<String, Failure> {
    let template = sources.template(scheme).ok_or_else(|| {
        Failure::new(
            Kind::Source,
            format!("nobody said where {scheme}:// is: set sources.{scheme} in the configuration"),
        )
    })?;
    let mut segments = rest.split('/').filter(|segment| !segment.is_empty());
    let owner = segments.next().unwrap_or_default();
    let name = segments.next().unwrap_or_default();
    let name = name.strip_suffix(".git").unwrap_or(name);
    Ok(template.replace("{owner}", owner).replace("{name}", name))
}

/// The location without the folder inside the repository, which follows the first `name.git`.
fn repository(location: &str, authority_at: usize) -> String {
    let path_at = location[authority_at..]
        .find('/')
        .map_or(location.len(), |at| authority_at + at);
    let (start, path) = location.split_at(path_at);
    let mut kept = start.to_owned();
    for segment in path.split('/').skip(1) {
        kept.push('/');
        kept.push_str(segment);
        if segment
            .strip_suffix(".git")
            .is_some_and(|stem| !stem.is_empty())
        {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(source: &str) -> String {
        let mut sources = Sources::default();
        sources.rewrite.insert(
            "https://old.example/".to_owned(),
            "ssh://git@new.example/".to_owned(),
        );
        sources.rewrite.insert(
            "https://old.example/special/".to_owned(),
            "https://special.example/".to_owned(),
        );
        match locate(source, &sources) {
            Ok(url) => url.to_bstring().to_string(),
            Err(failure) => failure.text,
        }
    }

    #[test]
    fn sources_become_urls_of_git() {
        for (source, url) in [
            ("github://acme/search", "https://github.com/acme/search.git"),
            (
                "github://acme/search.git/sub#main",
                "https://github.com/acme/search.git",
            ),
            (
                "https://github.com/Acme/Search/tree/main",
                "https://github.com/acme/search.git",
            ),
            (
                "git+https://git.example/acme/search.git/sub",
                "https://git.example/acme/search.git",
            ),
            (
                "https://git.example/group/sub/search#v1",
                "https://git.example/group/sub/search",
            ),
            (
                "git@git.example:acme/search.git/sub",
                "git@git.example:acme/search.git",
            ),
            (
                "git@github.com:Acme/search/sub",
                "git@github.com:acme/search.git",
            ),
            (
                "git+ssh://git@git.example:2222/a/b.git",
                "ssh://git@git.example:2222/a/b.git",
            ),
            ("git://git.example/a/b", "git://git.example/a/b"),
            ("file:///srv/git/a.git/sub", "file:///srv/git/a.git"),
            (
                "https://old.example/a/b.git",
                "ssh://git@new.example/a/b.git",
            ),
            (
                "https://old.example/special/b.git",
                "https://special.example/b.git",
            ),
        ] {
            assert_eq!(located(source), url, "{source}");
        }
    }

    #[test]
    fn what_cannot_be_asked_says_why() {
        assert_eq!(located("search"), "the source names no repository");
        assert_eq!(
            located("gitea://acme/search"),
            "nobody said where gitea:// is: set sources.gitea in the configuration"
        );
        assert_eq!(
            located("https://a:b@git.example/a/b"),
            "the source holds a password"
        );
    }

    #[test]
    fn a_template_says_where_gitea_is() {
        let sources = Sources {
            gitea: Some("https://git.example/{owner}/{name}.git".to_owned()),
            ..Sources::default()
        };
        let url = locate("gitea://acme/search/sub", &sources).unwrap();
        assert_eq!(url.to_bstring(), "https://git.example/acme/search.git");
    }
}
