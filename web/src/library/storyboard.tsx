// Storyboards: WebVTT whose cues name a place on a sheet of pictures.
import { useLayoutEffect, useRef } from "preact/hooks";

export interface Tile {
  start: number;
  end: number;
  sheet: string;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Board {
  tiles: Tile[];
}

const known = new Map<string, Promise<Board>>();

/** The storyboard at a URL; asked for once. */
export function board(url: string): Promise<Board> {
  let asked = known.get(url);
  if (!asked) {
    asked = read(url);
    known.set(url, asked);
    // Perhaps another time.
    asked.catch(() => known.delete(url));
  }
  return asked;
}

async function read(url: string): Promise<Board> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`no storyboard: ${answer.status}`);
  return { tiles: parse(await answer.text(), answer.url) };
}

/** Cues that are not pictures are left out. */
export function parse(text: string, base: string): Tile[] {
  const tiles: Tile[] = [];
  for (const cue of text.replace(/\r\n?/g, "\n").split(/\n{2,}/)) {
    const lines = cue.split("\n");
    const at = lines.findIndex((line) => line.includes("-->"));
    const [start, end] = (lines[at] ?? "").split("-->").map((time) => seconds(time.trim().split(" ")[0] ?? ""));
    const place = /^(.+)#xywh=(\d+),(\d+),(\d+),(\d+)$/.exec(lines[at + 1] ?? "");
    if (at < 0 || start === undefined || end === undefined || !place) continue;
    const [x, y, width, height] = place.slice(2).map(Number) as [number, number, number, number];
    tiles.push({ start, end, sheet: new URL(place[1]!, base).href, x, y, width, height });
  }
  return tiles;
}

function seconds(time: string): number {
  return time.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

/** One picture of a sheet, as large as fits its box. */
export function Cell({ tile }: { tile: Tile }) {
  const box = useRef<HTMLSpanElement>(null);
  const sheet = useRef<HTMLImageElement>(null);
  function place() {
    const [frame, image] = [box.current, sheet.current];
    if (!frame || !image?.naturalWidth) return;
    const outer = frame.parentElement ?? frame;
    const scale = Math.min(outer.clientWidth / tile.width, outer.clientHeight / tile.height);
    frame.style.width = `${tile.width * scale}px`;
    frame.style.height = `${tile.height * scale}px`;
    image.style.width = `${image.naturalWidth * scale}px`;
    image.style.transform = `translate(${-tile.x * scale}px, ${-tile.y * scale}px)`;
    frame.dataset["ready"] = "";
  }
  useLayoutEffect(place, [tile]);
  return (
    <span class="cell" ref={box}>
      <img ref={sheet} src={tile.sheet} alt="" onLoad={place} />
    </span>
  );
}
