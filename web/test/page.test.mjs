// What someone does with the page, in Chromium against the real server.
import assert from "node:assert/strict";
import { createReadStream, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { openBrowser, openPage, signIn } from "./browser.mjs";
import { key, media, startServer } from "./server.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PATIENCE = { timeout: 60_000 };

let browser, server, origin, link;
const files = {};

before(async () => {
  browser = await openBrowser();
  server = await startServer({ REELHOUSE_IMPORT_ALLOW: "127.0.0.1" });
  files.video = media.video(server, "Harbour at dawn.mp4");
  files.audio = media.audio(server, "waves.wav");
  files.image = media.image(server, "quay.png");
  origin = createServer((_, response) => createReadStream(files.video).pipe(response));
  await new Promise((resolve) => origin.listen(0, "127.0.0.1", resolve));
  link = `http://127.0.0.1:${origin.address().port}/far/away.mp4`;
});
after(async () => {
  await browser?.close();
  origin?.closeAllConnections();
  origin?.close();
  await server?.stop();
});

/** What axe finds that hinders someone; a selector in front of each. */
async function barriers(page) {
  await page.evaluate(axe);
  // Colours on their way are judged when they have arrived.
  await page.waitForFunction(() => document.getAnimations().every((each) => each.playState !== "running" || each.effect.getTiming().iterations === Infinity));
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations.flatMap(({ id, impact, nodes }) => nodes.map(({ target }) => `${impact} ${id}: ${target}`));
}

/** As if dropped by hand. */
async function drop(page, paths) {
  const given = paths.map((path) => ({ name: path.split("/").pop(), bytes: readFileSync(path).toString("base64") }));
  await page.evaluate((given) => {
    const dataTransfer = new DataTransfer();
    for (const { name, bytes } of given) dataTransfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name));
    for (const type of ["dragenter", "dragover", "drop"]) document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
  }, given);
}

const row = (page, name) => page.locator(".queue .row", { hasText: name });
const becomes = (page, name, state) => page.locator(`.queue .row[data-state=${state}]`, { hasText: name }).waitFor(PATIENCE);
const tile = (page, name) => page.locator(".grid a", { hasText: name });

describe("what is served", () => {
  test("below 150 kB of JavaScript, gzipped, all that can be loaded", () => {
    const folder = join(here, "../dist/page/static");
    const scripts = readdirSync(folder).filter((name) => name.endsWith(".js"));
    const bytes = scripts.reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name)), { level: 9 }).length, 0);
    assert.ok(scripts.length >= 2 && bytes < 150_000, `${bytes} bytes`);
  });

  test("a strict policy, and nothing inline that it would forbid", async () => {
    const answer = await fetch(server.url);
    const policy = answer.headers.get("content-security-policy");
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    const html = await answer.text();
    assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/);
  });

  test("what is named by its content is kept for ever, and all else asked for again", async () => {
    const html = await (await fetch(server.url)).text();
    const path = /src="(\/static\/[^"]+\.js)"/.exec(html)[1];
    const script = await fetch(server.url + path, { headers: { "accept-encoding": "br" } });
    assert.equal(script.headers.get("cache-control"), "public, max-age=31536000, immutable");
    assert.equal(script.headers.get("content-encoding"), "br");
    const again = await fetch(server.url + path, { headers: { "accept-encoding": "br", "if-none-match": script.headers.get("etag") } });
    assert.equal(again.status, 304);
    assert.equal((await fetch(server.url)).headers.get("cache-control"), "no-cache");
    assert.equal((await (await fetch(`${server.url}/static/none.js`)).json()).code, "endpoint_not_exist");
  });
});

