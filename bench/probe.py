#!/usr/bin/env python3
"""What looking at a file costs: a create beside spawning ffprobe on the same file, alternating, in one run; creates a second; and
many files in a row, after which nothing may be left.

    make bench-probe             # builds the release binaries
    python3 bench/probe.py       # the figures, as Markdown
    FILES=10000 python3 bench/probe.py

The create is the whole request, of a client that keeps its connection: bytes sent, looked at, flushed, recorded, answered. Both
read a file of ten seconds, 1080p, H.264 and AAC.
"""

import http.client
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

ROUNDS = 30
FILES = int(os.environ.get("FILES", "500"))
ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
KEY = "a-key-for-benchmarks"


def make_clip(path):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i",
                    "testsrc2=size=1920x1080:rate=25:duration=10,noise=alls=20:allf=t", "-f", "lavfi", "-i", "sine=duration=10",
                    "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "2M", "-maxrate", "2M", "-bufsize", "2M", "-g", "50",
                    "-pix_fmt", "yuv420p", "-c:a", "aac", path], check=True)


class Server:
    def __init__(self, folder):
        self.process = subprocess.Popen(
            [TARGET / "release/reelhouse", "serve"], stdout=subprocess.PIPE, text=True, cwd=folder,
            env={"PATH": "/usr/bin:/bin", "REELHOUSE_LISTEN": "127.0.0.1:0", "REELHOUSE_DATA_DIR": str(folder / "data"),
                 "REELHOUSE_API_KEY": KEY, "REELHOUSE_LOG": "warn", "REELHOUSE_RATE_UPLOAD_RPM": "0",
                 "REELHOUSE_RATE_UPLOAD_RPD": "0"})
        self.port = int(self.process.stdout.readline().strip().rsplit(":", 1)[1])

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port)

    def children(self):
        """Processes below it, all the way down, the dead included."""
        below, found = {}, []
        for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, rest = status.read_text().split(" (", 1)
                below.setdefault(int(rest.rsplit(") ", 1)[1].split()[1]), []).append(int(pid))
            except OSError:
                pass
        waiting = [self.process.pid]
        while waiting:
            children = below.get(waiting.pop(), [])
            found += children
            waiting += children
        return found

    def cpu(self):
        """Seconds of a core that it and all below it have used, the buried included."""
        def of(pid):
            return sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()[11:15]))
        return sum(of(pid) for pid in [self.process.pid, *self.children()]) / os.sysconf("SC_CLK_TCK")

    def held(self):
        """Of each process: descriptors, and MiB of memory."""
        def of(pid):
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            memory = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
            return len(os.listdir(f"/proc/{pid}/fd")), memory // 1024
        return [of(pid) for pid in [self.process.pid, *self.children()]]


def body(clip):
    edge = "edge-of-a-form"
    head = (f'--{edge}\r\nContent-Disposition: form-data; name="method"\r\n\r\ndirect\r\n'
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="clip.mp4"\r\n\r\n').encode()
    return head + clip.read_bytes() + f"\r\n--{edge}--\r\n".encode(), {"x-api-key": KEY, "Content-Type": f"multipart/form-data; boundary={edge}"}


def create(connection, form):
    connection.request("POST", "/v1.3/assets", *form)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 201, text
    return text


def timed(run):
    begun = time.monotonic()
    run()
    return (time.monotonic() - begun) * 1000


def creates(server, form, count, clients):
    """Seconds that so many take."""
    left = iter(range(count))
    lock = threading.Lock()

    def client():
        connection = server.connect()
        while True:
            with lock:
                if next(left, None) is None:
                    return
            create(connection, form)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - begun


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="reelhouse-bench-", dir=TARGET))
    server = None
    try:
        clip = folder / "clip.mp4"
        make_clip(clip)
        form = body(clip)
        server = Server(folder)
        connection = server.connect()
        probe = ["ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams", clip]
        ours, theirs, used, used_by_peer = [], [], server.cpu(), sum(os.times()[2:4])
        for n in range(ROUNDS + 2):
            pair = timed(lambda: create(connection, form)), timed(lambda: subprocess.run(probe, check=True, capture_output=True))
            if n > 1:
                ours.append(pair[0])
                theirs.append(pair[1])
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"{ROUNDS} rounds after two to warm up, medians; a clip of {clip.stat().st_size / 1e6:.1f} MB, {os.cpu_count()} cores\n")
        c, d = ((end - begin) / (ROUNDS + 2) * 1000 for begin, end in
                ((used, server.cpu()), (used_by_peer, sum(os.times()[2:4]))))
        print("| | ms | ms of CPU |\n|---|---|---|")
        print(f"| create, whole request | {a:.1f} | {c:.1f} |")
        print(f"| spawning `ffprobe` on the file | {b:.1f} ({b / a:.1f} times) | {d:.1f} ({d / c:.1f} times) |\n")
        cores, before, used = os.cpu_count(), server.held(), server.cpu()
        seconds = creates(server, form, FILES, 2 * cores)
        time.sleep(1)
        after, used = server.held(), server.cpu() - used
        print(f"{FILES} creates by {2 * cores} clients: {FILES / seconds:.0f} a second; {FILES / used:.0f} a second of CPU "
              f"({used / FILES * 1000:.1f} ms each)")
        print(f"(descriptors, MiB) of each process: before {before}, after {after}")
    finally:
        if server:
            server.process.terminate()
            server.process.wait()
        shutil.rmtree(folder)


main()
