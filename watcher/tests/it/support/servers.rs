//! Servers that nobody here wrote, on the loopback interface.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::process::{Process, free_port, wait_for_port};
use super::repository::git;

pub struct Server {
    pub port: u16,
    _process: Process,
    _folder: Option<TempDir>,
}

/// `git daemon` for a folder.
pub fn git_daemon(folder: &Path) -> Server {
    let port = free_port();
    let mut process = Process::start(
        git()
            .args([
                "daemon",
                "--export-all",
                "--reuseaddr",
                "--listen=127.0.0.1",
            ])
            .args(["--init-timeout=10", "--max-connections=0"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", folder.display()))
            .stderr(Stdio::null()),
    );
    wait_for_port(port, &mut process);
    Server {
        port,
        _process: process,
        _folder: None,
    }
}

/// `git http-backend` behind Apache: `/open/…` for everybody, `/closed/…` for a user. With
/// certificates over https.
pub fn apache(folder: &Path, login: Option<(&str, &str)>, tls: Option<&Certificates>) -> Server {
    let own = tempfile::Builder::new()
        .prefix("pgwp-http.")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in("/tmp")
        .unwrap();
    let port = free_port();
    let mut serve = Command::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../scripts/serve-git-http"
    ));
    serve.arg(folder).arg(port.to_string());
    if let Some(tls) = tls {
        serve.arg("--tls").arg(&tls.certificate).arg(&tls.key);
    }
    if let Some((user, password)) = login {
        let hash = ["passwd", "-apr1", password];
        let hashed = Command::new("openssl").args(hash).output().unwrap();
        let hashed = String::from_utf8(hashed.stdout).unwrap();
        let users = own.path().join("users");
        fs::write(&users, format!("{user}:{hashed}")).unwrap();
        serve.arg("--users").arg(users);
    }
    let mut process = Process::start(&mut serve);
    wait_for_port(port, &mut process);
    Server {
        port,
        _process: process,
        _folder: Some(own),
    }
}

/// Certificates of a test, and who has signed them.
pub struct Certificates {
    folder: TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    /// For localhost and 127.0.0.1, until the end of a year.
    pub fn until(year: i32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signed = authority.self_signed(&authority_key).unwrap();
        fs::write(folder.path().join("authority.pem"), signed.pem()).unwrap();
        let issuer = Issuer::new(authority, authority_key);

        let own_key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut own = CertificateParams::new(names).unwrap();
        own.not_before = date_time_ymd(2020, 1, 1);
        own.not_after = date_time_ymd(year, 12, 31);
        let own = own.signed_by(&own_key, &issuer).unwrap();
        let (certificate, key) = (folder.path().join("own.pem"), folder.path().join("own.key"));
        fs::write(&certificate, own.pem()).unwrap();
        fs::write(&key, own_key.serialize_pem()).unwrap();
        Self {
            folder,
            certificate,
            key,
        }
    }

    /// The certificate and its key, in files of a database server.
    pub fn of_a_database(&self, owner: &str) -> (String, String) {
        let files = [&self.certificate, &self.key].map(|file| file.display().to_string());
        let folder = self.folder.path();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&self.key, fs::Permissions::from_mode(0o600)).unwrap();
        // Where root runs the test, the server has a user of its own.
        if user() == "root" {
            let mut chown = Command::new("chown");
            let done = chown.arg(owner).args(&files).status().unwrap();
            assert!(done.success());
        }
        let [certificate, key] = files;
        (certificate, key)
    }

    /// What a client has to trust.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }
}

/// OpenSSH's server, and how a client gets in.
pub struct Ssh {
    pub port: u16,
    folder: TempDir,
    _process: Process,
}

impl Ssh {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("pgwp-ssh.")
            .tempdir_in("/tmp")
            .unwrap();
        for key in ["host", "client", "stranger"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(folder.path().join(key))
                .status();
            assert!(made.unwrap().success());
        }
        let port = free_port();
        let dir = folder.path().display();
        let conf = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {dir}/host\nPidFile {dir}/pid
             AuthorizedKeysFile {dir}/client.pub\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nStrictModes no
             UsePAM no\nAcceptEnv GIT_PROTOCOL\nPermitRootLogin prohibit-password\n"
        );
        fs::write(folder.path().join("sshd.conf"), conf).unwrap();
        let known = fs::read_to_string(folder.path().join("host.pub")).unwrap();
        let known = format!("[127.0.0.1]:{port} {known}");
        fs::write(folder.path().join("known_hosts"), known).unwrap();
        // Where the server runs as root, it wants this to be there.
        let _ = fs::create_dir("/run/sshd");
        let mut process = Process::start(
            Command::new("/usr/sbin/sshd")
                .args(["-D", "-e", "-f"])
                .arg(folder.path().join("sshd.conf"))
                .stderr(Stdio::null()),
        );
        wait_for_port(port, &mut process);
        Self {
            port,
            folder,
            _process: process,
        }
    }

    /// ssh with a key and nothing else: `client` gets in, `stranger` does not.
    pub fn command(&self, key: &str) -> String {
        let dir = self.folder.path().display();
        format!(
            "ssh -F none -i {dir}/{key} -o IdentitiesOnly=yes -o UserKnownHostsFile={dir}/known_hosts"
        )
    }
}

/// Who runs the test, and so may log in.
pub fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}
