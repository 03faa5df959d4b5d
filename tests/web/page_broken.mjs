/* The coordinator dies while a page looks on. What would break for a user: an old state that looks
 * like the present one, a page that has to be loaded again, things that are there twice. */
import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { accessible, base, call, check, createRun, folder, go, inside, logIn, openPage, silent, tokenOf, until } from "./chromium.mjs";

let coordinator = null;
export const stop = () => coordinator && coordinator.kill("SIGKILL");

async function restart() {
    const log = openSync(`${folder}/tacitd.log`, "a");
    coordinator = spawn(`${process.env.BIN}/tacitd`, ["--data", `${folder}/data`, "--listen", base.replace("http://", "")],
        { stdio: ["ignore", log, log] });
    await until("tacitd is there again", () => fetch(`${base}/healthz`).then((r) => r.ok, () => false));
}

const eventsShown = (page) => page.locator(".events li").allInnerTexts();

export async function brokenConnection(browser, pid) {
    const page = await inside(browser, {});
    await createRun("bridge", { steps: 240, publish: 80 });
    await go(page, "runs/bridge", "bridge");
    await page.getByRole("list", { name: "Curves shown" }).getByRole("button").first().waitFor();
    const before = await eventsShown(page);
    page.expected = /ERR_|Failed to load resource/; /* nobody answers for a while */
    process.kill(pid, "SIGKILL");
    const banner = page.getByText("No connection to the coordinator");
    await banner.waitFor();
    check(await page.getByRole("heading", { name: "bridge" }).isVisible(), "what was known is gone");
    await accessible(page, "without a connection");
    await restart();
    await banner.waitFor({ state: "hidden" });
    /* The coordinator keeps sessions in its memory alone; the page says so, and comes back to the run. */
    await page.locator(".note").filter({ hasText: "Your session has ended" }).waitFor();
    await logIn(page, tokenOf("admin"));
    await page.getByRole("heading", { name: "bridge", level: 1 }).waitFor();
    await page.getByText("live", { exact: true }).waitFor();
    page.expected = null;
    await until("the run goes on and ends, in the page", async () =>
        (await page.locator(".lede").first().innerText()).startsWith("Done"));
    const legend = page.getByRole("list", { name: "Curves shown" }).getByRole("button");
    const models = (await call("GET", "/v1/runs/bridge")).models.length;
    await until("each curve once", async () => await legend.count() === models + 2);
    await page.getByRole("link", { name: /more$/ }).last().click();
    await page.getByRole("heading", { name: /^History/ }).waitFor();
    const rows = await eventsShown(page);
    const known = (await call("GET", "/v1/history?limit=10000")).filter((e) => e.run === "bridge");
    check(rows.length === known.length, `${rows.length} events are shown of ${known.length}`);
    check(before.length > 0, "no event was shown before");
    silent(page, "a broken connection");
    await page.context().close();
}

/* Points that a later attempt goes over again take the place of the earlier ones. */
export async function rewinding(browser) {
    const page = await openPage(browser);
    await page.goto(base);
    const steps = await page.evaluate(async () => {
        const { rewound } = await import("/assets/fig_curves.js");
        return rewound([10, 20, 30, 40, 25, 35, 45].map((step) => ({ step }))).map((p) => p.step);
    });
    check(steps.join() === "10,20,25,35,45", `a rewound curve has steps ${steps}`);
    await page.context().close();
}
