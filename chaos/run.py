#!/usr/bin/env python3
"""Everything fails at some time, and no promise is broken: `make chaos`.

    scripts/with-postgres.sh scripts/with-seaweedfs.sh python3 chaos/run.py SEED [SECONDS] [PROGRAM]

Three nodes, three workers, a Postgres, a SeaweedFS with two volume servers. Clients create (also in chunks), look, list and delete, while one
after the other is killed, stopped past its lease, restarted, or has its disk filled. Then all is healed, and the history is checked:
each 201 is there, whole and made playable, unless a delete was sent; each acknowledged delete is gone; no state went backwards; nothing is
there twice, or that nobody uploaded; doctor is content. What a seed decides is who does what when; the machine decides the rest.
"""

import asyncio
import hashlib
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse

import media
import nodes
from clients import Client, ask
from history import History
from nodes import KEY, Cluster, restart_postgres, weed

CLIENTS = 4
# A worker's lease, and a little.
PAST_LEASE = 36
# How long what was made ready may take to be made, once all is healed.
SETTLING = 240


class Faults:
    """One after the other; each ends before the next begins."""

    def __init__(self, seed, cluster, history, until):
        self.dice, self.cluster, self.history, self.until = random.Random(f"{seed}/faults"), cluster, history, until
        self.kinds = [self.kill_node, self.kill_worker, self.postgres, self.volume, self.volume_hangs, self.node_hangs]
        if nodes.CAN_MOUNT:
            self.kinds.append(self.full_disk)

    async def run(self):
        loop = asyncio.get_running_loop()
        # The long one once for sure, each other in turns that the dice decide.
        order = [self.worker_sleeps]
        while loop.time() < self.until:
            if not order:
                order = self.dice.sample(self.kinds, len(self.kinds))
            fault = order.pop()
            print(f"{self.until - loop.time():5.0f} s left: {fault.__name__.replace('_', ' ')}", flush=True)
            self.history.count(fault.__name__)
            await fault()
            await asyncio.sleep(self.dice.uniform(0.5, 3))

    async def kill_node(self):
        node = self.dice.choice(self.cluster.nodes)
        node.kill()
        await asyncio.sleep(self.dice.uniform(0, 2))
        node.start()
        await asyncio.to_thread(self.cluster.wait, node)

    async def kill_worker(self):
        worker = self.dice.choice(self.cluster.workers)
        worker.kill()
        await asyncio.sleep(self.dice.uniform(0, 2))
        worker.start()

    async def worker_sleeps(self):
        worker = self.dice.choice(self.cluster.workers)
        worker.stop()
        await asyncio.sleep(PAST_LEASE)
        worker.go_on()

    async def node_hangs(self):
        node = self.dice.choice(self.cluster.nodes)
        node.stop()
        await asyncio.sleep(self.dice.uniform(1, 6))
        node.go_on()

    async def postgres(self):
        await asyncio.to_thread(restart_postgres)

    async def volume(self):
        volume = self.dice.choice(["volume1", "volume2"])
        await asyncio.to_thread(weed, "stop", volume)
        await asyncio.sleep(self.dice.uniform(2, 8))
        await asyncio.to_thread(weed, "start", volume)
        await asyncio.sleep(5)

    async def volume_hangs(self):
        volume = self.dice.choice(["volume1", "volume2"])
        await asyncio.to_thread(weed, "stop", volume, "STOP")
        await asyncio.sleep(self.dice.uniform(2, 6))
        await asyncio.to_thread(weed, "stop", volume, "CONT")

    async def full_disk(self):
        node = self.dice.choice(self.cluster.nodes + self.cluster.workers)
        await asyncio.to_thread(node.fill)
        await asyncio.sleep(self.dice.uniform(2, 6))
        node.free()


async def all_assets(cluster):
    listed, page = {}, 1
    while True:
        answer = await ask(cluster.nodes[0].url, "GET", f"/v1.3/assets?page_limit=50&page={page}", headers=[("x-api-key", KEY)])
        for asset in answer.json["data"]:
            listed[asset["_id"]] = asset
        if page >= answer.json["page_info"]["total_page"]:
            return listed
        page += 1


async def one(cluster, asset):
    return (await ask(cluster.nodes[1].url, "GET", f"/v1.3/assets/{asset}", headers=[("x-api-key", KEY)])).json


async def forget_unfinished(cluster, history):
    """Uploads in chunks that their client gave up would wait for it for a day."""
    for asset in (await all_assets(cluster)).values():
        upload = history.uploads.get(asset["filename"])
        if asset["method"] == "multipart" and asset["status"] == "processing" and upload and not upload.acknowledged:
            await ask(cluster.nodes[0].url, "DELETE", f"/v1.3/assets/{asset['_id']}", headers=[("x-api-key", KEY)])


