import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";

import { type Asset, ask, type Fault, type Reference } from "../api";
import { Icon } from "../icons";
import { asFault, Problem } from "../problem";
import { arrivals } from "../queue/queue";
import { goTo, lastLibrary } from "../router";
import { count } from "../words";
import { referencesOf } from "./references";

/** Deletes; what is in use only after its user has seen by what, and said so a second time. */
export function Remove({ asset }: { asset: Asset }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const fault = useSignal<Fault | null>(null);
  const users = useSignal<Reference[]>([]);
  const sure = useSignal(false);
  const busy = useSignal(false);

  function open() {
    fault.value = null;
    users.value = [];
    sure.value = false;
    dialog.current?.showModal();
  }
  async function remove(force: boolean) {
    busy.value = true;
    try {
      await ask(`/assets/${asset._id}${force ? "?force=true" : ""}`, { method: "DELETE" });
      arrivals.value += 1;
      dialog.current?.close();
      goTo(lastLibrary.value);
    } catch (error) {
      const told = asFault(error);
      if (told.code === "asset_in_use") users.value = (await referencesOf(asset._id).catch(() => ({ data: [] }))).data;
      fault.value = told;
    } finally {
      busy.value = false;
    }
  }

  const inUse = fault.value?.code === "asset_in_use";
  return (
    <>
      <button class="danger" onClick={open}><Icon name="bin" /><span>Delete</span></button>
      <dialog ref={dialog} aria-labelledby="remove-title">
        <div class="dialog-head"><h2 id="remove-title">{inUse ? "This asset is in use" : "Delete this asset?"}</h2></div>
        {!inUse && <p><b class="breaks">{asset.filename}</b> and all that was made of it will be gone. This cannot be undone.</p>}
        {fault.value && <Problem fault={fault.value} />}
        {inUse && (
          <>
            {users.value.length > 0 && (
              <>
                <p>{users.value.length === 1 ? "One index holds" : `${count(users.value.length)} indexes hold`} it:</p>
                <ul class="references">{users.value.map(({ _id, index }) => <li key={_id}><b>{index.name}</b></li>)}</ul>
              </>
            )}
            <p>Take it out of them first, or delete it anyway: its entries there stay, marked as deleted, and nothing of them plays any more.</p>
            <label class="check"><input type="checkbox" checked={sure.value} onChange={(event) => (sure.value = event.currentTarget.checked)} /> I know that it is in use. Delete it anyway.</label>
          </>
        )}
        <div class="buttons end">
          <button onClick={() => dialog.current?.close()}>Keep it</button>
          {inUse ? (
            <button class="danger solid" disabled={!sure.value || busy.value} onClick={() => remove(true)}>Delete by force</button>
          ) : (
            <button class="danger solid" disabled={busy.value} onClick={() => remove(false)}>{busy.value ? "Deleting …" : "Delete"}</button>
          )}
        </div>
      </dialog>
    </>
  );
}
