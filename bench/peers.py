"""Servers that take uploads: Reelhouse, and what else one would use. Each is started in a folder of its own and knows how a
client sends it a file."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = pathlib.Path(os.environ.get("BENCH_PEERS", ROOT / "target/bench-peers"))
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
REELHOUSE = os.environ.get("BENCH_REELHOUSE", str(TARGET / "release/reelhouse"))
KEY = "a-key-for-benchmarks"
BOUNDARY = "----a-boundary-for-benchmarks"


class Server:
    """One server under test, with all processes it starts."""

    name = flushes = ""
    port = 0

    def __init__(self, folder):
        self.folder = folder / type(self).__name__.lower()
        self.folder.mkdir(exist_ok=True)
        self.process = None

    def start(self):
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder, env=self.environment(),
                                        start_new_session=True)
        for _ in range(600):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {(self.folder / 'log').read_text()[-2000:]}")
            try:
                urllib.request.urlopen(self.url("/"), timeout=2)
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
        self.prepare()
        return self

    def environment(self):
        return {**os.environ}

    def prepare(self):
        pass

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def pids(self):
        """Its processes: those of its session."""
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid:
                found.append((int(stat.parent.name), fields))
        return found

    def cpu_seconds(self):
        """Of all its processes, with those that have ended."""
        ticks = os.sysconf("SC_CLK_TCK")
        return sum(sum(map(int, fields[11:15])) for _, fields in self.pids()) / ticks

    def forget_peak(self):
        for pid, _ in self.pids():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_mib(self):
        peaks = []
        for pid, _ in self.pids():
            try:
                peaks.append(int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]))
            except (OSError, TypeError):
                continue
        return sum(peaks) / 1024

    def stop(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def forget(self):
        """Removes what was stored."""


class Reelhouse(Server):
    name, flushes, port = "Reelhouse", "bytes, folder, row", 18100

    def command(self):
        return [REELHOUSE, "serve"]

    def environment(self):
        return {"PATH": os.environ["PATH"], "REELHOUSE_LISTEN": f"127.0.0.1:{self.port}", "REELHOUSE_API_KEY": KEY,
                "REELHOUSE_DATA_DIR": str(self.folder / "data"), "REELHOUSE_LOG": "warn", "REELHOUSE_LIMITS": "permissive",
                "REELHOUSE_RATE_UPLOAD_RPM": "0", "REELHOUSE_RATE_UPLOAD_RPD": "0"}

    def curl(self, file, n):
        return [self.url("/v1.3/assets"), "-H", f"x-api-key: {KEY}", "-F", "method=direct", "-F", f"file=@{file}"]

    def wrk(self, file):
        body = self.folder / "form"
        part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="method"\r\n\r\ndirect\r\n--{BOUNDARY}\r\n' \
            f'Content-Disposition: form-data; name="file"; filename="{file.name}"\r\n\r\n'
        body.write_bytes(part.encode() + file.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode())
        headers = {"x-api-key": KEY, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        return "POST", "/v1.3/assets", False, body, headers

    def call(self, path, method="GET"):
        import json
        request = urllib.request.Request(self.url(path), headers={"x-api-key": KEY}, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def forget(self):
        for page in iter(lambda: self.call("/v1.3/assets?page_limit=50")["data"], []):
            for asset in page:
                self.call(f"/v1.3/assets/{asset['_id']}", "DELETE")


class Nginx(Server):
    name, flushes, port = "nginx DAV PUT", "nothing", 18101

    def command(self):
        for name in ("dav", "body"):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "nginx.conf").write_text(f"""
            worker_processes 2; pid {self.folder}/pid; error_log {self.folder}/error.log; daemon off; user root;
            events {{ worker_connections 1024; }}
            http {{ access_log off; client_max_body_size 0; client_body_temp_path {self.folder}/body; sendfile on; tcp_nopush on;
              keepalive_requests 1000000; types {{ }} default_type video/mp4;
              server {{ listen 127.0.0.1:{self.port} backlog=1024; root {self.folder}/dav; location / {{ dav_methods PUT; }} }} }}""")
        return [shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    def curl(self, file, n):
        return ["-T", str(file), self.url(f"/big-{n}")]

    def wrk(self, file):
        return "PUT", "/small-", True, file, {}

    def forget(self):
        for file in (self.folder / "dav").glob("big-*"):
            file.unlink()


class Tus(Server):
    """A whole upload in the request that creates it, as the protocol's extension has it."""

    path = "/files"

    def curl(self, file, n):
        return ["-X", "POST", "-T", str(file), "-H", "Expect:", "-H", "Tus-Resumable: 1.0.0", "-H", f"Upload-Length: {file.stat().st_size}",
                "-H", "Content-Type: application/offset+octet-stream", self.url(self.path)]

    def wrk(self, file):
        return "POST", self.path, False, file, {"Tus-Resumable": "1.0.0", "Upload-Length": str(file.stat().st_size),
                                                "Content-Type": "application/offset+octet-stream"}

    def forget(self):
        for file in (self.folder / "data").glob("**/*"):
            if file.is_file() and file.stat().st_size > 1 << 20:
                file.unlink()