describe("the page", { timeout: 300_000 }, () => {
  let page, complaints, context;
  before(async () => ({ page, complaints, context } = await openPage(browser, server.url)));
  after(() => context?.close());

  test("a wrong key is told in words, with its code", async () => {
    assert.deepEqual(await barriers(page), []);
    await page.getByLabel("API key").fill("not-the-key-of-this-server");
    await page.getByRole("button", { name: "Sign in" }).click();
    const alert = page.getByRole("alert");
    await alert.waitFor();
    assert.match(await alert.innerText(), /either invalid or expired.*api_key_invalid/s);
    assert.deepEqual(await barriers(page), []);
    complaints.length = 0;
  });

  test("the key stays in this tab", async () => {
    await signIn(page, key);
    assert.ok(!page.url().includes(key));
    assert.equal(await page.evaluate((key) => Object.values(sessionStorage).includes(key), key), true);
    assert.equal(await page.evaluate((key) => JSON.stringify({ ...localStorage }).includes(key) || document.cookie.includes(key), key), false);
    await page.reload();
    await page.getByText("Nothing here yet.").waitFor();
    assert.deepEqual(await barriers(page), []);
    const other = await openPage(browser, server.url);
    await other.page.getByLabel("API key").waitFor();
    await other.context.close();
  });

  test("three files dropped and a link become ready", async () => {
    await drop(page, [files.video, files.audio, files.image]);
    await page.getByRole("button", { name: "Add", exact: true }).click();
    const dialog = page.getByRole("dialog");
    assert.deepEqual(await barriers(page), []);
    await dialog.getByLabel("Or fetch it from a link").fill("ftp://example.org/clip.mp4");
    await dialog.getByRole("button", { name: "Fetch" }).click();
    await dialog.getByText("That is no link.").waitFor();
    await dialog.getByLabel("Or fetch it from a link").fill(link);
    await dialog.getByRole("button", { name: "Fetch" }).click();
    await dialog.waitFor({ state: "hidden" });
    for (const name of ["Harbour at dawn.mp4", "waves.wav", "quay.png", "away.mp4"]) await becomes(page, name, "done");
    for (const name of ["Harbour at dawn.mp4", "waves.wav", "quay.png", "away.mp4"]) await tile(page, name).locator("img").waitFor(PATIENCE);
    assert.equal(await page.locator(".count").innerText(), "4 assets");
    assert.deepEqual(await barriers(page), []);
  });

  test("what is no media is refused in words, with its code", async () => {
    complaints.length = 0;
    await page.locator("body").evaluate(() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(["nothing to see"], "notes.mp4"));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    });
    await becomes(page, "notes.mp4", "failed");
    assert.match(await row(page, "notes.mp4").innerText(), /Unsupported asset type.*parameter_invalid/s);
    assert.deepEqual(await barriers(page), []);
    await page.getByRole("button", { name: "Take notes.mp4 off this list" }).click();
    // Chromium notes each answer that is an error; no other complaint is one.
    assert.deepEqual(complaints.filter((each) => !/status of 400/.test(each)), []);
    complaints.length = 0;
  });

  test("search as you type, and filter by kind", async () => {
    await page.keyboard.press("/");
    await page.keyboard.type("DAWN");
    await page.getByText("1 asset", { exact: true }).waitFor();
    assert.equal(await page.locator(".grid li").count(), 1);
    await page.keyboard.press("Escape");
    await page.getByText("4 assets", { exact: true }).waitFor();
    await page.getByRole("radio", { name: "Sound" }).check();
    await page.getByText("1 asset", { exact: true }).waitFor();
    await tile(page, "waves.wav").waitFor();
    await page.reload();
    await page.getByText("1 asset", { exact: true }).waitFor();
    await page.getByLabel("Search by file name").fill("nowhere");
    await page.getByText("No sound whose name has “nowhere” in it.").waitFor();
    await page.getByRole("button", { name: "Show all assets" }).click();
    await page.getByText("4 assets", { exact: true }).waitFor();
  });

  test("by keyboard from tile to tile, and into one and back", async () => {
    await page.getByLabel("Search by file name").focus();
    await page.keyboard.press("ArrowDown");
    const name = () => page.evaluate(() => document.activeElement.querySelector(".name")?.textContent);
    const first = await name();
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction((first) => document.activeElement.querySelector(".name") && document.activeElement.querySelector(".name").textContent !== first, first);
    const second = await name();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: second }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    await page.locator(".grid").waitFor();
  });

  test("a storyboard under the pointer", async () => {
    const picture = tile(page, "Harbour at dawn.mp4").locator(".picture");
    await picture.hover();
    await picture.locator(".cell[data-ready]").waitFor(PATIENCE);
  });

  test("it plays: the stream, with no complaint; and it seeks", async () => {
    const segments = [];
    page.on("request", (request) => /\/media\/hls\/.*\.m4s/.test(request.url()) && segments.push(request.url()));
    await tile(page, "Harbour at dawn.mp4").click();
    const video = page.locator("video");
    await video.waitFor();
    await video.evaluate((video) => video.play());
    await page.waitForFunction(() => document.querySelector("video").currentTime > 1, null, PATIENCE);
    assert.ok(segments.length > 0, "no segment was asked for");
    await page.locator(".strip button").last().click();
    await page.waitForFunction(() => document.querySelector("video").currentTime > 9, null, PATIENCE);
    await page.waitForFunction(() => document.querySelector("video").ended, null, PATIENCE);
    assert.deepEqual(complaints, []);
    assert.deepEqual(await barriers(page), []);
  });

  test("what is known of the file, and the lines that fetch it without the key", async () => {
    assert.match(await page.locator(".facts").innerText(), /Codec\s+h264[\s\S]*Frame rate\s+25 per second[\s\S]*Sample rate\s+44.1 kHz/);
    const code = page.locator(".fetch pre");
    assert.match(await code.innerText(), /curl .*\/v1\.3\/assets\/[0-9a-f]{24} -H "x-api-key: \$KEY"/);
    for (const language of ["Node.js", "Python"]) {
      await page.getByRole("radio", { name: language }).check();
      assert.match(await code.innerText(), /assets\.retrieve\("[0-9a-f]{24}"\)/);
      assert.ok(!(await code.innerText()).includes(key));
    }
  });

  test("the download is the original", async () => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
    assert.equal(download.suggestedFilename(), "Harbour at dawn.mp4");
    assert.deepEqual(readFileSync(await download.path()), readFileSync(files.video));
  });

  test("user metadata is edited, kept, and judged in words", async () => {
    await page.getByRole("button", { name: "Add some" }).click();
    await page.getByLabel("Name", { exact: true }).fill("place");
    await page.getByLabel("Value", { exact: true }).fill("Ærøskøbing");
    await page.getByRole("button", { name: "Add an entry" }).click();
    const second = page.getByRole("group", { name: "Entry 2" });
    await second.getByLabel("Name", { exact: true }).fill("take");
    await second.getByLabel("Kind of value").selectOption("number");
    await second.getByLabel("Value", { exact: true }).fill("seven");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("“seven” is no number.").waitFor();
    await second.getByLabel("Value", { exact: true }).fill("7");
    assert.deepEqual(await barriers(page), []);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved.").waitFor();
    const id = page.url().split("/").pop();
    assert.deepEqual((await server.ask(`/assets/${id}`)).user_metadata, { place: "Ærøskøbing", take: 7 });
    await page.reload();
    await page.getByRole("row", { name: "place Ærøskøbing" }).waitFor();
  });

  test("what is in use is deleted only after a second word", async () => {
    complaints.length = 0;
    const id = page.url().split("/").pop();
    const index = await server.ask("/indexes", { method: "POST", json: { index_name: "Harbours", models: [{ model_name: "marengo3.0", model_options: ["visual"] }] } });
    await server.ask(`/indexes/${index._id}/indexed-assets`, { method: "POST", json: { asset_id: id } });
    await page.reload();
    await page.locator(".asset-side").getByText("Harbours", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Delete" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Delete", exact: true }).click();
    await dialog.getByText("This asset is in use").waitFor();
    assert.match(await dialog.innerText(), /asset_in_use[\s\S]*One index holds it:[\s\S]*Harbours/);
    const force = dialog.getByRole("button", { name: "Delete by force" });
    assert.ok(await force.isDisabled());
    assert.deepEqual(await barriers(page), []);
    await server.ask(`/assets/${id}`);
    await dialog.getByLabel("I know that it is in use").check();
    await force.click();
    await page.getByText("3 assets", { exact: true }).waitFor();
    await assert.rejects(server.ask(`/assets/${id}`), /404/);
    assert.deepEqual(complaints.filter((each) => !/status of 409/.test(each)), []);
  });

  test("an asset that is not there", async () => {
    await page.goto(`${server.url}/#/asset/000000000000000000000000`);
    await page.getByRole("heading", { name: "No such asset" }).waitFor();
    assert.match(await page.getByRole("alert").innerText(), /resource_not_exist/);
    await page.goto(`${server.url}/#/`);
  });

  test("nothing hinders in the dark either", async () => {
    const { page, context } = await openPage(browser, server.url, { dark: true });
    assert.deepEqual(await barriers(page), []);
    await signIn(page, key);
    await tile(page, "away.mp4").waitFor();
    assert.deepEqual(await barriers(page), []);
    await tile(page, "away.mp4").click();
    await page.locator("video").waitFor();
    assert.deepEqual(await barriers(page), []);
    await context.close();
  });

  test("from 360 pixels to 4k nothing sticks out", async () => {
    for (const width of [360, 768, 1280, 2560, 3840]) {
      await page.setViewportSize({ width, height: 900 });
      for (const path of ["#/", `#/asset/${(await server.ask("/assets")).data[0]._id}`]) {
        await page.goto(`${server.url}/${path}`);
        await page.locator(path === "#/" ? ".grid a" : ".facts").first().waitFor();
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width} ${path}`);
      }
    }
  });

  test("signed out, the key is gone", async () => {
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("API key").waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  });
});
