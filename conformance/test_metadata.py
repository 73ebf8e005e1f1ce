"""What users keep with assets, and what models would know of them, by the official Python SDK."""

import json
import unittest

from twelvelabs.core.api_error import ApiError
from twelvelabs.errors import BadRequestError, NotFoundError

from server import WithServer

UNKNOWN = "0123456789abcdef01234567"


class Metadata(WithServer):
    def kept(self, asset):
        return self.client.assets.retrieve(asset.id).user_metadata

    def test_merged_replaced_cleared(self):
        given = {"genre": "drama", "rating": 9.3, "empty": "", "none": None}
        asset = self.create(self.picture, user_metadata=json.dumps(given))
        self.assertEqual(self.kept(asset), {"genre": "drama", "rating": 9.3})
        changes = {"rating": None, "genre": "", "tags": ["a", "b"], "ok": True}
        self.assertIsNone(self.client.assets.update_user_metadata(asset.id, user_metadata=changes))
        self.assertEqual(self.kept(asset), {"genre": "drama", "tags": ["a", "b"], "ok": True})
        self.assertIsNone(self.client.assets.replace_user_metadata(asset.id, user_metadata={"n": 5, "empty": []}))
        self.assertEqual(self.kept(asset), {"n": 5})
        self.assertIsNone(self.client.assets.delete_user_metadata(asset.id))
        self.assertIsNone(self.kept(asset))

    def test_faults_are_typed(self):
        asset = self.create(self.picture)
        with self.assertRaises(BadRequestError) as raised:
            self.client.assets.update_user_metadata(asset.id, user_metadata={"a": {"b": 1}})
        self.assertIn('The value of "a" is not a string', raised.exception.body["message"])
        for call in [lambda: self.client.assets.update_user_metadata(UNKNOWN, user_metadata={}),
                     lambda: self.client.assets.replace_user_metadata(UNKNOWN, user_metadata={}),
                     lambda: self.client.assets.delete_user_metadata(UNKNOWN)]:
            with self.assertRaises(NotFoundError):
                call()

    def test_no_asset_has_a_transcription_or_entities(self):
        asset = self.create(self.song)
        with self.assertRaises(NotFoundError) as raised:
            self.client.assets.retrieve_transcription(asset.id, include=["words", "utterances"])
        self.assertEqual(raised.exception.body["message"],
                         f"Resource with id {asset.id} does not exist in transcriptions.")
        self.assertEqual(list(self.client.entity_collections.entities.list_by_asset(asset.id)), [])

    def test_other_areas_say_that_they_are_not_here(self):
        with self.assertRaises(ApiError) as raised:
            self.client.tasks.retrieve("1")
        self.assertEqual((raised.exception.status_code, raised.exception.body["code"]), (404, "endpoint_not_exist"))
        self.assertIn("does not offer tasks", raised.exception.body["message"])


if __name__ == "__main__":
    unittest.main()
