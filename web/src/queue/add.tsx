import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";

import { Icon } from "../icons";
import { dropped, linksIn, wanted } from "./folder";
import { addFiles, addLink, wishes } from "./queue";

const asked = signal(false);

export function AddButton() {
  return (
    <button class="primary" onClick={() => (asked.value = true)}>
      <Icon name="add" />
      <span>Add</span>
    </button>
  );
}

export function AddDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (asked.value && !dialog.current?.open) dialog.current?.showModal();
    if (!asked.value) dialog.current?.close();
  }, [asked.value]);
  return (
    <dialog ref={dialog} class="add" aria-labelledby="add-title" onClose={() => (asked.value = false)} onClick={(event) => event.target === event.currentTarget && event.currentTarget.close()}>
      <div class="dialog-head">
        <h2 id="add-title">Add assets</h2>
        <button class="quiet round" onClick={() => (asked.value = false)} title="Close">
          <Icon name="close" />
          <span class="unseen">Close</span>
        </button>
      </div>
      {asked.value && <AddForm onAdded={() => (asked.value = false)} />}
    </dialog>
  );
}

/** What an empty library shows. */
export function AddPlace() {
  return (
    <section class="first" aria-labelledby="first-title">
      <h2 id="first-title">Nothing here yet.</h2>
      <p class="lede">Drop files or a whole folder anywhere on this page.</p>
      <AddForm onAdded={() => undefined} />
    </section>
  );
}

function AddForm({ onAdded }: { onAdded: () => void }) {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const [wrong, setWrong] = useState("");

  function chosen(input: HTMLInputElement) {
    const list = wanted([...(input.files ?? [])]);
    input.value = "";
    if (!list.length) return;
    addFiles(list);
    onAdded();
  }
  function submit(event: SubmitEvent) {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const input = form.elements.namedItem("link") as HTMLInputElement;
    const links = linksIn(input.value);
    if (!links.length) {
      setWrong("That is no link. It begins with http:// or https:// and leads to a media file that anyone can fetch.");
      return input.focus();
    }
    setWrong("");
    links.forEach(addLink);
    input.value = "";
    onAdded();
  }

  return (
    <div class="add-form">
      <div class="drop-zone">
        <p>Drop files or a folder here, or</p>
        <div class="buttons">
          <button onClick={() => files.current?.click()}><Icon name="file" /><span>Choose files</span></button>
          <button onClick={() => folder.current?.click()}><Icon name="folder" /><span>Choose a folder</span></button>
        </div>
        <input ref={files} class="unseen" type="file" multiple tabIndex={-1} aria-label="Files to upload" onChange={(event) => chosen(event.currentTarget)} />
        <input ref={folder} class="unseen" type="file" multiple tabIndex={-1} aria-label="Folder to upload" {...{ webkitdirectory: true }} onChange={(event) => chosen(event.currentTarget)} />
      </div>
      <form class="link-form" onSubmit={submit} noValidate>
        <label for="link">Or fetch it from a link</label>
        <div class="joined">
          <input id="link" name="link" type="url" inputMode="url" placeholder="https://example.org/clip.mp4" autocomplete="off" aria-invalid={wrong ? true : undefined} aria-describedby={wrong ? "link-wrong" : undefined} />
          <button><Icon name="link" /><span>Fetch</span></button>
        </div>
        {wrong && <p id="link-wrong" class="wrong" role="alert">{wrong}</p>}
      </form>
      <fieldset class="wishes">
        <legend class="unseen">For what is added</legend>
        <label><input type="checkbox" checked={wishes.value.enable_hls} onChange={(event) => (wishes.value = { ...wishes.value, enable_hls: event.currentTarget.checked })} /> Make video and sound playable everywhere (HLS)</label>
        <label><input type="checkbox" checked={wishes.value.enable_thumbnail} onChange={(event) => (wishes.value = { ...wishes.value, enable_thumbnail: event.currentTarget.checked })} /> Make a thumbnail</label>
      </fieldset>
    </div>
  );
}

/** The whole page takes what is dropped on it, and links that are pasted. */
export function DropTarget() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    let depth = 0;
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const enter = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth += 1;
      setOver(true);
    };
    const leave = () => {
      depth = Math.max(0, depth - 1);
      if (!depth) setOver(false);
    };
    const hover = (event: DragEvent) => hasFiles(event) && event.preventDefault();
    const drop = (event: DragEvent) => {
      depth = 0;
      setOver(false);
      if (!event.dataTransfer || !hasFiles(event)) return;
      event.preventDefault();
      void dropped(event.dataTransfer).then((files) => {
        if (files.length) addFiles(files);
        asked.value = false;
      });
    };
    const paste = (event: ClipboardEvent) => {
      if ((event.target as HTMLElement).matches("input, textarea")) return;
      const files = wanted([...(event.clipboardData?.files ?? [])]);
      const links = linksIn(event.clipboardData?.getData("text/plain") ?? "");
      if (files.length) addFiles(files);
      else links.forEach(addLink);
      if (files.length || links.length) asked.value = false;
    };
    const all = new AbortController();
    const { signal } = all;
    addEventListener("dragenter", enter, { signal });
    addEventListener("dragleave", leave, { signal });
    addEventListener("dragover", hover, { signal });
    addEventListener("drop", drop, { signal });
    addEventListener("paste", paste, { signal });
    return () => all.abort();
  }, []);
  return over ? <div class="drop-over" aria-hidden="true"><p>Drop to upload</p></div> : null;
}
