"""What clients did and saw, and whether it can be true of a service that keeps its promises."""

import dataclasses

ORDER = {"processing": 0, "pending": 0, "ready": 1, "failed": 1, "error": 1}


@dataclasses.dataclass
class Upload:
    """One file that a client wanted to be an asset."""

    name: str
    sha256: str
    playable: bool
    acknowledged: str | None = None
    delete_sent: bool = False
    delete_acknowledged: bool = False


class History:
    def __init__(self):
        self.uploads = {}
        self.seen = {}
        self.wrong = []
        self.counts = {}

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def saw(self, asset):
        """An asset as some node showed it: what it is moves in one direction only."""
        now = {"asset": asset["status"]}
        for part in ("hls", "thumbnail"):
            if asset.get(part):
                now[part] = asset[part]["status"]
        before = self.seen.setdefault(asset["_id"], {})
        for part, status in now.items():
            was = before.get(part)
            if was is not None and ORDER[status] < ORDER[was]:
                self.wrong.append(f"{asset['_id']}: {part} was {was}, then {status}")
            before[part] = status

    def lost(self, upload, what):
        self.wrong.append(f"{upload.name} ({upload.acknowledged}): {what}")

    def check(self, listed, contents):
        """`listed`: the assets there are, by id. `contents`: id to the hash of what is served of it, or why there is none."""
        names = {}
        for asset in listed.values():
            names.setdefault(asset["filename"], []).append(asset["_id"])
        for upload in self.uploads.values():
            found = names.pop(upload.name, [])
            if len(found) > 1:
                self.lost(upload, f"is there {len(found)} times: {found}")
            if upload.delete_acknowledged and upload.acknowledged in found:
                self.lost(upload, "its delete was acknowledged, and it is listed")
            if upload.acknowledged and not upload.delete_sent and upload.acknowledged not in found:
                self.lost(upload, "was acknowledged, and is gone")
            for asset in found:
                if listed[asset]["status"] != "ready":
                    self.lost(upload, f"ended as {listed[asset]['status']}: {listed[asset].get('error')}")
                elif contents[asset] != upload.sha256:
                    self.lost(upload, f"serves something else: {contents[asset]}")
        for name, ids in names.items():
            self.wrong.append(f"nobody uploaded {name}: {ids}")
