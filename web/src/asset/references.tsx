import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { ask, type Fault, PAGE, type Page, type Reference } from "../api";
import { asFault, Problem } from "../problem";
import { count } from "../words";

export function referencesOf(id: string): Promise<Page<Reference>> {
  return ask(`/assets/${id}/indexed-assets?page_limit=${PAGE}`);
}

/** The indexes that hold this asset. */
export function References({ id }: { id: string }) {
  const found = useSignal<Page<Reference> | null>(null);
  const fault = useSignal<Fault | null>(null);
  const look = () => referencesOf(id).then((page) => (found.value = page), (error: unknown) => (fault.value = asFault(error)));
  useEffect(() => void look(), [id]);

  async function takeOut({ _id, index }: Reference) {
    fault.value = null;
    await ask(`/indexes/${index._id}/indexed-assets/${_id}`, { method: "DELETE" }).catch((error: unknown) => (fault.value = asFault(error)));
    await look();
  }

  const page = found.value;
  return (
    <section class="card" aria-labelledby="references-title">
      <div class="card-head"><h2 id="references-title">In use by</h2></div>
      {fault.value && <Problem fault={fault.value} />}
      {page && !page.data.length && <p class="help">No index holds this asset.</p>}
      {page && page.data.length > 0 && (
        <ul class="references">
          {page.data.map((reference) => (
            <li key={reference._id}>
              <span><b>{reference.index.name}</b> <code>{reference._id}</code></span>
              <button class="quiet small" onClick={() => takeOut(reference)}>Take out<span class="unseen"> of {reference.index.name}</span></button>
            </li>
          ))}
          {page.page_info.total_results > page.data.length && <li>and {count(page.page_info.total_results - page.data.length)} more</li>}
        </ul>
      )}
    </section>
  );
}
