/* The page: who is looking, which view the address names, and a drawing whenever something moved. */
import { get } from "./api.js";
import { draw, fill, h, oncePerFrame } from "./dom.js";
import { say } from "./dialogs.js";
import { linkState, listen, startLive, stopLive } from "./live.js";
import { shell } from "./shell.js";
import { startTips } from "./tips.js";
import { frontView } from "./view_front.js";
import { runsView } from "./view_runs.js";
import { runView } from "./view_run.js";
import { queueView } from "./view_queue.js";
import { jobView } from "./view_job.js";
import { agentsView } from "./view_agents.js";
import { historyView } from "./view_history.js";
import { lineageView } from "./view_lineage.js";

const ROUTES = [
    [/^$/, runsView],
    [/^runs\/([^/]+)$/, runView],
    [/^queue$/, queueView],
    [/^jobs\/(\d+)$/, jobView],
    [/^agents$/, agentsView],
    [/^history$/, historyView],
    [/^lineage\/([0-9a-f]+)$/, lineageView],
];

const main = document.getElementById("main");
const context = {
    session: { role: "none", loopback: false },
    operator: () => context.session.role === "operator",
    width: 0,
    redraw: oncePerFrame(drawAll),
    enter, leave,
};
let view = null;
let failed = null;
let opened = 0; /* when the view was asked for, until all of it is there */

function address() {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
    return { path, query: new URLSearchParams(query) };
}

function open() {
    const { path, query } = address();
    if (view && view.close)
        view.close();
    view = failed = null;
    if (context.session.role === "none") {
        view = frontView(context);
        return;
    }
    for (const [pattern, make] of ROUTES) {
        const found = pattern.exec(path);
        if (found) {
            view = make(context, ...found.slice(1).map(decodeURIComponent), query);
            return;
        }
    }
    view = { title: "Not found", render: () => [h("h1", null, "There is no such page"),
        h("p", { class: "lede" }, "All of them begin at the ", h("a", { href: "#/" }, "runs"), ".")] };
}

function drawAll() {
    if (!view)
        return;
    context.width = main.clientWidth -
        2 * parseFloat(getComputedStyle(main).paddingLeft || "0");
    shell(context, address().path);
    try {
        draw(main, view.render());
        fill(main, view.kept || {});
        if (view.drawn)
            view.drawn();
    } catch (error) {
        /* A view that cannot be drawn must not leave an old one standing as if it were true. */
        if (failed !== error.message)
            console.error(error);
        failed = error.message;
        draw(main, h("h1", null, "This cannot be shown"), h("p", { class: "lede" }, error.message));
    }
    if (opened && (!view.ready || view.ready()))
        shown();
    document.title = view.title ? `${view.title} · tacit` : "tacit";
}

/* How long a view took from the click until it was painted, for whoever asks the browser. */
function shown() {
    const start = opened;
    const detail = view.title;
    opened = 0;
    requestAnimationFrame(() => setTimeout(() =>
        performance.measure("view shown", { start, end: performance.now(), detail })));
}

function go() {
    opened = performance.now();
    open();
    drawAll();
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
}

/* As whom the page asks; null where nobody answers. */
const session = () => get("/v1/session").catch(() => null);

/* After a log-in, or when the page is opened with a session. */
async function enter() {
    context.session = await session() || { role: "none", loopback: false, away: true };
    if (context.session.role !== "none")
        startLive();
    go();
}

function leave() {
    stopLive();
    context.session = { ...context.session, role: "none" };
    go();
}

let asking = false;

/* Something was refused: the session has ended elsewhere, or the coordinator has forgotten it. While
 * nobody answers, what is known stays, under a banner. */
async function lapsed() {
    if (asking || context.session.role === "none")
        return;
    asking = true;
    const told = await session();
    asking = false;
    if (told && told.role === "none") {
        leave();
        say("Your session has ended: log in again.", true);
    }
}

/* What people should hear of without looking for it. */
const TOLD = /^(run\.(created|paused|resumed|cancelled|phase|failed|done)|job\.quarantined|alarm|agent\.(joined|benched|revoked))/;

listen((what) => {
    if (what === "session")
        lapsed();
    else if (what === "link" && linkState().state === "lost")
        lapsed();
    else if (what.kind && TOLD.test(what.kind))
        document.getElementById("said").textContent =
            [what.run, what.text].filter(Boolean).join(": ");
    context.redraw();
});
addEventListener("hashchange", go);
addEventListener("theme", context.redraw);
new ResizeObserver(context.redraw).observe(main);
/* Words such as "20 s ago" grow old. */
setInterval(() => {
    if (!document.hidden)
        context.redraw();
}, 5000);
startTips();
enter();
