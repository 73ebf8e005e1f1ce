// Pictures of the page to look at: node test/shots.mjs URL KEY FOLDER [WIDTH,…]
import { mkdirSync } from "node:fs";

import { openBrowser, openPage, signIn } from "./browser.mjs";

const [url, key, folder, widths = "360,1280,2560"] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const browser = await openBrowser();
for (const width of widths.split(",").map(Number)) {
  for (const dark of [false, true]) {
    const height = { 360: 740, 1280: 860, 2560: 1440 }[width] ?? 2160;
    const { page, complaints, context } = await openPage(browser, url, { width, height, dark });
    const shot = async (name) => {
      await page.waitForTimeout(500);
      await page.screenshot({ path: `${folder}/${name}-${width}-${dark ? "dark" : "light"}.png` });
    };
    await shot("signin");
    await signIn(page, key);
    await page.waitForFunction(() => document.querySelectorAll(".grid img").length > 2);
    await shot("library");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await shot("add");
    await page.keyboard.press("Escape");
    await page.locator(".grid a", { hasText: "Mandelbrot" }).click();
    await page.locator("video").waitFor();
    await page.waitForTimeout(1500);
    await shot("asset");
    await page.getByRole("button", { name: "Delete" }).click();
    await shot("delete");
    if (complaints.length) console.log(width, dark, complaints);
    await context.close();
  }
}
await browser.close();
