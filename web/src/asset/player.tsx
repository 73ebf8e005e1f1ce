import { useSignal } from "@preact/signals";
import type Hls from "hls.js";
import { useEffect, useRef } from "preact/hooks";

import type { Asset, Kind } from "../api";
import { board, Cell, type Tile } from "../library/storyboard";
import { Problem } from "../problem";
import { clock } from "../words";

const APPLE = "application/vnd.apple.mpegurl";

export function Player({ asset, kind }: { asset: Asset; kind: Kind | undefined }) {
  if (kind === "image") return <Picture asset={asset} />;
  return <Playing asset={asset} kind={kind === "audio" ? "audio" : "video"} />;
}

function Picture({ asset }: { asset: Asset }) {
  const broken = useSignal(false);
  const [original, thumbnail] = [asset.original_url, asset.thumbnail?.representative_url];
  // Not every browser shows HEIC or TIFF; the thumbnail is a JPEG.
  const shown = broken.value ? thumbnail : original;
  return (
    <figure class="stage">
      {shown ? <img src={shown} alt={asset.filename} onError={() => (broken.value = true)} /> : <p>This browser does not show images of this type.</p>}
    </figure>
  );
}

function Playing({ asset, kind }: { asset: Asset; kind: "video" | "audio" }) {
  const media = useRef<HTMLMediaElement>(null);
  const trouble = useSignal("");
  const manifest = asset.hls?.status === "ready" ? asset.hls.manifest_url : undefined;
  const original = asset.original_url;
  const sounds = Number(asset.technical_metadata?.["total_audio_streams"] ?? 0);

  useEffect(() => {
    const element = media.current;
    if (!element || !(manifest || original)) return;
    // What plays already goes on as it is.
    if (element.currentTime > 0 && element.currentSrc && !element.ended) return;
    trouble.value = "";
    return manifest ? stream(element, manifest, original, sounds > 1, (words) => (trouble.value = words)) : direct(element, original!);
  }, [manifest, original]);

  const poster = asset.thumbnail?.representative_url;
  const onError = () => {
    if (!manifest) trouble.value = asset.hls && asset.hls.status !== "error" ? "This browser does not play the original. It can be played here as soon as its stream is made." : "This browser does not play files of this type.";
  };
  return (
    <figure class={`stage ${kind}`}>
      {kind === "video" ? (
        <video ref={media as never} controls playsInline preload="metadata" poster={poster} aria-label={asset.filename} onError={onError} />
      ) : (
        <>
          {poster && <img class="wave" src={poster} alt="" />}
          <audio ref={media as never} controls preload="metadata" aria-label={asset.filename} onError={onError} />
        </>
      )}
      {trouble.value && <Problem fault={{ code: "", message: trouble.value }} />}
      {kind === "video" && asset.storyboard_url && <Strip url={asset.storyboard_url} seek={(seconds) => media.current && (media.current.currentTime = seconds)} />}
    </figure>
  );
}

function direct(element: HTMLMediaElement, url: string): () => void {
  element.src = url;
  return () => {
    element.removeAttribute("src");
    element.load();
  };
}

/** hls.js where it runs; a browser's own HLS, or the original, where it does not, or where sounds are to choose from. */
function stream(element: HTMLMediaElement, manifest: string, original: string | undefined, severalSounds: boolean, tell: (words: string) => void): () => void {
  const own = element.canPlayType(APPLE) !== "";
  if (severalSounds) return direct(element, own ? manifest : (original ?? manifest));
  let player: Hls | undefined;
  let over = false;
  let end = () => player?.destroy();
  void import("hls.js").then(({ default: Hls }) => {
    if (over) return;
    if (!Hls.isSupported()) {
      end = direct(element, own ? manifest : (original ?? manifest));
      return;
    }
    // Workers would be made of inlined code, which the page's policy forbids; fMP4 needs none.
    player = new Hls({ enableWorker: false, capLevelToPlayerSize: true });
    let repairs = 0;
    player.on(Hls.Events.ERROR, (_, { fatal, type, details }) => {
      if (!fatal) return;
      if (type === Hls.ErrorTypes.MEDIA_ERROR && repairs++ < 2) return player?.recoverMediaError();
      if (type === Hls.ErrorTypes.NETWORK_ERROR) {
        tell("The stream cannot be loaded right now. Press play to try again.");
        element.addEventListener("play", () => (tell(""), player?.startLoad()), { once: true });
        return;
      }
      tell(`The stream cannot be played here (${details}).`);
    });
    player.loadSource(manifest);
    player.attachMedia(element);
  }, () => tell("The player could not be loaded. Please reload the page."));
  return () => {
    over = true;
    end();
  };
}

/** The whole video at a glance; a click goes there. The player's own controls do the same by keyboard. */
function Strip({ url, seek }: { url: string; seek: (seconds: number) => void }) {
  const tiles = useSignal<Tile[]>([]);
  useEffect(() => {
    let over = false;
    // Decoration: where there is none, nothing is missing.
    board(url).then((found) => over || (tiles.value = found.tiles), () => undefined);
    return () => void (over = true);
  }, [url]);
  const all = tiles.value;
  if (all.length < 2) return null;
  const n = Math.min(10, all.length);
  const some = Array.from({ length: n }, (_, at) => all[Math.floor((at * all.length) / n)]!);
  return (
    <div class="strip" aria-hidden="true">
      {some.map((tile) => (
        <button key={tile.start} tabIndex={-1} title={clock(tile.start)} style={{ aspectRatio: `${tile.width} / ${tile.height}` }} onClick={() => seek(tile.start)}>
          <Cell tile={tile} />
        </button>
      ))}
    </div>
  );
}
