//! Repositories, made by git.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A folder with repositories, which servers of other users can read.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("pgwp-git.")
            .tempdir_in("/tmp")
            .unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn create(&self, name: &str) -> Repository {
        self.create_with(name, "sha1")
    }

    pub fn create_with(&self, name: &str, hash: &str) -> Repository {
        let repository = self.open(name);
        let made = git()
            .args(["init", "--quiet", "--bare", "--initial-branch=main"])
            .arg(format!("--object-format={hash}"))
            .arg(&repository.path)
            .status();
        assert!(made.unwrap().success());
        repository
    }

    /// One that was created.
    pub fn open(&self, name: &str) -> Repository {
        let path = self.path().join(format!("{name}.git"));
        Repository { path }
    }

    /// Many names for one repository: a server sees as many repositories.
    pub fn link(&self, repository: &Repository, names: impl Iterator<Item = String>) {
        for name in names {
            symlink(&repository.path, self.path().join(format!("{name}.git"))).unwrap();
        }
    }
}

pub struct Repository {
    path: PathBuf,
}

/// Without anybody's own settings.
pub fn git() -> Command {
    let mut git = Command::new("git");
    git.env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "Author");
        git.env(format!("GIT_{who}_EMAIL"), "author@example.org");
    }
    git
}

impl Repository {
    pub fn run(&self, arguments: &[&str]) -> String {
        self.feed(arguments, "")
    }

    fn feed(&self, arguments: &[&str], input: &str) -> String {
        let mut child = git()
            .arg("-C")
            .arg(&self.path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {arguments:?}");
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    /// A new commit on a branch.
    pub fn commit(&self, branch: &str, text: &str) -> String {
        let tree = self.feed(&["hash-object", "-t", "tree", "-w", "--stdin"], "");
        let commit = self.feed(&["commit-tree", &tree, "-m", text], "");
        self.run(&["update-ref", &format!("refs/heads/{branch}"), &commit]);
        commit
    }

    pub fn annotated(&self, tag: &str, commit: &str) {
        self.run(&[
            "tag",
            "--force",
            "--annotate",
            "--message",
            tag,
            tag,
            commit,
        ]);
    }

    pub fn lightweight(&self, tag: &str, commit: &str) {
        self.run(&["tag", "--force", tag, commit]);
    }

    pub fn delete_tag(&self, tag: &str) {
        self.run(&["tag", "--delete", tag]);
    }

    pub fn many_tags(&self, count: usize, commit: &str) {
        self.many_refs("refs/tags/v1.", count, commit);
    }

    /// Refs that differ in a number: `refs/tags/v1.7.0` for a prefix of `refs/tags/v1.`
    pub fn many_refs(&self, prefix: &str, count: usize, commit: &str) {
        let mut input = String::new();
        for n in 0..count {
            writeln!(input, "create {prefix}{n}.0 {commit}").unwrap();
        }
        self.feed(&["update-ref", "--stdin"], &input);
        self.run(&["pack-refs", "--all"]);
    }

    /// Branches and tags with their commits, as git itself asks for them.
    pub fn refs(&self) -> BTreeMap<String, String> {
        let listed = self.run(&["ls-remote", "--heads", "--tags", "."]);
        let mut refs = BTreeMap::new();
        // What is peeled comes behind what it is peeled from.
        for (commit, name) in listed.lines().filter_map(|line| line.split_once('\t')) {
            refs.insert(name.trim_end_matches("^{}").to_owned(), commit.to_owned());
        }
        refs
    }
}
