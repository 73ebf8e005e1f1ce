// What is to be uploaded, what is on its way, and what became of it.
import { signal } from "@preact/signals";

import { type Asset, ask, changes, Fault, type Kind, some } from "../api";
import { asFault } from "../problem";
import { key } from "../session";
import { begin, type Begun, begun, bytesOf, completed, forget, isSame, readable, sendChunks } from "./chunks";
import { onceKey, send, wait } from "./send";

/** Items on their way at once: with their chunks they leave a browser's connections to others, too. */
const AT_ONCE = 2;
/** From so many bytes on a file goes in chunks, which a dropped connection or a reload does not undo. */
const CHUNKED = 16 << 20;
/** Images in one piece have a lower bound than other media. */
const CHUNKED_IMAGE = 5 << 20;
/** Attempts at what the server answers with a fault of its own; who cannot be reached is tried for ever. */
const ATTEMPTS = 6;
/** Milliseconds over which the rate is measured. */
const RATE_OVER = 5000;

export type State =
  | "waiting" // for its turn
  | "sending"
  | "checking" // sent; the server looks at it
  | "making" // an asset; thumbnail and stream are being made
  | "done"
  | "failed"
  | "paused"
  | "lost" // tried again at `again`
  | "absent"; // begun before a reload; its file has to be chosen again

export interface Item {
  readonly id: number;
  name: string;
  /** Bytes; `null` for what is fetched from a link. */
  size: number | null;
  sent: number;
  state: State;
  asset?: string;
  fault?: Fault;
  /** When a lost one is tried again. */
  again?: number;
  /** Bytes a second. */
  rate: number;
  chunked: boolean;
}

type Source = { file: File } | { link: string } | { record: Begun };

interface Entry {
  item: Item;
  source: Source;
  once: string;
  record?: Begun;
  attempts: number;
  stop?: AbortController;
  samples: [at: number, sent: number][];
}

/** In the order in which they were added. */
export const items = signal<Item[]>([]);
/** Grows with every asset that came to be, or changed here. */
export const arrivals = signal(0);
/** What new assets are to be: playable, and visible. */
export const wishes = signal({ enable_hls: true, enable_thumbnail: true });

const entries = new Map<number, Entry>();
let nextId = 1;
let owner = key.value;
let drawing = 0;

/** Many changes at once are drawn once. */
function show(): void {
  drawing ||= setTimeout(() => {
    drawing = 0;
    items.value = [...entries.values()].map(({ item }) => ({ ...item }));
  }, 50);
}

// Another key is another queue.
key.subscribe((now) => {
  if (now === owner) return;
  owner = now;
  for (const { stop } of entries.values()) stop?.abort();
  entries.clear();
  items.value = [];
});

addEventListener("beforeunload", (event) => {
  // What goes in chunks can go on afterwards.
  const loses = [...entries.values()].some(({ item }) => !item.chunked && ["waiting", "sending", "lost", "paused"].includes(item.state));
  if (loses) event.preventDefault();
});

function enter(name: string, size: number | null, source: Source, more: Partial<Item> = {}): Entry {
  const item: Item = { id: nextId++, name, size, sent: 0, state: "waiting", rate: 0, chunked: false, ...more };
  const entry: Entry = { item, source, once: onceKey(), attempts: 0, samples: [] };
  entries.set(item.id, entry);
  return entry;
}

/** Files go on where an upload of the same file was interrupted, else they begin. */
export function addFiles(files: File[]): void {
  for (const file of files) {
    const waiting = [...entries.values()].find(({ item, record }) => item.state === "absent" && record && isSame(record, file));
    if (waiting) {
      waiting.source = { file };
      waiting.item.state = "waiting";
      continue;
    }
    const image = kindOf(file) === "image";
    enter(file.name, file.size, { file }, { chunked: file.size > (image ? CHUNKED_IMAGE : CHUNKED) });
  }
  show();
  turn();
}

/** Goes on with an interrupted upload; `false` when this is not its file. */
export function goOnWith(id: number, file: File): boolean {
  const record = entries.get(id)?.record;
  if (!record || !isSame(record, file)) return false;
  addFiles([file]);
  return true;
}

