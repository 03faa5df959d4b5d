/* Chromium for the page's tests: pages that are watched for errors, checks by axe, and the API beside
 * them. Packages are those of ops/deps.sh (build/npm/test). */
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(new URL("../../build/npm/test/packages.js", import.meta.url));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const base = process.env.TACIT_URL;
export const folder = process.env.PAGE_DIR;
export const tokenOf = (name) => readFileSync(`${folder}/data/${name}.token`, "utf8").trim();

/* Only where something is wrong is that long: it fits the slowest machine. */
export const PATIENCE_MS = 1000 * Number(process.env.PAGE_PATIENCE || 120);

export function fail(words) {
    throw new Error(words);
}

export const check = (holds, words) => holds || fail(words);

export async function until(words, test) {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
        const got = await test();
        if (got)
            return got;
        if (Date.now() > end)
            fail(`waited in vain: ${words}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

/* The API as the operator, or by another token. */
export async function call(method, path, body, token = tokenOf("admin")) {
    const reply = await fetch(base + path, { method,
        headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
        body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await reply.text();
    if (!reply.ok)
        fail(`${method} ${path}: ${reply.status} ${text}`);
    return text ? JSON.parse(text) : null;
}

export async function browse(work) {
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-dev-shm-usage"] });
    try {
        await work(browser);
    } catch (error) {
        /* What stood on the pages says more than what was waited for. */
        for (const page of browser.contexts().flatMap((c) => c.pages())) {
            error.message += `\n${page.url()}\n${page.errors.join("\n")}\n` +
                (await page.locator("body").innerText().catch(() => "")).slice(0, 1500);
            if (process.env.SHOTS)
                await page.screenshot({ path: `${process.env.SHOTS}/failed.png`, fullPage: true }).catch(() => {});
        }
        throw error;
    } finally {
        await browser.close();
    }
}

/* A page of a browser of its own (cookies!). Whatever it says as an error is kept in `errors`, but
 * for what the browser itself says of requests that are meant to fail: page.expected, a pattern. */
export async function openPage(browser, { width = 1280, height = 900, theme = "light" } = {}) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme,
        reducedMotion: "reduce", deviceScaleFactor: 1 });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.errors = [];
    page.expected = null;
    page.on("console", (message) => {
        const text = `${message.text()} (${message.location().url})`;
        if (message.type() === "error" && !(page.expected && page.expected.test(text)))
            page.errors.push(text);
    });
    page.on("pageerror", (error) => page.errors.push(error.stack));
    return page;
}

export const silent = (page, when) => check(page.errors.length === 0,
    `${when}: the console has errors:\n${page.errors.join("\n")}`);

/* Nothing that axe finds, and nothing wider than the window. */
export async function accessible(page, when) {
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    check(found.violations.length === 0, `${when}: axe says\n` + found.violations.map((v) =>
        `${v.id}: ${v.help}\n` + v.nodes.slice(0, 3).map((n) => `  ${n.html}\n  ${n.failureSummary}`).join("\n")).join("\n"));
    const [wide, room] = await page.evaluate(() =>
        [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    check(wide <= room, `${when}: ${wide} pixels wide, of ${room}`);
}

export async function logIn(page, token) {
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Log in" }).click();
}

export async function inside(browser, options, name = "admin") {
    const page = await openPage(browser, options);
    await page.goto(base);
    await logIn(page, tokenOf(name));
    await page.getByRole("heading", { name: "Runs", level: 1 }).waitFor();
    return page;
}

export async function go(page, path, heading) {
    await page.goto(`${base}/#/${path}`);
    await page.getByRole("heading", { name: heading, level: 1, exact: true }).waitFor();
}

/* A run of so many experts, on the made-up data set. */
export const spec = (name, { experts = 3, rounds = 3, steps = 60, publish = 30, sequences = 600 } = {}) =>
    `[run]
name = ${name}
dataset = synthetic
experts = ${experts}
seed = 5
[router]
hidden = 16
layers = 1
heads = 2
prefix = 16
rounds = ${rounds}
sequences = ${sequences}
batch = 8
learning_rate = 3e-3
warmup = 5
[expert]
hidden = 32
layers = 2
heads = 2
batch = 8
steps = ${steps}
learning_rate = 5e-3
warmup = 20
[dense]
match = both
[checkpoint]
every_steps = ${publish}
publish_steps = ${publish}
[eval]
every_steps = ${publish}
`;

export const createRun = (name, options) =>
    call("POST", "/v1/runs", { spec: spec(name, options), file: `${name}.ini`, dry_run: false });
