/* The pictures of the documents: `screenshots.mjs FOLDER`, beside what tests/system/page.sh starts.
 * A run stands where its experts train and the dense models beside them; agents are shown in the dark. */
import { browse, call, createRun, go, inside, silent, until } from "./chromium.mjs";

const RUN = { experts: 4, rounds: 6, steps: 800, publish: 200, sequences: 1600 };
const FAR = 0.7;
const folder = process.argv[2];

const picture = (page, name) => page.screenshot({ path: `${folder}/${name}.png`, animations: "disabled" });

try {
    await browse(async (browser) => {
        const run = await inside(browser, { width: 1200, height: 1120 });
        const agents = await inside(browser, { width: 1200, height: 560, theme: "dark" });
        await createRun("fable", RUN);
        await go(run, "runs/fable", "fable");
        await go(agents, "agents", "Agents");
        await until("experts at work", async () => (await call("GET", "/v1/runs/fable")).progress > FAR);
        await run.locator(".lede").filter({ hasText: "experts train" }).waitFor();
        await picture(run, "dashboard-run");
        await picture(agents, "dashboard-agents");
        for (const page of [run, agents])
            silent(page, "a picture");
    });
} catch (error) {
    console.error(error.message, error.stack);
    process.exitCode = 1;
}
