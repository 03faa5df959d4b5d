/* The dashboard in Chromium, against the coordinator and agents that tests/system/page.sh has
 * started. Prints a line a part; exits with 1 at the first that fails. */
import { browse } from "./chromium.mjs";
import { watchRun } from "./page_run.mjs";
import { actions } from "./page_actions.mjs";
import { brokenConnection, rewinding, stop } from "./page_broken.mjs";
import { manyThings } from "./page_many.mjs";
import { allViews, byKeyboard } from "./page_views.mjs";
import { stranger, viewer } from "./page_visitors.mjs";

const parts = [["a run from start to end", watchRun], ["strangers", stranger], ["viewers", viewer],
    ["by keyboard", byKeyboard], ["actions", actions],
    ["a broken connection", (browser) => brokenConnection(browser, Number(process.env.TACITD_PID))],
    ["every view", allViews], ["a rewound curve", rewinding], ["many things", manyThings]];
const wanted = process.argv.slice(2);

try {
    await browse(async (browser) => {
        for (const [name, part] of parts) {
            if (wanted.length > 0 && !wanted.some((w) => name.includes(w)))
                continue;
            const start = Date.now();
            await part(browser);
            console.log(`${name}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
        }
    });
} catch (error) {
    console.error(error.message, error.stack);
    process.exitCode = 1;
}
stop();
