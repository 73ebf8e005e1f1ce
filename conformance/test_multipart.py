"""Uploads in chunks, and by URL, by the official Python SDK."""

import functools
import http.server
import pathlib
import threading
import unittest

import httpx
from twelvelabs.errors import BadRequestError, NotFoundError
from twelvelabs.types import CompletedChunk

from server import WithServer, make


class Decides(WithServer):
    def decided(self, id):
        while True:
            asset = self.client.assets.retrieve(id)
            if asset.status != "processing":
                return asset


class Multipart(Decides):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # 14 MB: three chunks.
        cls.film = make(pathlib.Path(cls.folder.name) / "film.mov", "-f", "lavfi", "-i",
                        "testsrc2=size=640x360:rate=6:duration=5", "-c:v", "rawvideo", "-pix_fmt", "yuyv422")

    def test_every_call_by_hand(self):
        calls, data = self.client.multipart_upload, self.film.read_bytes()
        upload = calls.create(filename="film.mov", type="video", total_size=len(data))
        self.assertEqual((upload.total_chunks, upload.chunk_size), (3, 5 << 20))
        self.assertEqual([each.upload_id for each in calls.list_incomplete_uploads()], [upload.upload_id])
        self.assertEqual(self.client.assets.retrieve(upload.asset_id).status, "processing")
        more = calls.get_additional_presigned_urls(upload.upload_id, start=2, count=2)
        self.assertEqual([each.chunk_index for each in more.upload_urls], [2, 3])
        chunks = []
        for each in [*reversed(more.upload_urls), upload.upload_urls[0]]:
            at = each.chunk_index - 1
            chunk = data[at * upload.chunk_size:(at + 1) * upload.chunk_size]
            answer = httpx.put(each.url, content=chunk, trust_env=False)
            self.assertEqual(answer.status_code, 200)
            chunks.append(CompletedChunk(chunk_index=each.chunk_index, proof=answer.headers["etag"].strip('"'),
                                         proof_type="etag", chunk_size=len(chunk)))
        first = calls.report_chunk_batch(upload.upload_id, completed_chunks=chunks[:2])
        self.assertEqual((first.processed_chunks, first.total_completed, first.url), (2, 2, None))
        status = [(each.index, each.status) for each in calls.get_status(upload.upload_id, page_limit=2)]
        self.assertEqual(status, [(1, "pending"), (2, "completed"), (3, "completed")])
        last = calls.report_chunk_batch(upload.upload_id, completed_chunks=chunks)
        self.assertEqual((last.processed_chunks, last.duplicate_chunks, last.total_completed), (1, 2, 3))
        asset = self.decided(upload.asset_id)
        self.assertEqual((asset.status, asset.method, asset.size), ("ready", "multipart", len(data)))
        self.assertEqual(httpx.get(last.url, trust_env=False).content, data)
        self.assertEqual(list(calls.list_incomplete_uploads()), [])

    def test_their_uploader_and_its_wait(self):
        calls, seen = self.client.multipart_upload, []
        done = calls.upload_file(self.film, filename="by the helper.mov", batch_size=2, progress_callback=seen.append)
        self.assertEqual((seen[-1].total_chunks, seen[-1].completed_chunks, seen[-1].percentage), (3, 3, 100))
        asset = self.decided(done.asset_id)
        self.assertEqual((asset.status, asset.filename, asset.size),
                         ("ready", "by the helper.mov", self.film.stat().st_size))
        self.assertEqual(httpx.get(done.asset_url, trust_env=False).content, self.film.read_bytes())

        upload = calls.create(filename="a.mov", type="video", total_size=4)
        answer = httpx.put(upload.upload_urls[0].url, content=b"text", trust_env=False)
        calls.report_chunk_batch(upload.upload_id, completed_chunks=[
            CompletedChunk(chunk_index=1, proof=answer.headers["etag"].strip('"'), proof_type="etag", chunk_size=4)])
        status = calls.wait_for_upload_completion(upload.upload_id, sleep_interval=0.1)
        self.assertEqual((status.completed_chunks, status.total_chunks), (1, 1))
        self.assertEqual(self.decided(upload.asset_id).status, "failed")

    def test_faults_are_typed(self):
        calls, unknown = self.client.multipart_upload, "0" * 24
        with self.assertRaises(BadRequestError) as raised:
            calls.create(filename="a", type="video", total_size=2 ** 40)
        self.assertEqual(raised.exception.body["code"], "video_filesize_too_large")
        chunk = CompletedChunk(chunk_index=1, proof="x", proof_type="etag", chunk_size=1)
        for call in [
            lambda: calls.get_status(unknown),
            lambda: calls.report_chunk_batch(unknown, completed_chunks=[chunk]),
            lambda: calls.get_additional_presigned_urls(unknown, start=1, count=1),
        ]:
            with self.assertRaises(NotFoundError):
                call()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Url(Decides):
    settings = {"REELHOUSE_IMPORT_ALLOW": "127.0.0.1"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        handler = functools.partial(Quiet, directory=cls.folder.name)
        cls.origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=cls.origin.serve_forever, daemon=True).start()
        cls.base = f"http://127.0.0.1:{cls.origin.server_port}"

    @classmethod
    def tearDownClass(cls):
        cls.origin.shutdown()
        cls.origin.server_close()
        super().tearDownClass()

    def test_ready_in_the_answer(self):
        asset = self.client.assets.create(method="url", url=f"{self.base}/clip.mp4", enable_thumbnail=True)
        self.assertEqual((asset.method, asset.status, asset.filename), ("url", "ready", "clip.mp4"))
        self.assertEqual(self.client.assets.retrieve(asset.id).size, self.clip.stat().st_size)

    def test_faults_are_typed(self):
        for path, code in {"/": "media_url_unsupported_format", "/no": "media_url_not_accessible"}.items():
            with self.assertRaises(BadRequestError) as raised:
                self.client.assets.create(method="url", url=self.base + path)
            self.assertEqual(raised.exception.body["code"], code)


if __name__ == "__main__":
    unittest.main()
