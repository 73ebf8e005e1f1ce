// What the server calls ready plays: every clip is uploaded, derived, taken apart with ffmpeg and played in Chromium.
// PLAYBACK_ONLY=webm,avi takes some clips only; PLAYBACK_KEEP=folder keeps the thumbnails.
import assert from "node:assert/strict";
import { openAsBlob, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";

import { apiKey, startServer } from "../conformance/server.mjs";
import { inspect, isThumbnail } from "./checks.mjs";
import { clips } from "./clips.mjs";
import { examine } from "./media.mjs";
import { openPlayer } from "./player.mjs";

const only = process.env.PLAYBACK_ONLY?.split(",");
const patience = Number(process.env.PLAYBACK_PATIENCE ?? 60); // seconds from 201 to ready
const keep = process.env.PLAYBACK_KEEP;
let server, player;

before(async () => {
  server = await startServer({ REELHOUSE_LIMITS: "permissive" });
  player = await openPlayer();
});
after(async () => {
  await player?.close();
  await server?.stop();
});

for (const clip of clips) {
  if (only && !only.includes(clip.name)) continue;
  test(clip.name, { timeout: 180_000 }, async (t) => {
    const path = await clip.path();
    let asset;
    await t.test("becomes ready", async (t) => {
      const begun = Date.now();
      asset = await ready(await upload(path));
      t.diagnostic(`${Date.now() - begun} ms from the upload on`);
    });
    if (asset?.hls?.status !== "ready") return;
    const manifest = asset.hls.manifest_url;
    const source = await examine(path, clip);
    const found = await inspect(clip, manifest, source);
    const none = (wrong) => assert.deepEqual(wrong, []);
    await t.test("decodes without a message", () => none(found.decodes));
    await t.test(clip.copied ? "has exactly the source's frames" : "has the source's frames and length", () => none(found.frames));
    await t.test("keeps sound and picture together", () => none(found.sync));
    await t.test("has playlists that tell the truth", () => none(found.playlists));
    await t.test("plays from the start, after a seek, to the end", async (t) => {
      const { problems, facts } = await player.play(manifest, clip, source);
      t.diagnostic(JSON.stringify(facts));
      none(problems);
    });
    await t.test("has a thumbnail", async () => {
      assert.equal(asset.thumbnail.status, "ready");
      none(await isThumbnail(clip, asset.thumbnail.representative_url));
      if (!keep) return;
      mkdirSync(keep, { recursive: true });
      writeFileSync(join(keep, `${clip.name}.jpg`), Buffer.from(await (await fetch(asset.thumbnail.representative_url)).arrayBuffer()));
    });
  });
}

async function upload(path) {
  const form = new FormData();
  form.set("method", "direct");
  form.set("enable_hls", "true");
  form.set("enable_thumbnail", "true");
  form.set("file", await openAsBlob(path), basename(path));
  const response = await fetch(`${server.url}/v1.3/assets`, { method: "POST", headers: { "x-api-key": apiKey }, body: form });
  const body = await response.json();
  assert.equal(response.status, 201, JSON.stringify(body));
  return body._id;
}

/** The asset once nothing of it is pending any more. */
async function ready(id) {
  const until = Date.now() + patience * 1000;
  for (;;) {
    const response = await fetch(`${server.url}/v1.3/assets/${id}`, { headers: { "x-api-key": apiKey } });
    const asset = await response.json();
    assert.equal(response.status, 200, JSON.stringify(asset));
    const states = [asset.hls?.status, asset.thumbnail?.status];
    assert.ok(!states.includes("error"), `hls ${JSON.stringify(asset.hls)}, thumbnail ${JSON.stringify(asset.thumbnail)}`);
    if (states.every((state) => state === "ready")) return asset;
    assert.ok(Date.now() < until, `after ${patience} s still hls ${states[0]}, thumbnail ${states[1]}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
