// The real server on a folder of its own, which can be killed and come back where it was.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
export const key = "a-key-for-the-page-tests";

export async function startServer(settings = {}) {
  const dir = mkdtempSync(join(tmpdir(), "reelhouse-page-"));
  const server = { dir, data: join(dir, "data"), url: "" };
  let child;

  server.start = async () => {
    child = spawn(join(root, "target/debug/reelhouse"), ["serve"], {
      env: {
        PATH: process.env.PATH,
        // The second time where it was the first time.
        REELHOUSE_LISTEN: server.url ? new URL(server.url).host : "127.0.0.1:0",
        REELHOUSE_DATA_DIR: server.data,
        REELHOUSE_API_KEY: key,
        REELHOUSE_LOG: "warn",
        ...settings,
      },
      cwd: dir,
      stdio: ["ignore", "pipe", "inherit"],
    });
    server.url = await new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).once("line", resolve);
      child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
    });
  };
  server.kill = async (signal = "SIGKILL") => {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  };
  server.stop = async () => {
    await server.kill("SIGTERM");
    rmSync(dir, { recursive: true });
  };
  /** Asks the API beside the page. */
  server.ask = async (path, { method = "GET", json } = {}) => {
    const answer = await fetch(`${server.url}/v1.3${path}`, { method, headers: { "x-api-key": key }, body: json && JSON.stringify(json) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text && JSON.parse(text);
  };
  server.make = (name, ...args) => {
    const path = join(dir, name);
    execFileSync("ffmpeg", ["-v", "error", "-nostdin", ...args.join(" ").split(" ").filter(Boolean), path]);
    return path;
  };
  await server.start();
  return server;
}

const picture = (size, seconds) => `-f lavfi -i testsrc2=size=${size}:rate=25:duration=${seconds}`;
const sound = (seconds) => `-f lavfi -i sine=duration=${seconds}`;

export const media = {
  video: (server, name, seconds = 12) =>
    server.make(name, picture("640x360", seconds), sound(seconds), "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -movflags +faststart"),
  audio: (server, name) => server.make(name, sound(6)),
  image: (server, name) => server.make(name, picture("800x600", 1), "-frames:v 1"),
  /** Large, for what it shows: nothing of noise can be left out. */
  large: (server, name) =>
    server.make(name, picture("1280x720", 8), sound(8), "-vf noise=alls=90:allf=t -c:v libx264 -preset ultrafast -b:v 48M -minrate 48M -maxrate 48M -bufsize 48M -pix_fmt yuv420p -c:a aac"),
};
