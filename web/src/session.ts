// The key lives as long as the tab: sessionStorage, never a URL, never a cookie.
import { signal } from "@preact/signals";

const NAME = "reelhouse.key";

export const key = signal<string | null>(sessionStorage.getItem(NAME));
/** Why the last session ended, if it did not end by its user. */
export const farewell = signal("");

export function signIn(text: string): void {
  sessionStorage.setItem(NAME, text);
  farewell.value = "";
  key.value = text;
}

export function signOut(why = ""): void {
  sessionStorage.removeItem(NAME);
  farewell.value = why;
  key.value = null;
}
