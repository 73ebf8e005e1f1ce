#!/usr/bin/env python3
"""What power loss leaves of acknowledged uploads: all writes of a run are recorded, states that a file system may leave of them are made,
and the server is started on each.

    make power-loss            # beside the peers; the table, as Markdown
    make power-loss-some       # 40 states of Reelhouse, as `make test` does
    python3 bench/power/run.py --states 0       # all of them, for an hour or two

disk.py says what may be left. Ends with an error when anything that a client was told does not hold.
"""

import argparse
import bisect
import collections
import concurrent.futures
import contextlib
import functools
import http.server
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

import disk
import record
import reelhouse
import tus
from client import sha
from files import Films, make_films

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PEERS = pathlib.Path(os.environ.get("BENCH_PEERS", ROOT / "target/bench-peers"))
# Of the states that fail.
SHOWN = 20
PEER_SERVERS = ("@tus/server", "rustus", "rustus --force-fsync")


def arguments():
    parser = argparse.ArgumentParser(description="Power loss, state by state.")
    parser.add_argument("--program", default=str(TARGET / "debug/reelhouse"))
    parser.add_argument("--uploads", type=int, default=60)
    parser.add_argument("--states", type=int, default=400, help="at most so many, chosen from the seed, and a quarter of each peer; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--some", type=int, default=2, help="states of each moment in which each write is left or not by chance")
    parser.add_argument("--peers", action="store_true", help="the peers, too")
    parser.add_argument("--only", help="this server alone")
    parser.add_argument("--record", help=argparse.SUPPRESS)
    return parser.parse_args()


@contextlib.contextmanager
def origin(folder):
    """Serves a folder, for imports."""
    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # Whoever hangs up has the rest fetched by a job.
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def record_here(plan):
    """Below the recorder: the servers, and their clients."""
    plan = json.loads(plan)
    with open(plan["log"], "ab") as log:
        if plan["server"] == "Reelhouse":
            reelhouse.Run(plan["program"], plan["data"], plan["told"], Films(pathlib.Path(plan["films"])), plan["origin"], plan["origin_hashes"], plan["uploads"],
                          plan["seed"], log).run()
        else:
            tus.Run(plan["server"], PEERS, plan["data"], plan["told"], plan["uploads"], plan["seed"], log).run()


class Recording:
    """Calls, what was told and from when it held, and the moments worth looking at."""

    def __init__(self, calls):
        self.calls, self.told, moments = [], [], set()
        answered = {}
        for call in calls:
            if call.name == "answer":
                answered[call.arguments[0]] = call.begin
            elif call.name == "told":
                fact = json.loads(call.arguments[0])
                since = answered[fact["port"]] if "port" in fact else call.begin
                self.told.append((since, fact))
                moments.add(since)
            else:
                self.calls.append(call)
                if call.name.startswith("flush"):
                    moments |= {call.begin, call.end + 1}
        self.told.sort(key=lambda told: told[0])
        self.flushes = sum(call.name.startswith("flush") for call in self.calls)
        self.moments = sorted(moments)

    def told_by(self, moment):
        return [fact for since, fact in self.told if since <= moment]

    def add_moments(self, random, count):
        """Between flushes, something is in flight."""
        ends = [call.end + 1 for call in self.calls]
        self.moments = sorted({*self.moments, *random.sample(ends, min(count, len(ends)))})

    def states(self, options, most):
        """(moment, way, state), each content with each set of facts once."""
        wanted = [(moment, way, n) for moment in self.moments for way in disk.WAYS for n in range(options.some if way == "some" else 1)]
        if most:
            wanted = sorted(random.Random(options.seed).sample(wanted, min(most, len(wanted))))
        left, seen, done = disk.Disk(), set(), 0
        times = [since for since, _ in self.told]
        for moment, way, n in wanted:
            while done < len(self.calls) and self.calls[done].end < moment:
                left.take(self.calls[done])
                done += 1
            state = left.left(way, random.Random(f"{options.seed} {moment} {n}"))
            key = (disk.digest(state), bisect.bisect_right(times, moment))
            if key not in seen:
                seen.add(key)
                yield moment, way, state


