/* Who comes without a token, with a wrong one, and to look only. What would break for a user: names
 * shown to strangers, a log-in that tells nothing, viewers who are offered what they may not do. */
import { accessible, base, call, check, go, inside, logIn, openPage, silent, tokenOf } from "./chromium.mjs";

export async function stranger(browser) {
    for (const look of [{ width: 1280, theme: "light" }, { width: 360, height: 740, theme: "dark" }]) {
        const page = await openPage(browser, look);
        await page.goto(base);
        await page.getByRole("heading", { name: "This coordinator" }).waitFor();
        const text = await page.locator("body").innerText();
        check(!/larch|maple|oak|fable/.test(text), `a stranger is shown names: ${text}`);
        check(await page.getByRole("navigation").count() === 0, "a stranger is shown the way to pages");
        await accessible(page, `the front at ${look.width}`);
        silent(page, "the front");
        page.expected = /401/; /* the browser's own words on the answer */
        await logIn(page, "not-the-token");
        await page.getByRole("alert").filter({ hasText: "not known" }).waitFor();
        check(await page.getByLabel("Token").isVisible(), "a wrong token leads somewhere");
        await accessible(page, "after a wrong token");
        silent(page, "a wrong token");
        await page.context().close();
    }
}

export async function viewer(browser) {
    const page = await inside(browser, {}, "viewer");
    for (const [path, heading] of [["", "Runs"], ["runs/fable", "fable"], ["agents", "Agents"], ["queue", "Queue"]]) {
        await go(page, path, heading);
        await page.locator("main .sheet").first().waitFor();
        const actions = page.locator("main").getByRole("button", { name: /^(Pause|Resume|Cancel|Priority|Drain|Undrain|Revoke|Try again)/ });
        check(await actions.count() === 0, `a viewer is offered actions at ${path}`);
    }
    const status = await page.evaluate(async () => (await fetch("/v1/runs/fable/cancel",
        { method: "POST", headers: { "X-Tacit-Request": "1" } })).status);
    check(status === 403, `a viewer's cancel is answered ${status}`);
    page.errors = page.errors.filter((e) => !/403/.test(e));
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByLabel("Token").waitFor();
    const after = await page.evaluate(async () => (await fetch("/v1/runs")).status);
    check(after === 401, `after the log-out /v1/runs is answered ${after}`);
    page.errors = page.errors.filter((e) => !/401/.test(e));
    silent(page, "a viewer's pages");
    await page.context().close();
    await call("GET", "/v1/runs", undefined, tokenOf("viewer"));
}
