//! `ssh://` and `file://`: the programs of this machine, with their own configuration.

use std::env;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;

use gix_protocol::handshake::Ref;
use gix_transport::client::git::ConnectMode;
use gix_url::{ArgumentSafety, Url};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use super::meter::Meter;
use super::{Ask, wire};
use crate::failure::{Failure, Kind, shown};
use crate::network::{Policy, without_brackets};

/// Bytes of a program's complaints that are read.
const COMPLAINT: u64 = 4096;

/// What ssh says where a server, or what is in between, has closed the connection.
const SSH_DROPS: [&str; 3] = ["Connection closed by", "Connection reset by", "Broken pipe"];

pub async fn list_by_ssh(ask: &Rc<Ask>, policy: &Policy) -> Result<Vec<Ref>, Failure> {
    let target = Target::of(&ask.url)?;
    if policy.denies_any() {
        ask.stage("looking up where ssh leads");
        check_address(&target, policy).await?;
    }
    ask.stage(format!("connecting to {} by ssh", target.host));
    let mut command = ssh();
    // Nobody is there to be asked for a password or whether a key is right.
    command.args(["-o", "BatchMode=yes", "-o", "SendEnv=GIT_PROTOCOL"]);
    target.address(&mut command);
    command.arg(format!("git-upload-pack {}", quoted(&ask.url)?));
    ask.count_request();
    run("ssh", command, ask).await
}

pub async fn list_folder(ask: &Rc<Ask>) -> Result<Vec<Ref>, Failure> {
    let mut command = Command::new("git");
    command.arg("upload-pack").arg(path(&ask.url)?);
    run("git", command, ask).await
}

/// Whom ssh is to connect to.
struct Target<'a> {
    host: &'a str,
    user: Option<&'a str>,
    port: Option<u16>,
}

impl<'a> Target<'a> {
    fn of(url: &'a Url) -> Result<Self, Failure> {
        let usable = |argument| match argument {
            ArgumentSafety::Usable(text) => Ok(Some(text)),
            ArgumentSafety::Absent => Ok(None),
            ArgumentSafety::Dangerous(_) => Err(Failure::new(
                Kind::Source,
                "the URL has an option in place of a host",
            )),
        };
        let host = usable(url.host_as_argument())?;
        Ok(Self {
            host: host.ok_or_else(|| Failure::new(Kind::Source, "the URL has no host"))?,
            user: usable(url.user_as_argument())?,
            port: url.port,
        })
    }

    fn address(&self, command: &mut Command) {
        if let Some(port) = self.port {
            command.arg("-p").arg(port.to_string());
        }
        let host = without_brackets(self.host);
        command.arg(match self.user {
            Some(user) => format!("{user}@{host}"),
            None => host.to_owned(),
        });
    }
}

/// ssh, or what git would take for it.
fn ssh() -> Command {
    let Some(mut script) = env::var_os("GIT_SSH_COMMAND") else {
        return Command::new("ssh");
    };
    script.push(" \"$@\"");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg("ssh");
    command
}

/// What ssh's configuration makes of the host has to be allowed, unless another host is in between:
/// then that one decides what can be reached.
async fn check_address(target: &Target<'_>, policy: &Policy) -> Result<(), Failure> {
    let mut command = ssh();
    command.arg("-G");
    target.address(&mut command);
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| not_run("ssh", &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let setting = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        lines
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .next()
    };
    if setting("proxyjump")
        .or(setting("proxycommand"))
        .is_some_and(|proxy| proxy != "none")
    {
        return Ok(());
    }
    let host = setting("hostname").unwrap_or(target.host);
    let port = setting("port")
        .and_then(|port| port.parse().ok())
        .unwrap_or(22);
    policy.resolve(host, port).await.map(drop)
}

fn path(url: &Url) -> Result<&str, Failure> {
    let path = std::str::from_utf8(&url.path).ok();
    path.filter(|path| !path.starts_with('-'))
        .ok_or_else(|| Failure::new(Kind::Source, "the URL has no usable path"))
}

/// The path as the shell at the other end takes it.
fn quoted(url: &Url) -> Result<String, Failure> {
    Ok(format!(
        "'{}'",
        path(url)?.replace('\'', r"'\''").replace('!', r"'\!'")
    ))
}

async fn run(name: &str, mut command: Command, ask: &Rc<Ask>) -> Result<Vec<Ref>, Failure> {
    command
        .env("GIT_PROTOCOL", "version=2")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Past the deadline, and when the watcher is to stop.
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| not_run(name, &error))?;
    let complaints = child.stderr.take().map(complaints);
    let (listed, complaint) = tokio::join!(talk(&mut child, ask), async {
        match complaints {
            Some(complaints) => complaints.await,
            None => String::new(),
        }
    });
    if listed.is_ok() {
        // It is no longer needed, whatever it still wants to say.
        return listed;
    }
    let status = child.wait().await.map_err(|error| not_run(name, &error))?;
    listed.map_err(|failure| explained(name, failure, status, &complaint))
}

async fn talk(child: &mut Child, ask: &Rc<Ask>) -> Result<Vec<Ref>, Failure> {
    let (Some(read), Some(write)) = (child.stdout.take(), child.stdin.take()) else {
        return Err(Failure::new(
            Kind::Program,
            "the program has no input or output",
        ));
    };
    let read = Meter::new(read.compat(), ask);
    let talked = wire::converse(read, write.compat_write(), ConnectMode::Process, None, ask).await;
    if talked.is_ok() {
        // Its input is closed by now, which is how git knows that nothing more is wanted.
        let _ = child.wait().await;
    }
    talked
}

async fn complaints(from: ChildStderr) -> String {
    let mut text = Vec::new();
    // What could be read counts.
    let _ = from.take(COMPLAINT).read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

fn not_run(name: &str, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Program, format!("{name} could not be run: {error}"))
}

/// Where a program ended early, its own words say more than that nothing came.
fn explained(name: &str, failure: Failure, status: ExitStatus, complaint: &str) -> Failure {
    if failure.kind != Kind::Dropped {
        return failure;
    }
    let lines = complaint
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let said = lines.take(3).collect::<Vec<_>>().join("; ");
    let said = if said.is_empty() {
        status.to_string()
    } else {
        shown(&said)
    };
    let kind = if SSH_DROPS.iter().any(|drop| said.contains(drop)) {
        Kind::Dropped
    } else if said.contains("Permission denied (") {
        Kind::Unauthorized
    } else {
        Kind::Program
    };
    Failure::new(kind, format!("{name}: {said}"))
}
