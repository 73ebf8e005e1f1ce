// The assets of the official Node.js SDKs, unmodified from npm: only the base URL differs.
import assert from "node:assert/strict";
import { createReadStream, openAsBlob, writeFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { watch } from "./methods.mjs";
import { apiKey, startServer } from "./server.mjs";

const require = createRequire(import.meta.url);

for (const version of ["1.2.4", "1.3.4"]) {
  describe(`twelvelabs-js ${version}`, () => {
    let server, client, done, TwelvelabsApi;

    before(async () => {
      server = await startServer();
      process.env.TWELVELABS_BASE_URL = `${server.url}/v1.3`;
      const sdk = require(`twelvelabs-js-${version}`);
      TwelvelabsApi = sdk.TwelvelabsApi;
      ({ client, done } = watch(new sdk.TwelveLabs({ apiKey }), `twelvelabs-js ${version}`, "assets"));
    });
    after(async () => {
      done();
      await server.stop();
    });

    test("create from a stream, retrieve, delete", async () => {
      const created = await client.assets.create({
        method: "direct",
        file: createReadStream(server.clip),
        filename: 'a "quoted" ünï.mp4',
        enableHls: true,
        enableThumbnail: true,
      });
      assert.equal(created.status, "ready");
      assert.equal(created.method, "direct");
      assert.equal(created.filename, 'a "quoted" ünï.mp4');
      assert.equal(created.fileType, "video/mp4");
      assert.ok(created.createdAt instanceof Date);

      let one = await client.assets.retrieve(created.id);
      while ([one.hls.status, one.thumbnail.status].some((status) => ["pending", "processing"].includes(status))) {
        one = await client.assets.retrieve(created.id);
      }
      assert.equal(one.id, created.id);
      assert.equal(one.size, statSync(server.clip).size);
      assert.ok(Math.abs(one.duration - 5) < 0.1);
      assert.equal(one.hls.status, "ready");
      assert.equal(one.thumbnail.status, "ready");
      assert.match(await (await fetch(one.hls.manifestUrl)).text(), /^#EXTM3U/);
      assert.equal((await fetch(one.thumbnail.representativeUrl)).headers.get("content-type"), "image/jpeg");

      await client.assets.delete(created.id);
      await assert.rejects(client.assets.retrieve(created.id), (error) => {
        assert.equal(error.statusCode, 404);
        assert.equal(error.body.code, "resource_not_exist");
        if (version === "1.3.4") assert.ok(error instanceof TwelvelabsApi.NotFoundError);
        return true;
      });
    });

    test("create from a Blob takes the part's name", async () => {
      const created = await client.assets.create({ method: "direct", file: await openAsBlob(server.clip) });
      assert.equal(created.filename, "blob");
      await client.assets.delete(created.id, { force: true });
    });

    test("list with for await meets every asset once, newest first", async () => {
      const made = [];
      for (let n = 0; n < 5; n++) {
        const filename = `clip ${n}.mp4`;
        made.unshift((await client.assets.create({ method: "direct", file: createReadStream(server.clip), filename })).id);
      }
      const seen = [];
      for await (const asset of await client.assets.list({ pageLimit: 2 })) seen.push(asset.id);
      assert.deepEqual(seen, made);

      const filtered = [];
      for await (const asset of await client.assets.list({ assetIds: made.slice(1, 3), assetTypes: ["video", "audio"] })) filtered.push(asset.id);
      assert.deepEqual(filtered, made.slice(1, 3));
      const named = [];
      for await (const asset of await client.assets.list({ filename: "LIP 3", assetTypes: "video" })) named.push(asset.filename);
      assert.deepEqual(named, ["clip 3.mp4"]);
      const none = await client.assets.list({ assetTypes: "image" });
      assert.equal(none.hasNextPage(), false);
    });

    test("a fault of the file is a typed BadRequestError with its code", async () => {
      const broken = join(server.dir, "broken.txt");
      writeFileSync(broken, "no media at all");
      await assert.rejects(client.assets.create({ method: "direct", file: createReadStream(broken) }), (error) => {
        assert.ok(error instanceof TwelvelabsApi.BadRequestError);
        assert.equal(error.statusCode, 400);
        assert.equal(error.body.code, "parameter_invalid");
        assert.equal(error.body.message, "The file parameter is invalid. Unsupported asset type: text/plain.");
        return true;
      });
    });

    test("a bad key is a 401", async () => {
      const { TwelveLabs } = require(`twelvelabs-js-${version}`);
      await assert.rejects(new TwelveLabs({ apiKey: "wrong" }).assets.list(), (error) => {
        assert.equal(error.statusCode, 401);
        assert.equal(error.body.code, "api_key_invalid");
        return true;
      });
    });
  });
}
