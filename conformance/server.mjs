// Starts the real server for a test file, and makes the clip it uploads.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
// In the bucket of the whole run, where there is one, a prefix for each server.
const bucket = (dir) =>
  process.env.REELHOUSE_TEST_BLOBS
    ? {
        REELHOUSE_BLOB_URL: `${process.env.REELHOUSE_TEST_BLOBS}/${basename(dir).toLowerCase()}`,
        ...Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith("AWS_"))),
      }
    : {};

export const apiKey = "a-key-for-conformance";

/** A server on a free port, over a new folder. `stop()` ends it and removes the folder. */
export async function startServer(settings = {}) {
  const dir = mkdtempSync(join(tmpdir(), "reelhouse-conformance-"));
  const child = spawn(join(root, "target/debug/reelhouse"), ["serve"], {
    env: {
      PATH: process.env.PATH,
      REELHOUSE_LISTEN: "127.0.0.1:0",
      REELHOUSE_DATA_DIR: join(dir, "data"),
      REELHOUSE_API_KEY: apiKey,
      REELHOUSE_LOG: "warn",
      ...bucket(dir),
      ...settings,
    },
    cwd: dir,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
  const clip = join(dir, "clip.mp4");
  execFileSync("ffmpeg", [
    "-v", "error", "-nostdin",
    "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=5", "-f", "lavfi", "-i", "sine=duration=5",
    "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", clip,
  ]);
  return {
    url,
    clip,
    dir,
    async stop() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
      rmSync(dir, { recursive: true });
    },
  };
}
