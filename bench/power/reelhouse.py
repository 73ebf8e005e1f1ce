"""Reelhouse under power loss: what its clients do while it is recorded, and whether a state that was left keeps what they were told."""

import http.client
import json
import os
import random
import subprocess
import threading
import time

from client import Client, Refused, form, sha
from files import picture, sound

KEY = "a-key-for-power-loss"
ASSETS = "/v1.3/assets"
CHUNKS = f"{ASSETS}/multipart-uploads"
# An import of more goes on behind its request.
IMPORT_IN_REQUEST = 500_000
# Of every forty, this one sends its chunks and is never completed.
STAYS_OPEN = 24


class Server:
    def __init__(self, program, data, log):
        self.process = subprocess.Popen(
            [program, "serve"], stdout=subprocess.PIPE, stderr=log, text=True,
            env={"PATH": os.environ["PATH"], "REELHOUSE_LISTEN": "127.0.0.1:0", "REELHOUSE_DATA_DIR": data, "REELHOUSE_API_KEY": KEY,
                 "REELHOUSE_LOG": "warn", "REELHOUSE_IMPORT_ALLOW": "127.0.0.0/8", "REELHOUSE_RATE_UPLOAD_RPM": "0",
                 "REELHOUSE_IMPORT_REQUEST_BYTES": str(IMPORT_IN_REQUEST)})
        line = self.process.stdout.readline().strip()
        if not line:
            self.process.wait()
            raise Refused("the server does not start")
        self.port = int(line.rsplit(":", 1)[1])

    def end(self, kill=False):
        self.process.kill() if kill else self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def get(client, asset, wait=True):
    """An asset; once it is decided, if it is waited for."""
    for _ in range(600):
        found = client.json("GET", f"{ASSETS}/{asset}")
        if not wait or found["status"] != "processing":
            return found
        time.sleep(0.05)
    raise Refused(f"{asset} stays {found['status']}")


def made(client, asset):
    """Hashes of what was made of an asset and is called ready: all a player of it reads."""
    found, hashes = client.json("GET", f"{ASSETS}/{asset}"), {}
    if found.get("thumbnail", {}).get("status") == "ready":
        hashes["thumbnail"] = sha(client.call("GET", found["thumbnail"]["representative_url"])[2])
    if found.get("hls", {}).get("status") == "ready":
        url, all_of_it = found["hls"]["manifest_url"], b""
        waiting = [url]
        while waiting:
            at = waiting.pop()
            status, _, body = client.call("GET", at)
            if status != 200:
                raise Refused(f"{at}: {status}")
            all_of_it += body
            if at.endswith(".m3u8"):
                waiting += [at.rsplit("/", 1)[0] + "/" + line for line in body.decode().splitlines() if line and not line.startswith("#")]
        hashes["hls"] = sha(all_of_it)
    return hashes


