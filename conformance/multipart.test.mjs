// Uploads in chunks by the official Node.js SDKs: each call, and their own uploaders on top.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { watch } from "./methods.mjs";
import { apiKey, startServer } from "./server.mjs";

const require = createRequire(import.meta.url);

async function all(pages) {
  const found = [];
  for await (const item of await pages) found.push(item);
  return found;
}

for (const version of ["1.2.4", "1.3.4"]) {
  describe(`twelvelabs-js ${version}`, () => {
    let server, client, done, TwelvelabsApi, film;

    before(async () => {
      server = await startServer();
      process.env.TWELVELABS_BASE_URL = `${server.url}/v1.3`;
      const sdk = require(`twelvelabs-js-${version}`);
      TwelvelabsApi = sdk.TwelvelabsApi;
      ({ client, done } = watch(new sdk.TwelveLabs({ apiKey }), `twelvelabs-js ${version}`, "multipart"));
      // 14 MB: three chunks.
      film = join(server.dir, "film.mov");
      execFileSync("ffmpeg", [
        "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=6:duration=5",
        "-c:v", "rawvideo", "-pix_fmt", "yuyv422", film,
      ]);
    });
    after(async () => {
      done();
      await server.stop();
    });

    async function decided(id) {
      for (;;) {
        const asset = await client.assets.retrieve(id);
        if (asset.status !== "processing") return asset;
      }
    }

    test("every call, by hand", async () => {
      const bytes = readFileSync(film);
      const upload = await client.multipartUpload.create({
        filename: "film.mov", type: "video", totalSize: bytes.length, enableThumbnail: true,
      });
      assert.equal(upload.totalChunks, 3);
      assert.equal(upload.chunkSize, 5 << 20);
      assert.ok(upload.expiresAt > Date.now() + 23 * 3600_000);
      assert.deepEqual((await all(client.multipartUpload.listIncompleteUploads())).map((each) => each.uploadId), [upload.uploadId]);
      assert.equal((await client.assets.retrieve(upload.assetId)).status, "processing");

      const { uploadUrls } = await client.multipartUpload.getAdditionalPresignedUrls(upload.uploadId, { start: 2, count: 2 });
      assert.deepEqual(uploadUrls.map((each) => each.chunkIndex), [2, 3]);
      const urls = [upload.uploadUrls[0], ...uploadUrls];
      const completedChunks = [];
      for (const { chunkIndex, url } of urls.reverse()) {
        const chunk = bytes.subarray((chunkIndex - 1) * upload.chunkSize, chunkIndex * upload.chunkSize);
        const response = await fetch(url, { method: "PUT", body: chunk });
        assert.equal(response.status, 200);
        const proof = response.headers.get("etag").replaceAll('"', "");
        completedChunks.push({ chunkIndex, proof, proofType: "etag", chunkSize: chunk.length });
      }
      const first = await client.multipartUpload.reportChunkBatch(upload.uploadId, { completedChunks: completedChunks.slice(0, 2) });
      assert.deepEqual([first.processedChunks, first.totalCompleted, first.url], [2, 2, undefined]);
      const chunks = await all(client.multipartUpload.getStatus(upload.uploadId, { pageLimit: 2 }));
      assert.deepEqual(chunks.map((chunk) => [chunk.index, chunk.status]), [[1, "pending"], [2, "completed"], [3, "completed"]]);
      const last = await client.multipartUpload.reportChunkBatch(upload.uploadId, { completedChunks });
      assert.deepEqual([last.processedChunks, last.duplicateChunks, last.totalCompleted], [1, 2, 3]);
      const asset = await decided(upload.assetId);
      assert.deepEqual([asset.status, asset.method, asset.size], ["ready", "multipart", bytes.length]);
      assert.ok(Buffer.from(await (await fetch(last.url)).arrayBuffer()).equals(bytes));
      assert.deepEqual(await all(client.multipartUpload.listIncompleteUploads()), []);
      await client.assets.delete(upload.assetId);
    });

    test("their uploader, its progress, and its wait", async () => {
      const seen = [];
      const { assetId, assetUrl } = await client.multipartUpload.uploadFile(film, {
        filename: "by the helper.mov", batchSize: 2, progressCallback: (progress) => seen.push(progress),
      });
      assert.deepEqual(seen.at(-1), { ...seen.at(-1), totalChunks: 3, completedChunks: 3, percentage: 100 });
      assert.ok(seen.length >= 2);
      const asset = await decided(assetId);
      assert.deepEqual([asset.status, asset.filename, asset.size], ["ready", "by the helper.mov", statSync(film).size]);
      assert.equal((await (await fetch(assetUrl)).arrayBuffer()).byteLength, statSync(film).size);

      const upload = await client.multipartUpload.create({ filename: "a.mov", type: "video", totalSize: 4 });
      const waits = client.multipartUpload.waitForUploadCompletion(upload.uploadId, { sleepInterval: 0.1 });
      const response = await fetch(upload.uploadUrls[0].url, { method: "PUT", body: "text" });
      const proof = response.headers.get("etag").replaceAll('"', "");
      await client.multipartUpload.reportChunkBatch(upload.uploadId, {
        completedChunks: [{ chunkIndex: 1, proof, proofType: "etag", chunkSize: 4 }],
      });
      assert.deepEqual(await waits, { ...(await waits), completedChunks: 1, totalChunks: 1 });
      const failed = await decided(upload.assetId);
      assert.equal(failed.status, "failed");
    });

    test("faults are typed", async () => {
      await assert.rejects(client.multipartUpload.create({ filename: "a", type: "video", totalSize: 2 ** 40 }), (error) => {
        assert.ok(error instanceof TwelvelabsApi.BadRequestError);
        assert.equal(error.body.code, "video_filesize_too_large");
        return true;
      });
      const unknown = "0".repeat(24);
      const report = { completedChunks: [{ chunkIndex: 1, proof: "x", proofType: "etag", chunkSize: 1 }] };
      for (const call of [
        () => client.multipartUpload.getStatus(unknown),
        () => client.multipartUpload.reportChunkBatch(unknown, report),
        () => client.multipartUpload.getAdditionalPresignedUrls(unknown, { start: 1, count: 1 }),
      ]) {
        await assert.rejects(call(), (error) => {
          assert.ok(error instanceof TwelvelabsApi.NotFoundError);
          return true;
        });
      }
    });
  });
}
