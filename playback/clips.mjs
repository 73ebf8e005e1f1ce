// The source clips: every container and oddity the server promises to make playable, each with its frames numbered
// (code.mjs). Made once with ffmpeg and kept under target/playback-media by the hash of how they are made.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { codeSource, layout, sound } from "./code.mjs";
import { ffmpeg } from "./run.mjs";

const folder = join(dirname(fileURLToPath(import.meta.url)), "..", "target", "playback-media");

const x264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-pix_fmt", "yuv420p", "-sc_threshold", "0"];
const plain = [...x264, "-bf", "0"];
const aac = ["-c:a", "aac", "-b:a", "96k"];

/**
 * A clip: `extension` of its file; `video`, `audio`: the encoder's arguments, or null for none. Further:
 * `copied`: its pictures must come back as they are; `size`, `rate`, `duration`: of what is drawn; `filter`: behind the numbers;
 * `under`: before them; `turn`: stored on its side, with a matrix that shows it upright; `tracks`: of sound; `soundFor`: its
 * duration; `then`: arguments of a copying second pass; `doubled`: twice the frames are right as well;
 * `vfr`: its frames keep no distance; `cover`: a still picture beside the sound;
 * `lateSound`: seconds of picture before the sound begins, which may come back silent or not at all.
 */
const defaults = {
  extension: "mp4",
  video: plain,
  audio: aac,
  copied: false,
  size: [640, 360],
  rate: 25,
  duration: 12,
  gop: 2,
  filter: null,
  under: null,
  turn: false,
  tracks: 1,
  soundFor: null,
  output: [],
  inputs: [],
  then: null,
  doubled: false,
  lateSound: 0,
  vfr: false,
  cover: false,
};

const recipes = {
  "moov-first": { copied: true, output: ["-movflags", "+faststart"] },
  "moov-last": { copied: true, output: ["-use_editlist", "0"] },
  "b-frames": { copied: true, video: [...x264, "-bf", "3", "-x264-params", "b-pyramid=normal:b-adapt=0"] },
  "edit-list": {
    copied: true,
    video: [...x264, "-bf", "2", "-x264-params", "b-adapt=0"],
    output: ["-use_editlist", "1", "-movie_timescale", "600", "-movflags", "+faststart"],
  },
  "late-sound": { copied: true, lateSound: 0.3 },
  "one-keyframe": { copied: true, gop: 1000 },
  "one-keyframe-long": { gop: 1000, duration: 24 },
  "open-gop": { video: [...x264, "-bf", "3", "-x264-params", "open-gop=1:b-adapt=0"] },
  "60-fps": { copied: true, rate: 60 },
  ntsc: { copied: true, rate: "30000/1001" },
  vfr: { rate: 50, filter: "select='not(mod(n\\,2))*lt(n\\,200)+gte(n\\,200)*lt(mod(n\\,5)\\,3)*not(between(n\\,400\\,412))'", vfr: true },
  rotated: { size: [360, 640], filter: "transpose=clock", turn: true },
  interlaced: {
    under: { rate: 50, filter: "tinterlace=interleave_top" },
    video: [...plain, "-flags", "+ildct+ilme", "-x264-params", "tff=1"],
    doubled: true,
  },
  hdr10: {
    video: [
      "-c:v", "libx265", "-preset", "ultrafast", "-crf", "28", "-pix_fmt", "yuv420p10le", "-tag:v", "hvc1",
      "-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc",
      "-x265-params",
      "log-level=error:hdr10=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:max-cll=1000,400:" +
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)",
    ],
    filter: "lutyuv=y='16+(val-16)*0.6'", // white at about 200 nits
  },
  silent: { copied: true, audio: null },
  "several-audio": { copied: true, tracks: 3 },
  mov: { copied: true, extension: "mov", audio: ["-c:a", "pcm_s16le"] },
  mkv: { copied: true, extension: "mkv", video: [...x264, "-bf", "2"] },
  webm: {
    extension: "webm",
    video: ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-row-mt", "1", "-b:v", "800k", "-pix_fmt", "yuv420p"],
    audio: ["-c:a", "libopus", "-b:a", "64k"],
  },
  avi: {
    extension: "avi",
    video: ["-c:v", "mpeg4", "-q:v", "5", "-pix_fmt", "yuv420p"],
    audio: ["-c:a", "libmp3lame", "-b:a", "96k"],
  },
  ts: { copied: true, extension: "ts", video: [...x264, "-bf", "2"] },
  hevc: {
    video: ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "28", "-pix_fmt", "yuv420p", "-tag:v", "hvc1", "-x265-params", "log-level=error"],
  },
  av1: { video: ["-c:v", "libsvtav1", "-preset", "10", "-crf", "40", "-pix_fmt", "yuv420p"] },
  prores: {
    extension: "mov",
    video: ["-c:v", "prores_ks", "-profile:v", "0", "-pix_fmt", "yuv422p10le"],
    audio: ["-c:a", "pcm_s24le"],
  },
  "odd-size": { size: [641, 361], video: [...plain, "-pix_fmt", "yuv444p"] },
  "longer-sound": { copied: true, soundFor: 15 },
  trimmed: {
    video: [...x264, "-bf", "2"],
    duration: 17,
    then: ["-ss", "5"],
  },
  mp3: { extension: "mp3", video: null, audio: ["-c:a", "libmp3lame", "-b:a", "128k"] },
  wav: { extension: "wav", video: null, audio: ["-c:a", "pcm_s16le"] },
  flac: { extension: "flac", video: null, audio: ["-c:a", "flac"] },
  m4a: { extension: "m4a", video: null, cover: true },
};

