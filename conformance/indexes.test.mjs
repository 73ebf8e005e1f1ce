// Indexes and indexed assets by the official Node.js SDKs.
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { createRequire } from "node:module";
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
    let server, client, done, TwelvelabsApi;
    const marengo = { modelName: "marengo3.0", modelOptions: ["visual", "audio"] };

    before(async () => {
      server = await startServer();
      process.env.TWELVELABS_BASE_URL = `${server.url}/v1.3`;
      const sdk = require(`twelvelabs-js-${version}`);
      TwelvelabsApi = sdk.TwelvelabsApi;
      ({ client, done } = watch(new sdk.TwelveLabs({ apiKey }), `twelvelabs-js ${version}`, "indexes"));
    });
    after(async () => {
      done();
      await server.stop();
    });

    const upload = (filename) => client.assets.create({ method: "direct", file: createReadStream(server.clip), filename });

    async function settled(index, id) {
      for (;;) {
        const found = await client.indexes.indexedAssets.retrieve(index, id);
        if (["ready", "failed"].includes(found.status)) return found;
      }
    }

    test("create, retrieve, update, list, delete an index", async () => {
      const { id } = await client.indexes.create({ indexName: "films", models: [marengo], addons: ["thumbnail"] });
      const one = await client.indexes.retrieve(id);
      assert.equal(one.id, id);
      assert.equal(one.indexName, "films");
      assert.deepEqual(one.models, [marengo]);
      assert.deepEqual(one.addons, ["thumbnail"]);
      assert.deepEqual([one.videoCount, one.totalDuration], [0, 0]);
      await assert.rejects(client.indexes.create({ indexName: "films", models: [marengo] }), (error) => {
        assert.ok(error instanceof TwelvelabsApi.BadRequestError);
        assert.equal(error.body.code, "index_name_already_exists");
        return true;
      });

      assert.equal(await client.indexes.update(id, { indexName: "old films" }), undefined);
      const other = await client.indexes.create({ indexName: "new films", models: [marengo] });
      const names = async (query) => (await all(client.indexes.list(query))).map((index) => index.indexName);
      assert.deepEqual(await names(), ["new films", "old films"]);
      assert.deepEqual(await names({ pageLimit: 1, sortOption: "asc" }), ["old films", "new films"]);
      assert.deepEqual(await names({ sortBy: "updated_at", sortOption: "desc" }), ["new films", "old films"]);
      assert.deepEqual(await names({ indexName: "old films", modelOptions: "visual,audio", modelFamily: "marengo" }), ["old films"]);
      assert.deepEqual(await names({ modelFamily: "pegasus" }), []);
      const first = (await client.indexes.retrieve(id)).createdAt;
      assert.equal((await names({ createdAt: first, updatedAt: first })).length, 2);
      assert.deepEqual(await names({ createdAt: "2100-01-01T00:00:00Z" }), []);

      for (const index of [id, other.id]) assert.equal(await client.indexes.delete(index), undefined);
      await assert.rejects(client.indexes.retrieve(id), (error) => error.statusCode === 404 && error.body.code === "resource_not_exist");
    });

    test("an asset in an index is checked, listed, changed, and held", async () => {
      const index = (await client.indexes.create({ indexName: "held", models: [marengo] })).id;
      const asset = await upload("held.mp4");
      const created = await client.indexes.indexedAssets.create(index, { assetId: asset.id, enableVideoStream: true });
      assert.equal(created.assetId, asset.id);
      let found = await settled(index, created.id);
      while (found.hls.status === "PROCESSING") found = await client.indexes.indexedAssets.retrieve(index, created.id);
      assert.deepEqual([found.id, found.assetId, found.status, found.hls.status], [created.id, asset.id, "ready", "COMPLETE"]);
      assert.match(await (await fetch(found.hls.videoUrl)).text(), /^#EXTM3U/);
      assert.deepEqual(
        [found.systemMetadata.filename, found.systemMetadata.width, found.systemMetadata.height, found.systemMetadata.fps],
        ["held.mp4", 640, 360, 25],
      );
      assert.ok(new Date(found.indexedAt) >= new Date(found.createdAt));
      const asked = { embeddingOption: ["visual", "audio"], transcription: true };
      const plain = await client.indexes.indexedAssets.retrieve(index, created.id, asked);
      assert.deepEqual([plain.embedding, plain.transcription], [undefined, undefined]);
      assert.equal((await client.indexes.retrieve(index)).videoCount, 1);

      const keep = { category: "drama", batch: 5, rating: 9.3, reviewed: true };
      assert.equal(await client.indexes.indexedAssets.update(index, created.id, { userMetadata: { ...keep, gone: "x" } }), undefined);
      await client.indexes.indexedAssets.update(index, created.id, { userMetadata: { gone: null } });
      assert.deepEqual((await client.indexes.indexedAssets.retrieve(index, created.id)).userMetadata, keep);

      const places = await all(client.indexes.indexedAssets.listByAsset(asset.id, { pageLimit: 1 }));
      assert.deepEqual(places.map((place) => [place.id, place.index.id, place.index.name]), [[created.id, index, "held"]]);
      await assert.rejects(client.assets.delete(asset.id), (error) => {
        assert.ok(error instanceof TwelvelabsApi.ConflictError);
        assert.equal(error.body.code, "asset_in_use");
        return true;
      });
      assert.equal(await client.indexes.indexedAssets.delete(index, created.id), undefined);
      await client.assets.delete(asset.id);
      await assert.rejects(client.indexes.indexedAssets.retrieve(index, created.id), (error) => {
        assert.ok(error instanceof TwelvelabsApi.NotFoundError);
        return true;
      });
    });

    test("every filter, as this SDK writes it", async () => {
      const index = (await client.indexes.create({ indexName: "filters", models: [marengo] })).id;
      const entries = [];
      for (const [filename, genre] of [["first.mp4", "drama"], ["second.mp4", "comedy"]]) {
        const asset = await upload(filename);
        const { id } = await client.indexes.indexedAssets.create(index, { assetId: asset.id });
        await settled(index, id);
        await client.indexes.indexedAssets.update(index, id, { userMetadata: { genre, n: 5, rating: 9.3, ok: true } });
        entries.push(await client.indexes.indexedAssets.retrieve(index, id));
      }
      const [first, second] = entries;
      const names = async (query) =>
        (await all(client.indexes.indexedAssets.list(index, query))).map((entry) => entry.systemMetadata.filename);
      const both = ["second.mp4", "first.mp4"];
      for (const [query, expected] of [
        [undefined, both],
        [{ pageLimit: 1 }, both],
        [{ sortBy: "updated_at", sortOption: "asc" }, ["first.mp4", "second.mp4"]],
        [{ status: "ready" }, both],
        [{ status: ["failed", "ready"] }, both],
        [{ status: ["failed", "pending", "queued", "indexing"] }, []],
        [{ filename: "first.mp4" }, ["first.mp4"]],
        [{ duration: { gte: 4, lte: 6 }, fps: { gte: 25, lte: 25 }, width: { gte: 640 }, height: { lte: 360 }, size: { gte: 1 } }, both],
        [{ duration: { gte: 6 } }, []],
        [{ size: { lte: 1 } }, []],
        [{ createdAt: second.createdAt }, ["second.mp4"]],
        [{ updatedAt: second.updatedAt }, ["second.mp4"]],
        [{ createdAt: first.createdAt, updatedAt: first.updatedAt }, both],
        [{ userMetadata: { genre: "drama" } }, ["first.mp4"]],
        [{ userMetadata: { n: 5, rating: 9.3, ok: true } }, both],
        [{ userMetadata: { genre: "comedy", n: 6 } }, []],
      ]) {
        assert.deepEqual(await names(query), expected, JSON.stringify(query));
      }
      await assert.rejects(client.indexes.indexedAssets.list(index, { sortBy: "name" }), TwelvelabsApi.BadRequestError);
    });

    test("a forced delete leaves what is in an index", async () => {
      const index = (await client.indexes.create({ indexName: "forced", models: [marengo] })).id;
      const asset = await upload("forced.mp4");
      const { id } = await client.indexes.indexedAssets.create(index, { assetId: asset.id });
      await settled(index, id);
      await client.assets.delete(asset.id, { force: true });
      const found = await client.indexes.indexedAssets.retrieve(index, id);
      assert.deepEqual([found.assetId, found.status], [asset.id, "ready"]);
      assert.ok(new Date(found.asset_deleted_at) >= new Date(found.indexedAt));
      await assert.rejects(client.indexes.indexedAssets.create(index, { assetId: asset.id }), TwelvelabsApi.NotFoundError);
    });
  });
}
