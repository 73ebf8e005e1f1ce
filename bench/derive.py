#!/usr/bin/env python3
"""From 201 to `ready` beside the commands one would otherwise run on the same file, alternating, in one run.

    make bench-derive            # builds the release binary, installs ffmpeg and ffmpegthumbnailer
    python3 bench/derive.py      # the figures, as Markdown tables

HLS beside `ffmpeg -c copy -f hls` (fMP4 segments of 6 s); thumbnails beside `ffmpegthumbnailer -s 640`. The time of the upload
itself is not in it: the clock starts when the 201 is there. Bytes are those stored beside the original.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request

ROUNDS = 5
ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
KEY = "a-key-for-benchmarks"


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True)


def make_clips(folder):
    seed, ten_minutes = folder / "ten-seconds.mp4", folder / "ten-minutes.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=25:duration=10,noise=alls=20:allf=t",
           "-f", "lavfi", "-i", "sine=duration=10", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "2M", "-maxrate", "2M",
           "-bufsize", "2M", "-g", "50", "-pix_fmt", "yuv420p", "-c:a", "aac", seed)
    ffmpeg("-stream_loop", 59, "-i", seed, "-c", "copy", ten_minutes)
    return {"10 s": seed, "10 min": ten_minutes}


class Server:
    def __init__(self, folder):
        self.process = subprocess.Popen(
            [TARGET / "release/reelhouse", "serve"], stdout=subprocess.PIPE, text=True, cwd=folder,
            env={"PATH": "/usr/bin:/bin", "REELHOUSE_LISTEN": "127.0.0.1:0", "REELHOUSE_DATA_DIR": str(folder / "data"),
                 "REELHOUSE_API_KEY": KEY, "REELHOUSE_LOG": "warn"})
        self.url = self.process.stdout.readline().strip()
        self.derived = folder / "data/derived"

    def call(self, path):
        request = urllib.request.Request(f"{self.url}{path}", headers={"x-api-key": KEY})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def derive(self, clip, field, what):
        """Seconds from the 201 to ready, and bytes stored."""
        output = subprocess.run(["curl", "-sS", "--fail-with-body", f"{self.url}/v1.3/assets", "-H", f"x-api-key: {KEY}",
                                 "-F", "method=direct", "-F", f"{field}=true", "-F", f"file=@{clip}"],
                                check=True, capture_output=True)
        begun = time.monotonic()
        path = f"/v1.3/assets/{json.loads(output.stdout)['_id']}"
        while self.call(path)[what]["status"] in ("pending", "processing"):
            time.sleep(0.002)
        seconds = time.monotonic() - begun
        assert self.call(path)[what]["status"] == "ready"
        bytes_stored = sum(file.stat().st_size for file in self.derived.glob(f"*/{path.rsplit('/', 1)[1]}/*/*"))
        urllib.request.urlopen(urllib.request.Request(f"{self.url}{path}", headers={"x-api-key": KEY}, method="DELETE"))
        return seconds, bytes_stored


def timed(run, made):
    begun = time.monotonic()
    run()
    return time.monotonic() - begun, sum(file.stat().st_size for file in made())


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="reelhouse-bench-", dir=TARGET))
    server = None
    try:
        clips = make_clips(folder)
        server = Server(folder)
        print(f"{ROUNDS} rounds after one to warm up, medians\n")
        print("| | Reelhouse, ms | peer, ms | peer / Reelhouse | Reelhouse, KiB stored | peer, KiB stored |\n|---|---|---|---|---|---|")
        for name, clip in clips.items():
            segments = folder / "segments"

            def copy():
                ffmpeg("-i", clip, "-c", "copy", "-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", 6, "-hls_playlist_type", "vod",
                       segments / "index.m3u8")

            def thumbnail():
                subprocess.run(["ffmpegthumbnailer", "-i", clip, "-s", "640", "-o", folder / "thumbnail.jpg"], check=True,
                               capture_output=True)

            for label, field, what, peer, made in (
                (f"HLS of {name}, beside `ffmpeg -c copy -f hls`", "enable_hls", "hls", copy, lambda: segments.glob("*")),
                (f"thumbnail of {name}, beside `ffmpegthumbnailer`", "enable_thumbnail", "thumbnail", thumbnail,
                 lambda: [folder / "thumbnail.jpg"]),
            ):
                ours, theirs = [], []
                for n in range(ROUNDS + 1):
                    shutil.rmtree(segments, ignore_errors=True)
                    segments.mkdir()
                    pair = server.derive(clip, field, what), timed(peer, made)
                    if n:
                        ours.append(pair[0])
                        theirs.append(pair[1])
                (a, stored), (b, stored_by_peer) = (tuple(map(statistics.median, zip(*runs))) for runs in (ours, theirs))
                print(f"| {label} | {a * 1000:.0f} | {b * 1000:.0f} | {b / a:.1f} | {stored / 1024:.0f} | {stored_by_peer / 1024:.0f} |")
    finally:
        if server:
            server.process.terminate()
            server.process.wait()
        shutil.rmtree(folder)


main()
