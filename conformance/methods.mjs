// Which methods of an SDK there are, and which a test called. What a run saw is kept in .ran/, for table.mjs.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ran = join(dirname(fileURLToPath(import.meta.url)), ".ran");
/** The parts of an SDK that this server answers. */
const areas = ["assets", "indexes", "indexes.indexedAssets", "multipartUpload"];

/** A client that notes what is called on it, for the run of one file of tests; `done()` keeps the notes. */
export function watch(client, sdk, file) {
  const called = new Set();
  const all = areas.flatMap((area) => {
    const resource = area.split(".").reduce((object, key) => object[key], client);
    return methodsOf(resource).map((method) => `${area}.${method}`);
  });
  const wrap = (object, path) =>
    new Proxy(object, {
      get(target, key) {
        const value = Reflect.get(target, key, target);
        const name = path ? `${path}.${String(key)}` : String(key);
        if (all.includes(name)) {
          return (...given) => {
            called.add(name);
            return value.apply(target, given);
          };
        }
        return areas.some((area) => area === name || area.startsWith(`${name}.`)) ? wrap(value, name) : value;
      },
    });
  const done = () => {
    mkdirSync(ran, { recursive: true });
    writeFileSync(join(ran, `${sdk}, ${file}.json`), JSON.stringify({ sdk, all, called: [...called] }));
  };
  return { client: wrap(client, ""), done };
}

function methodsOf(resource) {
  const names = new Set();
  for (let type = Object.getPrototypeOf(resource); type !== Object.prototype; type = Object.getPrototypeOf(type)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(type))) {
      if (typeof value === "function" && name !== "constructor" && !name.startsWith("_")) names.add(name);
    }
  }
  return [...names];
}
