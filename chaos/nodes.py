"""A cluster on one machine, and what may happen to it. Postgres and the store come from scripts/with-postgres.sh and
scripts/with-seaweedfs.sh, whose variables are in the environment."""

import os
import pathlib
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEY = "a-key-for-chaos-only"


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class Process:
    """A `serve` or a `worker`, with a data folder of its own, on a small file system of its own where that can be made."""

    def __init__(self, program, folder, name, role, settings):
        self.program, self.name, self.role = program, name, role
        self.folder = folder / name
        self.folder.mkdir()
        self.log = open(folder / f"{name}.log", "ab")
        self.port = free_port()
        self.settings = settings
        self.process = None

    def command(self):
        run = [str(self.program), self.role]
        if not CAN_MOUNT:
            return run
        mount = f'mount -t tmpfs -o size={SCRATCH} scratch "$REELHOUSE_DATA_DIR" && exec "$@"'
        # What kills this kills what it became.
        return ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh", *run]

    def start(self):
        env = {name: value for name, value in os.environ.items() if not name.startswith("REELHOUSE_")}
        env |= self.settings | {"REELHOUSE_DATA_DIR": str(self.folder), "REELHOUSE_LISTEN": f"127.0.0.1:{self.port}"}
        self.process = subprocess.Popen(self.command(), env=env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    @property
    def url(self):
        return "127.0.0.1", self.port

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        """As an operator does; says whether it did within a bound."""
        self.go_on()
        self.process.terminate()
        try:
            return self.process.wait(60) == 0
        except subprocess.TimeoutExpired:
            self.kill()
            return False

    def ballast(self):
        return pathlib.Path(f"/proc/{self.process.pid}/root{self.folder}/ballast")

    def fill(self):
        """Leaves no byte on its file system."""
        with open(self.ballast(), "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"\0" * 65536)
            except OSError:
                pass

    def free(self):
        self.ballast().unlink(missing_ok=True)


# Of a node's own file system.
SCRATCH = "256m"
CAN_MOUNT = subprocess.run(
    ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "scratch", "/mnt"], capture_output=True
).returncode == 0


class Cluster:
    """Three nodes, three workers."""

    def __init__(self, program, folder, seed):
        name = f"chaos_{seed}_{os.getpid()}"
        server = os.environ["REELHOUSE_TEST_DATABASE"]
        subprocess.run(["psql", "--quiet", "--no-psqlrc", "--command", f'CREATE DATABASE "{name}"', server], check=True)
        settings = {
            "REELHOUSE_DATABASE_URL": server.replace("/postgres?", f"/{name}?"),
            "REELHOUSE_BLOB_URL": f"{os.environ['REELHOUSE_TEST_BLOBS']}/{name}",
            "REELHOUSE_API_KEY": KEY,
            "REELHOUSE_LOG": "info",
            "REELHOUSE_RATE_UPLOAD_RPM": "0",
            "REELHOUSE_MIN_FREE": "33554432",
            "REELHOUSE_MAX_STAGED_BYTES": "134217728",
            "REELHOUSE_CACHE_BYTES": "67108864",
        }
        self.program, self.folder, self.settings = program, folder, settings
        make = lambda name, role, more: Process(program, folder, name, role, settings | more)
        self.nodes = [make(f"node{n}", "serve", {"REELHOUSE_WORKERS": "0"}) for n in (1, 2, 3)]
        self.workers = [make(f"worker{n}", "worker", {"REELHOUSE_WORKERS": "2"}) for n in (1, 2, 3)]

    def start(self):
        self.nodes[0].start()
        self.wait(self.nodes[0])
        for process in self.nodes[1:] + self.workers:
            process.start()
        for node in self.nodes[1:]:
            self.wait(node)

    def wait(self, node, patience=60):
        until = time.monotonic() + patience
        while time.monotonic() < until:
            try:
                with socket.create_connection(node.url, 2) as connection:
                    connection.settimeout(5)
                    connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    if connection.recv(12) == b"HTTP/1.1 200":
                        return
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"{node.name} is not ready after {patience} s; see {self.folder}")

    def doctor(self):
        env = {name: value for name, value in os.environ.items() if not name.startswith("REELHOUSE_")}
        env |= self.settings | {"REELHOUSE_DATA_DIR": str(self.folder / "doctor")}
        return subprocess.run([self.program, "doctor"], env=env, capture_output=True, text=True)

    def end(self):
        return [process.name for process in self.nodes + self.workers if not process.end()]


def restart_postgres():
    subprocess.run([os.environ["REELHOUSE_TEST_PG_CTL"], "--mode=immediate", "restart"], check=True, capture_output=True)


def weed(*what):
    subprocess.run([os.environ["REELHOUSE_TEST_WEED"], *what], check=True)