async def settle(cluster, history):
    """Waits until nothing is processing or pending; returns what still is."""
    until = time.monotonic() + SETTLING
    open_ones = list(await all_assets(cluster))
    while open_ones and time.monotonic() < until:
        still = []
        for asset in open_ones:
            shown = await one(cluster, asset)
            history.saw(shown)
            statuses = [shown["status"]] + [shown[part]["status"] for part in ("hls", "thumbnail") if shown.get(part)]
            if shown["status"] == "processing" or shown["status"] == "ready" and {"pending", "processing"} & set(statuses):
                still.append(asset)
        open_ones = still
        await asyncio.sleep(1)
    return open_ones


async def content_of(cluster, number, asset):
    node = cluster.nodes[number % 3].url
    answer = await ask(node, "GET", f"/v1.3/assets/{asset}/content", headers=[("x-api-key", KEY)])
    return hashlib.sha256(answer.body).hexdigest() if answer and answer.status == 200 else f"{answer and answer.status}"


async def plays(cluster, asset):
    """Why a playable asset cannot be played, or None."""
    shown = await one(cluster, asset)
    if shown["hls"]["status"] != "ready" or shown["thumbnail"]["status"] != "ready":
        return f"hls {shown['hls']['status']}, thumbnail {shown['thumbnail']['status']}"
    for url in (shown["hls"]["manifest_url"], shown["thumbnail"]["representative_url"]):
        url = urllib.parse.urlsplit(url)
        found = await ask((url.hostname, url.port), "GET", url.path)
        if found is None or found.status != 200:
            return f"{url.path}: {found and found.status}"
        while url.path.endswith(".m3u8"):
            inner = next(line for line in found.body.decode().splitlines() if line and not line.startswith("#"))
            url = urllib.parse.urlsplit(urllib.parse.urljoin(url.geturl(), inner))
            found = await ask((url.hostname, url.port), "GET", url.path)
            if found is None or found.status != 200 or not found.body:
                return f"{url.path}: {found and found.status}"
    return None


async def run(seed, seconds, program, folder):
    history, files = History(), media.make(folder)
    cluster = Cluster(program, folder, seed)
    cluster.start()
    try:
        until = asyncio.get_running_loop().time() + seconds
        clients = [Client(number, seed, cluster, files, history, until) for number in range(CLIENTS)]
        await asyncio.gather(Faults(seed, cluster, history, until).run(), *(client.run() for client in clients))

        for node in cluster.nodes:
            await asyncio.to_thread(cluster.wait, node)
        await forget_unfinished(cluster, history)
        still = await settle(cluster, history)
        history.wrong += [f"{asset}: does not end: {await one(cluster, asset)}" for asset in still]
        listed = await all_assets(cluster)
        contents = {asset: await content_of(cluster, number, asset) for number, asset in enumerate(listed)}
        history.check(listed, contents)
        playable = {upload.name for upload in history.uploads.values() if upload.playable}
        for asset in listed.values():
            if asset["status"] == "ready" and asset["filename"] in playable and asset["_id"] not in still:
                why = await plays(cluster, asset["_id"])
                history.wrong += [f"{asset['filename']} ({asset['_id']}) does not play: {why}"] if why else []
        doctor = await asyncio.to_thread(cluster.doctor)
        if doctor.returncode != 0:
            history.wrong += [f"doctor: {line}" for line in (doctor.stdout + doctor.stderr).splitlines()]
    finally:
        history.wrong += [f"{name} did not end as it was asked to" for name in cluster.end()]
    for log in sorted(folder.glob("*.log")):
        panics = re.findall(r".*panicked.*", log.read_text(errors="replace"))
        history.wrong += [f"{log.stem}: {panic}" for panic in panics]
    return history, listed


def main():
    seed, seconds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 120
    program = pathlib.Path(sys.argv[3] if len(sys.argv) > 3 else nodes.ROOT / "target/debug/reelhouse").resolve()
    if not nodes.CAN_MOUNT:
        print("file systems cannot be mounted here: no disk is filled")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="reelhouse-chaos-"))
    history, listed = asyncio.run(run(seed, seconds, program, folder))
    print(f"seed {seed}, {seconds} s: {len(listed)} assets at the end")
    print("  " + ", ".join(f"{count} × {what}" for what, count in sorted(history.counts.items())))
    if history.wrong:
        print("\n".join(history.wrong))
        print(f"NOT CLEAN: {len(history.wrong)} broken promises; logs are in {folder}")
        sys.exit(1)
    shutil.rmtree(folder)
    print("clean")


main()
