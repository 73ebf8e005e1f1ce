import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";

import { type Asset, changes, kindOf } from "../api";
import { Icon, iconOf } from "../icons";
import { linkTo } from "../router";
import { clock, exactly, since, size } from "../words";
import { type Board, board, Cell } from "./storyboard";

/** Milliseconds that a pointer rests before a storyboard is asked for. */
const REST = 120;

export function Tile({ asset, focusable, open }: { asset: Asset | undefined; focusable: boolean; open: (id: string) => void }) {
  if (!asset) return <div class="tile waiting" aria-hidden="true"><div class="picture" /><div class="bar" /><div class="bar short" /></div>;
  const kind = kindOf(asset);
  const state = stateOf(asset);
  return (
    <a
      class="tile"
      href={linkTo(asset._id)}
      tabIndex={focusable ? 0 : -1}
      onKeyDown={(event) => event.key === " " && (event.preventDefault(), open(asset._id))}
    >
      <span class="unseen">{kind === "audio" ? "sound" : (kind ?? "file")} </span>
      <Picture asset={asset} />
      {state && <span class={`badge ${state.tone}`}>{state.words}</span>}
      <span class="name" title={asset.filename}>{asset.filename}</span>
      <span class="line" title={exactly(asset.created_at)}>
        {asset.size !== undefined && <>{size(asset.size)}<i aria-hidden="true"> · </i></>}
        {since(asset.created_at)}
      </span>
    </a>
  );
}

export function stateOf(asset: Asset): { words: string; tone: "busy" | "bad" } | null {
  if (asset.status === "failed") return { words: "Failed", tone: "bad" };
  if (asset.status === "processing") return { words: asset.method === "url" ? "Fetching" : "Arriving", tone: "busy" };
  if (changes(asset)) return { words: "Preparing", tone: "busy" };
  return null;
}

function Picture({ asset }: { asset: Asset }) {
  const kind = kindOf(asset);
  const url = asset.thumbnail?.representative_url;
  const story = useSignal<Board | null>(null);
  const at = useSignal<number | null>(null);
  const rest = useRef(0);

  function hover(event: PointerEvent) {
    if (event.pointerType !== "mouse" || !asset.storyboard_url) return;
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    at.value = Math.min(0.999, Math.max(0, (event.clientX - box.left) / box.width));
    if (story.value || rest.current) return;
    rest.current = setTimeout(async () => {
      // Decoration: where there is none, the thumbnail stays.
      story.value = await board(asset.storyboard_url!).catch(() => null);
    }, REST);
  }
  function leave() {
    clearTimeout(rest.current);
    rest.current = 0;
    at.value = null;
  }

  const tiles = at.value !== null ? story.value : null;
  const tile = tiles?.tiles[Math.floor((at.value ?? 0) * tiles.tiles.length)];
  return (
    <span class="picture" onPointerMove={hover} onPointerLeave={leave}>
      {url ? (
        <img src={url} alt="" loading="lazy" decoding="async" onLoad={(event) => fit(event.currentTarget)} />
      ) : (
        <Icon name={kind ? iconOf[kind] : "file"} />
      )}
      {tile && (
        <>
          <Cell tile={tile} />
          <span class="when">{clock(tile.start)}</span>
          <span class="progress"><span style={{ width: `${(at.value ?? 0) * 100}%` }} /></span>
        </>
      )}
      {!tile && asset.duration !== undefined && kind !== "image" && <span class="length">{clock(asset.duration)}</span>}
    </span>
  );
}

/** What is nearly as wide as its frame fills it; what is tall is shown whole. */
function fit(image: HTMLImageElement) {
  image.dataset["fit"] = image.naturalWidth / image.naturalHeight >= 1.2 ? "cover" : "contain";
}
