// Child processes: ffmpeg and ffprobe, with what they said.
import { spawn } from "node:child_process";

/** Runs a program to its end, or for a minute; its output as a Buffer, its messages as text. Throws when it fails, unless `mayFail`. */
export function run(program, args, { input, mayFail = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: [input ? "pipe" : "ignore", "pipe", "pipe"], timeout: 60_000, killSignal: "SIGKILL" });
    const out = [];
    const err = [];
    child.stdout.on("data", (bytes) => out.push(bytes));
    child.stderr.on("data", (bytes) => err.push(bytes));
    child.once("error", reject);
    child.once("close", (code, signal) => {
      code ??= signal;
      const messages = Buffer.concat(err).toString();
      if (code !== 0 && !mayFail) reject(new Error(`${program} ended with ${code}: ${args.join(" ")}\n${messages}`));
      else resolve({ code, out: Buffer.concat(out), messages });
    });
    if (input) {
      child.stdin.on("error", () => {}); // it had read enough
      child.stdin.end(input);
    }
  });
}

export const ffmpeg = (args, options) => run("ffmpeg", ["-hide_banner", "-nostdin", ...args], options);
export const ffprobe = (args, options) => run("ffprobe", ["-hide_banner", ...args], options);
