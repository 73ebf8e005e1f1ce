// What users keep with assets, and what models would know of them, by the official Node.js SDKs. The older one has no
// methods for it.
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";

import { watch } from "./methods.mjs";
import { apiKey, startServer } from "./server.mjs";

const { TwelveLabs, TwelvelabsApi } = createRequire(import.meta.url)("twelvelabs-js-1.3.4");

describe("twelvelabs-js 1.3.4", () => {
  let server, client, done, id;
  const kept = async () => (await client.assets.retrieve(id)).userMetadata;

  before(async () => {
    server = await startServer();
    process.env.TWELVELABS_BASE_URL = `${server.url}/v1.3`;
    ({ client, done } = watch(new TwelveLabs({ apiKey }), "twelvelabs-js 1.3.4", "metadata"));
    const userMetadata = JSON.stringify({ genre: "drama", rating: 9.3, empty: "", none: null });
    id = (await client.assets.create({ method: "direct", file: createReadStream(server.clip), userMetadata })).id;
  });
  after(async () => {
    done();
    await server.stop();
  });

  test("merged, replaced, cleared", async () => {
    assert.deepEqual(await kept(), { genre: "drama", rating: 9.3 });
    assert.equal(
      await client.assets.updateUserMetadata(id, { userMetadata: { rating: null, genre: "", tags: ["a", "b"], ok: true } }),
      undefined,
    );
    assert.deepEqual(await kept(), { genre: "drama", tags: ["a", "b"], ok: true });
    assert.equal(await client.assets.replaceUserMetadata(id, { userMetadata: { n: 5, empty: [] } }), undefined);
    assert.deepEqual(await kept(), { n: 5 });
    assert.equal(await client.assets.deleteUserMetadata(id), undefined);
    assert.equal(await kept(), undefined);
  });

  test("faults are typed", async () => {
    const unknown = "0123456789abcdef01234567";
    await assert.rejects(client.assets.updateUserMetadata(id, { userMetadata: { a: { b: 1 } } }), (error) => {
      assert.ok(error instanceof TwelvelabsApi.BadRequestError);
      assert.match(error.body.message, /^The user_metadata parameter is invalid\. The value of "a" /);
      return true;
    });
    for (const call of [
      () => client.assets.updateUserMetadata(unknown, { userMetadata: {} }),
      () => client.assets.replaceUserMetadata(unknown, { userMetadata: {} }),
      () => client.assets.deleteUserMetadata(unknown),
    ]) {
      await assert.rejects(call, TwelvelabsApi.NotFoundError);
    }
  });

  test("no asset has a transcription or entities", async () => {
    await assert.rejects(client.assets.retrieveTranscription(id, { include: ["words", "utterances"] }), (error) => {
      assert.ok(error instanceof TwelvelabsApi.NotFoundError);
      assert.equal(error.body.message, `Resource with id ${id} does not exist in transcriptions.`);
      return true;
    });
    const found = [];
    for await (const entity of await client.entityCollections.entities.listByAsset(id)) found.push(entity);
    assert.deepEqual(found, []);
  });

  test("other areas say that they are not here", async () => {
    await assert.rejects(client.tasks.retrieve("1"), (error) => {
      assert.equal(error.statusCode, 404);
      assert.equal(error.body.code, "endpoint_not_exist");
      assert.match(error.body.message, /does not offer tasks/);
      return true;
    });
  });
});
