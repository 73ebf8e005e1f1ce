"""Whether the server keeps to its own document: Schemathesis asks for all that it says, and for what it does not."""

import pathlib
import subprocess
import sys

from server import KEY, WithServer


class Document(WithServer):
    # A link is answered by nobody, and the rate is not what is tried here.
    settings = {"REELHOUSE_RATE_UPLOAD_RPM": "0", "REELHOUSE_RATE_UPLOAD_RPD": "0"}

    def run_with(self, parameters, *arguments):
        config = pathlib.Path(self.folder.name) / "schemathesis.toml"
        lines = [f'"path.{name}" = "{value}"\n' for name, value in parameters.items()]
        shared = (pathlib.Path(__file__).parent / "schemathesis.toml").read_text()
        config.write_text("".join(["[parameters]\n", *lines, shared]))
        run = subprocess.run(
            [pathlib.Path(sys.executable).parent / "schemathesis", "--config-file", config, "run",
             f"{self.url}/openapi.json", "--header", f"x-api-key: {KEY}", "--checks", "all", "--max-examples", "30",
             "--seed", "1", "--continue-on-failure", "--no-color", *arguments],
            cwd=self.folder.name, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(run.returncode, 0, run.stdout)

    def test_every_operation_keeps_to_it(self):
        self.run_with({})

    def test_and_so_it_does_where_something_is_there(self):
        asset = self.create(self.clip, enable_hls=True, enable_thumbnail=True, user_metadata='{"take": 7}')
        index = self.client.indexes.create(
            index_name="Schemathesis", models=[{"model_name": "marengo3.0", "model_options": ["visual"]}])
        self.addCleanup(self.client.indexes.delete, index.id)
        place = self.client.indexes.indexed_assets.create(index.id, asset_id=asset.id, enable_video_stream=True)
        upload = self.client.multipart_upload.create(filename="film.mov", type="video", total_size=20_000_000)
        names = {"asset_id": asset.id, "index_id": index.id, "indexed_asset_id": place.id, "upload_id": upload.upload_id}
        # What is deleted is there no more for the others.
        self.run_with(names, "--exclude-method", "DELETE", "--phases", "examples,coverage,fuzzing")
