// What a file or a manifest really holds, by decoding it: pictures with their hashes, numbers and times, beeps, packets.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { beeps, BLOCKS, decode, levelsFilter } from "./code.mjs";
import { ffmpeg, ffprobe } from "./run.mjs";

/**
 * Decodes everything. `frames` are {time, number, hash} in order of showing, `beeps` the times of the beeps, both on one clock that
 * begins at 0; `spans` are the first and last instants of the first video and audio stream by their packets.
 */
export async function examine(input, clip) {
  const dir = mkdtempSync(join(tmpdir(), "reelhouse-playback-"));
  try {
    const args = ["-v", "error", "-y", "-i", input];
    const passthrough = ["-fps_mode", "passthrough", "-enc_time_base", "-1"];
    if (clip.video) {
      args.push("-map", "0:v:0", ...passthrough, "-f", "framemd5", join(dir, "hashes"));
      args.push("-map", "0:v:0", "-vf", levelsFilter(...clip.size), ...passthrough, "-f", "rawvideo", join(dir, "levels"));
    }
    if (clip.audio) args.push("-map", "0:a:0", "-af", "aresample=8000:async=1:first_pts=0", "-ac", "1", "-f", "f32le", join(dir, "sound"));
    await ffmpeg(args);
    const frames = clip.video ? framesOf(readFileSync(join(dir, "hashes"), "utf8"), readFileSync(join(dir, "levels"))) : [];
    let heard = [];
    if (clip.audio) {
      const bytes = readFileSync(join(dir, "sound"));
      heard = beeps(new Float32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4)), 8000);
    }
    return { frames, beeps: heard, spans: await spans(input) };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function framesOf(hashes, levels) {
  let base = 1;
  const frames = [];
  for (const line of hashes.split("\n")) {
    const [, over, under] = /^#tb 0: (\d+)\/(\d+)/.exec(line) ?? [];
    if (over) base = over / under;
    if (!line || line.startsWith("#")) continue;
    const fields = line.split(",").map((field) => field.trim());
    const at = frames.length * BLOCKS;
    frames.push({ time: fields[2] * base, hash: fields[5], number: decode(levels.subarray(at, at + BLOCKS)) });
  }
  return frames;
}

/** {video: [first, last], audio: [first, last]} in seconds, of what is shown and heard. */
export async function spans(input) {
  const { out } = await ffprobe(["-v", "error", "-show_entries", "packet=codec_type,stream_index,pts_time,duration_time,flags", "-of", "json", input]);
  const found = {};
  const streams = {};
  for (const { codec_type: kind, stream_index: stream, pts_time, duration_time, flags } of JSON.parse(out).packets) {
    if ((streams[kind] ??= stream) !== stream || flags.includes("D") || pts_time === undefined) continue;
    const from = Number(pts_time);
    const span = (found[kind] ??= [Infinity, -Infinity]);
    span[0] = Math.min(span[0], from);
    span[1] = Math.max(span[1], from + Number(duration_time ?? 0));
  }
  return found;
}
