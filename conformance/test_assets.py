"""The assets of the official Python SDK, unmodified from PyPI: only the base URL differs."""

import unittest

from twelvelabs import TwelveLabs
from twelvelabs.core.api_error import ApiError
from twelvelabs.errors import BadRequestError, NotFoundError

from server import WithServer


class Assets(WithServer):
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
            TwelveLabs(api_key="wrong", base_url=f"{self.url}/v1.3").assets.retrieve("x")
        self.assertEqual((raised.exception.status_code, raised.exception.body["code"]), (401, "api_key_invalid"))


if __name__ == "__main__":
    unittest.main()
