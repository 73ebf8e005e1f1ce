import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { Icon, type IconName } from "../icons";
import { linkTo } from "../router";
import { count, left, plural, rate, size } from "../words";
import { dismiss, dismissDone, goOnWith, type Item, items, pause, pauseAll, resume, resumeAll, type State } from "./queue";

/** Rows that are shown: of ten thousand files the first are enough, with those that need someone before them. */
const SHOWN = 60;

const folded = signal(false);
const now = signal(Date.now());

const order: Record<State, number> = { failed: 0, absent: 1, sending: 2, lost: 3, checking: 4, making: 5, paused: 6, waiting: 7, done: 8 };

export function Queue() {
  const all = items.value;
  const ticks = all.some(({ state }) => state === "lost");
  useEffect(() => {
    if (!ticks) return;
    const timer = setInterval(() => (now.value = Date.now()), 500);
    return () => clearInterval(timer);
  }, [ticks]);
  if (!all.length) return null;

  const of = (...states: State[]) => all.filter(({ state }) => states.includes(state));
  const open = of("waiting", "sending", "lost", "paused");
  const busy = of("waiting", "sending", "lost");
  const bytes = (list: Item[], value: (item: Item) => number) => list.reduce((sum, item) => sum + value(item), 0);
  const [total, sent] = [bytes(all, (item) => item.size ?? 0), bytes(all, (item) => (open.includes(item) ? item.sent : (item.size ?? 0)))];
  const speed = bytes(of("sending"), (item) => item.rate);
  const rest = bytes(busy, (item) => (item.size ?? 0) - item.sent);
  const done = of("done").length;
  const failed = of("failed").length;
  const paused = of("paused").length;
  const parts = [
    `${count(done)} of ${count(all.length)} done`,
    failed && `${count(failed)} failed`,
    speed > 0 && rate(speed),
    speed > 0 && rest > 0 && left(rest / speed),
    !busy.length && paused && `${count(paused)} paused`,
  ].filter(Boolean);
  const rows = [...all].sort((a, b) => order[a.state] - order[b.state] || a.id - b.id).slice(0, SHOWN);

  return (
    <section class="queue" aria-label="Uploads">
      <div class="queue-head">
        <button class="quiet queue-title" aria-expanded={!folded.value} onClick={() => (folded.value = !folded.value)}>
          <Icon name="down" />
          <span><b>Uploads</b> <span class="parts">{parts.join(" · ")}</span></span>
        </button>
        {busy.length > 0 && <button class="quiet" onClick={pauseAll}><Icon name="pause" /><span>Pause all</span></button>}
        {!busy.length && paused > 0 && <button class="quiet" onClick={resumeAll}><Icon name="play" /><span>Go on</span></button>}
        {done > 0 && !busy.length && <button class="quiet" onClick={dismissDone}>Clear done</button>}
      </div>
      {total > 0 && open.length > 0 && <Bar value={sent / total} label="All uploads" />}
      <p class="unseen" role="status">{open.length ? "" : `${plural(done, "upload")} done${failed ? `, ${plural(failed, "upload")} failed` : ""}`}</p>
      {!folded.value && (
        <ul>
          {rows.map((item) => <Row key={item.id} item={item} />)}
          {all.length > rows.length && <li class="more">and {count(all.length - rows.length)} more</li>}
        </ul>
      )}
    </section>
  );
}

function Bar({ value, label }: { value: number; label: string }) {
  const percent = Math.min(100, Math.floor(value * 100));
  return (
    <div class="progress-bar" role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={percent}>
      <div style={{ width: `${Math.min(1, value) * 100}%` }} />
    </div>
  );
}

function Row({ item }: { item: Item }) {
  const { state, fault, name } = item;
  const moves = state === "sending" || state === "paused" || state === "lost" || state === "absent";
  return (
    <li class={`row ${state}`} data-state={state}>
      <div class="row-text">
        <span class="name" title={name}>
          {item.asset && (state === "done" || state === "making") ? <a href={linkTo(item.asset)}>{name}</a> : name}
        </span>
        <span class="line">{line(item)}</span>
      </div>
      <div class="row-actions">
        {(state === "sending" || state === "waiting") && <Act icon="pause" words={`Pause ${name}`} act={() => pause(item.id)} />}
        {state === "paused" && <Act icon="play" words={`Go on with ${name}`} act={() => resume(item.id)} />}
        {(state === "failed" || state === "lost") && <Act icon="retry" words={`Try ${name} again`} act={() => resume(item.id)} />}
        {state === "done" && <span class="tick"><Icon name="check" /></span>}
        {state !== "checking" && state !== "making" && (
          <Act icon="close" words={state === "done" || state === "failed" ? `Take ${name} off this list` : `Cancel ${name}`} act={() => dismiss(item.id)} />
        )}
      </div>
      {item.size !== null && moves && <Bar value={item.size ? item.sent / item.size : 0} label={`${name} sent`} />}
      {(state === "checking" || state === "making" || (state === "sending" && item.size === null)) && <div class="progress-bar going" aria-hidden="true"><div /></div>}
      {fault && <p class="row-fault" role={state === "failed" ? "alert" : undefined}>{fault.message} <code>{fault.code}</code></p>}
      {state === "absent" && <Again item={item} />}
    </li>
  );
}

function line({ state, size: bytes, sent, rate: speed, chunked, again, sent: there }: Item): string {
  const whole = bytes === null ? "" : size(bytes);
  switch (state) {
    case "waiting":
      return ["Waits for its turn", whole].filter(Boolean).join(" · ");
    case "sending":
      if (bytes === null) return "Asking the server to fetch it";
      if (sent >= bytes) return "Sent; the server looks at it";
      return [`${size(sent)} of ${whole}`, speed > 0 && rate(speed), speed > 0 && left((bytes - sent) / speed)].filter(Boolean).join(" · ");
    case "checking":
      return bytes === null ? "The server fetches it" : "Being checked";
    case "making":
      return "Kept. Thumbnail and stream are being made";
    case "done":
      return ["Ready", whole].filter(Boolean).join(" · ");
    case "failed":
      return "Failed";
    case "paused":
      return chunked ? `Paused at ${size(sent)} of ${whole}` : `Paused; begins anew, ${whole} in one piece`;
    case "lost":
      return `Trying again in ${Math.max(0, Math.ceil(((again ?? 0) - now.value) / 1000))} s`;
    case "absent":
      return `Interrupted at ${size(there)} of ${whole}`;
  }
}

function Act({ icon, words, act }: { icon: IconName; words: string; act: () => void }) {
  return (
    <button class="quiet round small" title={words} onClick={act}>
      <Icon name={icon} />
      <span class="unseen">{words}</span>
    </button>
  );
}

/** A page cannot keep a file across a reload; what was sent of it is kept by the server. */
function Again({ item }: { item: Item }) {
  const input = useRef<HTMLInputElement>(null);
  const wrong = useSignal(false);
  return (
    <div class="row-again">
      <button class="small" onClick={() => input.current?.click()}>Choose the file again to go on</button>
      <input
        ref={input}
        class="unseen"
        type="file"
        tabIndex={-1}
        aria-label={`Choose ${item.name} again`}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          event.currentTarget.value = "";
          if (file) wrong.value = !goOnWith(item.id, file);
        }}
      />
      {wrong.value && <p class="row-fault" role="alert">That is another file, or this one was changed since. Cancel here to begin anew.</p>}
    </div>
  );
}
