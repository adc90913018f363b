"""The watcher: one round against git ls-remote in a loop, work against a fetch for each install, and memory."""

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

from harness import HERE, QUICK, Samples, interleaved, say
from report import Comparison

REPOSITORIES = 50 if QUICK else 1_000
WATCHED = 100 if QUICK else 5_000
ROUNDS = 3 if QUICK else 10
PAIRS = 2 if QUICK else 5
FETCHED = 10 if QUICK else 100
INSTALLS = 10
CONCURRENCY = 16
TAGS = 50
# What a plugin's files weigh.
CONTENT = 200_000
WATCHER = HERE.parent / "target/release/workspace-plugins-watch"
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
       "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
       "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}


def measure(session):
    say(f"watch: {REPOSITORIES:,} repositories")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgwp-bench.", dir="/tmp")))
        folder.chmod(0o755)
        make_repositories(folder)
        daemon = stack.enter_context(serving("git", "daemon", "--export-all", "--listen=127.0.0.1",
                                             "--max-connections=0", f"--base-path={folder}", "--port={port}"))
        http = stack.enter_context(serving(HERE.parent / "scripts/serve-git-http", folder, "{port}"))
        apache, git = f"http://127.0.0.1:{http}", f"git://127.0.0.1:{daemon}/"
        return [
            *one_round(session, folder, "a server that costs nothing", f"{apache}/files/", "≥ 5"),
            *one_round(session, folder, "git's backend behind Apache", f"{apache}/open/"),
            *one_round(session, folder, "git daemon", git),
            *work(session, folder, http),
            *memory(session, folder, f"{apache}/files/"),
        ]


def make_repositories(folder):
    """One repository, by many names: a server sees as many repositories."""
    work_tree = folder / "work"
    git = partial(subprocess.run, check=True, env=os.environ | GIT)
    git(["git", "init", "--quiet", "--initial-branch=main", work_tree])
    (work_tree / "plugin.bin").write_bytes(os.urandom(CONTENT))
    git(["git", "-C", work_tree, "add", "."])
    git(["git", "-C", work_tree, "commit", "--quiet", "--message", "first"])
    for number in range(TAGS):
        git(["git", "-C", work_tree, "tag", "--annotate", "--message", "x", f"v1.{number}.0"])
    git(["git", "clone", "--quiet", "--bare", work_tree, folder / "r.git"])
    # What git's backend says first, before version 2 of its protocol: there it is the whole answer.
    info = folder / "files/r.git/info"
    info.mkdir(parents=True)
    with (info / "refs").open("wb") as file:
        file.write(b"001e# service=git-upload-pack\n0000")
        file.flush()
        git(["git", "upload-pack", "--http-backend-info-refs", folder / "r.git"], stdout=file)
    for number in range(WATCHED):
        (folder / f"r{number}.git").symlink_to(folder / "r.git")
        (folder / f"files/r{number}.git").symlink_to(folder / "files/r.git")


@contextlib.contextmanager
def serving(*command):
    """A server on a free port, which stands for {port} in its command."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([str(word).format(port=port) for word in command],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def one_round(session, folder, name, base, target=""):
    sources = [f"{base}r{number}.git" for number in range(REPOSITORIES)]
    track(session, sources)
    once = partial(watch_once, session, folder)
    loop = partial(ls_remote_loop, folder, sources)
    once()
    taken = Samples({"ours": [], "theirs": [], "our CPU": [], "their CPU": []})
    for ours, theirs in zip(*interleaved_pairs(once, loop)):
        for key, value in zip(taken, (ours[0], theirs[0], ours[1], theirs[1])):
            taken[key].append(value)
    what = f"{REPOSITORIES:,} repositories of {name}, one round"
    peer = "`git ls-remote` in a loop"
    yield Comparison.of(what, peer, "ms", taken, "ours", "theirs", target, inverse=True)
    yield Comparison.of("the same, processor time", peer, "ms", taken, "our CPU", "their CPU", inverse=True)


def interleaved_pairs(ours, theirs):
    """Milliseconds and those of the client's processes, in turns."""
    kept = {"ours": [], "theirs": []}

    def keep(name, run):
        kept[name].append(measured(run))
        return kept[name][-1][0]

    interleaved({"ours": partial(keep, "ours", ours), "theirs": partial(keep, "theirs", theirs)}, rounds=PAIRS)
    # The first round does not count.
    return kept["ours"][1:], kept["theirs"][1:]