export function addLink(link: string): void {
  const name = decodeURIComponentSafely(new URL(link).pathname.split("/").pop() ?? "") || new URL(link).host;
  enter(name, null, { link });
  show();
  turn();
}

function decodeURIComponentSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Uploads of this browser that a reload interrupted, as far as they can go on. */
export function resumeSoon(): void {
  for (const record of begun()) {
    if ([...entries.values()].some((entry) => entry.record?.upload === record.upload)) continue;
    completed(record)
      .then((there) => {
        if (!there || there.size * record.chunkSize >= record.size) return forget(record.upload);
        if ([...entries.values()].some((entry) => entry.record?.upload === record.upload)) return;
        const sent = [...there].reduce((sum, index) => sum + bytesOf(record, index), 0);
        const entry = enter(record.name, record.size, { record }, { state: "absent", chunked: true, sent, asset: record.asset });
        entry.record = record;
        show();
      })
      // Another account's, or the server is away: it stays for another time.
      .catch(() => undefined);
  }
}

export function pause(id: number): void {
  const entry = entries.get(id);
  if (!entry || !["waiting", "sending", "lost"].includes(entry.item.state)) return;
  entry.item.state = "paused";
  entry.stop?.abort();
  show();
  turn();
}

/** Goes on, or tries again. */
export function resume(id: number): void {
  const entry = entries.get(id);
  if (!entry || !["paused", "failed", "lost"].includes(entry.item.state)) return;
  // A fault that was told is forgotten only by a new request.
  if (entry.item.state === "failed") entry.once = onceKey();
  entry.attempts = 0;
  entry.item.state = "waiting";
  delete entry.item.fault;
  entry.stop?.abort();
  show();
  turn();
}

/** Takes it off the list. What came of it stays; what was half sent goes. */
export function dismiss(id: number): void {
  const entry = entries.get(id);
  if (!entry) return;
  entry.stop?.abort();
  entries.delete(id);
  const { record, item } = entry;
  if (record && item.state !== "done" && item.state !== "making" && item.state !== "checking") {
    forget(record.upload);
    // Its asset would wait for chunks until it expires. A server that is away lets it expire.
    ask(`/assets/${record.asset}`, { method: "DELETE" }).then(() => (arrivals.value += 1), () => undefined);
  }
  show();
  turn();
}

export function dismissDone(): void {
  for (const [id, { item }] of entries) if (item.state === "done") entries.delete(id);
  show();
}

export const pauseAll = () => [...entries.keys()].forEach(pause);
export const resumeAll = () => [...entries.values()].filter(({ item }) => item.state === "paused").forEach(({ item }) => resume(item.id));

/** Gives the next ones their turn. */
function turn(): void {
  let free = AT_ONCE - [...entries.values()].filter(({ item }) => item.state === "sending").length;
  for (const entry of entries.values()) {
    if (free <= 0) return;
    if (entry.item.state !== "waiting") continue;
    free -= 1;
    entry.item.state = "sending";
    void run(entry);
  }
}

async function run(entry: Entry): Promise<void> {
  const { item } = entry;
  const stop = new AbortController();
  entry.stop = stop;
  entry.samples = [];
  show();
  try {
    const asset = await transfer(entry, stop.signal);
    arrivals.value += 1;
    item.asset = asset;
    item.state = "checking";
    if (entry.record) forget(entry.record.upload);
    watch();
  } catch (error) {
    // Paused, dismissed or begun anew: whoever did that has said so.
    if (stop.signal.aborted) return;
    const fault = asFault(error);
    entry.attempts += 1;
    item.fault = fault;
    if (fault.passes && (fault.status === 0 || entry.attempts < ATTEMPTS)) {
      const seconds = fault.after ?? Math.min(30, 2 ** Math.min(5, entry.attempts - 1));
      item.state = "lost";
      item.again = Date.now() + seconds * 1000;
      wait(seconds * 1000, stop.signal).then(() => {
        item.state = "waiting";
        delete item.fault;
        turn();
      }, () => undefined);
    } else {
      item.state = "failed";
    }
  } finally {
    item.rate = 0;
    show();
    turn();
  }
}