class Run:
    """Three clients, and a server that ends in the midst of it, once asked and once killed."""

    def __init__(self, program, data, told, films, origin, origin_hashes, uploads, seed, log):
        self.program, self.data, self.told, self.films, self.log = program, data, told, films, log
        self.origin, self.origin_hashes = origin, origin_hashes
        self.seed, self.uploads = seed, uploads
        self.lock, self.next, self.failed = threading.Lock(), 0, []
        self.killed = False

    def run(self):
        third = self.uploads // 3
        for until, kill in ((third, False), (2 * third, True), (self.uploads, False)):
            server = Server(self.program, self.data, self.log)
            threads = [threading.Thread(target=self.work, args=(server.port, until)) for _ in range(3)]
            for thread in threads:
                thread.start()
            if kill:
                while self.next < until - 2 and not self.failed:
                    time.sleep(0.01)
                self.killed = True
                server.end(kill=True)
            for thread in threads:
                thread.join()
            self.killed = False
            if not kill:
                server.end()
        if self.failed:
            raise self.failed[0]

    def work(self, port, until):
        client = Client(port, self.told, KEY)
        while True:
            with self.lock:
                n, self.next = self.next, self.next + 1
                if n >= until:
                    self.next = until
                    return
            try:
                self.upload(client, n, random.Random(self.seed * 1000 + n))
            except Exception as error:
                # Of a server that was killed: no answer, no promise.
                if not (self.killed and isinstance(error, (OSError, http.client.HTTPException))):
                    self.failed.append(error)
                    return

    def upload(self, client, n, random):
        if n % 20 == 4:
            return self.in_chunks(client, n)
        if n % 20 in (9, 14):
            return self.by_url(client, n)
        kind = n % 5
        name, data = f"{n}.png", picture(random, random.choice((128, 150, 330)), random.random() < 0.6)
        fields = {"method": "direct", "user_metadata": json.dumps({"n": n})}
        if kind in (1, 3):
            name, data = f"{n}.mp4", self.films.film(random, random.choice((0, 250_000, 1_000_000, 3_000_000)))
            fields |= {"enable_hls": "true", "enable_thumbnail": "true"}
        elif kind == 2:
            name, data = f"{n}.wav", sound(random, random.choice((40_000, 262_144 - 44, 262_144 + 956, 700_000)))
        elif n % 20 == 10:
            # Is remuxed: a job writes.
            name, data = f"{n}.mkv", self.films.mkv
            fields |= {"enable_hls": "true"}
        asset = client.json("POST", ASSETS, *form(fields, (name, data)), expect=(201,))["_id"]
        client.tell("asset", id=asset, sha=sha(data), n=n)
        if "enable_hls" in fields:
            self.waits_for_made(client, asset, fields)
        if n % 4 == 3:
            client.asks("to delete", id=asset)
            client.call("DELETE", f"{ASSETS}/{asset}")
            client.tell("gone", id=asset)

    def waits_for_made(self, client, asset, fields):
        wanted = {"hls"} | ({"thumbnail"} if "enable_thumbnail" in fields else set())
        for _ in range(600):
            found = made(client, asset)
            if wanted == set(found):
                client.tell("made", id=asset, hashes=found)
                return
            time.sleep(0.05)
        raise Refused(f"{asset}: {wanted} stays unmade")

    def in_chunks(self, client, n):
        data = long_sound(self.seed, n)
        begun = client.json("POST", CHUNKS, {"filename": "long.wav", "type": "audio", "total_size": len(data)})
        upload, asset, size = begun["upload_id"], begun["asset_id"], begun["chunk_size"]
        client.tell("session", id=asset, upload=upload, n=n, size=size)
        proofs = []
        for url in begun["upload_urls"]:
            proofs.append(put_chunk(client, url, data, size))
            client.tell("chunk", id=asset, proof=proofs[-1])
            if len(proofs) == 1:
                client.json("POST", f"{CHUNKS}/{upload}", {"completed_chunks": proofs})
                client.tell("reported", id=asset, completed=1)
        if n % 40 == STAYS_OPEN:
            return
        client.json("POST", f"{CHUNKS}/{upload}", {"completed_chunks": proofs})
        client.tell("reported", id=asset, completed=len(proofs))
        if get(client, asset)["status"] == "ready":
            client.tell("asset", id=asset, sha=sha(data))

    def by_url(self, client, n):
        """The larger goes on as a job behind its request."""
        name = ("small", "large")[n // 5 % 2]
        asset = client.json("POST", ASSETS, *form({"method": "url", "url": f"{self.origin}/{name}.mp4"}), expect=(201,))
        what = {"ready": "asset", "processing": "arriving"}[asset["status"]]
        client.tell(what, id=asset["_id"], sha=self.origin_hashes[name])
        if what == "arriving" and get(client, asset["_id"])["status"] == "ready":
            client.tell("asset", id=asset["_id"], sha=self.origin_hashes[name])


def long_sound(seed, n):
    """Of two chunks."""
    return sound(random.Random(seed * 1000 + n), 5_300_000)


def put_chunk(client, url, data, size):
    n = url["chunk_index"]
    chunk = data[(n - 1) * size:n * size]
    status, headers, answer = client.call("PUT", url["url"], chunk)
    if status != 200:
        raise Refused(f"chunk {n}: {status} {answer[:200]!r}")
    return {"chunk_index": n, "proof": headers["ETag"].strip('"'), "proof_type": "etag", "chunk_size": len(chunk)}


class Promises:
    """What clients were told by some moment."""

    def __init__(self, told):
        self.assets, self.deleting, self.gone, self.made, self.sessions = {}, set(), set(), {}, {}
        for fact in told:
            what, asset = fact["what"], fact["id"]
            if what in ("asset", "arriving"):
                self.assets[asset] = fact["sha"]
                self.sessions.pop(asset, None)
            elif what == "to delete":
                self.deleting.add(asset)
            elif what == "gone":
                self.gone.add(asset)
            elif what == "made":
                self.made[asset] = fact["hashes"]
            elif what == "session":
                self.sessions[asset] = {**fact, "proofs": [], "completed": 0}
            elif what == "chunk":
                self.sessions[asset]["proofs"].append(fact["proof"])
            elif what == "reported":
                self.sessions[asset]["completed"] = fact["completed"]

    def __len__(self):
        return len(self.assets)


def check(program, folder, told, seed):
    """What is not as clients were told, in words; empty when all is well."""
    promises, wrong, data = Promises(told), [], f"{folder}/data"
    with open(f"{folder}/log", "ab") as log:
        try:
            server = Server(program, data, log)
        except Refused as refused:
            return [f"{refused}: {open(f'{folder}/log', encoding='utf-8').read()[-300:]}"]
        try:
            client = Client(server.port, key=KEY)
            for asset, hashed in promises.assets.items():
                try:
                    wrong += check_asset(client, promises, asset, hashed)
                except Refused as refused:
                    wrong.append(f"{asset}: {refused}")
            for session in promises.sessions.values():
                try:
                    wrong += check_session(client, session, long_sound(seed, session["n"]))
                except Refused as refused:
                    wrong.append(f"upload {session['upload']}, {len(session['proofs'])} chunks told: {refused}")
            found = subprocess.run([program, "doctor"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                                   env={"PATH": os.environ["PATH"], "REELHOUSE_DATA_DIR": data})
            if found.returncode:
                wrong.append(f"doctor: {found.stdout.strip()[-400:]}")
        finally:
            server.end(kill=True)
    return wrong


def check_asset(client, promises, asset, hashed):
    status, _, bytes_now = client.call("GET", f"{ASSETS}/{asset}/content")
    if status == 409 or status == 404 and asset not in promises.deleting:
        # An import that goes on.
        get(client, asset)
        status, _, bytes_now = client.call("GET", f"{ASSETS}/{asset}/content")
    if asset in promises.gone:
        return [] if status == 404 else [f"{asset} was deleted, and is back: {status}"]
    if status == 404 and asset in promises.deleting:
        return []
    if status != 200:
        return [f"{asset} is lost: {status}"]
    if sha(bytes_now) != hashed:
        return [f"{asset} has other bytes: {len(bytes_now)}"]
    if asset in promises.made and asset not in promises.deleting:
        now = made(client, asset)
        return [f"{asset}: its {kind} is not what it was" for kind, was in promises.made[asset].items() if now.get(kind) != was]
    return []


def check_session(client, session, data):
    """What was told is there; with what was not, the upload comes to its end."""
    path, asset = f"{CHUNKS}/{session['upload']}", session["id"]
    progress = client.json("GET", path)
    if progress["chunks_completed"] < session["completed"]:
        return [f"upload {session['upload']} forgot a report: {progress['chunks_completed']} of {session['completed']}"]
    if progress["status"] == "active":
        if session["proofs"]:
            client.json("POST", path, {"completed_chunks": session["proofs"]})
    if client.json("GET", path)["status"] == "active":
        there = {proof["chunk_index"] for proof in session["proofs"]}
        for url in client.json("POST", f"{path}/presigned-urls", {"start": 1, "count": 50})["upload_urls"]:
            if url["chunk_index"] not in there:
                client.json("POST", path, {"completed_chunks": [put_chunk(client, url, data, session["size"])]})
    found = get(client, asset)
    bytes_now = client.call("GET", f"{ASSETS}/{asset}/content")[2]
    if found["status"] != "ready" or sha(bytes_now) != sha(data):
        return [f"upload {session['upload']} ends {found['status']}, {found.get('error')}"]
    return []
