#!/usr/bin/env python3
"""Good clients beside bad ones: calm, then beside slow connections, then beside slow connections and hostile uploads.

    make bench-hostile                 # builds, measures, writes docs/bench/hostile.md
    python3 bench/hostile.py PROGRAM   # another build of reelhouse

Slow connections: HOSTILE_SLOW (10000). Hostile uploads a minute: HOSTILE_RATE (1000). Seconds of each part: HOSTILE_SECONDS (60).
Bad ones come from 127.0.0.2 and 127.0.0.3, good ones from 127.0.0.1; each has an account of its own.
"""

import asyncio
import json
import multiprocessing
import os
import pathlib
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/reelhouse")
SLOW = int(os.environ.get("HOSTILE_SLOW", "10000"))
RATE = int(os.environ.get("HOSTILE_RATE", "1000"))
SECONDS = int(os.environ.get("HOSTILE_SECONDS", "60"))
KEY = "a-key-of-the-good-clients"
BOUNDARY = "a-boundary"


def clip(folder):
    path = folder / "clip.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=5"]
        + ["-f", "lavfi", "-i", "sine=duration=5", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
        + ["-c:a", "aac", "-movflags", "+faststart", str(path)],
        check=True,
    )
    return path.read_bytes()


def upload(key, media):
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="method"\r\n\r\ndirect\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
    ).encode() + media + f"\r\n--{BOUNDARY}--\r\n".encode()
    head = (
        f"POST /v1.3/assets HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nConnection: close\r\n\r\n"
    ).encode()
    return head + body


def get(path, key=KEY):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\nConnection: close\r\n\r\n".encode()


async def ask(port, request, source="127.0.0.1"):
    """Status, body and seconds of one request on a connection of its own."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(request)
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head[9:12] or b"0"), body, time.monotonic() - began


class Good:
    """Clients that upload, list and load, one after the other."""

    def __init__(self, port, media, path):
        self.port, self.upload, self.load = port, upload(KEY, media), get(path)
        self.took = {"upload": [], "list": [], "download": []}
        self.failed = 0

    async def client(self, until, seed):
        dice = random.Random(seed)
        while time.monotonic() < until:
            for what, request, status in (
                ("upload", self.upload, 201),
                ("list", get("/v1.3/assets?page_limit=10"), 200),
                ("download", self.load, 200),
            ):
                try:
                    found, _, took = await asyncio.wait_for(ask(self.port, request), 60)
                except (OSError, TimeoutError):
                    found, took = 0, 60
                self.failed += found != status
                self.took[what].append(took)
            await asyncio.sleep(dice.uniform(0.05, 0.25))

    async def run(self):
        until = time.monotonic() + SECONDS
        await asyncio.gather(*(self.client(until, n) for n in range(4)))
        return {what: percentiles(took) for what, took in self.took.items()} | {"failed": self.failed}


def percentiles(took):
    took = sorted(took)
    return {
        "count": len(took),
        "median": statistics.median(took) * 1000,
        "p99": took[min(len(took) - 1, len(took) * 99 // 100)] * 1000,
    }


class Slow:
    """A third each: heads byte by byte, bodies byte by byte, downloads that read next to nothing. Whoever is cut comes again."""

    def __init__(self, port, key, path):
        self.port, self.cut, self.open = port, 0, 0
        self.kinds = [b"GET / HTTP/1.1\r\nX: ", upload(key, b"\0" * 1000)[:-600], get(path)]

    async def one(self, n):
        await asyncio.sleep(n * 10 / SLOW)
        while True:
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", self.port, local_addr=(f"127.0.0.{2 + n % 2}", 0), limit=1024
                )
            except OSError:
                self.cut += 1
                await asyncio.sleep(1)
                continue
            self.open += 1
            try:
                writer.write(self.kinds[n % 3])
                while True:
                    if n % 3 < 2:
                        writer.write(b"x")
                        await writer.drain()
                    # Its end, or a byte of a download.
                    try:
                        if not await asyncio.wait_for(reader.read(1), 10):
                            break
                    except TimeoutError:
                        pass
                    await asyncio.sleep(5)
            except OSError:
                pass
            self.open -= 1
            self.cut += 1
            writer.close()


class Hostile:
    """Uploads that are no good: cut, strewn, bombs, text."""

    def __init__(self, port, key, media):
        self.port, self.answers = port, {}
        dice = random.Random(1)
        strewn = bytearray(media)
        for _ in range(64):
            strewn[dice.randrange(len(strewn))] = dice.randrange(256)
        nested = b"".join((400_000 - 8 * n).to_bytes(4, "big") + b"trak" for n in range(50_000))
        bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0\1\0\0\0\0" + b"\0" * 100
        bad = [media[: len(media) // 2], bytes(strewn), media[:8] + nested, bomb, b'{"a": 1}', b"\0" * 100_000]
        self.requests = [upload(key, each) for each in bad]

    async def one(self, n):
        try:
            source = f"127.0.0.{2 + n % 2}"
            status, _, _ = await asyncio.wait_for(ask(self.port, self.requests[n % len(self.requests)], source), 60)
        except (OSError, TimeoutError):
            status = "none"
        self.answers[status] = self.answers.get(status, 0) + 1

    async def run(self):
        tasks, n = [], 0
        while True:
            tasks.append(asyncio.ensure_future(self.one(n)))
            n += 1
            await asyncio.sleep(60 / RATE)


class Bad:
    """The bad ones, in a process of their own: what the good ones wait for is not their clients' turn."""

    def __init__(self, *arguments):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=be_bad, args=(theirs, *arguments), daemon=True)
        self.process.start()

    def ask(self, what):
        self.pipe.send(what)
        return self.pipe.recv()


