// Where the user is, behind the hash: reload and Back work, and the server needs to know no page but one.
import { computed, signal } from "@preact/signals";

import type { Kind, Query } from "./api";

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));

export type Place = { at: "library" } & Query | { at: "asset"; id: string };

export const place = computed<Place>(() => {
  const [path = "", query = ""] = hash.value.replace(/^#/, "").split("?");
  const [, word, id] = path.split("/");
  if (word === "asset" && id) return { at: "asset", id: decodeURIComponent(id) };
  const given = new URLSearchParams(query);
  const kind = given.get("kind") ?? "";
  return {
    at: "library",
    filename: given.get("q") ?? "",
    kind: ["video", "audio", "image"].includes(kind) ? (kind as Kind) : "",
  };
});

export function linkTo(id: string): string {
  return `#/asset/${encodeURIComponent(id)}`;
}

function linkToLibrary({ filename, kind }: Query): string {
  const query = new URLSearchParams();
  if (filename) query.set("q", filename);
  if (kind) query.set("kind", kind);
  return query.size ? `#/?${query}` : "#/";
}

/** Where the library was last looked at: what "back to all" goes to. */
export const lastLibrary = signal("#/");

/** Typing makes no history. */
export function filterBy(query: Query): void {
  history.replaceState(null, "", linkToLibrary(query));
  hash.value = lastLibrary.value = location.hash || "#/";
}

export function goTo(link: string): void {
  location.hash = link;
}
