import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";

import type { Kind, Query } from "../api";
import { Icon, type IconName } from "../icons";
import { Problem } from "../problem";
import { AddPlace } from "../queue/add";
import { arrivals } from "../queue/queue";
import { filterBy, lastLibrary } from "../router";
import { count } from "../words";
import { Grid } from "./grid";
import { type Listing, listingOf } from "./listing";

const kinds: { kind: Kind | ""; words: string; icon?: IconName }[] = [
  { kind: "", words: "All" },
  { kind: "video", words: "Video", icon: "video" },
  { kind: "audio", words: "Sound", icon: "sound" },
  { kind: "image", words: "Images", icon: "image" },
];

export function Library(query: Query) {
  const listing = useMemo(() => listingOf(query), [query.filename, query.kind]);
  useEffect(() => {
    lastLibrary.value = location.hash || "#/";
    document.title = "Reelhouse";
    return () => listing.close();
  }, [listing]);
  useFollowing(listing);
  void listing.changed.value;

  const { total, fault } = listing;
  const filtered = query.filename !== "" || query.kind !== "";
  return (
    <div class="library">
      <h1 class="unseen">All assets</h1>
      <div class="filters">
        <Search query={query} />
        <fieldset class="kinds">
          <legend class="unseen">Kind</legend>
          {kinds.map(({ kind, words, icon }) => (
            <label key={kind}>
              <input type="radio" name="kind" checked={query.kind === kind} onChange={() => filterBy({ ...query, kind })} />
              {icon && <Icon name={icon} />}
              <span>{words}</span>
            </label>
          ))}
        </fieldset>
        <p class="count" role="status">
          {total !== null && (total || filtered) ? `${count(total)}${listing.open ? "+" : ""} ${total === 1 ? "asset" : "assets"}` : ""}
        </p>
      </div>
      {fault && <Problem fault={fault}>{fault.passes && <p>Trying again by itself.</p>}</Problem>}
      {total === 0 ? filtered ? <Nothing query={query} /> : <AddPlace /> : null}
      {total !== 0 && <Grid key={`${query.kind} ${query.filename}`} listing={listing} />}
    </div>
  );
}

/** New assets, and states as they change. */
function useFollowing(listing: Listing) {
  useEffect(() => {
    let over = false;
    let timer = 0;
    const again = async () => {
      // Unreachable: the list itself says so.
      if (!document.hidden) await listing.follow().catch(() => undefined);
      if (!over) timer = setTimeout(again, 1500);
    };
    timer = setTimeout(again, 1000);
    const back = () => !document.hidden && listing.refresh();
    document.addEventListener("visibilitychange", back);
    return () => {
      over = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", back);
    };
  }, [listing]);

  const seen = useRef(arrivals.value);
  useEffect(() => {
    if (arrivals.value === seen.current) return;
    seen.current = arrivals.value;
    // Many at once are one change.
    const timer = setTimeout(() => listing.refresh(), 250);
    return () => clearTimeout(timer);
  }, [listing, arrivals.value]);
}

/** Search as you type: what is typed is shown at once, and asked for when the typing pauses. */
function Search({ query }: { query: Query }) {
  const typed = useSignal(query.filename);
  const input = useRef<HTMLInputElement>(null);
  const now = useRef(query);
  now.current = query;

  useEffect(() => {
    if (typed.value === now.current.filename) return;
    const timer = setTimeout(() => filterBy({ ...now.current, filename: typed.value }), 180);
    return () => clearTimeout(timer);
  }, [typed.value]);
  useEffect(() => {
    if (document.activeElement !== input.current) typed.value = query.filename;
  }, [query.filename]);
  useEffect(() => {
    const slash = (event: KeyboardEvent) => {
      const at = event.target as HTMLElement;
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || at.matches("input, textarea, select") || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      input.current?.focus();
      input.current?.select();
    };
    addEventListener("keydown", slash);
    return () => removeEventListener("keydown", slash);
  }, []);

  return (
    <div class="search" role="search">
      <Icon name="search" />
      <input
        ref={input}
        type="search"
        aria-label="Search by file name"
        placeholder="Search by file name"
        aria-keyshortcuts="/"
        autocomplete="off"
        spellcheck={false}
        maxLength={255}
        value={typed.value}
        onInput={(event) => (typed.value = event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") typed.value = "";
          if (event.key === "ArrowDown") {
            event.preventDefault();
            document.querySelector<HTMLElement>(".grid a[tabindex='0']")?.focus();
          }
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
  );
}

function Nothing({ query }: { query: Query }) {
  const what = kinds.find(({ kind }) => kind === query.kind && kind)?.words.toLowerCase();
  return (
    <div class="nothing">
      <p>
        {what ? `No ${what}` : "Nothing"} {query.filename ? <>whose name has “{query.filename}” in it</> : "yet"}.
      </p>
      <button onClick={() => filterBy({ filename: "", kind: "" })}>Show all assets</button>
    </div>
  );
}
