// What must hold of a manifest that is called ready. Every check returns a list of what is wrong.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { examine } from "./media.mjs";
import { ffmpeg, ffprobe } from "./run.mjs";

/** (a) ffmpeg decodes it without a message. */
export async function decodes(clip, manifest) {
  // ffmpeg counts in the mean frame rate unless told, and then complains about any variable one, the source's too.
  const times = clip.vfr ? ["-enc_time_base", "-1"] : [];
  const { messages, code } = await ffmpeg(["-v", "warning", "-i", manifest, ...times, "-f", "null", "-"], { mayFail: true });
  const lines = messages.split("\n").filter(Boolean);
  return [...(code ? [`ffmpeg ended with ${code}`] : []), ...lines.slice(0, 5), ...(lines.length > 5 ? [`… ${lines.length} lines`] : [])];
}

/** (b) The pictures are the source's: to the bit where copied, else as many, as long, and in the same order. */
export function sameFrames(clip, source, made) {
  if (!clip.video) return [];
  const wrong = [];
  const unread = made.frames.filter(({ number }) => number === null).length;
  if (unread) wrong.push(`${unread} frames show no number`);
  if (clip.copied) {
    const first = made.frames.findIndex(({ hash }, at) => hash !== source.frames[at]?.hash);
    if (first >= 0) wrong.push(`frame ${first} of ${source.frames.length} is not the source's`);
    if (made.frames.length !== source.frames.length) wrong.push(`${made.frames.length} frames, not ${source.frames.length}`);
    return wrong;
  }
  const counts = [source.frames.length, ...(clip.doubled ? [source.frames.length * 2] : [])];
  if (!counts.some((count) => Math.abs(made.frames.length - count) <= 2)) wrong.push(`${made.frames.length} frames, not ${counts.join(" or ")}`);
  const back = made.frames.findIndex(({ number }, at) => at && number !== null && number < made.frames[at - 1].number);
  if (back >= 0) wrong.push(`frame ${made.frames[back].number} comes after ${made.frames[back - 1].number}`);
  for (const at of [0, -1]) {
    const [got, wanted] = [made.frames.at(at)?.number, source.frames.at(at).number];
    if (!(Math.abs(got - wanted) <= 2)) wrong.push(`the ${at ? "last" : "first"} frame is ${got}, not ${wanted}`);
  }
  return wrong;
}

/** The whole lasts as long as the source. */
export function sameDuration(source, made) {
  const length = ({ spans }) => Math.max(...Object.values(spans).map((span) => span[1])) - Math.min(...Object.values(spans).map((span) => span[0]));
  const [wanted, got] = [length(source), length(made)];
  return Math.abs(wanted - got) > 0.1 ? [`it lasts ${got.toFixed(3)} s, not ${wanted.toFixed(3)} s`] : [];
}

/** (c) Sound and picture lie to each other as in the source, within 40 ms: both ends by packets, throughout by beeps and frames. */
export function inSync(clip, source, made) {
  if (!clip.video || !clip.audio) return [];
  const wrong = [];
  ["begins", "ends"].forEach((what, at) => {
    if (!made.spans.audio || !made.spans.video) return;
    const apart = ({ spans }) => spans.audio[at] - spans.video[at];
    const off = apart(made) - apart(source);
    const filled = at === 0 && clip.lateSound && Math.abs(apart(made)) < 0.04;
    const lastFrame = at === 1 && clip.vfr ? 0.04 : 0; // how long it lasts is anyone's guess
    if (Math.abs(off) > 0.04 + lastFrame && !filled) wrong.push(`the sound ${what} ${ms(apart(made))} ms after the picture, in the source ${ms(apart(source))} ms`);
  });
  if (!made.spans.audio) wrong.push("no sound");
  if (made.beeps.length !== source.beeps.length) wrong.push(`${made.beeps.length} beeps, not ${source.beeps.length}`);
  // Where each beep lies among the numbered frames, by the clock of numbers.
  const clock = ({ frames }, time) => {
    const at = frames.findLastIndex((frame) => frame.time <= time + 0.001 && frame.number !== null);
    const frame = frames[Math.max(0, at)];
    return frame ? frame.number / clip.fps + (time - frame.time) : NaN;
  };
  let worst = 0;
  made.beeps.forEach((time, at) => {
    if (source.beeps[at] === undefined || time > made.frames.at(-1)?.time) return;
    const off = clock(made, time) - clock(source, source.beeps[at]);
    if (Math.abs(off) > Math.abs(worst)) worst = off;
  });
  if (!(Math.abs(worst) <= 0.04)) wrong.push(`a beep comes ${ms(worst)} ms late among the pictures`);
  return wrong;
}
const ms = (seconds) => Math.round(seconds * 1000);

