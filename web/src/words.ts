// Numbers, sizes and times as people read them.
const number = new Intl.NumberFormat("en");
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const day = new Intl.DateTimeFormat("en", { dateStyle: "medium" });
const moment = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

export const count = (value: number) => number.format(value);
export const decimal = (value: number) => one.format(value);

/** Binary units, as the API's own messages count them. */
export function size(bytes: number): string {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit && value < 100 ? one.format(value) : number.format(Math.round(value))} ${units[unit]}`;
}

export const rate = (bytes: number) => `${size(bytes)}/s`;

/** `4:05`, `1:02:03`. */
export function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (value: number) => String(value).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** How long something still takes. */
export function left(seconds: number): string {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 1) return "nearly done";
  if (seconds < 90) return `${Math.ceil(seconds)} s left`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min left`;
  return `${one.format(seconds / 3600)} h left`;
}

export function since(time: string): string {
  const seconds = (Date.parse(time) - Date.now()) / 1000;
  if (seconds > -45) return "just now";
  if (seconds > -2700) return ago.format(Math.round(seconds / 60), "minute");
  if (seconds > -79200) return ago.format(Math.round(seconds / 3600), "hour");
  if (seconds > -518400) return ago.format(Math.round(seconds / 86400), "day");
  return day.format(new Date(time));
}

export const exactly = (time: string) => moment.format(new Date(time));

export const plural = (n: number, word: string) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;
