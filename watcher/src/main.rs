//! The command line.
#![allow(clippy::doc_markdown, reason = "the help is plain text")]

use std::env;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use workspace_plugins_watch::config::Config;
use workspace_plugins_watch::database::{self, Database, said};
use workspace_plugins_watch::git::Git;
use workspace_plugins_watch::network::{Mode, Policy};
use workspace_plugins_watch::output::{Event, Output};
use workspace_plugins_watch::watch::{self, Until, Watcher};
use workspace_plugins_watch::{check, metrics, status};

/// Something could not be looked at.
const FAILED: u8 = 1;
/// The command itself could not do its work.
const BROKEN: u8 = 2;

/// Looks at the git repositories that plugins are installed from.
///
/// The database says which repositories are due; each is asked once for its branches and tags, and
/// the answer goes into the database, which knows what has drifted. Any number of watchers may run
/// side by side.
///
/// The database is that of DATABASE_URL, else of PGHOST, PGPORT, PGUSER, PGDATABASE, PGSSLMODE and
/// the other variables of libpq, with ~/.pgpass. Its role needs the level "watcher", which
/// grant_plugin_access() gives. Passwords of git hosts come from git's credential helpers, keys
/// from ssh.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// A TOML file with limits, mappings of sources, and what may be reached
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "WORKSPACE_PLUGINS_WATCH_CONFIG"
    )]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Look at whatever is due, from now on, until SIGTERM
    Watch(Watch),
    /// Look at everything that is due, and end; status 1 if something failed
    Once(Told),
    /// Show what sources would resolve to; without a database
    Check {
        /// Such as github://owner/name or https://git.example.org/owner/name.git
        #[arg(required = true, value_name = "SOURCE")]
        sources: Vec<String>,
        /// What to resolve there: tag:latest, tag:^1.2, ref:main, …
        #[arg(long, value_name = "TRACK", default_value = "tag:latest")]
        track: Vec<String>,
    },
    /// Show the fleet: what is tracked, what has drifted and why, which repositories fail
    Status,
}

#[derive(Args)]
struct Watch {
    #[command(flatten)]
    told: Told,
    /// Serve numbers for Prometheus, on the loopback interface if only a port is given
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = address)]
    metrics: Option<SocketAddr>,
}

#[derive(Args)]
struct Told {
    /// This watcher's name in the database [default: HOST-PID]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A line of JSON for each event on a terminal too
    #[arg(long)]
    json: bool,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse()
        .map_err(|_| "expected a port, or an address and a port".to_owned())
}

impl Told {
    fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let host = gethostname::gethostname();
            format!("{}-{}", host.to_string_lossy(), std::process::id())
        })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, run(arguments)),
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("workspace-plugins-watch: {error}");
            ExitCode::from(BROKEN)
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, String> {
    let config = Config::load(arguments.config.as_deref())?;
    match arguments.command {
        Command::Watch(watch) => {
            if let Some(address) = watch.metrics {
                tokio::task::spawn_local(metrics::serve(address)?);
            }
            watching(config, &watch.told, Until::Stopped).await
        }
        Command::Once(told) => watching(config, &told, Until::Seen).await,
        Command::Check { sources, track } => checking(&config, &sources, &track).await,
        Command::Status => {
            let database = connect().await?;
            let text = status::status(&database)
                .await
                .map_err(|error| said(&error))?;
            print(&text);
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn watching(config: Config, told: &Told, until: Until) -> Result<ExitCode, String> {
    let mode = match until {
        Until::Stopped => Mode::Daemon,
        Until::Seen => Mode::ByHand,
    };
    let git = Git::new(&config, Policy::new(&config.network, mode))?;
    let stop = stop_at_signals()?;
    let Some(database) = connect_for(until, told.json, &stop).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let all = match until {
        Until::Seen => database
            .due()
            .await
            .map_err(|error| said(&error))?
            .try_into()
            .ok(),
        Until::Stopped => None,
    };
    let output = Output::new(told.json, all);
    let watcher = Watcher::new(config, database, git, output, stop, told.name(), until);
    let totals = watcher.run().await.map_err(|error| said(&error))?;
    Ok(match until {
        Until::Seen if totals.failed + totals.released + totals.lost > 0 => ExitCode::from(FAILED),
        _ => ExitCode::SUCCESS,
    })
}

/// A daemon waits for its database; nothing where it was stopped meanwhile.
async fn connect_for(
    until: Until,
    json: bool,
    stop: &CancellationToken,
) -> Result<Option<Database>, String> {
    if until == Until::Seen {
        return connect().await.map(Some);
    }
    for failures in 0.. {
        let error = match connect().await {
            Ok(database) => return Ok(Some(database)),
            Err(error) => error,
        };
        let delay = watch::delay(failures);
        Output::new(json, None).tell(&Event::Database {
            error: &error,
            retry_in: delay.as_secs_f64(),
        });
        tokio::select! {
            () = sleep(delay) => {}
            () = stop.cancelled() => break,
        }
    }
    Ok(None)
}

async fn connect() -> Result<Database, String> {
    let url = env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
    let options = database::options(url.as_deref())?;
    Database::connect(options)
        .await
        .map_err(|error| said(&error))
}

/// The first signal asks for an end, the second takes it.
fn stop_at_signals() -> Result<CancellationToken, String> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let asked = stop.clone();
    tokio::task::spawn_local(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked.is_cancelled() {
                std::process::exit(130);
            }
            asked.cancel();
        }
    });
    Ok(stop)
}

async fn checking(
    config: &Config,
    sources: &[String],
    tracks: &[String],
) -> Result<ExitCode, String> {
    let git = Git::new(config, Policy::new(&config.network, Mode::ByHand))?;
    let mut is_complete = true;
    for source in sources {
        match check::check(source, tracks, &git, &config.sources).await {
            Ok(found) => {
                print(&found.text);
                is_complete &= found.is_complete;
            }
            Err(failure) => {
                // A source that was refused may hold what nobody is to see.
                eprintln!("{}: {failure}", shown(source));
                is_complete = false;
            }
        }
    }
    Ok(if is_complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

fn print(text: &str) {
    // Whoever has closed the output does not want to know.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A source, unless it holds a secret.
fn shown(source: &str) -> &str {
    match pg_workspace_plugins::source::secret_in(source) {
        Some(_) => "a source that holds a secret",
        None => source,
    }
}
