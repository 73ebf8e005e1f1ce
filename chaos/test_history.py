"""The checker sees each promise that is broken."""

import unittest

from history import History, Upload


def asset(id, name, status="ready", **parts):
    return {"_id": id, "filename": name, "status": status, **{part: {"status": was} for part, was in parts.items()}}


class Checker(unittest.TestCase):
    def setUp(self):
        self.history = History()

    def upload(self, name="a.mp4", **told):
        self.history.uploads[name] = Upload(name, "hash", True, **told)

    def wrong(self, *assets, contents=None):
        listed = {found["_id"]: found for found in assets}
        self.history.check(listed, contents or {id: "hash" for id in listed})
        return self.history.wrong

    def test_what_is_well(self):
        self.upload(acknowledged="1")
        self.upload("deleted.mp4", acknowledged="2", delete_sent=True, delete_acknowledged=True)
        # Nobody knows: either is well.
        self.upload("maybe-there.mp4")
        self.upload("maybe-not.mp4")
        self.upload("maybe-deleted.mp4", acknowledged="4", delete_sent=True)
        self.assertEqual(self.wrong(asset("1", "a.mp4"), asset("3", "maybe-there.mp4")), [])

    def test_lost(self):
        self.upload(acknowledged="1")
        self.assertIn("is gone", self.wrong()[0])

    def test_other_bytes(self):
        self.upload(acknowledged="1")
        self.assertIn("something else", self.wrong(asset("1", "a.mp4"), contents={"1": "other"})[0])

    def test_other_bytes_of_what_nobody_knows(self):
        self.upload()
        self.assertIn("something else", self.wrong(asset("1", "a.mp4"), contents={"1": "404"})[0])

    def test_back_from_the_dead(self):
        self.upload(acknowledged="1", delete_sent=True, delete_acknowledged=True)
        self.assertIn("it is listed", self.wrong(asset("1", "a.mp4"))[0])

    def test_twice(self):
        self.upload(acknowledged="1")
        self.assertIn("2 times", self.wrong(asset("1", "a.mp4"), asset("2", "a.mp4"))[0])

    def test_nobodys(self):
        self.assertIn("nobody uploaded", self.wrong(asset("1", "b.mp4"))[0])

    def test_failed(self):
        self.upload(acknowledged="1")
        self.assertIn("ended as failed", self.wrong(asset("1", "a.mp4", "failed"))[0])

    def test_backwards(self):
        for before, after in (("ready", "processing"), ("ready", "pending"), ("error", "processing")):
            history = History()
            history.saw(asset("1", "a.mp4", hls=before))
            history.saw(asset("1", "a.mp4", hls=after))
            self.assertEqual(len(history.wrong), 1)
        self.history.saw(asset("1", "a.mp4", "processing"))
        self.history.saw(asset("1", "a.mp4", hls="pending"))
        self.history.saw(asset("1", "a.mp4", hls="ready"))
        self.assertEqual(self.history.wrong, [])
        self.history.saw(asset("1", "a.mp4", "processing"))
        self.assertEqual(len(self.history.wrong), 1)


if __name__ == "__main__":
    unittest.main()
