import { effect, signal } from "@preact/signals";

import { Icon, type IconName } from "./icons";

type Theme = "auto" | "light" | "dark";
const NAME = "reelhouse.theme";
const themes: { theme: Theme; icon: IconName; words: string }[] = [
  { theme: "auto", icon: "auto", words: "Colours follow the system" },
  { theme: "light", icon: "sun", words: "Light colours" },
  { theme: "dark", icon: "moon", words: "Dark colours" },
];

const kept = localStorage.getItem(NAME);
const theme = signal<Theme>(kept === "light" || kept === "dark" ? kept : "auto");
effect(() => {
  document.documentElement.dataset["theme"] = theme.value;
  localStorage.setItem(NAME, theme.value);
});

/** One button that goes round the three. */
export function ThemeButton() {
  const at = themes.findIndex((each) => each.theme === theme.value);
  const now = themes[at]!;
  const next = themes[(at + 1) % themes.length]!;
  return (
    <button class="quiet round" title={now.words} onClick={() => (theme.value = next.theme)}>
      <Icon name={now.icon} />
      <span class="unseen">{now.words}. Change to: {next.words}</span>
    </button>
  );
}
