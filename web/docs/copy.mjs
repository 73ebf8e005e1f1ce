// Swagger UI as it is published, for /docs: what it needs, and nothing that it would load from elsewhere.
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const published = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
const out = join(here, "../dist/docs");

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
for (const name of ["swagger-ui.css", "swagger-ui-bundle.js"]) copyFileSync(join(published, name), join(out, name));
for (const name of ["index.html", "start.js", "docs.css"]) copyFileSync(join(here, name), join(out, name));
