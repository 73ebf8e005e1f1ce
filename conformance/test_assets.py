"""The assets of the official Python SDK, unmodified from PyPI: only the base URL differs."""

import os
import pathlib
import sqlite3
import subprocess
import tempfile
import unittest

from twelvelabs import TwelveLabs
from twelvelabs.core.api_error import ApiError
from twelvelabs.errors import BadRequestError, ConflictError, NotFoundError

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEY = "a-key-for-conformance"


def make(path, *arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *arguments, str(path)], check=True)
    return path


class Assets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="reelhouse-conformance-")
        folder = pathlib.Path(cls.folder.name)
        cls.data = folder / "data"
        cls.server = subprocess.Popen(
            [ROOT / "target/debug/reelhouse", "serve"],
            env={"PATH": os.environ["PATH"], "REELHOUSE_LISTEN": "127.0.0.1:0", "REELHOUSE_DATA_DIR": str(cls.data),
                 "REELHOUSE_API_KEY": KEY, "REELHOUSE_LOG": "warn"},
            cwd=folder, stdout=subprocess.PIPE, text=True)
        url = cls.server.stdout.readline().strip()
        cls.client = TwelveLabs(api_key=KEY, base_url=f"{url}/v1.3")
        cls.clip = make(folder / "clip.mp4", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=5",
                        "-f", "lavfi", "-i", "sine=duration=5", "-c:v", "libx264", "-preset", "ultrafast",
                        "-pix_fmt", "yuv420p", "-c:a", "aac")
        cls.song = make(folder / "song.mp3", "-f", "lavfi", "-i", "sine=duration=5")
        cls.picture = make(folder / "picture.png", "-f", "lavfi", "-i", "testsrc2=size=320x240", "-frames:v", "1")

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait()
        cls.server.stdout.close()
        cls.folder.cleanup()

    def create(self, path, **fields):
        with open(path, "rb") as file:
            asset = self.client.assets.create(method="direct", file=file, **fields)
        self.addCleanup(self.client.assets.delete, asset.id, force=True)
        return asset

    def test_create_retrieve_delete(self):
        with open(self.clip, "rb") as file:
            created = self.client.assets.create(method="direct", file=file, filename='a "quoted" ünï.mp4', enable_hls=True)
        self.assertEqual((created.status, created.method, created.file_type), ("ready", "direct", "video/mp4"))
        one = self.client.assets.retrieve(created.id)
        self.assertEqual((one.filename, one.size), ('a "quoted" ünï.mp4', self.clip.stat().st_size))
        self.assertAlmostEqual(one.duration, 5, delta=0.1)
        self.assertEqual(one.technical_metadata.video_width, 640)
        self.assertIsNone(one.thumbnail)
        self.client.assets.delete(created.id)
        with self.assertRaises(NotFoundError):
            self.client.assets.retrieve(created.id)

    def test_names_come_from_the_part(self):
        self.assertEqual(self.create(self.song).filename, "song.mp3")

    def test_lists_page_and_filter(self):
        made = [self.create(self.clip, filename="Holiday 1.mp4"), self.create(self.song), self.create(self.picture),
                self.create(self.clip, filename="holiday 2.mp4")]
        ids = [asset.id for asset in reversed(made)]
        list_ids = lambda **filters: [asset.id for asset in self.client.assets.list(**filters)]
        self.assertEqual(list_ids(page_limit=2), ids)
        self.assertEqual(list_ids(asset_types="audio"), [made[1].id])
        self.assertEqual(list_ids(asset_types=["audio", "image"]), [made[2].id, made[1].id])
        self.assertEqual(list_ids(asset_ids=[made[0].id, made[3].id]), [made[3].id, made[0].id])
        self.assertEqual(list_ids(asset_ids=made[0].id), [made[0].id])
        self.assertEqual(list_ids(filename="HOLIDAY "), [made[3].id, made[0].id])
        self.assertEqual(list_ids(filename="holiday", asset_types="audio"), [])
        self.assertEqual(list_ids(page=9), [])

    def test_faults_are_typed(self):
        with self.assertRaises(BadRequestError) as raised:
            self.client.assets.create(method="direct", file=b"no media at all")
        self.assertEqual(raised.exception.body["message"],
                         "The file parameter is invalid. Unsupported asset type: text/plain.")
        with self.assertRaises(ApiError) as raised:
            TwelveLabs(api_key="wrong", base_url=self.client._client_wrapper.get_base_url()).assets.retrieve("x")
        self.assertEqual((raised.exception.status_code, raised.exception.body["code"]), (401, "api_key_invalid"))

    def test_what_is_referred_to_is_kept(self):
        asset = self.create(self.picture)
        with sqlite3.connect(self.data / "reelhouse.db", timeout=10) as database:
            database.execute("INSERT INTO indexed_asset (id, index_id, asset_id, created_at) VALUES ('x', 'i', ?, 0)", [asset.id])
        with self.assertRaises(ConflictError) as raised:
            self.client.assets.delete(asset.id)
        self.assertEqual(raised.exception.body["code"], "asset_in_use")
        self.assertEqual(self.client.assets.retrieve(asset.id).status, "ready")


if __name__ == "__main__":
    unittest.main()