class Rustus(Tus):
    name, flushes, port, path = "rustus --force-fsync", "bytes", 18102, "/files"

    def command(self):
        (self.folder / "data").mkdir(exist_ok=True)
        return [PEERS / "rustus/bin/rustus", "--host", "127.0.0.1", "--port", str(self.port), "--data-dir", self.folder / "data", "--info-dir",
                self.folder / "info", "--force-fsync", "true", "--log-level", "ERROR", "--max-body-size", str(1 << 30)]


class TusNode(Tus):
    name, flushes, port = "@tus/server, file-store", "nothing", 18103

    def command(self):
        shutil.copy(ROOT / "bench/tus.mjs", PEERS / "tus/serve.mjs")
        return ["node", PEERS / "tus/serve.mjs", str(self.port), self.folder / "data"]


class SeaweedFS(Server):
    name, flushes, port = "SeaweedFS S3 PUT", "nothing", 18104

    def command(self):
        (self.folder / "data").mkdir(exist_ok=True)
        return [PEERS / "venv/bin/weed", "server", f"-dir={self.folder}/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
                f"-s3.port={self.port}", "-master.port=18201", "-volume.port=18202", "-filer.port=18203", "-volume.max=100",
                "-master.volumeSizeLimitMB=1000", "-master.volumePreallocate=false"]

    def prepare(self):
        for _ in range(100):
            made = subprocess.run(["curl", "-s", "-f", "-X", "PUT", "-o", "/dev/null", self.url("/bench")], check=False)
            sent = subprocess.run(["curl", "-s", "-f", "-o", "/dev/null", "-T", __file__, self.url("/bench/first")], check=False)
            if made.returncode == sent.returncode == 0:
                return
            time.sleep(0.3)

    def curl(self, file, n):
        return ["-T", str(file), self.url(f"/bench/big-{n}")]

    def wrk(self, file):
        return "PUT", "/bench/small-", True, file, {}


class SeaweedFiler(SeaweedFS):
    name, flushes, port = "SeaweedFS filer, fsync", "bytes", 18105

    def command(self):
        (self.folder / "data").mkdir(exist_ok=True)
        return [PEERS / "venv/bin/weed", "server", f"-dir={self.folder}/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer",
                "-master.port=18211", "-volume.port=18212", f"-filer.port={self.port}", "-volume.max=100", "-master.volumeSizeLimitMB=1000",
                "-master.volumePreallocate=false"]

    def prepare(self):
        for _ in range(100):
            if subprocess.run(["curl", "-s", "-f", "-o", "/dev/null", "-T", __file__, self.url("/first")], check=False).returncode == 0:
                return
            time.sleep(0.3)

    def curl(self, file, n):
        return ["-T", str(file), self.url(f"/big-{n}?fsync=true")]

    def wrk(self, file):
        return "PUT", "/small/", "?fsync=true", file, {}
