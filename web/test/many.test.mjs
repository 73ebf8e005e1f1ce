// A hundred thousand assets: the list has its whole length, and the document stays small.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { openAsBlob } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { openBrowser, openPage, signIn } from "./browser.mjs";
import { key, media, startServer } from "./server.mjs";

const MANY = 100_000;
const PATIENCE = { timeout: 60_000 };

/** Copies of the newest asset, older and older; written while the server is away. */
const copy = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
columns = [row[1] for row in db.execute("PRAGMA table_info(asset)")]
first = dict(zip(columns, db.execute("SELECT * FROM asset").fetchone()))
def rows():
    for n in range(1, int(sys.argv[2])):
        seq = first["seq"] - (n << 24)
        name = f"take {n:06}.mp4"
        row = first | {"seq": seq, "id": f"{seq:016x}{n:08x}", "filename": name, "filename_folded": name, "created_at": first["created_at"] - n * 256}
        yield [row[column] for column in columns]
db.executemany(f"INSERT INTO asset VALUES ({','.join('?' * len(columns))})", rows())
db.execute("UPDATE account SET asset_count = ? WHERE name = ?", [int(sys.argv[2]), first["account"]])
db.commit()
`;

describe("many", { timeout: 300_000 }, () => {
  let browser, server, page, context, complaints;

  before(async () => {
    browser = await openBrowser();
    server = await startServer();
    const form = new FormData();
    form.set("method", "direct");
    form.set("file", await openAsBlob(media.video(server, "take 000000.mp4", 5)), "take 000000.mp4");
    const answer = await fetch(`${server.url}/v1.3/assets`, { method: "POST", headers: { "x-api-key": key }, body: form });
    assert.equal(answer.status, 201);
    await server.kill("SIGTERM");
    execFileSync("python3", ["-c", copy, join(server.data, "reelhouse.db"), String(MANY)]);
    await server.start();
    ({ page, context, complaints } = await openPage(browser, server.url));
    await signIn(page, key);
    await page.getByText("100,000 assets").waitFor(PATIENCE);
  });
  after(async () => {
    await context?.close();
    await browser?.close();
    await server?.stop();
  });

  const named = (n) => page.locator(".grid .name", { hasText: `take ${String(n).padStart(6, "0")}.mp4` });

  test("the last one is one key away, and the first one again", async () => {
    await named(0).waitFor(PATIENCE);
    await page.locator(".grid a").first().focus();
    await page.keyboard.press("End");
    await named(MANY - 1).waitFor(PATIENCE);
    await page.keyboard.press("Home");
    await page.waitForFunction(() => document.activeElement.querySelector(".name")?.textContent === "take 000000.mp4", null, PATIENCE);
  });

  test("scrolled through at speed, the document stays small and what comes into view is shown", async () => {
    let most = 0;
    for (let at = 0; at <= 20; at += 1) {
      await page.evaluate((part) => scrollTo(0, (document.documentElement.scrollHeight - innerHeight) * part), at / 20);
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
      most = Math.max(most, await page.locator(".grid li").count());
    }
    assert.ok(most < 80, `${most} tiles at once`);
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight / 2));
    await page.waitForFunction(() => {
      const names = [...document.querySelectorAll(".grid .name")].map((each) => Number(/\d+/.exec(each.textContent)));
      return names.length > 12 && names.every((n) => n === 0 || (n > 49_000 && n < 51_000));
    }, null, PATIENCE);
    assert.deepEqual(complaints, []);
  });

  test("who comes back from an asset is where they were", async () => {
    const top = await page.evaluate(() => scrollY);
    // One that need not be scrolled to.
    const index = await page.evaluate(() => [...document.querySelectorAll(".grid li")].find((each) => each.getBoundingClientRect().top > 200).dataset.index);
    await page.locator(`.grid li[data-index="${index}"] a`).click();
    await page.locator(".asset-head").waitFor();
    await page.goBack();
    await page.waitForFunction((top) => Math.abs(scrollY - top) < 4, top, PATIENCE);
  });
});
