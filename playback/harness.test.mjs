// The harness itself: a right manifest passes every check, and each kind of wrong one is told.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";

import { inspect, isThumbnail } from "./checks.mjs";
import { clip, clips } from "./clips.mjs";
import { decode, PARITIES } from "./code.mjs";
import { examine } from "./media.mjs";
import { openPlayer } from "./player.mjs";
import { reference, serve as serveFolder } from "./reference.mjs";

const good = clips.find(({ name }) => name === "moov-first");
let dir, player, source;

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "reelhouse-harness-"));
  player = await openPlayer();
  await reference(good, join(dir, "good"));
  source = await examine(await good.path(), good);
});
after(async () => {
  await player?.close();
  if (dir) rmSync(dir, { recursive: true });
});

const servers = [];
afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())));

async function serve(folder) {
  const server = await serveFolder(folder);
  servers.push(server);
  return server;
}

/** A copy of the good manifest after `spoil(folder, server)`. */
async function spoiled(spoil) {
  const folder = mkdtempSync(join(dir, "spoiled-"));
  cpSync(join(dir, "good"), folder, { recursive: true });
  const server = await serve(folder);
  await spoil(folder, server);
  const manifest = `${server.url}/main.m3u8`;
  return { play: () => player.play(manifest, good, source), inspect: () => inspect(good, manifest, source) };
}

const edit = (path, change) => writeFileSync(path, change(readFileSync(path, "utf8")));
const tells = (problems, pattern) => assert.ok(problems.some((problem) => pattern.test(problem)), `told was ${JSON.stringify(problems, null, 1)}`);

test("numbers are read back, and only upright", () => {
  for (const number of [0, 1, 299, 720, 4095]) {
    const bits = Array.from({ length: 12 }, (_, bit) => (number >> bit) & 1);
    const row = [...bits, ...PARITIES.map((of) => 1 - (of.reduce((sum, bit) => sum + bits[bit], 0) % 2))].map((bit) => bit * 200 + 20);
    assert.equal(decode(row), number);
    assert.notEqual(decode(row.toReversed()), number);
  }
  assert.equal(decode(Array(16).fill(0)), null);
  assert.equal(decode(Array(16).fill(255)), null);
});

test("a right manifest passes", async () => {
  const { play, inspect } = await spoiled(() => {});
  assert.deepEqual((await play()).problems, []);
  assert.deepEqual(await inspect(), { decodes: [], frames: [], sync: [], playlists: [] });
  const server = await serve(join(dir, "good"));
  assert.deepEqual(await isThumbnail(good, `${server.url}/thumbnail.jpg`), []);
});

test("a missing segment is told", async () => {
  const { play } = await spoiled((_, server) => server.faults.set("s1.m4s", "missing"));
  tells((await play()).problems, /fragLoadError 404/);
});

test("a slow segment is told as standing still", async () => {
  const { play } = await spoiled((_, server) => server.faults.set("s1.m4s", 6000));
  tells((await play()).problems, /stands still|never done with the seek|bufferStalled/);
});

test("a gap is told: a segment left out of the playlist", async () => {
  const folder = join(dir, "gap");
  await reference(good, folder, 2);
  edit(join(folder, "media.m3u8"), (text) => text.replace(/#EXTINF:[^\n]*\ns1\.m4s\n/, ""));
  const server = await serve(folder);
  const { problems } = await player.play(`${server.url}/main.m3u8`, good, source);
  tells(problems, /jump|bufferSeekOverHole|stands still|bufferStalled|wrong frames/);
  const found = await inspect(good, `${server.url}/main.m3u8`, source);
  assert.notDeepEqual(found.frames, []);
  tells(found.playlists, /by EXTINF|after the one before ends/);
});

test("a picture that stands still under running sound is told", async () => {
  const frozen = clip("frozen", { filter: "select='not(between(t\\,1.2\\,4.5))'", vfr: true });
  const folder = join(dir, "frozen");
  await reference(frozen, folder);
  const server = await serve(folder);
  const { problems } = await player.play(`${server.url}/main.m3u8`, good, source);
  tells(problems, /picture stands still|wrong frames|stands still/);
});

test("sound that comes late is told", async () => {
  const late = clip("late", { lateSound: 0.1 });
  const folder = join(dir, "late");
  await reference(late, folder);
  const server = await serve(folder);
  const { sync } = await inspect(good, `${server.url}/main.m3u8`, source);
  tells(sync, /sound begins \d+ ms after/);
  tells(sync, /beep comes/);
});

test("playlists that lie are told", async () => {
  const { inspect } = await spoiled((folder) => {
    edit(join(folder, "main.m3u8"), (text) =>
      text.replace("#EXT-X-INDEPENDENT-SEGMENTS\n", "").replace(/BANDWIDTH=\d+/, "BANDWIDTH=1000").replace("avc1.64", "avc1.42").replace("640x360", "360x640").replace(/FRAME-RATE=[\d.]+/, "FRAME-RATE=30.000"),
    );
    edit(join(folder, "media.m3u8"), (text) => text.replace(/TARGETDURATION:\d+/, "TARGETDURATION:3").replace("#EXT-X-ENDLIST", "").replace("#EXT-X-INDEPENDENT-SEGMENTS\n", ""));
  });
  const { playlists } = await inspect();
  for (const pattern of [/CODECS/, /BANDWIDTH/, /RESOLUTION/, /FRAME-RATE/, /TARGETDURATION/, /ENDLIST/, /INDEPENDENT/]) tells(playlists, pattern);
});
