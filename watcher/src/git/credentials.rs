//! What git's own credential helpers know. Nothing of it is ever shown or kept.

use std::process::Stdio;

use gix_credentials::protocol::{Context, ContextOptions};
use reqwest::Url;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::failure::{Failure, Kind};

/// A user and a password.
pub struct Login {
    pub user: String,
    pub password: String,
}

/// Asks `git credential fill`, which asks the helpers that are configured, and nobody else.
pub async fn fill(url: &Url, challenges: Vec<String>) -> Result<Option<Login>, Failure> {
    let context = Context {
        protocol: Some(url.scheme().to_owned()),
        host: Some(authority(url)),
        path: Some(url.path().trim_start_matches('/').into()),
        www_authenticate: challenges.into_iter().map(Into::into).collect(),
        ..Context::default()
    };
    let mut question = context.to_bstring();
    question.push(b'\n');
    let answer = ask_git(&question).await?;
    let Some(answer) = answer else {
        return Ok(None);
    };
    let answer = Context::from_bytes(&answer, ContextOptions::default())
        .map_err(|_| Failure::new(Kind::Program, "git credential gave what cannot be read"))?;
    Ok(match (answer.username, answer.password) {
        (Some(user), Some(password)) => Some(Login { user, password }),
        _ => None,
    })
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The answer; nothing where no helper knows one.
async fn ask_git(question: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            Kind::Program,
            format!("git credential could not be asked: {error}"),
        )
    };
    let mut child = Command::new("git")
        .args(["credential", "fill"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "")
        .env("SSH_ASKPASS", "")
        .env("GCM_INTERACTIVE", "never")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // It may repeat what it was told.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(question).await.map_err(failed)?;
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    Ok(output.status.success().then_some(output.stdout))
}
