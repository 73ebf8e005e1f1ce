// Files in chunks: what the server has is asked, so that an upload goes on where it was, also after a reload.
import { ask, Fault, type Kind, PAGE, type Page } from "../api";
import { send } from "./send";

/** Chunks on their way at once. */
const AT_ONCE = 2;
/** The most URLs that the API hands out at once. */
const URLS = 50;
const NAME = "reelhouse.uploads";

/** An upload that was begun in this browser; the file itself cannot be kept. */
export interface Begun {
  upload: string;
  asset: string;
  name: string;
  size: number;
  modified: number;
  chunkSize: number;
  expires: string;
}

interface Upload {
  upload_id: string;
  asset_id: string;
  chunk_size: number;
  expires_at: string;
}

interface Progress extends Page<never> {
  status: "active" | "completed" | "failed" | "expired";
  uploaded_chunks: { index: number; status: "completed" | "pending" | "failed" }[];
}

export function begun(): Begun[] {
  try {
    const all = JSON.parse(localStorage.getItem(NAME) ?? "[]") as Begun[];
    return all.filter(({ expires }) => Date.parse(expires) > Date.now());
  } catch {
    return [];
  }
}

export function forget(upload: string): void {
  localStorage.setItem(NAME, JSON.stringify(begun().filter((each) => each.upload !== upload)));
}

/** Whether this is the file of that upload, as far as a browser tells. */
export function isSame(each: Begun, file: File): boolean {
  return each.name === file.name && each.size === file.size && each.modified === file.lastModified;
}

export async function begin(file: File, filename: string, kind: Kind, wishes: Record<string, boolean>, once: string, signal: AbortSignal): Promise<Begun> {
  const upload = await ask<Upload>("/assets/multipart-uploads", {
    method: "POST",
    json: { filename, type: kind, total_size: file.size, ...wishes },
    headers: { "idempotency-key": once },
    signal,
  });
  const record: Begun = {
    upload: upload.upload_id,
    asset: upload.asset_id,
    name: file.name,
    size: file.size,
    modified: file.lastModified,
    chunkSize: upload.chunk_size,
    expires: upload.expires_at,
  };
  localStorage.setItem(NAME, JSON.stringify([...begun().filter((each) => each.upload !== record.upload), record]));
  return record;
}

/** The chunks that are there, or `null` when the upload takes no more. */
export async function completed(record: Begun, signal?: AbortSignal): Promise<Set<number> | null> {
  const there = new Set<number>();
  for (let page = 1; ; page += 1) {
    const progress = await ask<Progress>(
      `/assets/multipart-uploads/${record.upload}?page=${page}&page_limit=${PAGE}`,
      signal ? { signal } : {},
    );
    if (progress.status === "completed") return new Set(Array.from({ length: chunksOf(record) }, (_, n) => n + 1));
    if (progress.status !== "active") return null;
    for (const { index, status } of progress.uploaded_chunks) if (status === "completed") there.add(index);
    if (page >= progress.page_info.total_page) return there;
  }
}

export const chunksOf = ({ size, chunkSize }: Begun) => Math.max(1, Math.ceil(size / chunkSize));

export function bytesOf(record: Begun, index: number): number {
  return Math.min(record.size, index * record.chunkSize) - (index - 1) * record.chunkSize;
}

/** Sends what is missing and reports it. `onSent` is told all bytes that are there or on their way. */
export async function sendChunks(record: Begun, file: File, there: Set<number>, signal: AbortSignal, onSent: (bytes: number) => void): Promise<void> {
  const missing: number[] = [];
  for (let index = 1; index <= chunksOf(record); index += 1) if (!there.has(index)) missing.push(index);
  const way = new Map<number, number>();
  let done = [...there].reduce((sum, index) => sum + bytesOf(record, index), 0);
  const tell = () => onSent(done + [...way.values()].reduce((sum, bytes) => sum + bytes, 0));
  tell();

  // One that fails calls the others off.
  const all = new AbortController();
  const stop = () => all.abort(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  const urls = new Map<number, Promise<string>>();
  let next = 0;

  function urlOf(at: number): Promise<string> {
    const index = missing[at]!;
    if (!urls.has(index)) {
      // Those after it are needed soon, too.
      const last = Math.min(chunksOf(record), index + URLS - 1);
      const asked = ask<{ upload_urls: { chunk_index: number; url: string }[] }>(
        `/assets/multipart-uploads/${record.upload}/presigned-urls`,
        { method: "POST", json: { start: index, count: last - index + 1 }, signal: all.signal },
      ).then(({ upload_urls }) => new Map(upload_urls.map((each) => [each.chunk_index, each.url])));
      for (let each = index; each <= last; each += 1) {
        const url = asked.then((found) => found.get(each) ?? "");
        url.catch(() => undefined);
        urls.set(each, url);
      }
    }
    return urls.get(index)!;
  }

  async function work(): Promise<void> {
    while (next < missing.length) {
      const at = next++;
      const index = missing[at]!;
      const start = (index - 1) * record.chunkSize;
      const bytes = bytesOf(record, index);
      const body = file.slice(start, start + bytes);
      const url = await urlOf(at);
      const answer = await send({
        method: "PUT",
        // Of the server that served this page, however it is called from elsewhere.
        url: new URL(url, location.href).pathname,
        body,
        signal: all.signal,
        onSent: (sent) => {
          way.set(index, Math.min(sent, bytes));
          tell();
        },
      }).catch((error: unknown) => {
        // The browser reads the file as it sends it.
        if (error instanceof Fault && error.status === 0) return readable(body).then(() => Promise.reject(error));
        throw error;
      });
      const proof = (answer.header("etag") ?? "").replaceAll('"', "");
      const chunk = { chunk_index: index, proof, proof_type: "etag", chunk_size: bytes };
      await ask(`/assets/multipart-uploads/${record.upload}`, { method: "POST", json: { completed_chunks: [chunk] }, signal: all.signal });
      way.delete(index);
      done += bytes;
      tell();
    }
  }

  try {
    await Promise.all(Array.from({ length: AT_ONCE }, () => work().catch((error: unknown) => {
      all.abort(error);
      throw error;
    })));
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Throws when a file is no longer what it was. */
export async function readable(body: Blob): Promise<void> {
  try {
    await body.slice(0, 1).arrayBuffer();
  } catch {
    throw new Fault("file_changed", "The file cannot be read any more: it was changed, moved or deleted. Please choose it again.", -1);
  }
}
