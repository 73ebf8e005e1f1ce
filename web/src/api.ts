// The public API, as far as the page uses it.
import { key, signOut } from "./session";

export type Kind = "video" | "audio" | "image";
export type Rendition = "pending" | "processing" | "ready" | "error";
export type Value = string | number | boolean | string[];
export type Metadata = Record<string, Value>;

export interface Asset {
  _id: string;
  method: "direct" | "url" | "multipart";
  status: "processing" | "ready" | "failed";
  filename: string;
  file_type?: string;
  size?: number;
  duration?: number;
  created_at: string;
  hls?: { status: Rendition; manifest_url?: string };
  thumbnail?: { status: Rendition; representative_url?: string };
  original_url?: string;
  storyboard_url?: string;
  user_metadata?: Metadata;
  error?: { code: string; message: string };
  technical_metadata?: Facts;
}

export type Fact = string | number | boolean | FactRow[];
export type FactRow = Record<string, string | number | boolean>;
export type Facts = Record<string, Fact>;

export interface Page<T> {
  data: T[];
  page_info: { page: number; limit_per_page: number; total_page: number; total_results: number };
}

/** One index that holds an asset. */
export interface Reference {
  _id: string;
  index: { _id: string; name: string };
}

/** What went wrong, in a sentence, with the stable code. */
export class Fault extends Error {
  constructor(
    readonly code: string,
    message: string,
    /** 0 when no answer came. */
    readonly status: number,
    /** Seconds after which to ask again, if the server said so. */
    readonly after?: number,
  ) {
    super(message);
  }

  /** Whether the same request may well succeed later. */
  get passes(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

export const unreachable = () =>
  new Fault("unreachable", "The server cannot be reached. It may be restarting, or the connection is gone.", 0);

/** The fault that an answer tells. */
export function faultOf(status: number, body: string, retryAfter: string | null): Fault {
  const after = Number(retryAfter) || undefined;
  try {
    const { code, message } = JSON.parse(body) as { code: string; message: string };
    if (code && message) return new Fault(code, message, status, after);
  } catch {
    // Not ours: a proxy's, most likely.
  }
  return new Fault(`http_${status}`, `The server, or a proxy before it, answered with status ${status}.`, status, after);
}

type Ask = { method?: string; json?: unknown; form?: FormData; headers?: Record<string, string>; signal?: AbortSignal };

/** Asks the API; an answer without a body is `undefined`. */
export async function ask<T>(path: string, { method = "GET", json, form, headers, signal }: Ask = {}): Promise<T> {
  const used = key.value;
  const init: RequestInit = { method, headers: { "x-api-key": used ?? "", ...headers }, cache: "no-store" };
  if (json !== undefined) init.body = JSON.stringify(json);
  if (form) init.body = form;
  if (signal) init.signal = signal;
  let response: Response;
  let body: string;
  try {
    response = await fetch(`/v1.3${path}`, init);
    body = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable();
  }
  if (!response.ok) {
    const fault = faultOf(response.status, body, response.headers.get("retry-after"));
    // A key that was revoked while the page was open.
    if (fault.status === 401 && used === key.value) signOut(fault.message);
    throw fault;
  }
  return (body ? JSON.parse(body) : undefined) as T;
}

export interface Query {
  filename: string;
  kind: Kind | "";
}

/** The most items of a page. */
export const PAGE = 50;

export function list({ filename, kind }: Query, page: number, signal?: AbortSignal): Promise<Page<Asset>> {
  const query = new URLSearchParams({ page: String(page), page_limit: String(PAGE) });
  if (filename) query.set("filename", filename);
  if (kind) query.set("asset_types", kind);
  return ask(`/assets?${query}`, signal ? { signal } : {});
}

/** These assets, as far as they exist, in batches that the API takes. */
export async function some(ids: string[]): Promise<Asset[]> {
  const batches = Array.from({ length: Math.ceil(ids.length / PAGE) }, (_, n) => ids.slice(n * PAGE, (n + 1) * PAGE));
  const pages = batches.map((ids) => {
    const query = new URLSearchParams({ page_limit: String(PAGE) });
    for (const id of ids) query.append("asset_ids", id);
    return ask<Page<Asset>>(`/assets?${query}`);
  });
  return (await Promise.all(pages)).flatMap(({ data }) => data);
}

/** Whether anything of it still changes by itself. */
export function changes(asset: Asset): boolean {
  const made = (status?: Rendition) => status === "pending" || status === "processing";
  if (asset.status === "failed") return false;
  return asset.status === "processing" || made(asset.hls?.status) || made(asset.thumbnail?.status);
}

export function kindOf(asset: Asset): Kind | undefined {
  const facts = asset.technical_metadata;
  if (facts?.["total_video_streams"] || facts?.["video_codec"]) return "video";
  const word = asset.file_type?.split("/")[0];
  return word === "video" || word === "audio" || word === "image" ? word : undefined;
}
