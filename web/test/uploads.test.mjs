// Uploads that are disturbed: the server is killed, the page is reloaded, someone pauses.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { after, before, beforeEach, afterEach, describe, test } from "node:test";

import { openBrowser, openPage, signIn } from "./browser.mjs";
import { key, media, startServer } from "./server.mjs";

const PATIENCE = { timeout: 90_000 };
const LARGE = "Long crossing.mp4";

describe("uploads", { timeout: 600_000 }, () => {
  let browser, server, large, page, context, chunks;

  before(async () => {
    browser = await openBrowser();
    server = await startServer();
    large = media.large(server, LARGE);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });
  beforeEach(async () => {
    ({ page, context } = await openPage(browser, server.url));
    chunks = [];
    page.on("request", (request) => request.method() === "PUT" && chunks.push(Number(new URL(request.url()).pathname.split("/")[3])));
    await signIn(page, key);
  });
  afterEach(async () => {
    await context.close();
    for (const { _id } of (await server.ask("/assets")).data) await server.ask(`/assets/${_id}`, { method: "DELETE" });
  });

  /** Bytes a second; -1 for no bound. */
  async function upload(bytes) {
    const devtools = await context.newCDPSession(page);
    await devtools.send("Network.enable");
    await devtools.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytes });
  }
  async function choose(path) {
    await page.getByLabel("Files to upload").first().setInputFiles(path);
  }
  const becomes = (name, state) => page.locator(`.queue .row[data-state=${state}]`, { hasText: name }).waitFor(PATIENCE);
  /** Until the server has so many chunks. */
  async function arrived(n) {
    for (const since = Date.now(); Date.now() - since < PATIENCE.timeout; ) {
      const [open] = (await server.ask("/assets/multipart-uploads")).data;
      if (open && (await server.ask(`/assets/multipart-uploads/${open.upload_id}`)).chunks_completed >= n) return;
    }
    assert.fail(`never: ${n} chunks`);
  }
  async function isWhole(name, path) {
    const { data } = await server.ask("/assets");
    assert.deepEqual(data.map(({ filename, status }) => [filename, status]), [[name, "ready"]]);
    const answer = await fetch(data[0].original_url);
    assert.ok(Buffer.from(await answer.arrayBuffer()).equals(readFileSync(path)), "other bytes");
  }

  test("the server killed in the middle, in chunks: it goes on by itself", async () => {
    await upload(6e6);
    await choose(large);
    await arrived(2);
    await server.kill();
    await becomes(LARGE, "lost");
    assert.match(await page.locator(".queue .row", { hasText: LARGE }).innerText(), /Trying again in \d+ s[\s\S]*cannot be reached[\s\S]*unreachable/);
    await upload(-1);
    await server.start();
    await becomes(LARGE, "done");
    await isWhole(LARGE, large);
    const twice = chunks.filter((index, at) => chunks.indexOf(index) !== at);
    assert.ok(!twice.includes(1) && twice.length <= 2, `sent twice: ${twice}`);
  });

  test("the server killed in the middle, in one piece: it is sent again, and is there once", async () => {
    const small = media.video(server, "crossing.mp4", 30);
    await upload(1e6);
    await choose(small);
    await page.waitForFunction(() => Number(document.querySelector(".queue .row [role=progressbar]")?.ariaValueNow) > 15, null, PATIENCE);
    await server.kill();
    await becomes("crossing.mp4", "lost");
    await upload(-1);
    await server.start();
    await becomes("crossing.mp4", "done");
    await isWhole("crossing.mp4", small);
  });

  test("reloaded in the middle: the file is chosen again, and only the rest is sent", async () => {
    await upload(6e6);
    await choose(large);
    await arrived(2);
    await page.reload();
    await becomes(LARGE, "absent");
    chunks.length = 0;
    await upload(-1);
    const again = page.getByLabel(`Choose ${LARGE} again`);
    await again.setInputFiles(media.video(server, "another.mp4"));
    await page.getByText("That is another file").waitFor();
    await again.setInputFiles(large);
    await becomes(LARGE, "done");
    await isWhole(LARGE, large);
    assert.ok(chunks.length > 0 && !chunks.includes(1) && !chunks.includes(2), `sent again: ${chunks}`);
  });

  test("paused, and gone on with", async () => {
    await upload(6e6);
    await choose(large);
    await arrived(1);
    await page.getByRole("button", { name: `Pause ${LARGE}` }).click();
    await becomes(LARGE, "paused");
    await upload(-1);
    const sent = chunks.length;
    await page.getByRole("button", { name: `Go on with ${LARGE}` }).click();
    await becomes(LARGE, "done");
    assert.ok(chunks.length > sent);
    await isWhole(LARGE, large);
  });

  test("canceled, nothing of it stays", async () => {
    await upload(6e6);
    await choose(large);
    await arrived(1);
    await page.getByRole("button", { name: `Cancel ${basename(large)}` }).click();
    const left = async () => (await Promise.all(["/assets", "/assets/multipart-uploads"].map((path) => server.ask(path)))).some(({ data }) => data.length);
    for (const since = Date.now(); await left(); ) assert.ok(Date.now() - since < PATIENCE.timeout, "something stays");
    await page.getByText("Nothing here yet.").waitFor(PATIENCE);
  });
});
