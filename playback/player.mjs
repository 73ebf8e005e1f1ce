// Plays a manifest in Chromium with hls.js, as a viewer would, and tells everything that went wrong.
import { readFileSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { BLOCKS, decode, layout, PARITIES } from "./code.mjs";
import { watch } from "./watch.mjs";

const hlsJs = readFileSync(createRequire(import.meta.url).resolve("hls.js/dist/hls.min.js"));
const flags =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update " +
  "--disable-sync --autoplay-policy=no-user-gesture-required";

/** A Chromium with a page server of its own: the manifest is always another origin. */
export async function openPlayer() {
  const pages = createServer((request, response) => {
    if (request.url === "/hls.js") return response.writeHead(200, { "content-type": "text/javascript" }).end(hlsJs);
    response.writeHead(200, { "content-type": "text/html" });
    response.end('<!doctype html><title>playback</title><link rel="icon" href="data:,"><script src="/hls.js"></script><video></video>');
  });
  await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
  const profile = mkdtempSync(join(tmpdir(), "reelhouse-chromium-"));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: "/usr/bin/chromium",
    headless: true,
    args: flags.split(" "),
    viewport: { width: 800, height: 700 },
  });
  return {
    /**
     * Plays in this order: 1 s from the start; a seek to the middle (not loaded yet), then fast (4x; 2x above 30 frames a second) to 2 s before the end; a seek
     * there (or what was just loaded is played on), then at 1x until `ended`; each further sound track for a moment; the first half
     * fast. `clip` says what it is, `source` is what `examine` found in it. `problems` is empty when all was well.
     */
    async play(manifest, clip, source) {
      const page = await browser.newPage();
      const problems = [];
      page.on("pageerror", (error) => problems.push(`the page: ${error.message}`));
      try {
        await page.goto(`http://127.0.0.1:${pages.address().port}/`);
        await page.addScriptTag({ content: `${decode}; const BLOCKS = ${BLOCKS}; const PARITIES = ${JSON.stringify(PARITIES)}; ${watch}` });
        const report = await page.evaluate((what) => watch(what), {
          manifest,
          layout: layout(...clip.size),
          frames: source.frames.map(({ time, number }) => [time, number]),
          fps: clip.fps,
          tracks: clip.audio ? clip.tracks : 0,
          late: clip.lateSound,
        });
        report.problems.push(...problems);
        return report;
      } finally {
        await page.close();
      }
    },
    version: browser.browser()?.version(),
    async close() {
      await browser.close();
      await new Promise((resolve) => pages.close(resolve));
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
