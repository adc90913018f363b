//! Running the server's programs.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// The user that runs servers where the tests run as root, which servers refuse to.
const SERVER_USER: &str = "postgres";

/// Where the programs of the server under test are.
#[derive(Clone)]
pub struct Tools {
    bin: PathBuf,
}

impl Tools {
    pub fn find() -> Self {
        let pg_config = env::var_os("PG_CONFIG").unwrap_or_else(|| "pg_config".into());
        let bin = run(Command::new(pg_config).arg("--bindir"));
        Self {
            bin: bin.trim_end().into(),
        }
    }

    /// A program that talks to a server, such as psql.
    pub fn client(&self, program: &str) -> Command {
        clean(Command::new(self.bin.join(program)))
    }

    /// A program that reads or writes a data directory, run by the directory's owner.
    pub fn server(&self, program: &str) -> Command {
        if !is_root() {
            return self.client(program);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", SERVER_USER, "--"]);
        command.arg(self.bin.join(program));
        clean(command)
    }
}

/// Without what the caller's environment could change: where clients connect, the language of
/// messages, and backtraces, which a server would write into its log.
fn clean(mut command: Command) -> Command {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_BACKTRACE").env("LC_ALL", "C");
    // A folder that every user may be in.
    command.current_dir("/");
    command
}

/// Runs a program that has to succeed, and gives what it printed.
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn output(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Hands a directory over to whoever runs servers.
pub fn give_to_server_user(directory: &Path) {
    if is_root() {
        run(Command::new("chown").arg(SERVER_USER).arg(directory));
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("/proc").uid() == 0
}