/** (e) The playlists say what is true. */
export async function playlistsTell(clip, manifest, source) {
  const wrong = [];
  const main = await playlist(manifest);
  wrong.push(...main.wrong);
  if (!main.variants.length) return [...wrong, "no EXT-X-STREAM-INF"];
  const everywhere = [];
  const renditions = [];
  for (const { attributes, url } of main.renditions) {
    if (attributes.TYPE !== "AUDIO") continue;
    const media = url ? await playlist(url) : null;
    renditions.push({ attributes, media });
    if (media) everywhere.push(["a rendition", media, "audio"]);
  }
  for (const { attributes, url } of main.variants) {
    const media = await playlist(url);
    everywhere.push(["the variant", media, clip.video ? "video" : "audio"]);
    const init = await media.segments[0]?.init();
    const others = renditions.filter(({ attributes: of, media: its }) => its && of["GROUP-ID"] === attributes.AUDIO);
    const codecs = new Set(init ? codecsIn(init) : []);
    for (const { media: its } of others) for (const codec of codecsIn(await its.segments[0].init())) codecs.add(codec);
    const told = (attributes.CODECS ?? "").split(",").map((codec) => codec.trim());
    if (told.sort().join().toLowerCase() !== [...codecs].sort().join()) wrong.push(`CODECS tells ${told}, it is ${[...codecs]}`);
    if (clip.audio && others.length + [...codecsIn(init ?? Buffer.alloc(0))].some((codec) => codec.startsWith("mp4a")) < clip.tracks)
      wrong.push(`${others.length} sound renditions for ${clip.tracks} tracks`);
    const top = (await peak(media)) + Math.max(0, ...(await Promise.all(others.map(({ media: its }) => peak(its)))));
    const bandwidth = Number(attributes.BANDWIDTH);
    if (!(bandwidth >= top * 0.95)) wrong.push(`BANDWIDTH ${bandwidth} is below the peak of ${Math.round(top)}`);
    if (bandwidth > top * 1.5 + 64000) wrong.push(`BANDWIDTH ${bandwidth} is far above the peak of ${Math.round(top)}`);
    if (clip.video) {
      const [width, height] = (attributes.RESOLUTION ?? "").split("x").map(Number);
      if (![width, height].every((side, at) => Math.abs(side - clip.size[at]) <= 1)) wrong.push(`RESOLUTION ${attributes.RESOLUTION}, not ${clip.size.join("x")}`);
      const rate = Number(attributes["FRAME-RATE"]);
      const { frames } = source;
      const real = (frames.length - 1) / (frames.at(-1).time - frames[0].time);
      const right = clip.vfr ? rate >= real * 0.9 && rate <= clip.fps * 1.05 : [1, clip.doubled ? 2 : 1].some((by) => Math.abs(rate - clip.fps * by) < 0.02 * clip.fps);
      if (!right) wrong.push(`FRAME-RATE ${attributes["FRAME-RATE"]}, not ${clip.fps.toFixed(3)}`);
    } else if (attributes.RESOLUTION) wrong.push(`RESOLUTION ${attributes.RESOLUTION} without a picture`);
  }
  for (const [which, media, kind] of everywhere) {
    const say = (text) => wrong.push(`${which}: ${text}`);
    media.wrong.forEach(say);
    if (!media.tags.has("EXT-X-ENDLIST")) say("no EXT-X-ENDLIST");
    if (!media.tags.has("EXT-X-INDEPENDENT-SEGMENTS") && !main.tags.has("EXT-X-INDEPENDENT-SEGMENTS")) say("no EXT-X-INDEPENDENT-SEGMENTS");
    if (!(Number(media.tags.get("EXT-X-VERSION")) >= 6)) say(`EXT-X-VERSION ${media.tags.get("EXT-X-VERSION")}, too low for EXT-X-MAP`);
    const target = Number(media.tags.get("EXT-X-TARGETDURATION"));
    const longest = Math.max(...media.segments.map(({ duration }) => Math.round(duration)));
    if (!(target >= longest)) say(`TARGETDURATION ${target}, a segment lasts ${longest}`);
    if (target > longest + 1) say(`TARGETDURATION ${target}, no segment lasts longer than ${longest}`);
    let due = 0;
    let first = null;
    let before = null;
    for (const [at, segment] of media.segments.entries()) {
      const bytes = Buffer.concat([await segment.init(), await segment.bytes()]);
      const args = ["-v", "error", "-show_entries", "packet=codec_type,pts_time,duration_time,flags", "-of", "json", "-"];
      const { out, messages } = await ffprobe(args, { input: bytes, mayFail: true });
      if (messages) say(`segment ${at}: ${messages.trim()}`);
      const packets = (JSON.parse(out.toString() || "{}").packets ?? []).filter(({ codec_type: type, pts_time }) => type === kind && pts_time !== undefined);
      if (!packets.length) {
        if (clip.soundFor === null) say(`segment ${at} holds no ${kind}`);
        continue;
      }
      if (kind === "video" && !packets[0].flags.startsWith("K")) say(`segment ${at} does not begin with a keyframe`);
      const from = Math.min(...packets.map(({ pts_time }) => Number(pts_time)));
      const to = Math.max(...packets.map(({ pts_time, duration_time }) => Number(pts_time) + Number(duration_time ?? 0)));
      first ??= from - due;
      if (Math.abs(from - first - due) > 0.1) say(`segment ${at} begins at ${(from - first).toFixed(3)} s, by EXTINF at ${due.toFixed(3)} s`);
      if (before !== null && Math.abs(from - before) > 0.1 && !clip.vfr) say(`segment ${at} begins ${ms(from - before)} ms after the one before ends`);
      before = to;
      due += segment.duration;
    }
  }
  return wrong;
}

