"""Starts the real server for a class of tests, and makes the files it uploads."""

import importlib.metadata
import os
import pathlib
import subprocess
import tempfile
import unittest

from twelvelabs import TwelveLabs

from methods import Notes

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEY = "a-key-for-conformance"


def make(path, *arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *arguments, str(path)], check=True)
    return path


def bucket(folder):
    """In the bucket of the whole run, where there is one, a prefix for each server."""
    if "REELHOUSE_TEST_BLOBS" not in os.environ:
        return {}
    aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return {"REELHOUSE_BLOB_URL": f"{os.environ['REELHOUSE_TEST_BLOBS']}/{folder.name.lower()}", **aws}


class WithServer(unittest.TestCase):
    """A server on a free port over a new folder, and the SDK's client for it."""

    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="reelhouse-conformance-")
        folder = pathlib.Path(cls.folder.name)
        cls.server = subprocess.Popen(
            [ROOT / "target/debug/reelhouse", "serve"],
            env={"PATH": os.environ["PATH"], "REELHOUSE_LISTEN": "127.0.0.1:0",
                 "REELHOUSE_DATA_DIR": str(folder / "data"), "REELHOUSE_API_KEY": KEY, "REELHOUSE_LOG": "warn",
                 **bucket(folder), **cls.settings},
            cwd=folder, stdout=subprocess.PIPE, text=True)
        cls.url = cls.server.stdout.readline().strip()
        cls.notes = Notes(TwelveLabs(api_key=KEY, base_url=f"{cls.url}/v1.3"))
        cls.client = cls.notes.client
        cls.clip = make(folder / "clip.mp4", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=5",
                        "-f", "lavfi", "-i", "sine=duration=5", "-c:v", "libx264", "-preset", "ultrafast",
                        "-pix_fmt", "yuv420p", "-c:a", "aac")
        cls.song = make(folder / "song.mp3", "-f", "lavfi", "-i", "sine=duration=5")
        cls.picture = make(folder / "picture.png", "-f", "lavfi", "-i", "testsrc2=size=320x240", "-frames:v", "1")

    @classmethod
    def tearDownClass(cls):
        cls.notes.keep(f"twelvelabs {importlib.metadata.version('twelvelabs')}", cls.__name__)
        cls.server.terminate()
        cls.server.wait()
        cls.server.stdout.close()
        cls.folder.cleanup()

    def create(self, path, **fields):
        with open(path, "rb") as file:
            asset = self.client.assets.create(method="direct", file=file, **fields)
        self.addCleanup(self.client.assets.delete, asset.id, force=True)
        return asset
