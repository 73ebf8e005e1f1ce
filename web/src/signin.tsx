import { useState } from "preact/hooks";

import { Fault, faultOf, unreachable } from "./api";
import { Problem } from "./problem";
import { farewell, signIn } from "./session";
import { ThemeButton } from "./theme";

/** Whether the server takes this key. */
async function tried(key: string): Promise<void> {
  const answer = await fetch("/v1.3/assets?page_limit=1", { headers: { "x-api-key": key }, cache: "no-store" }).catch(() => {
    throw unreachable();
  });
  if (!answer.ok) throw faultOf(answer.status, await answer.text(), null);
}

export function SignIn() {
  const [fault, setFault] = useState<Fault | null>(null);
  const [busy, setBusy] = useState(false);

  async function submit(event: SubmitEvent) {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const input = form.elements.namedItem("key") as HTMLInputElement;
    const text = input.value.trim();
    if (!text) return input.focus();
    setBusy(true);
    setFault(null);
    try {
      // A header takes no others; such a key is none of this server's.
      if (!/^[\x21-\x7e]+$/.test(text)) throw new Fault("api_key_invalid", "A key has neither spaces nor accents. Was all of it copied, and nothing else?", 401);
      await tried(text);
      signIn(text);
    } catch (error) {
      setBusy(false);
      setFault(error as Fault);
      input.focus();
      input.select();
    }
  }

  return (
    <main class="signin">
      <div class="corner"><ThemeButton /></div>
      <form onSubmit={submit} aria-labelledby="signin-title">
        <h1 id="signin-title" class="wordmark">Reelhouse</h1>
        <p class="lede">A house for your video, sound and pictures.</p>
        {farewell.value && !fault && <p class="note" role="status">You were signed out: {farewell.value}</p>}
        <label for="key">API key</label>
        <input
          id="key"
          name="key"
          type="password"
          autocomplete="current-password"
          autocapitalize="off"
          spellcheck={false}
          aria-describedby="key-help"
          aria-invalid={fault ? true : undefined}
          autofocus
        />
        <button class="primary" disabled={busy}>{busy ? "Signing in …" : "Sign in"}</button>
        {fault && <Problem fault={fault} />}
        <p id="key-help" class="help">
          The first start of the server printed one. <code>reelhouse keys create --account NAME</code> makes another. It is kept in
          this tab and goes when the tab is closed.
        </p>
      </form>
    </main>
  );
}
