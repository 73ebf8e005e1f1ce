// Writes the table of docs/compatibility.md from what the runs saw. A method that no test called is an error.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { ran } from "./methods.mjs";

const [begin, end] = ["<!-- methods: written by make conformance -->\n", "<!-- end of methods -->\n"];
const docs = join(ran, "../../docs/compatibility.md");

const sdks = new Map();
for (const file of readdirSync(ran)) {
  const { sdk, all, called } = JSON.parse(readFileSync(join(ran, file)));
  const known = sdks.get(sdk) ?? { all: new Set(), called: new Set() };
  all.forEach((method) => known.all.add(method));
  called.forEach((method) => known.called.add(method));
  sdks.set(sdk, known);
}
const names = [...sdks.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
const missing = names.flatMap((sdk) => {
  const { all, called } = sdks.get(sdk);
  return [...all].filter((method) => !called.has(method)).map((method) => `${sdk}: no test calls ${method}`);
});
if (missing.length > 0) throw new Error(missing.join("\n"));

const methods = [...new Set(names.flatMap((sdk) => [...sdks.get(sdk).all]))].sort();
const row = (cells) => `| ${cells.join(" | ")} |\n`;
const table =
  row(["method", ...names]) +
  row(["---", ...names.map(() => "---")]) +
  methods.map((method) => row([`\`${method}\``, ...names.map((sdk) => (sdks.get(sdk).all.has(method) ? "works" : "–"))])).join("");

const page = readFileSync(docs, "utf8");
const [before, rest] = page.split(begin);
writeFileSync(docs, before + begin + table + end + rest.split(end)[1]);