def recorded(server, options, folder, films, url):
    """Runs the clients under the recorder; the model must then have what the real folder has."""
    root, told, log = f"{folder}/disk", f"{folder}/told", f"{folder}/trace"
    os.mkdir(root)
    plan = {"server": server, "program": options.program, "data": f"{root}/data", "told": told, "log": f"{folder}/log", "films": str(films),
            "origin": url, "uploads": options.uploads, "seed": options.seed,
            "origin_hashes": {path.stem: sha(path.read_bytes()) for path in pathlib.Path(films, "origin").iterdir()}}
    record.run([sys.executable, __file__, "--record", json.dumps(plan)], log)
    recording = Recording(record.Reader(root, told).read(log))
    os.unlink(log)
    model = disk.Disk()
    for call in recording.calls:
        model.take(call)
    left, found = model.left("all", random.Random()), disk.read(root)

    def hashed(state, path):
        return "absent" if path not in state else state[path] and state[path].hash

    differing = [path for path in {*left, *found} if hashed(left, path) != hashed(found, path)]
    if differing:
        raise RuntimeError(f"the recording does not make what is there: {differing[:5]}")
    return recording


def check(server, options, folder, state, told):
    try:
        disk.write(state, folder)
        os.makedirs(f"{folder}/data", exist_ok=True)
        if server == "Reelhouse":
            return reelhouse.check(options.program, folder, told, options.seed)
        return tus.check(server, PEERS, folder, told)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(server, options, folder, films, url):
    begun = time.monotonic()
    recording = recorded(server, options, folder, films, url)
    recording.add_moments(random.Random(options.seed), 200)
    facts = collections.Counter(fact["what"] for _, fact in recording.told)
    print(f"{server}: {len(recording.calls)} calls, {recording.flushes} flushes, told: {dict(facts)}; recorded in "
          f"{time.monotonic() - begun:.0f} s", file=sys.stderr)
    most = options.states if server == "Reelhouse" else options.states // 4
    checked, failed, worst, bad = collections.Counter(), collections.Counter(), collections.Counter(), []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = {}

        def settle(some):
            for future in concurrent.futures.wait(waiting, return_when=some).done:
                moment, way, known = waiting.pop(future)
                wrong = future.result()
                checked[way] += 1
                failed[way] += bool(wrong)
                worst[way] = max(worst[way], sum(not each.startswith("doctor") for each in wrong))
                if wrong:
                    bad.append((moment, way, known, wrong))

        for n, (moment, way, state) in enumerate(recording.states(options, most)):
            told = recording.told_by(moment)
            future = pool.submit(check, server, options, f"{folder}/state-{n}", state, told)
            waiting[future] = (moment, way, len(told))
            if len(waiting) >= 4:
                settle(concurrent.futures.FIRST_COMPLETED)
        if waiting:
            settle(concurrent.futures.ALL_COMPLETED)
    print(f"{server}: {checked.total()} states in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return facts, recording.flushes, checked, failed, worst, bad


def main():
    options = arguments()
    if options.record:
        record_here(options.record)
        return
    servers = [options.only] if options.only else ["Reelhouse", *(PEER_SERVERS if options.peers else ())]
    where = "/dev/shm" if shutil.disk_usage("/dev/shm").free > 2 << 30 else None
    held = True
    print("| | acknowledged | flushes | states | in which something is lost | the most lost at once, by what is left of the unflushed |\n"
          "|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="power-loss-", dir=where) as folder:
        films = pathlib.Path(folder, "films")
        (films / "origin").mkdir(parents=True)
        make_films(films)
        made = Films(films)
        for name, size in (("small", 300_000), ("large", 2_000_000)):
            (films / "origin" / f"{name}.mp4").write_bytes(made.film(random.Random(name), size))
        if any(server in PEER_SERVERS for server in servers):
            tus.install(PEERS, ROOT)
        with origin(films / "origin") as url:
            for n, server in enumerate(servers):
                own = f"{folder}/{n}"
                os.mkdir(own)
                facts, flushes, checked, failed, worst, bad = run(server, options, own, films, url)
                shutil.rmtree(own)
                most = ", ".join(f"{way}: {worst[way]}" for way in disk.WAYS)
                print(f"| {server} | {facts['asset']} | {flushes} | {checked.total()} | {failed.total()} | {most} |", flush=True)
                held &= server != "Reelhouse" or not bad
                for moment, way, known, wrong in bad[:SHOWN]:
                    print(f"at {moment}, {way}, {known} facts told:", *wrong[:5], sep="\n  ", file=sys.stderr)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
