/* 200 agents and 1,000 jobs of a run of 1,024 experts, all made through the API. What would break
 * for a user: a page that stands still under its lists. Times depend on the machine, so they are
 * printed; what is held is how much the page builds. */
import { call, check, createRun, go, inside, silent, tokenOf, until } from "./chromium.mjs";

const AGENTS = 200;
const ELEMENTS_MAX = 5000;

async function crowd() {
    const version = (await call("GET", "/v1/status")).version;
    const join = tokenOf("join");
    for (let i = 0; i < AGENTS; i += 25)
        await Promise.all(Array.from({ length: 25 }, (_, k) => call("POST", "/v1/agents", {
            identity: String(i + k).padStart(64, "a"), name: `crowd-${i + k}`, host: `host-${i % 7}`, processor: "EPYC",
            isa: "avx2", version, threads: 2, memory: 4e9 }, join)));
}

const shown = (page, title) => until(`${title} is painted`, () => page.evaluate((name) => {
    const m = performance.getEntriesByName("view shown").filter((e) => e.detail === name).pop();
    return m && Math.round(m.duration);
}, title));

export async function manyThings(browser) {
    await call("POST", "/v1/agents/drain", { names: [{ pattern: "*" }], now: true });
    await crowd();
    await createRun("crowded", { experts: 1024, rounds: 1, sequences: 8192, steps: 30 });
    const waiting = await call("GET", "/v1/jobs?run=crowded&limit=1000");
    check(waiting.length === 1000, `${waiting.length} jobs wait`);
    const page = await inside(browser, {});
    const words = [];
    for (const [path, heading] of [["queue", "Queue"], ["agents", "Agents"], ["runs/crowded", "crowded"]]) {
        await page.evaluate(() => performance.clearMeasures());
        await go(page, path, heading);
        const ms = await shown(page, heading);
        const elements = await page.evaluate(() => document.querySelectorAll("*").length);
        words.push(`${heading} ${ms} ms, ${elements} elements`);
        check(elements < ELEMENTS_MAX, `${heading} has ${elements} elements`);
        if (heading === "Queue") {
            await page.getByRole("button", { name: "900 more" }).click();
            await until("all jobs are listed", async () => await page.locator("tbody tr").count() === 1000);
        }
        if (heading === "Agents")
            await page.getByRole("button", { name: /^\d+ more/ }).waitFor();
    }
    console.log(`1,000 jobs, ${AGENTS} agents, 1,024 experts: ${words.join("; ")}`);
    await call("POST", "/v1/runs/crowded/cancel");
    silent(page, "many things");
    await page.context().close();
}
