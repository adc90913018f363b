//! What is said to a server of git, and what it answers.

use std::rc::Rc;

use futures_util::io::{AsyncRead, AsyncWrite};
use gix_protocol::handshake::Ref;
use gix_protocol::ls_refs::RefPrefixes;
use gix_protocol::{Handshake, LsRefsCommand};
use gix_transport::client::git::{ConnectMode, async_io::Connection};
use gix_transport::{Protocol, Service, packetline};
use gix_utils::progress::Discard;

use super::{Answer, Ask, Refs};
use crate::failure::{Failure, Kind, shown};

/// How the watcher names itself, to servers of git and of HTTP: some of the latter ask for `git/`.
pub fn agent() -> String {
    gix_protocol::agent(concat!(
        "workspace-plugins-watch-",
        env!("CARGO_PKG_VERSION")
    ))
}

/// A conversation in which both sides go on speaking: `git://`, and the programs.
pub async fn converse<R, W>(
    read: R,
    write: W,
    mode: ConnectMode,
    host: Option<(String, Option<u16>)>,
    ask: &Rc<Ask>,
) -> Result<Vec<Ref>, Failure>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let path = ask.url.path.clone();
    let mut connection = Connection::new(read, write, Protocol::V2, path, host, mode, false);
    ask.stage("waiting for its greeting");
    let mut greeting = greeting(&mut connection).await?;
    match greeting.refs.take() {
        Some(refs) => Ok(refs),
        None => ls_refs(&mut connection, &greeting, ask).await,
    }
}

/// A stream that is read and another that is written: one half of an exchange over HTTP.
pub fn half<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(read: R, write: W) -> Connection<R, W> {
    let nobody = None::<(String, _)>;
    Connection::new(
        read,
        write,
        Protocol::V2,
        "",
        nobody,
        ConnectMode::Process,
        false,
    )
}

pub async fn greeting<R, W>(connection: &mut Connection<R, W>) -> Result<Handshake, Failure>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let no_password = |_| Ok(None);
    gix_protocol::handshake(
        connection,
        Service::UploadPack,
        no_password,
        Vec::new(),
        &mut Discard,
    )
    .await
    .map_err(|error| failure(&error))
}

pub async fn ls_refs<R, W>(
    connection: &mut Connection<R, W>,
    greeting: &Handshake,
    ask: &Ask,
) -> Result<Vec<Ref>, Failure>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    ask.stage("waiting for its refs");
    let mut prefixes = RefPrefixes::new();
    prefixes.extend(ask.prefixes.iter().map(|prefix| prefix.as_str().into()));
    let agent = ("agent", Some(agent()));
    let refs = LsRefsCommand::new(Some(prefixes), &greeting.capabilities, agent)
        .invoke_async(connection, &mut Discard, false)
        .await
        .map_err(|error| failure(&error))?;
    ask.stage("reading its refs");
    Ok(refs)
}

fn failure(error: &gix_error::Error) -> Failure {
    // A line that starts with ERR is how a server of git refuses.
    match error.downcast_any_ref::<packetline::read::Error>() {
        Some(refusal) => {
            let text = shown(&refusal.message.to_string());
            Failure::new(Kind::Server, format!("the server refused: {text}"))
        }
        None => Failure::among(error.iter_errors()),
    }
}

/// What was asked for, of all that came: a server of before version 2 tells everything.
pub fn answer(refs: Vec<Ref>, prefixes: &[String]) -> Answer {
    let mut answer = Answer {
        refs: Refs::new(),
        skipped: 0,
    };
    for (name, commit) in refs.into_iter().filter_map(commit_of) {
        match String::from_utf8(name) {
            Ok(name) if prefixes.iter().any(|prefix| name.starts_with(prefix)) => {
                answer.refs.insert(name, commit);
            }
            Ok(_) => {}
            Err(_) => answer.skipped += 1,
        }
    }
    answer
}

/// A ref and its commit, of an annotated tag the one behind it; nothing for a branch without one.
fn commit_of(found: Ref) -> Option<(Vec<u8>, String)> {
    let (name, object) = match found {
        Ref::Peeled {
            full_ref_name,
            object,
            ..
        }
        | Ref::Direct {
            full_ref_name,
            object,
        }
        | Ref::Symbolic {
            full_ref_name,
            object,
            ..
        } => (full_ref_name, object),
        Ref::Unborn { .. } => return None,
    };
    Some((name.into(), object.to_string()))
}
