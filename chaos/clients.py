"""Clients: they create, look, list and delete, at whichever node, and note what they were told."""

import asyncio
import hashlib
import json
import random
import urllib.parse

from history import Upload
from media import another
from nodes import KEY

BOUNDARY = "a-boundary-of-chaos"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


async def ask(address, method, path, body=b"", headers=(), patience=60):
    """An answer, or None: then nobody knows what became of the request."""
    try:
        return await asyncio.wait_for(exchange(address, method, path, body, headers), patience)
    except (OSError, EOFError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return None


async def exchange(address, method, path, body, headers):
    reader, writer = await asyncio.open_connection(*address)
    try:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {address[0]}:{address[1]}", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        found = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        answer = await reader.read()
        if "content-length" in found and int(found["content-length"]) != len(answer):
            raise EOFError
        if found.get("transfer-encoding") == "chunked":
            answer = unchunk(answer)
        return Answer(int(head[0].split()[1]), found, answer)
    finally:
        writer.close()


def unchunk(text):
    whole = b""
    while True:
        size, _, text = text.partition(b"\r\n")
        if int(size, 16) == 0:
            return whole
        whole, text = whole + text[: int(size, 16)], text[int(size, 16) + 2 :]


class Client:
    def __init__(self, number, seed, cluster, media, history, until):
        self.number, self.cluster, self.media, self.history, self.until = number, cluster, media, history, until
        self.dice = random.Random(f"{seed}/{number}")
        self.made = 0
        self.mine = []

    def node(self):
        return self.dice.choice(self.cluster.nodes).url

    async def api(self, method, path, body=b"", headers=(), patience=60):
        return await ask(self.node(), method, f"/v1.3{path}", body, [("x-api-key", KEY), *headers], patience)

    async def run(self):
        loop = asyncio.get_running_loop()
        while loop.time() < self.until:
            what = self.dice.choices(
                [self.create, self.create_in_chunks, self.look, self.list, self.delete], [5, 1, 5, 2, 2]
            )[0]
            await what()
            await asyncio.sleep(self.dice.uniform(0, 0.2))

    def new(self, kinds):
        kind = self.dice.choice(kinds)
        content = another(kind, self.media[kind])
        self.made += 1
        name = f"client{self.number}-{self.made}-{kind}"
        upload = Upload(name, hashlib.sha256(content).hexdigest(), not kind.endswith(".jpg"))
        self.history.uploads[name] = upload
        return upload, content

    def acknowledged(self, upload, asset):
        upload.acknowledged = asset
        self.mine.append(upload)
        self.history.count("created")

    async def create(self):
        upload, content = self.new(list(self.media))
        fields = {"method": "direct", "filename": upload.name, "enable_hls": "true", "enable_thumbnail": "true"}
        body = "".join(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{upload.name}"\r\n\r\n'
        body = body.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
        headers = [("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")]
        # With a key it may be sent as often as it takes, and is one asset all the same.
        tries = 4 if self.dice.random() < 0.6 else 1
        if tries > 1:
            headers.append(("Idempotency-Key", upload.name))
        for _ in range(tries):
            answer = await self.api("POST", "/assets", body, headers)
            if answer is not None and answer.status == 201:
                self.acknowledged(upload, answer.json["_id"])
                return
            self.refused("create", answer)
            await asyncio.sleep(self.dice.uniform(0.2, 2))

    def refused(self, what, answer):
        if answer is None:
            self.history.count(f"{what}: no answer")
            return
        self.history.count(f"{what}: {answer.status}")
        known = answer.status in (400, 409, 429, 503)
        if not known or "code" not in answer.json:
            self.history.wrong.append(f"{what} was answered {answer.status} {answer.body[:200]}")

    async def create_in_chunks(self):
        upload, content = self.new(["large.mp4"])
        wanted = {"filename": upload.name, "type": "video", "total_size": len(content), "enable_hls": True, "enable_thumbnail": True}
        json_type = [("Content-Type", "application/json")]
        begun = await self.api("POST", "/assets/multipart-uploads", json.dumps(wanted).encode(), json_type)
        if begun is None or begun.status != 201:
            return self.refused("chunks", begun)
        session, done = begun.json, []
        for chunk in session["upload_urls"]:
            size, url = session["chunk_size"], urllib.parse.urlsplit(chunk["url"])
            part = content[(chunk["chunk_index"] - 1) * size :][:size]
            for _ in range(6):
                sent = await ask((url.hostname, url.port), "PUT", f"{url.path}?{url.query}", part)
                if sent is not None and sent.status == 200:
                    proof = sent.headers["etag"]
                    done.append({"chunk_index": chunk["chunk_index"], "proof": proof, "proof_type": "etag", "chunk_size": len(part)})
                    break
                await asyncio.sleep(self.dice.uniform(0.5, 2))
            else:
                return self.history.count("chunks: given up")
        for _ in range(6):
            reported = json.dumps({"completed_chunks": done}).encode()
            answer = await self.api("POST", f"/assets/multipart-uploads/{session['upload_id']}", reported, json_type)
            if answer is not None and answer.status == 200 and answer.json["total_completed"] == session["total_chunks"]:
                return self.acknowledged(upload, session["asset_id"])
            self.refused("report", answer)
            await asyncio.sleep(self.dice.uniform(0.5, 2))

    async def look(self):
        if not self.mine:
            return
        upload = self.dice.choice(self.mine)
        answer = await self.api("GET", f"/assets/{upload.acknowledged}", patience=20)
        if answer is None or answer.status == 503:
            return self.history.count("look: not now")
        if answer.status == 200:
            self.history.saw(answer.json)
            if upload.delete_acknowledged:
                self.history.lost(upload, "its delete was acknowledged, and it is shown")
        elif answer.status == 404 and not upload.delete_sent:
            self.history.lost(upload, "was acknowledged, and is not found")
        elif answer.status != 404:
            self.refused("look", answer)

    async def list(self):
        answer = await self.api("GET", "/assets?page_limit=50", patience=20)
        if answer is None or answer.status == 503:
            return self.history.count("list: not now")
        self.history.count("list")
        if answer.status != 200:
            self.refused("list", answer)

    async def delete(self):
        alive = [upload for upload in self.mine if not upload.delete_sent]
        if len(alive) < 5:
            return
        upload = self.dice.choice(alive)
        upload.delete_sent = True
        answer = await self.api("DELETE", f"/assets/{upload.acknowledged}")
        if answer is not None and answer.status in (200, 204):
            upload.delete_acknowledged = True
            self.history.count("deleted")
        else:
            self.refused("delete", answer)
