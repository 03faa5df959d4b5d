/* A run from its start to its report, watched in one page that is never loaded again. What would
 * break for a user: a page that stands still, or that shows another state than the run's. */
import { call, check, createRun, inside, silent, until } from "./chromium.mjs";

const PHASES = /Routers learn|score new sequences|part the whole corpus|cut into a segment|experts train|dense model trains|evaluated on|writes the report/;

export async function watchRun(browser) {
    const page = await inside(browser, {});
    await createRun("fable", { rounds: 4, steps: 120, publish: 60 });
    await page.getByRole("link", { name: "fable", exact: true }).first().click();
    await page.getByRole("heading", { name: "fable", level: 1 }).waitFor();
    const seen = new Set();
    await until("the run is shown as done", async () => {
        const words = await page.locator(".lede").first().innerText();
        const phase = PHASES.exec(words);
        if (phase)
            seen.add(phase[0]);
        return words.startsWith("Done");
    });
    check(seen.size >= 2, `of the phases the page showed ${[...seen].join(", ") || "none"}`);
    check((await call("GET", "/v1/runs/fable")).state === "done", "the page says done before the run is");
    await page.getByText("perplexity on held-out text").waitFor();
    await complete(page, await call("GET", "/v1/runs/fable"));
    silent(page, "a run from start to end");
    await page.context().close();
}

/* All that a run's page has to show is there, and agrees with the API. */
async function complete(page, run) {
    const models = run.models.length;
    await page.locator("#curves ~ * canvas, .plot canvas").first().waitFor();
    const legend = page.getByRole("list", { name: "Curves shown" }).getByRole("button");
    const curves = await call("GET", "/v1/runs/fable/curves?limit=150");
    await until("a curve of every model, and the held-out ones", async () =>
        await legend.count() === curves.length + 2);
    check(curves.length === models, `${curves.length} curves of ${models} models`);
    for (const c of curves)
        check(c.steps.every((s, i) => i === 0 || s > c.steps[i - 1]), `a curve of ${c.target} goes back`);
    for (const heading of ["Learning curves", "Who trains what", "How the corpus parts", "Costs, beside dense", "Queue and transfers", "Where models come from"])
        check(await page.getByRole("heading", { name: heading }).count() === 1, `no section "${heading}"`);
    await page.getByRole("img", { name: /^What \d+ agents? did/ }).waitFor();
    await page.getByRole("img", { name: new RegExp(`^Sources of ${run.experts} experts' sequences in ${run.rounds} rounds`) }).waitFor();
    await page.getByRole("img", { name: /^Mixture: .* FLOPs/ }).waitFor();
    await page.getByLabel("hours").check();
    await page.locator(".plot canvas").waitFor();
    await legend.first().click();
    check(await legend.first().getAttribute("aria-pressed") === "false", "a curve cannot be hidden");
}
