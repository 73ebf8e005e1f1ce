// A list of any length, of which only the pages are known that were looked at.
import { signal } from "@preact/signals";

import { type Asset, changes, type Fault, list, PAGE, type Query, some } from "../api";
import { asFault } from "../problem";
import { key } from "../session";

/** Pages that are kept: what was looked at longest ago goes first. */
const KEPT = 60;

type Loaded = { data: Asset[]; generation: number };

let last: Listing | null = null;
// Another key has other assets.
key.subscribe(() => (last = null));

/** The list that was last looked at, if it is this one: who comes back finds it as it was, and looked at again. */
export function listingOf(query: Query): Listing {
  if (last?.query.filename === query.filename && last.query.kind === query.kind) last.refresh();
  else last = new Listing(query);
  return last;
}

export class Listing {
  /** Changes whenever anything below does. */
  readonly changed = signal(0);
  /** Unknown before the first answer. */
  total: number | null = null;
  /** Whether there may be more than `total`: long filtered lists are counted only so far. */
  open = false;
  fault: Fault | null = null;

  #pages = new Map<number, Loaded>();
  #asked = new Map<number, AbortController>();
  #wanted: [number, number] = [0, 0];
  #generation = 0;
  #timer = 0;

  constructor(readonly query: Query) {}

  at(index: number): Asset | undefined {
    return this.#pages.get(Math.floor(index / PAGE))?.data[index % PAGE];
  }

  /** Sees to it that these are there, and forgets requests for others. */
  want(first: number, last: number): void {
    this.#wanted = [first, last];
    this.#load();
  }

  /** Asks for everything again, showing what was known until the answer comes. */
  refresh(): void {
    this.#generation += 1;
    for (const request of this.#asked.values()) request.abort();
    this.#asked.clear();
    this.#load();
  }

  /** Those shown that change by themselves are looked at again. */
  async follow(): Promise<void> {
    const [first, last] = this.#wanted;
    const ids: string[] = [];
    for (let index = first; index <= last; index += 1) {
      const asset = this.at(index);
      if (asset && changes(asset)) ids.push(asset._id);
    }
    if (!ids.length) return;
    const now = new Map((await some(ids)).map((asset) => [asset._id, asset]));
    for (const page of this.#pages.values()) page.data = page.data.map((asset) => now.get(asset._id) ?? asset);
    this.changed.value += 1;
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const request of this.#asked.values()) request.abort();
    this.#asked.clear();
  }

  #load(): void {
    const [first, last] = this.#wanted.map((index) => Math.floor(index / PAGE)) as [number, number];
    for (const [page, request] of this.#asked) {
      if (page < first || page > last) {
        request.abort();
        this.#asked.delete(page);
      }
    }
    for (let page = first; page <= last; page += 1) {
      if (this.#pages.get(page)?.generation !== this.#generation && !this.#asked.has(page)) void this.#ask(page);
    }
  }

  async #ask(page: number): Promise<void> {
    const request = new AbortController();
    this.#asked.set(page, request);
    const generation = this.#generation;
    try {
      const { data, page_info } = await list(this.query, page + 1, request.signal);
      if (request.signal.aborted) return;
      this.fault = null;
      // Beyond some length, filtered lists are counted to the end of the page shown, and at least so far.
      const total = page_info.total_results;
      const counted = this.query.filename !== "" || this.query.kind !== "";
      this.open = counted && total >= 1_000 && data.length === PAGE;
      this.total = this.open ? Math.max(total, this.total ?? 0) : total;
      this.#pages.delete(page);
      this.#pages.set(page, { data, generation });
      for (const old of this.#pages.keys()) {
        if (this.#pages.size <= KEPT) break;
        this.#pages.delete(old);
      }
    } catch (error) {
      if (request.signal.aborted) return;
      this.fault = asFault(error);
      if (this.fault.passes) this.#timer = setTimeout(() => this.#load(), (this.fault.after ?? 3) * 1000);
    } finally {
      if (this.#asked.get(page) === request) this.#asked.delete(page);
      if (!request.signal.aborted) this.changed.value += 1;
    }
  }
}
