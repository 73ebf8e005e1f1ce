"""The guides' commands, run as they stand: each guide is one session of a shell, in a folder with a few media files, beside a
server of its own.

A block is run when it is `sh`, `js` or `python`; `in=repository` runs it in the clone. What is only shown is `console`, `text`, `html`. Two
things are put in the place of what a guide has: the address of the server, which is 127.0.0.1:8080 there, and
media.example.org, which is an origin on loopback here.
"""

import contextlib
import functools
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

from server import KEY, ROOT, make

GUIDES = ROOT / "docs/guides"
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.M | re.S)
RUN = {"sh", "js", "python"}
SHOWN = {"console", "text", "html", "nginx", "toml", "json", "yaml"}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Guides(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.media = tempfile.TemporaryDirectory(prefix="reelhouse-guides-")
        folder = pathlib.Path(cls.media.name)
        cls.addClassCleanup(cls.media.cleanup)
        make(folder / "clip.mp4", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=6", "-f", "lavfi", "-i", "sine=duration=6",
             "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "2M", "-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart")
        # More than one chunk.
        make(folder / "film.mp4", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=8,noise=alls=40:allf=t", "-c:v", "libx264",
             "-preset", "ultrafast", "-b:v", "20M", "-pix_fmt", "yuv420p")
        make(folder / "song.mp3", "-f", "lavfi", "-i", "sine=duration=6")
        make(folder / "photo.jpg", "-f", "lavfi", "-i", "testsrc2=size=640x480", "-frames:v", "1")
        handler = functools.partial(Quiet, directory=folder)
        cls.origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=cls.origin.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.origin.server_close)
        cls.addClassCleanup(cls.origin.shutdown)

    def run_guide(self, name, served=True):
        text = (GUIDES / name).read_text()
        with tempfile.TemporaryDirectory(prefix="reelhouse-guide-") as folder:
            folder = pathlib.Path(folder)
            for file in pathlib.Path(self.media.name).iterdir():
                shutil.copy(file, folder / file.name)
            (folder / "node_modules").mkdir()
            (folder / "node_modules/twelvelabs-js").symlink_to(max((ROOT / "conformance/node_modules").glob("twelvelabs-js-*")))
            (folder / "node_modules/standardwebhooks").symlink_to(ROOT / "conformance/node_modules/standardwebhooks")
            address = f"127.0.0.1:{free_port()}"
            environment = {**os.environ, "PATH": f"{ROOT / 'target/debug'}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
                           "REELHOUSE_LISTEN": address, "REELHOUSE_DATA_DIR": str(folder / "data"), "REELHOUSE_API_KEY": KEY,
                           "REELHOUSE_LOG": "warn", "REELHOUSE_IMPORT_ALLOW": "127.0.0.1", "REELHOUSE_WEBHOOK_ALLOW": "127.0.0.1", "RUN": "once"}
            if served:
                server = subprocess.Popen(["reelhouse", "serve"], env=environment, cwd=folder, stdout=subprocess.PIPE, text=True)
                server.stdout.readline()
                # A guide may end it, and then waits until it is gone.
                threading.Thread(target=server.wait, daemon=True).start()
                environment |= {"REELHOUSE": f"http://{address}", "SERVER": str(server.pid)}
            script = self.script(name, text, folder, address)
            said = folder / "said"
            with open(said, "wb") as output:
                shell = subprocess.Popen(["bash", script], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                         stderr=output, start_new_session=True)
            try:
                ended = shell.wait(timeout=120)
            except subprocess.TimeoutExpired:
                ended = "nothing: it did not end"
            finally:
                # What a guide that failed has left running, too.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()
                if served:
                    server.terminate()
                    server.wait()
                    server.stdout.close()
            self.assertEqual(ended, 0, f"{name}, after this:\n{said.read_text()[-4000:]}")

    def script(self, name, text, folder, address):
        lines = ["set -euo pipefail"]
        for n, block in enumerate(BLOCK.finditer(text)):
            language, where, body = block.groups()
            self.assertIn(language, RUN | SHOWN, f"{name}: is a block of {language} run or shown?")
            if language not in RUN:
                continue
            body = body.replace("127.0.0.1:8080", address).replace("https://media.example.org", "http://127.0.0.1:%d" % self.origin.server_port)
            lines.append(f"echo '== {name}, line {text[:block.start()].count(chr(10)) + 1}'")
            if language == "sh":
                lines.append(f"(cd '{ROOT}'\n{body})" if "in=repository" in where else body)
            else:
                file = folder / f"block-{n}.{'mjs' if language == 'js' else 'py'}"
                file.write_text(body)
                lines.append(f"{'node' if language == 'js' else 'python'} {file.name}")
        script = folder / "guide.sh"
        script.write_text("\n".join(lines) + "\n")
        return script

    def test_every_guide_is_run(self):
        tests = {name.removeprefix("test_").replace("_", "-") for name in dir(self) if name.startswith("test_")}
        for guide in GUIDES.glob("*.md"):
            if BLOCK.search(guide.read_text()):
                self.assertIn(guide.stem, tests)

    def test_quick_start(self):
        self.run_guide("quick-start.md", served=False)

    def test_upload(self):
        self.run_guide("upload.md")

    def test_import(self):
        self.run_guide("import.md")

    def test_chunks(self):
        self.run_guide("chunks.md")

    def test_play(self):
        self.run_guide("play.md")

    def test_webhooks(self):
        self.run_guide("webhooks.md")

    def test_operate(self):
        self.run_guide("operate.md")

    def test_reverse_proxy(self):
        """nginx with the guide's own block takes uploads and hands out URLs of its name that play."""
        text = (GUIDES / "reverse-proxy.md").read_text()
        block = next(block.group(3) for block in BLOCK.finditer(text) if block.group(1) == "nginx")
        with tempfile.TemporaryDirectory(prefix="reelhouse-guide-") as folder:
            folder = pathlib.Path(folder)
            ours, theirs = free_port(), free_port()
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=media.example.org", "-addext",
                            "subjectAltName=DNS:media.example.org", "-keyout", folder / "key", "-out", folder / "pem"], check=True, capture_output=True)
            for here, there in (("127.0.0.1:8080", f"127.0.0.1:{ours}"), ("listen 443", f"listen 127.0.0.1:{theirs}"),
                                ("/etc/ssl/private/media.example.org.key", f"{folder}/key"), ("/etc/ssl/media.example.org.pem", f"{folder}/pem")):
                self.assertIn(here, block)
                block = block.replace(here, there)
            paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            (folder / "nginx.conf").write_text(f"pid {folder}/pid; error_log {folder}/error.log; daemon off; events {{}}\n"
                                               f"http {{ access_log off; {paths}\n{block} }}\n")
            server = subprocess.Popen(["reelhouse", "serve"], cwd=folder, stdout=subprocess.PIPE, text=True, env={
                **os.environ, "PATH": f"{ROOT / 'target/debug'}:{os.environ['PATH']}", "REELHOUSE_LISTEN": f"127.0.0.1:{ours}",
                "REELHOUSE_API_KEY": KEY, "REELHOUSE_PUBLIC_URL": f"https://media.example.org:{theirs}", "REELHOUSE_LOG": "warn"})
            server.stdout.readline()
            nginx = subprocess.Popen(["nginx", "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "error.log"])
            try:
                curl = ["curl", "-sS", "--fail-with-body", "--cacert", folder / "pem", "--resolve", f"media.example.org:{theirs}:127.0.0.1",
                        "--retry", "20", "--retry-connrefused", "--retry-delay", "1"]
                asked = [*curl, "-H", f"x-api-key: {KEY}", f"https://media.example.org:{theirs}/v1.3/assets"]
                subprocess.run([*asked, "-F", "method=direct", "-F", "enable_hls=true", "-F", f"file=@{self.media.name}/clip.mp4"],
                               check=True, capture_output=True)
                listed = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)
                manifest = listed["data"][0]["hls"]["manifest_url"]
                self.assertTrue(manifest.startswith(f"https://media.example.org:{theirs}/"))
                self.assertIn(b"#EXTM3U", subprocess.run([*curl, manifest], check=True, capture_output=True).stdout)
            finally:
                for process in (nginx, server):
                    process.terminate()
                    process.wait()
                server.stdout.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


if __name__ == "__main__":
    unittest.main()
