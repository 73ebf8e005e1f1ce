// What a right manifest looks like, made by ffmpeg alone, and a server for it that can be made to misbehave.
import { createReadStream, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";

import { codecsIn, peak, playlist } from "./checks.mjs";
import { ffmpeg, ffprobe } from "./run.mjs";

const types = { ".m3u8": "application/vnd.apple.mpegurl", ".m4s": "video/mp4", ".mp4": "video/mp4", ".jpg": "image/jpeg" };

/** Files of a folder with CORS. `faults` maps a path's end to "missing" or to milliseconds before it is answered. */
export async function serve(folder) {
  const faults = new Map();
  const server = createServer(async (request, response) => {
    const path = join(folder, decodeURIComponent(new URL(request.url, "http://x").pathname));
    response.setHeader("access-control-allow-origin", "*");
    const fault = [...faults].find(([end]) => path.endsWith(end))?.[1];
    if (typeof fault === "number") await new Promise((resolve) => setTimeout(resolve, fault));
    if (fault === "missing" || !existsSync(path)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": types[extname(path)], "content-length": statSync(path).size });
    createReadStream(path).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    faults,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}

/** Writes `folder`/main.m3u8 and thumbnail.jpg for a clip. */
export async function reference(clip, folder, segment = 6) {
  mkdirSync(folder, { recursive: true });
  const path = await clip.path();
  const video = clip.video
    ? clip.copied
      ? ["-map", "0:v:0", "-c:v", "copy"]
      : [
          ...["-map", "0:v:0", "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-force_key_frames", "expr:gte(t,2*n_forced)"],
          ...["-vf", `${clip.doubled ? "yadif," : ""}scale=trunc(iw/2)*2:trunc(ih/2)*2`, "-fps_mode", "passthrough"],
        ]
    : [];
  const copyable = clip.audio?.includes("aac");
  const audio = clip.audio ? ["-map", "0:a:0", ...(copyable ? ["-c:a", "copy", ...(clip.extension === "ts" ? ["-bsf:a", "aac_adtstoasc"] : [])] : ["-c:a", "aac", "-b:a", "160k"])] : [];
  await ffmpeg([
    ...["-y", "-v", "error", "-i", path, ...video, ...audio, "-f", "hls", "-hls_time", String(segment), "-hls_playlist_type", "vod"],
    ...["-hls_flags", "independent_segments", "-hls_segment_type", "fmp4", "-hls_segment_filename", join(folder, "s%d.m4s")],
    join(folder, "media.m3u8"),
  ]);
  const { out } = await ffprobe(["-v", "error", "-show_streams", "-of", "json", join(folder, "media.m3u8")]);
  const { streams } = JSON.parse(out);
  const picture = streams.find((stream) => stream.codec_type === "video");
  const serving = await serve(folder);
  const media = await playlist(`${serving.url}/media.m3u8`);
  const attributes = [`BANDWIDTH=${Math.ceil(await peak(media))}`, `CODECS="${await codecsOf(media)}"`];
  if (picture) attributes.push(`RESOLUTION=${picture.width}x${picture.height}`, `FRAME-RATE=${ratio(picture.avg_frame_rate).toFixed(3)}`);
  await serving.close();
  writeFileSync(join(folder, "main.m3u8"), `#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:${attributes.join(",")}\nmedia.m3u8\n`);
  const still = clip.video || clip.cover ? ["-i", path, "-vf", "scale='min(640,iw)':-2"] : ["-i", path, "-filter_complex", "showwavespic=640x360"];
  await ffmpeg(["-y", "-v", "error", ...still, "-frames:v", "1", "-pix_fmt", "yuvj420p", "-q:v", "5", join(folder, "thumbnail.jpg")]);
}

const ratio = (text) => text.split("/")[0] / text.split("/")[1];

async function codecsOf(media) {
  return codecsIn(await media.segments[0].init()).join(",");
}
