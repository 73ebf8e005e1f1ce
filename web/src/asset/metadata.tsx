import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { type Asset, ask, type Fault, type Metadata as Kept, type Value } from "../api";
import { Icon } from "../icons";
import { asFault, Problem } from "../problem";

type Type = "text" | "number" | "yes or no" | "list";
interface Row {
  id: number;
  name: string;
  type: Type;
  text: string;
}

let nextRow = 1;

function rowOf([name, value]: [string, Value]): Row {
  const id = nextRow++;
  if (Array.isArray(value)) return { id, name, type: "list", text: value.join("\n") };
  if (typeof value === "boolean") return { id, name, type: "yes or no", text: String(value) };
  return { id, name, type: typeof value === "number" ? "number" : "text", text: String(value) };
}

/** The rows as they would be kept, or which of them cannot be. */
function read(rows: Row[]): { kept: Kept } | { wrong: number; why: string } {
  const kept = new Map<string, Value>();
  for (const { id, name, type, text } of rows) {
    if (!name) return { wrong: id, why: "Every entry needs a name." };
    if (kept.has(name)) return { wrong: id, why: `The name “${name}” is there twice.` };
    if (type === "number") {
      const value = Number(text);
      if (!text.trim() || !Number.isFinite(value)) return { wrong: id, why: `“${text}” is no number.` };
      kept.set(name, value);
    } else if (type === "yes or no") kept.set(name, text === "true");
    else if (type === "list") kept.set(name, text.split("\n").filter((line) => line !== ""));
    else kept.set(name, text);
  }
  return { kept: Object.fromEntries(kept) };
}

/** Whatever the user wants kept with the asset. */
export function Metadata({ asset, onSaved }: { asset: Asset; onSaved: (kept: Kept) => void }) {
  const rows = useSignal<Row[] | null>(null);
  const fault = useSignal<Fault | { code: string; message: string } | null>(null);
  const wrong = useSignal(0);
  const busy = useSignal(false);
  const said = useSignal("");
  const list = useRef<HTMLDivElement>(null);
  const focus = useRef(0);
  const kept = Object.entries(asset.user_metadata ?? {});

  useEffect(() => {
    if (!focus.current) return;
    list.current?.querySelector<HTMLElement>(`[data-row="${focus.current}"] input`)?.focus();
    focus.current = 0;
  });

  const change = (id: number, now: Partial<Row>) => (rows.value = (rows.value ?? []).map((row) => (row.id === id ? { ...row, ...now } : row)));
  function add(all: Row[]) {
    const row = rowOf(["", ""]);
    focus.current = row.id;
    rows.value = [...all, row];
    said.value = "";
  }
  function stop() {
    rows.value = null;
    fault.value = null;
    wrong.value = 0;
  }
  async function save(event: SubmitEvent) {
    event.preventDefault();
    const found = read(rows.value ?? []);
    if ("wrong" in found) {
      wrong.value = found.wrong;
      fault.value = { code: "", message: found.why };
      list.current?.querySelector<HTMLElement>(`[data-row="${found.wrong}"] input`)?.focus();
      return;
    }
    busy.value = true;
    try {
      await ask(`/assets/${asset._id}/user-metadata`, { method: "PUT", json: { user_metadata: found.kept } });
      onSaved(found.kept);
      stop();
      said.value = "Saved.";
    } catch (error) {
      fault.value = asFault(error);
    } finally {
      busy.value = false;
    }
  }

  const head = (
    <div class="card-head">
      <h2 id="metadata-title">Your metadata</h2>
      {!rows.value && (
        <button class="quiet small" onClick={() => (kept.length ? (rows.value = kept.map(rowOf)) : add([]))}>{kept.length ? "Edit" : "Add some"}</button>
      )}
      <span class="said" role="status">{said.value}</span>
    </div>
  );
  if (!rows.value) {
    return (
      <section class="card" aria-labelledby="metadata-title">
        {head}
        {kept.length ? (
          <table>
            <tbody>
              {kept.map(([name, value]) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td>{Array.isArray(value) ? value.map((each) => <span class="chip" key={each}>{each}</span>) : typeof value === "boolean" ? (value ? "yes" : "no") : String(value)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        ) : (
          <p class="help">Nothing is kept with this asset.</p>
        )}
      </section>
    );
  }
  return (
    <section class="card" aria-labelledby="metadata-title">
      {head}
      <form onSubmit={save} onKeyDown={(event) => event.key === "Escape" && stop()} noValidate>
        <div ref={list} class="rows">
          {rows.value.map((row, n) => (
            <div class="meta-row" key={row.id} data-row={row.id} role="group" aria-label={`Entry ${n + 1}`}>
              <input aria-label="Name" placeholder="Name" value={row.name} maxLength={255} aria-invalid={wrong.value === row.id || undefined} onInput={(event) => change(row.id, { name: event.currentTarget.value })} />
              <select aria-label="Kind of value" value={row.type} onChange={(event) => change(row.id, { type: event.currentTarget.value as Type, text: event.currentTarget.value === "yes or no" ? "true" : row.text })}>
                {["text", "number", "yes or no", "list"].map((type) => <option key={type}>{type}</option>)}
              </select>
              {row.type === "yes or no" ? (
                <select aria-label="Value" value={row.text} onChange={(event) => change(row.id, { text: event.currentTarget.value })}>
                  <option value="true">yes</option>
                  <option value="false">no</option>
                </select>
              ) : row.type === "list" ? (
                <textarea aria-label="Values, one a line" placeholder="One a line" rows={Math.min(6, row.text.split("\n").length + 1)} value={row.text} onInput={(event) => change(row.id, { text: event.currentTarget.value })} />
              ) : (
                <input aria-label="Value" placeholder="Value" inputMode={row.type === "number" ? "decimal" : "text"} value={row.text} onInput={(event) => change(row.id, { text: event.currentTarget.value })} />
              )}
              <button type="button" class="quiet round small" title={`Remove ${row.name || "entry"}`} onClick={() => (rows.value = rows.value!.filter(({ id }) => id !== row.id))}>
                <Icon name="close" />
                <span class="unseen">Remove {row.name || "entry"}</span>
              </button>
            </div>
          ))}
        </div>
        {fault.value && <Problem fault={fault.value} />}
        <div class="buttons">
          <button class="primary small" disabled={busy.value}>{busy.value ? "Saving …" : "Save"}</button>
          <button type="button" class="small" onClick={() => add(rows.value ?? [])}>Add an entry</button>
          <button type="button" class="quiet small" onClick={stop}>Cancel</button>
        </div>
      </form>
    </section>
  );
}
