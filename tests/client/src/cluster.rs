//! A throwaway PostgreSQL server.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use postgres::{Client, Config, NoTls};
use tempfile::TempDir;

use crate::processes;
use crate::tools::{Tools, give_to_server_user, run};

pub const EXTENSION: &str = "pg_workspace_plugins";
pub const SUPERUSER: &str = "postgres";
/// The database that every cluster has.
pub const DATABASE: &str = "postgres";
/// Lines of the server's log that a failed test shows.
const SHOWN_OF_LOG: usize = 30;

/// A server with a directory of its own, in which its only socket is too. Stopped and removed when
/// it goes out of scope.
pub struct Cluster {
    dir: TempDir,
    tools: Tools,
    port: u16,
}

/// Life and death.
impl Cluster {
    /// A running server. It does not wait for the disk, unless `settings` say `fsync`, `on`.
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let mut cluster = Self::without_data();
        if let Some((_, port)) = settings.iter().find(|(name, _)| *name == "port") {
            cluster.port = port.parse().unwrap();
        }
        let mut initdb = cluster.tools.server("initdb");
        initdb.arg("--pgdata").arg(cluster.data());
        initdb.args(["--username", SUPERUSER, "--auth", "trust", "--no-sync"]);
        initdb.args(["--encoding", "UTF8", "--locale", "C.UTF-8"]);
        run(&mut initdb);
        cluster.configure(&[("fsync", "off")]);
        cluster.configure(settings);
        cluster.start_server();
        cluster
    }

    /// A running server that has the extension in [`DATABASE`], in schema public.
    #[must_use]
    pub fn with_extension(settings: &[(&str, &str)]) -> Self {
        let cluster = Self::start(settings);
        cluster.create_extension(DATABASE);
        cluster
    }

    /// A server for those tests of one file that need no more than a database of their own: there
    /// is one at a time.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap();
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start(&[]));
            *shared = Arc::downgrade(&started);
            started
        })
    }

    /// A server that follows `primary`.
    #[must_use]
    pub fn standby_of(primary: &Self) -> Self {
        let standby = Self::without_data();
        let mut backup = standby.tools.server("pg_basebackup");
        backup.arg("--pgdata").arg(standby.data());
        backup.arg("--host").arg(primary.socket_dir());
        backup.args(["--username", SUPERUSER, "--no-sync"]);
        backup.args(["--checkpoint", "fast", "--write-recovery-conf"]);
        run(&mut backup);
        standby.configure(&[]);
        standby.start_server();
        standby
    }

    fn without_data() -> Self {
        // Not TMPDIR: a socket's path has to be short, and the server's user has to get there.
        let dir = tempfile::Builder::new()
            .prefix("pgwp-client.")
            .tempdir_in("/tmp")
            .unwrap();
        give_to_server_user(dir.path());
        Self {
            dir,
            tools: Tools::find(),
            port: 5432,
        }
    }

    /// Appends to the server's configuration: what comes last holds.
    fn configure(&self, settings: &[(&str, &str)]) {
        let path = self.data().join("postgresql.conf");
        let mut conf = fs::read_to_string(&path).unwrap();
        conf.push_str("listen_addresses = ''\nautovacuum_naptime = '1d'\n");
        let socket_dir = self.socket_dir().display();
        writeln!(conf, "unix_socket_directories = '{socket_dir}'").unwrap();
        for (name, value) in settings {
            writeln!(conf, "{name} = '{value}'").unwrap();
        }
        fs::write(path, conf).unwrap();
    }

    pub fn start_server(&self) {
        let mut start = self.pg_ctl("start");
        start.arg("--log").arg(self.log_file());
        run(&mut start);
    }

    pub fn stop(&self) {
        run(self.pg_ctl("stop").args(["--mode", "fast"]));
    }

    pub fn restart(&self) {
        self.stop();
        self.start_server();
    }

    /// Ends a standby's following.
    pub fn promote(&self) {
        run(&mut self.pg_ctl("promote"));
    }

    /// Ends all of the server's processes at once, as a machine's failure would.
    pub fn kill9(&self) {
        processes::kill_all(&self.data());
        // They keep out a new server for as long as nobody has waited for the dead one, which in
        // many containers is for good.
        let pid_file = self.data().join(processes::PID_FILE);
        let socket_lock = format!(".s.PGSQL.{}.lock", self.port);
        let socket_lock = self.socket_dir().join(socket_lock);
        fs::remove_file(pid_file).unwrap();
        fs::remove_file(socket_lock).unwrap();
    }

    fn pg_ctl(&self, action: &str) -> Command {
        let mut command = self.tools.server("pg_ctl");
        command.args([action, "--wait", "--silent", "--pgdata"]);
        command.arg(self.data());
        command
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

/// Use.
impl Cluster {
    #[must_use]
    pub fn config(&self, user: &str, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.socket_dir()).port(self.port);
        config.user(user).dbname(database);
        config
    }

    /// A connection as a superuser.
    #[must_use]
    pub fn connect(&self, database: &str) -> Client {
        self.connect_as(SUPERUSER, database)
    }

    #[must_use]
    pub fn connect_as(&self, user: &str, database: &str) -> Client {
        self.config(user, database).connect(NoTls).unwrap()
    }

    pub fn create_database(&self, name: &str) {
        // template1 may have got things from the machine's packagers; a dump expects none.
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        self.connect(DATABASE).batch_execute(&create).unwrap();
    }

    /// A new database, empty but for the extension in schema public.
    #[must_use]
    pub fn new_database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.create_database(&name);
        self.create_extension(&name);
        name
    }

    fn create_extension(&self, database: &str) {
        let create = format!("CREATE EXTENSION {EXTENSION}");
        self.connect(database).batch_execute(&create).unwrap();
    }

    /// Runs a client program that has to succeed, and gives what it printed.
    #[must_use]
    pub fn run(&self, program: &str, user: &str, database: &str, arguments: &[&str]) -> String {
        let mut command = self.tools.client(program);
        command.arg("--host").arg(self.socket_dir());
        command.arg("--port").arg(self.port.to_string());
        command.args(["--username", user, "--dbname", database]);
        run(command.args(arguments))
    }

    /// A place for a file that is to go with the cluster.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        let path = self.dir.path().join(name);
        path.into_os_string().into_string().expect("UTF-8")
    }

    /// All that the server has written into its log.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// What the log tells of deadlocks: who waited for whom, and what they ran.
    #[must_use]
    pub fn deadlocks(&self) -> String {
        let log = self.log();
        let after = log.split("deadlock detected").skip(1);
        let details = after.map(|text| text.split("LOG:  ").next().unwrap_or_default());
        details.collect::<Vec<_>>().join("\n--\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = lines.len().saturating_sub(SHOWN_OF_LOG);
            eprintln!("the server's log ends:\n{}", lines[last..].join("\n"));
        }
        if self.data().join(processes::PID_FILE).exists() {
            let stopped = self.pg_ctl("stop").args(["--mode", "immediate"]).output();
            // A panic here would hide the test's own; the directory goes in any case.
            if !stopped.is_ok_and(|stopped| stopped.status.success()) {
                eprintln!("{}: the server was gone", self.data().display());
            }
        }
    }
}