/** Returns the asset's id once all is sent. */
async function transfer(entry: Entry, signal: AbortSignal): Promise<string> {
  const { item, source } = entry;
  const onSent = (sent: number) => {
    const now = performance.now();
    item.sent = Math.min(sent, item.size ?? sent);
    entry.samples.push([now, item.sent]);
    while (entry.samples.length > 2 && now - entry.samples[0]![0] > RATE_OVER) entry.samples.shift();
    const [from, before] = entry.samples[0]!;
    item.rate = now - from > 400 ? ((item.sent - before) / (now - from)) * 1000 : item.rate;
    show();
  };
  if ("link" in source) {
    const form = formOf("url");
    form.append("url", source.link);
    const asset = await ask<Asset>("/assets", { method: "POST", form, headers: { "idempotency-key": entry.once }, signal });
    item.name = asset.filename;
    return asset._id;
  }
  if (!("file" in source)) throw new Fault("file_absent", "Please choose the file again.", -1);
  const { file } = source;
  if (item.chunked) {
    let there: Set<number> | null = new Set<number>();
    if (entry.record) there = await completed(entry.record, signal).catch(isGone);
    if (!entry.record || !there) {
      if (entry.record) {
        forget(entry.record.upload);
        entry.once = onceKey();
      }
      entry.record = await begin(file, file.name, kindOf(file), wishes.value, entry.once, signal);
      arrivals.value += 1;
      there = await completed(entry.record, signal);
    }
    const record = entry.record;
    item.asset = record.asset;
    await sendChunks(record, file, there ?? new Set(), signal, onSent);
    return record.asset;
  }
  const form = formOf("direct");
  form.append("file", file);
  const headers = { "x-api-key": key.value ?? "", "idempotency-key": entry.once };
  const answer = await send({ method: "POST", url: "/v1.3/assets", headers, body: form, signal, onSent }).catch(async (error: unknown) => {
    if (error instanceof Fault && error.status === 0) await readable(file);
    throw error;
  });
  return (JSON.parse(answer.text) as Asset)._id;
}

/** An upload that the server knows no more begins anew. */
function isGone(error: unknown): null {
  if (error instanceof Fault && error.status === 404) return null;
  throw error;
}

function formOf(method: "direct" | "url"): FormData {
  const form = new FormData();
  form.append("method", method);
  form.append("enable_hls", String(wishes.value.enable_hls));
  form.append("enable_thumbnail", String(wishes.value.enable_thumbnail));
  return form;
}

let watching = false;

/** Looks at assets until nothing of them changes by itself. */
async function watch(): Promise<void> {
  if (watching) return;
  watching = true;
  for (let pause = 400; ; pause = Math.min(3000, pause * 1.3)) {
    const open = [...entries.values()].filter(({ item }) => item.asset && (item.state === "checking" || item.state === "making"));
    if (!open.length) break;
    try {
      const now = new Map((await some(open.map(({ item }) => item.asset!))).map((asset) => [asset._id, asset]));
      for (const { item } of open) settle(item, now.get(item.asset!));
      show();
    } catch {
      // Another time.
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  watching = false;
}

function settle(item: Item, asset: Asset | undefined): void {
  const before = item.state;
  if (!asset) {
    item.state = "failed";
    item.fault = new Fault("resource_not_exist", "The asset was deleted.", 404);
  } else if (asset.status === "failed") {
    item.state = "failed";
    item.fault = new Fault(asset.error?.code ?? "", asset.error?.message ?? "The server could not take it.", 400);
  } else if (asset.status === "processing") {
    item.state = "checking";
  } else {
    item.name = asset.filename;
    item.state = changes(asset) ? "making" : "done";
  }
  if (asset?.size && item.size === null) item.size = asset.size;
  if (item.state !== before) arrivals.value += 1;
}

const kinds: Record<Kind, string> = {
  video: "",
  audio: "aac aif aiff flac m4a mka mp3 oga ogg opus wav wma",
  image: "avif bmp gif heic heif jp2 jpeg jpg jxl png tif tiff webp",
};

/** By type, else by name: only what goes in chunks must say beforehand what it is. */
function kindOf(file: File): Kind {
  const word = file.type.split("/")[0];
  if (word === "video" || word === "audio" || word === "image") return word;
  const extension = file.name.split(".").pop()?.toLowerCase() ?? "";
  return (Object.keys(kinds) as Kind[]).find((kind) => kinds[kind].split(" ").includes(extension)) ?? "video";
}
