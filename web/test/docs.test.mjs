// /docs: all of the API, from this server alone.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openBrowser, openPage } from "./browser.mjs";
import { key, startServer } from "./server.mjs";

let browser, server;
before(async () => {
  browser = await openBrowser();
  server = await startServer();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test("every operation is shown and can be tried, and nothing is asked of anyone else", async () => {
  const { page, complaints, context } = await openPage(browser, "about:blank");
  const elsewhere = [];
  page.on("request", (request) => request.url().startsWith(server.url) || request.url().startsWith("data:") || elsewhere.push(request.url()));
  await page.goto(`${server.url}/docs`);
  const { paths } = await (await fetch(`${server.url}/openapi.json`)).json();
  const operations = Object.values(paths).reduce((sum, path) => sum + Object.keys(path).length, 0);
  await page.locator(".opblock").nth(operations - 1).waitFor();
  assert.equal(await page.locator(".opblock").count(), operations);
  await page.getByRole("button", { name: "Authorize" }).click();
  await page.locator(".auth-container input").fill(key);
  await page.locator(".auth-btn-wrapper .authorize").click();
  await page.getByRole("button", { name: "Close", exact: true }).click();
  await page.locator("#operations-Assets-listAssets .opblock-summary-control").click();
  await page.getByRole("button", { name: "Try it out" }).click();
  await page.getByRole("button", { name: "Execute" }).click();
  await page.locator(".live-responses-table").getByText('"total_results": 0').waitFor();
  assert.deepEqual(elsewhere, []);
  assert.deepEqual(complaints, []);
  await context.close();
});
