/* Every view at two widths and in both themes, and the page without a mouse. What would break for a
 * user: a view that cannot be read, a token that is gone while it is being typed, a run that cannot be
 * reached, a choice of colours that does not last. */
import { accessible, base, call, check, go, inside, logIn, openPage, silent, tokenOf, until } from "./chromium.mjs";

/* A log-in begun before the front's figures have come goes on when they have. */
async function slowFront(page) {
    let letGo;
    const held = new Promise((resolve) => { letGo = resolve; });
    await page.route("**/v1/overview", async (route) => {
        await held;
        await route.continue();
    });
    await page.goto(base);
    const token = page.getByLabel("Token");
    await token.focus();
    await page.keyboard.type("half a tok");
    letGo();
    await page.getByRole("heading", { name: "This coordinator" }).waitFor();
    await page.keyboard.type("en");
    check(await token.inputValue() === "half a token", `of what was typed there is "${await token.inputValue()}"`);
    await page.unroute("**/v1/overview");
}

/* The way to a run, and the switch of colours. */
export async function byKeyboard(browser) {
    const page = await openPage(browser);
    await slowFront(page);
    await logIn(page, tokenOf("viewer"));
    await page.getByRole("heading", { name: "Runs", level: 1 }).waitFor();
    await page.keyboard.press("Tab");
    const focused = () => page.evaluate(() => document.activeElement.textContent.trim());
    await until("a run's link has the focus", async () => {
        if (await focused() === "fable")
            return true;
        await page.keyboard.press("Tab");
        return false;
    });
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "fable", level: 1 }).waitFor();
    check(await page.evaluate(() => document.activeElement.id) === "main", "a new view does not get the focus");
    await page.getByRole("combobox", { name: "Colours" }).selectOption("dark");
    const ground = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    check(ground === "rgb(19, 21, 25)", `dark is ${ground}`);
    await page.reload();
    await page.getByRole("heading", { name: "fable", level: 1 }).waitFor();
    check(await page.evaluate(() => document.documentElement.dataset.theme) === "dark", "the choice of colours is forgotten");
    silent(page, "the keyboard's way");
    await page.context().close();
}

export async function allViews(browser) {
    const run = await call("GET", "/v1/runs/fable");
    const jobs = await call("GET", "/v1/jobs?run=fable&limit=1000");
    const job = jobs.find((j) => j.kind === "train");
    const model = run.models.find((m) => m.target === "expert").content;
    const views = [["", "Runs", ".runs"], ["runs/fable", "fable", ".plot canvas"], ["agents", "Agents", "table"],
        ["queue?run=fable", "Queue", "table"], [`jobs/${job.job}`, /^train/, ".items"],
        [`lineage/${model}`, /^Lineage/, ".plate button"], ["history", "History", ".events"],
        ["nowhere", "There is no such page", "main"]];
    for (const look of [{ width: 1280, theme: "dark" }, { width: 360, height: 740, theme: "light" }]) {
        const page = await inside(browser, look);
        for (const [path, heading, part] of views) {
            await go(page, path, heading);
            await page.locator(part).first().waitFor();
            await accessible(page, `${path || "runs"} at ${look.width}, ${look.theme}`);
        }
        silent(page, `views at ${look.width}`);
        await page.context().close();
    }
}