def be_bad(pipe, port, key, path, media):
    free_descriptors()
    asyncio.run(bad_ones(pipe, port, key, path, media))


async def bad_ones(pipe, port, key, path, media):
    slow, hostile = Slow(port, key, path), Hostile(port, key, media)
    tasks = [asyncio.ensure_future(slow.one(n)) for n in range(SLOW)]
    while True:
        what = await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        if what == "uploads":
            tasks.append(asyncio.ensure_future(hostile.run()))
        pipe.send({"open": slow.open, "cut": slow.cut, "answers": hostile.answers})


async def measure(port, key, media, process):
    _, created, _ = await ask(port, upload(KEY, media))
    path = f"/v1.3/assets/{json.loads(created)['_id']}/content"
    _, theirs, _ = await ask(port, upload(key, media))
    slow_path = f"/v1.3/assets/{json.loads(theirs)['_id']}/content"
    parts = {"calm": await Good(port, media, path).run()}
    bad = Bad(port, key, slow_path, media)
    await asyncio.sleep(15)
    parts["slow"] = await Good(port, media, path).run()
    bad.ask("uploads")
    parts["both"] = await Good(port, media, path).run()
    parts["both"] |= bad.ask("counts") | {"held": held(process.pid)}
    bad.process.kill()
    bad.process.join()
    await asyncio.sleep(5)
    parts["again"] = await Good(port, media, path).run()
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    parts["memory"] = int(status.split("VmHWM:")[1].split()[0]) // 1024
    return parts


def held(pid):
    """Sockets that the server has, give or take those that come and go just now."""
    count = 0
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += os.readlink(link).startswith("socket:")
        except FileNotFoundError:
            pass
    return count


def serve(folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REELHOUSE_")}
    environment |= {
        "REELHOUSE_DATA_DIR": str(folder / "data"),
        "REELHOUSE_LISTEN": "127.0.0.1:0",
        "REELHOUSE_API_KEY": KEY,
        "REELHOUSE_RATE_UPLOAD_RPM": "1000000",
        "REELHOUSE_LOG": "error",
    }
    process = subprocess.Popen([PROGRAM, "serve"], env=environment, stdout=subprocess.PIPE, text=True)
    port = int(process.stdout.readline().rsplit(":", 1)[1])
    keys = [PROGRAM, "keys", "create", "--account", "bad"]
    key = subprocess.run(keys, env=environment, check=True, capture_output=True, text=True).stdout.strip()
    return process, port, key


def report(parts, load):
    names = {"calm": "calm", "slow": f"{SLOW} slow connections", "both": f"the same and {RATE} hostile uploads a minute", "again": "calm again"}
    lines = [
        "# Good clients beside bad ones",
        "",
        f"Four good clients that upload, list and download, {SECONDS} s in each row; milliseconds, and p99 beside calm. Slow connections send heads and",
        "bodies byte by byte, or read next to nothing of a download; whoever is cut comes again. Written by `make bench-hostile` (`bench/hostile.py`)",
        f"on {os.cpu_count()} cores, {platform.machine()}, program {'/'.join(PROGRAM.parts[-2:])}; everything on one machine, the bad clients too. Load of the machine before it began: {load:.1f}.",
        "",
        "| | upload, median | p99 | beside calm | list, p99 | beside calm | download, p99 | beside calm | failed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    calm = parts["calm"]
    for part, name in names.items():
        found = parts[part]
        beside = lambda what: f"{found[what]['p99'] / calm[what]['p99']:.1f}"
        lines.append(
            f"| {name} | {found['upload']['median']:.0f} | {found['upload']['p99']:.0f} | {beside('upload')} | {found['list']['p99']:.0f} | "
            f"{beside('list')} | {found['download']['p99']:.0f} | {beside('download')} | {found['failed']} |"
        )
    both, minute = parts["both"], sum(parts["both"]["answers"].values()) * 60 / SECONDS
    answers = ", ".join(f"{count} × {status}" for status, count in sorted(both["answers"].items(), key=str))
    lines += [
        "",
        f"At the end {both['open']} slow ones had a connection or waited in the queue for one, the server had {both['held']} sockets, and {both['cut']} had been cut or turned away.",
        f"Hostile uploads were answered, {minute:.0f} a minute: {answers}.",
        f"The server held {parts['memory']} MiB at most.",
        "",
    ]
    (ROOT / "docs/bench/hostile.md").write_text("\n".join(lines))
    print("\n".join(lines))


def free_descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main():
    free_descriptors()
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        folder = pathlib.Path(folder)
        media = clip(folder)
        load = os.getloadavg()[0]
        process, port, key = serve(folder)
        try:
            report(asyncio.run(measure(port, key, media, process)), load)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
