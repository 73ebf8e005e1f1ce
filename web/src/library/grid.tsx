// A grid of any length, of which only what is near the window is in the document.
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";

import { goTo, linkTo } from "../router";
import type { Listing } from "./listing";
import { Tile } from "./tile";

/** Rows beyond the window that are kept ready. */
const AROUND = 3;

interface Shape {
  columns: number;
  width: number;
  row: number;
  gap: number;
}

/** Where each list was scrolled to, for whoever comes back to it. */
const scrolled = new Map<string, { top: number; index: number }>();

function shapeOf(width: number): Shape {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const gap = width < 30 * rem ? 0.75 * rem : 1.25 * rem;
  const least = width < 30 * rem ? 9 * rem : 15 * rem;
  const columns = Math.max(2, Math.floor((width + gap) / (least + gap)));
  const tile = (width - gap * (columns - 1)) / columns;
  return { columns, width: tile, gap, row: (tile * 9) / 16 + 3.25 * rem + gap };
}

export function Grid({ listing }: { listing: Listing }) {
  const name = `${listing.query.kind} ${listing.query.filename}`;
  const box = useRef<HTMLUListElement>(null);
  const shape = useSignal<Shape | null>(null);
  const rows = useSignal<[number, number]>([0, 0]);
  const current = useSignal(scrolled.get(name)?.index ?? 0);
  const settling = useRef(0);
  const awaited = useRef<number | null>(null);
  const restored = useRef(false);
  void listing.changed.value;
  const total = listing.total ?? 24;
  /** One page more, where the list may go on. */
  const shown = listing.open ? total + 50 : total;

  function look() {
    const [grid, now] = [box.current, shape.value];
    if (!grid || !now) return;
    const top = -grid.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / now.row) - AROUND);
    const last = Math.max(first, Math.ceil((top + innerHeight) / now.row) + AROUND);
    if (rows.value[0] !== first || rows.value[1] !== last) rows.value = [first, last];
  }

  useLayoutEffect(() => {
    const grid = box.current;
    if (!grid) return;
    const measure = () => {
      shape.value = shapeOf(grid.clientWidth);
      look();
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(grid);
    let frame = 0;
    const onScroll = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        look();
        if (restored.current && grid.isConnected) scrolled.set(name, { top: scrollY, index: current.peek() });
      });
    };
    addEventListener("scroll", onScroll, { passive: true });
    return () => {
      cancelAnimationFrame(frame);
      observer.disconnect();
      removeEventListener("scroll", onScroll);
    };
  }, []);

  const now = shape.value;
  const columns = now?.columns ?? 1;
  const [first, last] = [rows.value[0] * columns, Math.min(shown, (rows.value[1] + 1) * columns) - 1];

  // Once the height is there.
  useLayoutEffect(() => {
    if (!now || listing.total === null || restored.current) return;
    restored.current = true;
    scrollTo({ top: scrolled.get(name)?.top ?? 0, behavior: "instant" });
    look();
  });

  // Who flies past asks for nothing.
  useLayoutEffect(() => {
    if (!now) return;
    clearTimeout(settling.current);
    const want = () => listing.want(first, Math.max(first, last));
    if (listing.total === null) want();
    else settling.current = setTimeout(want, 60);
    return () => clearTimeout(settling.current);
  }, [first, last, now, listing]);

  /** Moves to another asset, wherever it is in the list. */
  function move(to: number) {
    const [grid, now] = [box.current, shape.value];
    const index = Math.min(shown - 1, Math.max(0, to));
    if (!grid || !now || index < 0) return;
    current.value = index;
    const top = grid.getBoundingClientRect().top + scrollY + Math.floor(index / now.columns) * now.row;
    const covered = document.querySelector("header.top")?.clientHeight ?? 0;
    const bar = document.querySelector(".filters")?.clientHeight ?? 0;
    if (top < scrollY + covered + bar + 8) scrollTo({ top: top - covered - bar - 8, behavior: "instant" });
    else if (top + now.row > scrollY + innerHeight) scrollTo({ top: top + now.row - innerHeight + 8, behavior: "instant" });
    look();
    // Its tile may have to be drawn, or fetched, first; until then keys still arrive here.
    awaited.current = index;
    grid.focus({ preventScroll: true });
  }

  useLayoutEffect(() => {
    if (awaited.current === null) return;
    const tile = box.current?.querySelector<HTMLElement>(`[data-index="${awaited.current}"] a`);
    // Whoever went elsewhere meanwhile stays there.
    if (!tile && document.activeElement === box.current) return;
    if (document.activeElement === box.current) tile?.focus({ preventScroll: true });
    awaited.current = null;
  });

  function onKeyDown(event: KeyboardEvent) {
    if (event.ctrlKey || event.metaKey || event.altKey || !now) return;
    const at = current.value;
    const screen = Math.max(1, Math.floor(innerHeight / now.row) - 1) * columns;
    const to: Record<string, number> = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      ArrowDown: at + columns,
      ArrowUp: at - columns,
      PageDown: at + screen,
      PageUp: at - screen,
      Home: 0,
      End: shown - 1,
    };
    const index = to[event.key];
    if (event.key === "Enter" || index === undefined) return;
    event.preventDefault();
    if (event.key === "ArrowUp" && index < 0) document.querySelector<HTMLElement>(".search input")?.focus();
    else move(index);
  }

  const indices: number[] = [];
  if (now) {
    for (let index = first; index <= last; index += 1) indices.push(index);
    // Whoever has the focus stays in the document.
    const focus = current.value;
    if (focus < shown && (focus < first || focus > last)) indices.push(focus);
  }
  return (
    <ul
      class="grid"
      ref={box}
      tabIndex={-1}
      aria-label="Assets"
      aria-busy={listing.total === null}
      style={{ height: now ? `${Math.ceil(shown / columns) * now.row}px` : undefined }}
      onKeyDown={onKeyDown}
      onFocusCapture={(event) => {
        const index = (event.target as HTMLElement).closest<HTMLElement>("[data-index]")?.dataset["index"];
        if (index) current.value = Number(index);
      }}
    >
      {now &&
        indices.map((index) => {
          const asset = listing.at(index);
          const style = {
            width: `${now.width}px`,
            height: `${now.row - now.gap}px`,
            transform: `translate(${(index % columns) * (now.width + now.gap)}px, ${Math.floor(index / columns) * now.row}px)`,
          };
          return (
            <li key={asset?._id ?? index} data-index={index} style={style} aria-setsize={listing.open ? -1 : shown} aria-posinset={index + 1}>
              <Tile asset={asset} focusable={index === current.value} open={(id) => goTo(linkTo(id))} />
            </li>
          );
        })}
    </ul>
  );
}