/** (f) A picture that shows something, of its shape, small. */
export async function isThumbnail(clip, url) {
  const wrong = [];
  const response = await fetch(url);
  const bytes = Buffer.from(await response.arrayBuffer());
  if (response.status !== 200) return [`${response.status} ${bytes.toString().slice(0, 200)}`];
  if (!/^image\/jpeg/.test(response.headers.get("content-type"))) wrong.push(`the type is ${response.headers.get("content-type")}`);
  if (bytes.readUInt16BE(0) !== 0xffd8) wrong.push("not a JPEG");
  if (bytes.length >= 100_000) wrong.push(`${bytes.length} bytes`);
  const dir = mkdtempSync(join(tmpdir(), "reelhouse-thumbnail-"));
  try {
    const path = join(dir, "thumbnail.jpg");
    writeFileSync(path, bytes);
    const { out } = await ffprobe(["-v", "error", "-show_entries", "stream=width,height,sample_aspect_ratio", "-of", "json", path]);
    const { width, height } = JSON.parse(out).streams[0];
    if (width > 640) wrong.push(`${width} wide`);
    const shape = clip.video ? clip.size[0] / clip.size[1] : clip.cover ? 1 : null;
    if (shape && Math.abs(width / height / shape - 1) > 0.02) wrong.push(`${width}x${height} is not the shape of ${clip.video ? clip.size.join("x") : "the cover"}`);
    const { out: grey } = await ffmpeg(["-v", "error", "-i", path, "-vf", "scale=32:32:flags=area,format=gray", "-f", "rawvideo", "-"]);
    const mean = grey.reduce((sum, level) => sum + level, 0) / grey.length;
    const spread = Math.sqrt(grey.reduce((sum, level) => sum + (level - mean) ** 2, 0) / grey.length);
    if (spread < (clip.video || clip.cover ? 8 : 3)) wrong.push(`nothing to be seen: levels ${mean.toFixed(0)} ± ${spread.toFixed(1)}`);
    return wrong;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** All that can be known without a player: {"name of the check": [what is wrong], …} and what was found. */
export async function inspect(clip, manifest, source) {
  const playlists = await playlistsTell(clip, manifest, source);
  // Without its end a playlist is a live one: decoding it would never end either.
  if (playlists.some((wrong) => wrong.includes("ENDLIST"))) return { decodes: ["not tried"], frames: [], sync: [], playlists };
  const messages = await decodes(clip, manifest);
  const made = await examine(manifest, clip);
  return {
    decodes: messages,
    frames: [...sameFrames(clip, source, made), ...sameDuration(source, made)],
    sync: inSync(clip, source, made),
    playlists,
  };
}

/** A playlist as text, tags, variants, renditions and segments; `wrong` is what its very delivery or writing lacks. */
export async function playlist(url) {
  const response = await fetch(url);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${url}: ${response.status} ${text.slice(0, 200)}`);
  const wrong = [];
  if (response.headers.get("access-control-allow-origin") !== "*") wrong.push("no CORS");
  if (!/mpegurl/i.test(response.headers.get("content-type"))) wrong.push(`the playlist's type is ${response.headers.get("content-type")}`);
  const lines = text.split(/\r?\n/);
  if (lines[0] !== "#EXTM3U") wrong.push("no #EXTM3U");
  const absolute = (uri) => {
    if (/^[a-z][a-z0-9+.-]*:|^\//i.test(uri)) wrong.push(`not relative: ${uri}`);
    return new URL(uri, url).href;
  };
  const found = { url, text, wrong, tags: new Map(), variants: [], renditions: [], segments: [] };
  let [duration, variant, map, range, nextByte] = [null, null, null, null, 0];
  for (const line of lines) {
    const [, tag, value = ""] = /^#(EXT[A-Z0-9-]*):?(.*)$/.exec(line) ?? [];
    if (tag === "EXTINF") duration = parseFloat(value);
    else if (tag === "EXT-X-STREAM-INF") variant = attributesOf(value);
    else if (tag === "EXT-X-MEDIA") {
      const attributes = attributesOf(value);
      found.renditions.push({ attributes, url: attributes.URI && absolute(attributes.URI) });
    } else if (tag === "EXT-X-MAP") {
      const { URI, BYTERANGE } = attributesOf(value);
      const [length, from = 0] = (BYTERANGE ?? "").split("@").map(Number);
      map = loader(absolute(URI), BYTERANGE && [from, length]);
    } else if (tag === "EXT-X-BYTERANGE") {
      const [length, from = nextByte] = value.split("@").map(Number);
      range = [from, length];
      nextByte = from + length;
    } else if (tag) found.tags.set(tag, value);
    else if (line && !line.startsWith("#")) {
      if (variant) found.variants.push({ attributes: variant, url: absolute(line) });
      else found.segments.push({ duration, init: map ?? (async () => Buffer.alloc(0)), bytes: loader(absolute(line), range) });
      [variant, duration, range] = [null, null, null];
    }
  }
  return found;
}

function attributesOf(text) {
  return Object.fromEntries([...text.matchAll(/([A-Z0-9-]+)=("[^"]*"|[^,]*)/g)].map(([, name, value]) => [name, value.replace(/^"|"$/g, "")]));
}

/** Fetches once, whole or [from, length]. */
function loader(url, range) {
  let kept;
  return () =>
    (kept ??= fetch(url, range ? { headers: { range: `bytes=${range[0]}-${range[0] + range[1] - 1}` } } : {}).then(async (response) => {
      if (!response.ok) throw new Error(`${url}: ${response.status}`);
      return Buffer.from(await response.arrayBuffer());
    }));
}

/** The peak segment bit rate of RFC 8216: of any run of segments that lasts 0.5 to 1.5 target durations. */
export async function peak({ segments, tags }) {
  const target = Number(tags.get("EXT-X-TARGETDURATION"));
  let most = 0;
  for (let from = 0; from < segments.length; from++) {
    let [bits, seconds] = [0, 0];
    for (let to = from; to < segments.length; to++) {
      bits += (await segments[to].bytes()).length * 8;
      seconds += segments[to].duration;
      if (seconds > target * 1.5) break;
      if (seconds >= target * 0.5) most = Math.max(most, bits / seconds);
    }
  }
  return most || Math.max(...(await Promise.all(segments.map(async (segment) => ((await segment.bytes()).length * 8) / segment.duration))));
}

/** The codecs of an initialization segment, as RFC 6381 writes them. */
export function codecsIn(init) {
  const codecs = [];
  const avcC = init.indexOf("avcC");
  if (avcC >= 0) codecs.push(`avc1.${init.subarray(avcC + 5, avcC + 8).toString("hex")}`);
  const esds = init.indexOf("esds");
  if (esds >= 0) {
    const config = /\x05(?:\x80\x80\x80)?[\x02-\x20]([\s\S])/.exec(init.subarray(esds + 8, esds + 80).toString("latin1").replace(/^[\s\S]*?\x04(?:\x80\x80\x80)?[\s\S]{14}/, ""));
    codecs.push(`mp4a.40.${config ? config[1].charCodeAt(0) >> 3 : "?"}`);
  }
  return codecs;
}
