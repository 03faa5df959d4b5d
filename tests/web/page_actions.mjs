/* What operators do on the page really happens. What would break for a user: a button that only
 * looks as if; a run cancelled by a slip. */
import { accessible, call, check, createRun, folder, go, inside, silent, tokenOf, until } from "./chromium.mjs";

const run = (name) => call("GET", `/v1/runs/${name}`);

/* Claims the next job as an agent of its own would, and fails it for good. */
async function giveUpJob() {
    const told = await call("POST", "/v1/agents", { identity: "c0ffee".padEnd(64, "0"), name: "clumsy", host: "lab",
        processor: "none", isa: "plain", version: (await call("GET", "/v1/status")).version, threads: 1, memory: 1e9 }, tokenOf("join"));
    const grant = await until("a job for clumsy", () => call("POST", "/v1/claims", { wait_ms: 5000, saves: [] }, told.token));
    await call("POST", `/v1/jobs/${grant.job}/fail`, { fence: grant.fence, error: "the loss is not a number",
        settings: true, log: "step 3: loss nan\nthat was all" }, told.token);
    return grant.job;
}

export async function actions(browser) {
    const page = await inside(browser, {});
    await createRun("steered", { steps: 100000, publish: 1000 });
    await go(page, "runs/steered", "steered");
    const press = (name) => page.getByRole("button", { name }).click();
    await press("Cancel …");
    const dialog = page.getByRole("dialog");
    await accessible(page, "a dialog");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    check((await run("steered")).state === "active", "a cancel that was left was done");

    await press("Pause …");
    await dialog.getByRole("button", { name: "Pause" }).click();
    await page.getByText("paused", { exact: true }).waitFor();
    check((await run("steered")).paused, "the run is not paused");
    await press("Resume");
    await page.getByRole("button", { name: "Pause …" }).waitFor();
    check(!(await run("steered")).paused, "the run is paused still");
    await press("Priority …");
    await dialog.getByLabel("Priority").fill("7");
    await dialog.getByRole("button", { name: "Set" }).click();
    await page.getByText("priority 7").first().waitFor();
    check((await run("steered")).priority === 7, "the priority is another");

    await go(page, "agents", "Agents");
    const row = page.getByRole("row").filter({ hasText: "larch" });
    await row.getByRole("button", { name: "Drain …" }).click();
    await dialog.getByLabel(/hands over at once/).check();
    await dialog.getByRole("button", { name: "Drain" }).click();
    await row.getByText("drained", { exact: true }).waitFor();
    await row.getByRole("button", { name: "Undrain" }).click();
    await row.getByRole("button", { name: "Drain …" }).waitFor();
    const agent = async () => (await call("GET", "/v1/agents")).find((a) => a.name === "larch");
    check(!/drain/.test((await agent()).state), "the agent is drained still");

    await go(page, "runs/steered", "steered");
    await press("Cancel …");
    await dialog.getByRole("button", { name: "Cancel the run" }).click();
    await page.getByText("The run was cancelled").waitFor();
    check((await run("steered")).state === "cancelled", "the run is not cancelled");

    await call("POST", "/v1/agents/drain", { names: [{ pattern: "*" }], now: true });
    await createRun("clumsy");
    const job = await giveUpJob();
    await go(page, "queue?state=quarantined", "Queue");
    await page.getByText("Attempts and logs").first().click();
    await page.getByText("step 3: loss nan").waitFor();
    await accessible(page, "the quarantine");
    await page.getByRole("button", { name: "Try again" }).first().click();
    await until("the job waits again", async () => (await call("GET", `/v1/jobs/${job}`)).state !== "quarantined");
    await go(page, "agents", "Agents");
    const clumsy = page.getByRole("row").filter({ hasText: "clumsy" });
    await clumsy.getByRole("button", { name: "Revoke …" }).click();
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await clumsy.getByText("revoked", { exact: true }).waitFor();
    await call("POST", "/v1/agents/undrain", { names: [{ pattern: "*" }] });
    silent(page, `an operator's actions (${folder})`);
    await page.context().close();
}
