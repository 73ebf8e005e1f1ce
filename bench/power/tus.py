"""Servers of tus under power loss: each client creates an upload and sends it in one PATCH; the answer to that is what it was told."""

import os
import pathlib
import random
import shutil
import socket
import subprocess
import threading
import time

from client import Client, Refused, sha

TUS = {"Tus-Resumable": "1.0.0"}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    def __init__(self, which, peers, data, log):
        self.port = free_port()
        os.makedirs(data, exist_ok=True)
        command = {
            "@tus/server": ["node", f"{peers}/tus/serve.mjs", str(self.port), f"{data}/files"],
            "rustus": [f"{peers}/rustus/bin/rustus", "--host", "127.0.0.1", "--port", str(self.port), "--data-dir", f"{data}/files",
                       "--info-dir", f"{data}/info", "--log-level", "ERROR", "--workers", "2", "--max-body-size", str(1 << 30)],
        }[which.split(" ")[0]]
        if "--force-fsync" in which:
            command += ["--force-fsync", "true"]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": os.environ["PATH"], "UV_USE_IO_URING": "0"})
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
        raise Refused("the server does not start")

    def end(self):
        self.process.kill()
        self.process.wait()


def install(peers, root):
    shutil.copy(f"{root}/bench/tus.mjs", f"{peers}/tus/serve.mjs")


class Run:
    def __init__(self, which, peers, data, told, uploads, seed, log):
        self.which, self.peers, self.data, self.told, self.uploads, self.seed, self.log = which, peers, data, told, uploads, seed, log
        self.failed = []

    def run(self):
        server = Server(self.which, self.peers, self.data, self.log)
        threads = [threading.Thread(target=self.work, args=(server.port, range(first, self.uploads, 3))) for first in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        server.end()
        if self.failed:
            raise self.failed[0]

    def work(self, port, mine):
        client = Client(port, self.told)
        try:
            for n in mine:
                data = random.Random(self.seed * 1000 + n)
                data = data.randbytes(data.choice((1_000, 100_000, 500_000, 3_000_000)))
                status, headers, answer = client.call("POST", "/files", headers={**TUS, "Upload-Length": str(len(data))})
                if status != 201:
                    raise Refused(f"create: {status} {answer[:200]!r}")
                path = "/files/" + headers["Location"].rsplit("/", 1)[1]
                status, _, answer = client.call("PATCH", path, data, {**TUS, "Upload-Offset": "0",
                                                                      "Content-Type": "application/offset+octet-stream"})
                if status != 204:
                    raise Refused(f"send: {status} {answer[:200]!r}")
                client.tell("asset", path=path, sha=sha(data), size=len(data))
        except Exception as error:
            self.failed.append(error)


def check(which, peers, folder, told):
    """What is not as clients were told, in words: an upload is there when its status says all of it and its bytes are the ones sent."""
    wrong = []
    with open(f"{folder}/log", "ab") as log:
        try:
            server = Server(which, peers, f"{folder}/data", log)
        except Refused as refused:
            return [f"lost: {refused}"] * len(told)
        try:
            client = Client(server.port)
            for fact in told:
                try:
                    wrong += check_upload(client, fact, f"{folder}/data/files")
                except OSError as error:
                    wrong.append(f"lost: {error}")
        finally:
            server.end()
    return wrong


def check_upload(client, fact, files):
    """Its bytes are read from the server's folder: not every server of tus sends them."""
    status, headers, _ = client.call("HEAD", fact["path"], headers=TUS)
    if status not in (200, 204):
        return [f"lost: {status}"]
    try:
        data = pathlib.Path(files, fact["path"].rsplit("/", 1)[1]).read_bytes()
    except OSError as error:
        return [f"lost: {error}"]
    said = headers.get("Upload-Offset")
    if said != str(fact["size"]) or len(data) != fact["size"]:
        return [f"cut: {len(data)} of {fact['size']}, said to be {said}"]
    return [] if sha(data) == fact["sha"] else ["other bytes"]
