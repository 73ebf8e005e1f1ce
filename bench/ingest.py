#!/usr/bin/env python3
"""A form upload of 190 MB beside nginx's DAV PUT of the same file, alternating, in one run.

    make bench-ingest            # builds the release binary, installs nginx
    python3 bench/ingest.py      # the figures, as a Markdown table

Both write to the same folder's file system. nginx does not flush; Reelhouse flushes, hashes, checks and records, so the
share of that work is shown beside it: `dd conv=fsync` of the same bytes.
"""

import json
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

ROUNDS = 7
ROOT = pathlib.Path(__file__).resolve().parent.parent
KEY = "a-key-for-benchmarks"


def make_clip(folder):
    """About 190 MB of H.264 at 30 Mbit/s: ten seconds, looped without re-encoding."""
    seed, clip = folder / "seed.mp4", folder / "clip.mp4"
    run = lambda *arguments: subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True)
    run("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=4,noise=alls=60:allf=t",
        "-f", "lavfi", "-i", "sine=duration=4", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "60M", "-minrate", "60M",
        "-pix_fmt", "yuv420p", "-c:a", "aac", seed)
    loops = round(190 * 2**20 / seed.stat().st_size) - 1
    run("-stream_loop", loops, "-i", seed, "-c", "copy", clip)
    return clip


def peak_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024


def curl(*arguments):
    output = subprocess.run(["curl", "-sS", "--fail-with-body", "-o", "/dev/null", "-w", "%{time_total}", *arguments],
                            check=True, capture_output=True, text=True)
    return float(output.stdout)


def start_nginx(folder):
    for name in ("dav", "body"):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    config = folder / "nginx.conf"
    config.write_text(f"""
        worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log; daemon off; user root;
        events {{ worker_connections 64; }}
        http {{ access_log off; client_max_body_size 0; client_body_temp_path {folder}/body;
          server {{ listen 127.0.0.1:18080; root {folder}/dav; location / {{ dav_methods PUT; }} }} }}""")
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(config)])
    while subprocess.run(["curl", "-s", "-o", "/dev/null", "http://127.0.0.1:18080/"]).returncode != 0:
        time.sleep(0.05)
    return process


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="reelhouse-bench-", dir=ROOT / "target"))
    nginx = server = None
    try:
        clip = make_clip(folder)
        size = clip.stat().st_size / 2**20
        nginx = start_nginx(folder)
        server = subprocess.Popen(
            [ROOT / "target/release/reelhouse", "serve"], stdout=subprocess.PIPE, text=True, cwd=folder,
            env={"PATH": "/usr/bin:/bin", "REELHOUSE_LISTEN": "127.0.0.1:0", "REELHOUSE_DATA_DIR": str(folder / "data"),
                 "REELHOUSE_API_KEY": KEY, "REELHOUSE_LOG": "warn"})
        url = server.stdout.readline().strip()
        times = {"nginx": [], "reelhouse": [], "dd": []}
        for n in range(ROUNDS + 1):
            round_times = {
                "nginx": curl("-T", str(clip), f"http://127.0.0.1:18080/{n}.mp4"),
                "reelhouse": curl(f"{url}/v1.3/assets", "-H", f"x-api-key: {KEY}", "-F", "method=direct", "-F", f"file=@{clip}"),
            }
            begun = time.monotonic()
            subprocess.run(["dd", f"if={clip}", f"of={folder}/dd-{n}", "bs=1M", "conv=fsync", "status=none"], check=True)
            round_times["dd"] = time.monotonic() - begun
            if n:  # The first round warms up.
                for name, seconds in round_times.items():
                    times[name].append(seconds)
        workers = subprocess.run(["pgrep", "-P", str(nginx.pid)], capture_output=True, text=True).stdout.split()
        peaks = {"nginx": max(peak_mib(pid) for pid in workers), "reelhouse": peak_mib(server.pid), "dd": None}
        base = statistics.median(times["nginx"])
        print(f"{size:.0f} MiB, {ROUNDS} rounds after one to warm up, medians (lowest to highest)\n")
        print("| | seconds | MiB/s | as a share of nginx | peak memory, MiB |\n|---|---|---|---|---|")
        for name, label in (("nginx", "nginx DAV PUT, no flush"), ("reelhouse", "Reelhouse, flushed, hashed, probed, recorded"),
                            ("dd", "dd bs=1M conv=fsync, no network")):
            seconds = times[name]
            middle = statistics.median(seconds)
            peak = f"{peaks[name]:.0f}" if peaks[name] else ""
            print(f"| {label} | {middle:.2f} ({min(seconds):.2f} to {max(seconds):.2f}) | {size / middle:.0f} | {base / middle:.2f} | {peak} |")
        assert json.loads(subprocess.run(["curl", "-s", f"{url}/v1.3/assets", "-H", f"x-api-key: {KEY}"], capture_output=True).stdout)[
            "page_info"]["total_results"] == ROUNDS + 1
    finally:
        for process in (nginx, server):
            if process:
                process.terminate()
                process.wait()
        shutil.rmtree(folder)


main()
