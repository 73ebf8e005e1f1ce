// `method: url` by the official Node.js SDKs, from a web server on loopback.
import assert from "node:assert/strict";
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";

import { watch } from "./methods.mjs";
import { apiKey, startServer } from "./server.mjs";

const require = createRequire(import.meta.url);

for (const version of ["1.2.4", "1.3.4"]) {
  describe(`twelvelabs-js ${version}`, () => {
    let server, origin, base, client, done, TwelvelabsApi;

    before(async () => {
      server = await startServer({ REELHOUSE_IMPORT_ALLOW: "127.0.0.1", REELHOUSE_IMPORT_REQUEST_BYTES: "3000000" });
      origin = createServer((request, response) => {
        if (request.url.startsWith("/clip")) return createReadStream(server.clip).pipe(response);
        if (request.url.startsWith("/large")) {
          response.setHeader("content-length", statSync(server.clip).size + 4_000_000);
          response.write(Buffer.alloc(4_000_000, "\0\0\x07\xd0free", "latin1"));
          return createReadStream(server.clip).pipe(response);
        }
        response.statusCode = request.url === "/page" ? 200 : 404;
        response.end("<!doctype html>");
      });
      await new Promise((resolve) => origin.listen(0, "127.0.0.1", resolve));
      base = `http://127.0.0.1:${origin.address().port}`;
      process.env.TWELVELABS_BASE_URL = `${server.url}/v1.3`;
      const sdk = require(`twelvelabs-js-${version}`);
      TwelvelabsApi = sdk.TwelvelabsApi;
      ({ client, done } = watch(new sdk.TwelveLabs({ apiKey }), `twelvelabs-js ${version}`, "url"));
    });
    after(async () => {
      done();
      origin.closeAllConnections();
      origin.close();
      await server.stop();
    });

    test("a small file is ready in the answer", async () => {
      const asset = await client.assets.create({ method: "url", url: `${base}/clip%20one.mp4`, enableThumbnail: true });
      assert.deepEqual([asset.method, asset.status, asset.filename], ["url", "ready", "clip one.mp4"]);
      assert.equal((await client.assets.retrieve(asset.id)).size, statSync(server.clip).size);
    });

    test("a large one is processing first, and then decided", async () => {
      const asset = await client.assets.create({ method: "url", url: `${base}/large.mp4`, filename: "mine.mp4" });
      assert.deepEqual([asset.status, asset.filename], ["processing", "mine.mp4"]);
      for (;;) {
        const found = await client.assets.retrieve(asset.id);
        if (found.status === "processing") continue;
        assert.equal(found.status, "failed");
        break;
      }
    });

    test("faults are typed", async () => {
      const codes = { "/page": "media_url_unsupported_format", "/nothing": "media_url_not_accessible" };
      for (const [path, code] of Object.entries(codes)) {
        await assert.rejects(client.assets.create({ method: "url", url: base + path }), (error) => {
          assert.ok(error instanceof TwelvelabsApi.BadRequestError);
          assert.equal(error.body.code, code);
          return true;
        });
      }
    });
  });
}