def measured(run):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run()
    took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took * 1000, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def track(session, sources):
    """Only these are tracked from now on."""
    session.run("DELETE FROM plugin_workspaces; DELETE FROM plugin_upstreams;"
                " SELECT register_plugin_workspace('11111111-1111-1111-1111-111111111111');")
    for start in range(0, len(sources), 500):
        values = ", ".join(f"('{source}')" for source in sources[start:start + 500])
        session.run(f"""SELECT record_workspace_plugin_installs(jsonb_agg(jsonb_build_object(
            'workspace_id', '11111111-1111-1111-1111-111111111111', 'plugin_name', md5(source),
            'source_raw', source, 'track', 'tag:latest', 'installed_sha', repeat('a', 40))))
            FROM (VALUES {values}) AS s (source);""")
    session.run("ANALYZE plugin_upstreams, workspace_plugins;")


def due(session):
    session.run("UPDATE plugin_upstreams SET next_check_at = clock_timestamp();")


def configuration(folder):
    file = folder / "watch.toml"
    file.write_text(f"concurrency = {CONCURRENCY}\nper_host = {CONCURRENCY}\npoll = '1s'\n[network]\ndeny = []\n")
    return file


def watch_once(session, folder):
    due(session)
    subprocess.run([WATCHER, "once", "--config", configuration(folder)], check=True, stdout=subprocess.DEVNULL)
    left = session.value("SELECT count(*) FROM plugin_upstreams WHERE next_check_at <= clock_timestamp() OR failures > 0;")
    assert left == "0", f"{left} repositories were not observed"


def ls_remote_loop(folder, sources):
    subprocess.run(["xargs", "-P", str(CONCURRENCY), "-n", "1", "git", "ls-remote", "--heads", "--tags"],
                   input="\n".join(sources), text=True, check=True, env=os.environ | GIT, stdout=subprocess.DEVNULL)


class CountingProxy:
    """Passes on what comes, and counts connections and bytes."""

    def __init__(self, port):
        self.target, self.connections, self.bytes = port, 0, 0
        self.lock = threading.Lock()
        self.server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.server.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self.target))
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self.pass_on, args=pair, daemon=True).start()

    def pass_on(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with self.lock:
                    self.bytes += len(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def counted(self, run):
        connections, size = self.connections, self.bytes
        run()
        return self.connections - connections, self.bytes - size


def work(session, folder, http):
    """What goes over the network, for as many installs, as the original did it."""
    proxy = CountingProxy(http)
    sources = [f"http://127.0.0.1:{proxy.port}/open/r{number}.git" for number in range(FETCHED)]
    track(session, sources)
    ours = proxy.counted(partial(watch_once, session, folder))
    theirs = proxy.counted(partial(fetch_each, folder, sources))
    what = f"{FETCHED * INSTALLS:,} installs of {FETCHED} repositories over HTTP"
    for kind, unit, mine, other in zip(("connections", "bytes"), ("", "kB"), ours, theirs):
        scale = 1000 if unit else 1
        yield Comparison(f"{what}: {kind}", "`git fetch --depth=1` for each install", mine / scale, other / scale,
                         unit, other / mine, "≥ 50")


def fetch_each(folder, sources):
    def fetch(number, source):
        target = folder / f"fetched{number}"
        subprocess.run(["git", "init", "--quiet", "--bare", target], check=True, env=os.environ | GIT)
        subprocess.run(["git", "-C", target, "fetch", "--quiet", "--depth=1", source, "main"],
                       check=True, env=os.environ | GIT)
        shutil.rmtree(target)

    for number, source in enumerate(source for source in sources for _ in range(INSTALLS)):
        fetch(number, source)


def memory(session, folder, base):
    track(session, [f"{base}r{number}.git" for number in range(WATCHED)])
    session.run("UPDATE plugin_upstreams SET next_check_at = 'infinity';")
    watcher = subprocess.Popen([WATCHER, "watch", "--config", configuration(folder)], stdout=subprocess.DEVNULL)
    sizes = []
    try:
        for _ in range(ROUNDS):
            asked = session.value("SELECT clock_timestamp();")
            due(session)
            while session.value(f"SELECT count(*) FROM plugin_upstreams WHERE last_checked_at > '{asked}';") != str(WATCHED):
                time.sleep(0.2)
            sizes.append(kilobytes(watcher.pid, "VmRSS") / 1024)
        peak = kilobytes(watcher.pid, "VmHWM") / 1024
    finally:
        watcher.send_signal(signal.SIGTERM)
        watcher.wait()
    say("  memory: " + " ".join(f"{size:.1f}" for size in sizes))
    what = f"memory while watching {WATCHED:,} repositories"
    yield Comparison(f"{what}, at its highest", "a limit", peak, 100.0, "MB", peak / 100, "< 1")
    yield Comparison(f"{what}, after {ROUNDS} rounds", "after the first", sizes[-1], sizes[0], "MB", sizes[-1] / sizes[0], "≤ 1.1")


def kilobytes(pid, field):
    return int(re.search(rf"^{field}:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)[1])
