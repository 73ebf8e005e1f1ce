"""Indexes and indexed assets by the official Python SDK."""

import unittest

from twelvelabs.core.api_error import ApiError
from twelvelabs.errors import BadRequestError, ConflictError, NotFoundError
from twelvelabs.indexes import IndexesCreateRequestModelsItem
from twelvelabs.types import (
    IndexedAssetsListRequestDuration, IndexedAssetsListRequestFps, IndexedAssetsListRequestHeight,
    IndexedAssetsListRequestSize, IndexedAssetsListRequestWidth)

from server import WithServer

MARENGO = IndexesCreateRequestModelsItem(model_name="marengo3.0", model_options=["visual", "audio"])


class Indexes(WithServer):
    def make(self, name, **fields):
        index = self.client.indexes.create(index_name=name, models=[MARENGO], **fields).id
        self.addCleanup(lambda: self.client.indexes.delete(index))
        return index

    def settled(self, index, id):
        while True:
            found = self.client.indexes.indexed_assets.retrieve(index, id)
            if found.status in ("ready", "failed"):
                return found

    def add(self, index, asset, **fields):
        added = self.client.indexes.indexed_assets.create(index, asset_id=asset.id, **fields)
        self.assertEqual(added.asset_id, asset.id)
        return self.settled(index, added.id)

    def test_create_retrieve_update_list_delete(self):
        index = self.client.indexes.create(index_name="films", models=[MARENGO], addons=["thumbnail"]).id
        one = self.client.indexes.retrieve(index)
        self.assertEqual((one.id, one.index_name, one.addons), (index, "films", ["thumbnail"]))
        self.assertEqual([(model.model_name, model.model_options) for model in one.models],
                         [("marengo3.0", ["visual", "audio"])])
        self.assertEqual((one.video_count, one.total_duration, one.expires_at), (0, 0, None))
        with self.assertRaises(BadRequestError) as raised:
            self.client.indexes.create(index_name="films", models=[MARENGO])
        self.assertEqual(raised.exception.body["code"], "index_name_already_exists")

        self.assertIsNone(self.client.indexes.update(index, index_name="old films"))
        self.make("new films")
        names = lambda **query: [each.index_name for each in self.client.indexes.list(**query)]
        self.assertEqual(names(), ["new films", "old films"])
        self.assertEqual(names(page_limit=1, sort_option="asc"), ["old films", "new films"])
        self.assertEqual(names(sort_by="updated_at", sort_option="desc"), ["new films", "old films"])
        self.assertEqual(names(index_name="old films", model_options="visual,audio", model_family="marengo"), ["old films"])
        self.assertEqual(names(model_family="pegasus"), [])
        self.assertEqual(len(names(created_at=one.created_at, updated_at=one.updated_at)), 2)
        self.assertEqual(names(created_at="2100-01-01T00:00:00Z"), [])

        self.assertIsNone(self.client.indexes.delete(index))
        with self.assertRaises(ApiError) as raised:
            self.client.indexes.retrieve(index)
        self.assertEqual((raised.exception.status_code, raised.exception.body["code"]), (404, "resource_not_exist"))

    def test_an_asset_is_checked_listed_changed_and_held(self):
        index, asset = self.make("held"), self.create(self.clip)
        entries = self.client.indexes.indexed_assets
        keep = {"category": "drama", "batch": 5, "rating": 9.3, "reviewed": True, "tags": ["a", "b"]}
        found = self.add(index, asset, enable_video_stream=True, user_metadata={**keep, "gone": "x", "none": None})
        while found.hls.status == "PROCESSING":
            found = entries.retrieve(index, found.id)
        self.assertEqual((found.asset_id, found.status, found.hls.status), (asset.id, "ready", "COMPLETE"))
        self.assertEqual(found.hls.video_url, self.client.assets.retrieve(asset.id).hls.manifest_url)
        system = found.system_metadata
        self.assertEqual((system.filename, system.width, system.height, system.fps), ("clip.mp4", 640, 360, 25))
        self.assertEqual(system.size, self.clip.stat().st_size)
        plain = entries.retrieve(index, found.id, embedding_option=["visual", "audio"], transcription=True)
        self.assertEqual((plain.embedding, plain.transcription), (None, None))
        self.assertIsNone(entries.update(index, found.id, user_metadata={"gone": None}))
        self.assertEqual(entries.retrieve(index, found.id).user_metadata, keep)
        self.assertEqual([(place.id, place.index.id, place.index.name) for place in entries.list_by_asset(asset.id)],
                         [(found.id, index, "held")])
        self.assertEqual(self.client.indexes.retrieve(index).video_count, 1)
        with self.assertRaises(ConflictError) as raised:
            self.client.assets.delete(asset.id)
        self.assertEqual(raised.exception.body["code"], "asset_in_use")
        self.assertEqual(self.client.assets.retrieve(asset.id).status, "ready")
        with self.assertRaises(BadRequestError) as raised:
            entries.create(index, asset_id=asset.id)
        self.assertIn("is in this index already", raised.exception.body["message"])
        self.assertIsNone(entries.delete(index, found.id))
        with self.assertRaises(NotFoundError):
            entries.retrieve(index, found.id)

    def test_every_filter_as_this_sdk_writes_it(self):
        index, found = self.make("filters"), []
        for name, genre in [("first.mp4", "drama"), ("second.mp4", "comedy")]:
            metadata = {"genre": genre, "n": 5, "rating": 9.3, "ok": True}
            found.append(self.add(index, self.create(self.clip, filename=name), user_metadata=metadata))
        names = lambda **query: [
            each.system_metadata.filename for each in self.client.indexes.indexed_assets.list(index, **query)]
        both = ["second.mp4", "first.mp4"]
        for query, expected in [
                ({}, both),
                ({"page_limit": 1}, both),
                ({"sort_by": "updated_at", "sort_option": "asc"}, ["first.mp4", "second.mp4"]),
                ({"status": "ready"}, both),
                ({"status": ["failed", "validating"]}, []),
                ({"status": ["failed", "ready"]}, both),
                ({"filename": "first.mp4"}, ["first.mp4"]),
                ({"duration": IndexedAssetsListRequestDuration(gte=4, lte=6),
                  "fps": IndexedAssetsListRequestFps(gte=25, lte=25),
                  "width": IndexedAssetsListRequestWidth(gte=640),
                  "height": IndexedAssetsListRequestHeight(lte=360),
                  "size": IndexedAssetsListRequestSize(gte=1)}, both),
                ({"duration": IndexedAssetsListRequestDuration(gte=6)}, []),
                ({"size": IndexedAssetsListRequestSize(lte=1)}, []),
                ({"created_at": found[1].created_at}, ["second.mp4"]),
                ({"updated_at": found[1].updated_at}, ["second.mp4"]),
                ({"user_metadata": {"genre": "drama"}}, ["first.mp4"]),
                ({"user_metadata": {"n": 5, "rating": 9.3, "ok": True}}, both),
                ({"user_metadata": {"genre": "comedy", "n": 6}}, [])]:
            self.assertEqual(names(**query), expected, query)
        with self.assertRaises(BadRequestError):
            names(sort_by="name")

    def test_a_forced_delete_leaves_what_is_in_an_index(self):
        index, asset = self.make("forced"), self.client.assets.create(method="direct", file=self.picture.read_bytes())
        found = self.add(index, asset)
        self.client.assets.delete(asset.id, force=True)
        after = self.client.indexes.indexed_assets.retrieve(index, found.id)
        self.assertEqual((after.asset_id, after.status, after.system_metadata), (asset.id, "ready", found.system_metadata))
        self.assertGreaterEqual(after.asset_deleted_at, found.indexed_at)


if __name__ == "__main__":
    unittest.main()