/** Every clip by name; `path()` makes its file where it is not there yet. */
export const clips = Object.entries(recipes).map(([name, recipe]) => clip(name, recipe));

export function clip(name, recipe) {
  const whole = { ...defaults, ...recipe };
  return { name, ...whole, fps: whole.video ? ratio(whole.rate) : null, path: () => made(name, whole) };
}

function ratio(rate) {
  const [over, under = "1"] = String(rate).split("/");
  return Number(over) / Number(under);
}

function steps(it) {
  const args = ["-y", "-v", "error", ...it.inputs];
  const graph = [];
  const maps = [];
  let next = 0;
  const source = (description) => (args.push("-f", "lavfi", "-i", description), next++);
  if (it.video) {
    const [width, height] = it.size;
    const { x, y } = layout(width, height);
    const under = source(`testsrc2=size=${width}x${height}:rate=${it.under?.rate ?? it.rate}:duration=${it.duration}`);
    const code = source(codeSource(width, height, it.rate, it.duration));
    // Overlaid without subsampling, then encoded in whatever the encoder was told.
    const below = `[${under}:v]${it.under ? `${it.under.filter},` : ""}format=yuv444p[under]`;
    const after = [it.filter, "format=yuv444p"].filter(Boolean).join(",");
    graph.push(`${below};[under][${code}:v]overlay=${x}:${y}:format=yuv444,${after}[v]`);
    maps.push("-map", "[v]");
    if (it.vfr) maps.push("-fps_mode", "vfr", "-enc_time_base", "1/1000");
  }
  if (it.audio) {
    for (let track = 0; track < it.tracks; track++) {
      if (it.lateSound) args.push("-itsoffset", String(it.lateSound));
      const from = source(sound((it.soundFor ?? it.duration) - it.lateSound, 1000 + 500 * track));
      maps.push("-map", `${from}:a`);
      if (it.tracks > 1) maps.push(`-metadata:s:a:${track}`, `language=${["eng", "deu", "fra"][track]}`);
    }
  }
  if (it.cover) {
    maps.push("-map", `${source("testsrc2=size=300x300:rate=1:duration=1")}:v`, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-disposition:v", "attached_pic");
  }
  if (graph.length) args.push("-filter_complex", graph.join(";"));
  if (it.video) maps.push(...it.video, "-g", String(Math.round(it.gop * ratio(it.rate))));
  if (it.audio) maps.push(...it.audio);
  args.push(...maps, ...it.output);
  const passes = [args];
  if (it.turn) passes.push({ before: [], after: ["-metadata:s:v:0", "rotate=90"] });
  if (it.then) passes.push({ before: it.then, after: [] });
  return passes;
}

async function made(name, it) {
  const passes = steps(it);
  const hash = createHash("sha256").update(JSON.stringify(passes)).digest("hex").slice(0, 10);
  const path = join(folder, `${name}-${hash}.${it.extension}`);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const draft = (pass) => join(folder, `draft-${pass}-${process.pid}-${name}.${it.extension}`);
  await ffmpeg([...passes[0], draft(0)]);
  for (let pass = 1; pass < passes.length; pass++) {
    const { before, after } = passes[pass];
    await ffmpeg(["-y", "-v", "error", ...before, "-i", draft(pass - 1), "-map", "0", "-c", "copy", ...after, draft(pass)]);
    rmSync(draft(pass - 1));
  }
  renameSync(draft(passes.length - 1), path);
  return path;
}
