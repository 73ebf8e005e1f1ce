#!/usr/bin/env python3
"""Small uploads a second: two nodes beside one, over one Postgres and one bucket.

    make bench-nodes     # builds, starts Postgres (with flushes) and SeaweedFS, writes docs/bench/nodes.md

All of it shares this machine: what nodes need beside the database, the bucket and the clients is not there. So each node is also
held to a share of a core (a cgroup), as if it were a small machine beside large ones.
"""

import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import tempfile
import threading

from load import wrk
from peers import KEY, REELHOUSE, ROOT, Reelhouse

ROUNDS, SECONDS, CONNECTIONS = int(os.environ.get("BENCH_ROUNDS", "3")), 8, 8
# Of a core; 0 is all there is.
SHARES = [float(share) for share in os.environ.get("BENCH_SHARES", "0.08,0.15,0").split(",")]
CPU = pathlib.Path("/sys/fs/cgroup/cpu")


class Node(Reelhouse):
    def __init__(self, folder, number, prefix, share):
        self.port, self.prefix, self.share = 18120 + number, prefix, share
        self.name, self.key = f"node {number}", KEY
        self.group = CPU / f"reelhouse-{prefix}-{self.port}"
        home = folder / f"{prefix}-{number}"
        home.mkdir()
        super().__init__(home)

    def command(self):
        run = [REELHOUSE, "serve"]
        if not self.share:
            return run
        self.group.mkdir(exist_ok=True)
        (self.group / "cpu.cfs_period_us").write_text("20000")
        (self.group / "cpu.cfs_quota_us").write_text(str(int(20000 * self.share)))
        return ["sh", "-c", f'echo $$ > {self.group}/cgroup.procs && exec "$@"', "sh", *run]

    def environment(self):
        homes = {"REELHOUSE_DATABASE_URL": database(self.prefix), "REELHOUSE_BLOB_URL": f"{os.environ['REELHOUSE_TEST_BLOBS']}/{self.prefix}"}
        return super().environment() | homes | {name: value for name, value in os.environ.items() if name.startswith("AWS_")}

    def own_account(self, name):
        made = subprocess.run([REELHOUSE, "keys", "create", "--account", name], env=self.environment(), check=True, capture_output=True, text=True)
        self.key = made.stdout.split()[-1]

    def load(self, photo, found):
        method, path, suffix, body, headers = self.wrk(photo)
        found.append(wrk(self.url("/"), SECONDS, CONNECTIONS, method=method, path=path, suffix=suffix, body=body,
                         headers=headers | {"x-api-key": self.key}))


def database(name):
    return os.environ["REELHOUSE_TEST_DATABASE"].replace("/postgres?", f"/{name}?", 1)


def seconds_of(words):
    """CPU seconds so far of all processes whose command line has one of these words."""
    ticks, total = os.sysconf("SC_CLK_TCK"), 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if any(word in stat.with_name("cmdline").read_bytes() for word in words):
                total += sum(map(int, stat.read_text().rsplit(") ", 1)[1].split()[11:15]))
        except OSError:
            pass
    return total / ticks


PARTS = {"nodes": [b"reelhouse"], "Postgres": [b"postgres"], "SeaweedFS": [b"weed"], "clients": [b"wrk"]}


def measure(folder, photo, count, share, accounts, turn):
    """Uploads a second of `count` nodes, and the CPU milliseconds an upload costs each part."""
    prefix = f"nodes_{turn}"
    subprocess.run(["psql", "--quiet", "--no-psqlrc", "--command", f"CREATE DATABASE {prefix}", os.environ["REELHOUSE_TEST_DATABASE"]], check=True)
    nodes = [Node(folder, number, prefix, share).start() for number in range(count)]
    try:
        for number, node in enumerate(nodes):
            if accounts > 1:
                node.own_account(f"account-{number}")
        run = lambda found: [thread for node in nodes for thread in [threading.Thread(target=node.load, args=(photo, found))] if not thread.start()]
        for thread in run([]):
            thread.join()
        before, found = {part: seconds_of(words) for part, words in PARTS.items()}, []
        for thread in run(found):
            thread.join()
        requests = sum(got["requests"] for got in found)
        assert len(found) == count, "a load failed"
        # Of clients that have ended nothing is left to be read.
        costs = {part: (seconds_of(words) - before[part]) / requests * 1000 for part, words in PARTS.items() if part != "clients"}
        return {"rate": sum(got["rate"] for got in found), "p99": max(got["p99"] for got in found), **costs}
    finally:
        for node in nodes:
            node.stop()
            shutil.rmtree(node.folder)
            if node.share:
                node.group.rmdir()


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="reelhouse-nodes-"))
    photo = folder / "photo.jpg"
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "testsrc2=size=540x400,noise=alls=12", "-frames:v", "1",
                    "-pix_fmt", "yuvj420p", "-q:v", "2", photo], check=True)
    load = os.getloadavg()[0]
    can_share = os.access(CPU / "cpu.cfs_quota_us", os.F_OK) or os.access(CPU, os.W_OK)
    shares = [share for share in SHARES if can_share or not share]
    rows, turn = [], 0
    for share in shares:
        for accounts in (2, 1):
            got = {1: [], 2: []}
            for _ in range(ROUNDS):
                for count in got:
                    turn += 1
                    got[count].append(measure(folder, photo, count, share, accounts, turn))
            median = {count: {name: statistics.median(one[name] for one in of) for name in of[0]} for count, of in got.items()}
            ratios = sorted(two["rate"] / one["rate"] for one, two in zip(got[1], got[2]))
            rows.append((share, accounts, median, ratios))
            print(share, accounts, median, ratios, flush=True)
    shutil.rmtree(folder)
    write(rows, photo, load)


def write(rows, photo, load):
    lines = ["# Two nodes beside one: `make bench-nodes`", "",
             f"Small uploads (a JPEG) by {CONNECTIONS} connections to each node, {SECONDS} s after as long a warm-up, {ROUNDS} rounds of one and two nodes in turn, medians. One",
             "Postgres whose commits are flushed and one SeaweedFS that keeps each object twice; they, the nodes and the clients share this",
             f"machine: {os.cpu_count()} cores, {platform.machine()}, load {load:.1f} before it began. CPU is milliseconds an upload.", "",
             "| each node may use | accounts | one node, uploads/s | two nodes | ratio (from – to) | p99 of one, ms | of two | CPU of one node: nodes, Postgres, SeaweedFS | of two |",
             "|---|---|---|---|---|---|---|---|---|"]
    for share, accounts, median, ratios in rows:
        costs = [" · ".join(f"{median[count][part]:.1f}" for part in ("nodes", "Postgres", "SeaweedFS")) for count in (1, 2)]
        lines.append(f"| {f'{share:.0%} of a core' if share else 'all there is'} | {'one each' if accounts > 1 else 'one of both'} | {median[1]['rate']:.0f} | {median[2]['rate']:.0f} "
                     f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f} – {ratios[-1]:.2f}) | {median[1]['p99']:.0f} | {median[2]['p99']:.0f} | {costs[0]} | {costs[1]} |")
    (ROOT / "docs/bench/nodes.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


main()
