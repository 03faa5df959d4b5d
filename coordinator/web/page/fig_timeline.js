/* Who trained what: a row for each agent, a bar for each attempt, coloured as the model's curve. */
import { h, s } from "./dom.js";
import { capped } from "./dialogs.js";
import { count, duration, exactTime, timeSeconds } from "./format.js";
import { behind } from "./parts.js";
import { jobWords } from "./words.js";

const ROWS_MAX = 24;
const BARS_MAX = 6000; /* of a drawing; the newest */
const TABLE_MAX = 200;
const ROW = 24;
const BAR = 14;
const TICKS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200,
    86400, 172800, 604800];

/* What it was for decides the colour, how it ended the outline. */
function look(a) {
    if (a.target === "expert" && a.kind === "train")
        return `filled m${a.index % 8}`;
    if (a.kind === "train-router")
        return `filled m${a.index % 8} light2`;
    if (a.kind === "train")
        return a.target === "dense-flops" ? "filled mx light1" : "filled mx";
    return "lifeless";
}

const badEnd = (outcome) => outcome === "failed" || outcome === "expired";

function bar(a, x, y, end) {
    const left = x(a.started_at);
    const width = Math.max(1.5, x(a.ended_at || end) - left - 0.5);
    const lasted = ((a.ended_at || end) - a.started_at) / 1000;
    const tip = `${jobWords(a)}\n${a.ended_at ? `${a.outcome} after` : "for"} ${duration(lasted)}` +
        (a.number > 1 ? `, attempt ${a.number}` : "");
    return s("g", { "data-tip": tip },
        s("rect", { x: left.toFixed(1), y, width: width.toFixed(1), height: BAR, rx: Math.min(3, width / 2),
            class: `${look(a)}${badEnd(a.outcome) ? " how-failed" : ""}` }),
        badEnd(a.outcome) && width > 9 && s("path", { class: "how-failed", d: `M${left + width - 8} ${y + 4}l5 6m0-6l-5 6` }));
}

function ticks(first, last, room) {
    const seconds = (last - first) / 1000;
    const step = TICKS_S.find((t) => seconds / t <= Math.max(2, room / 90)) || 604800;
    const list = [];
    for (let t = 0; t <= seconds; t += step)
        list.push(t);
    return list;
}

const group = (attempts) => {
    const rows = new Map();
    for (const a of attempts) {
        const name = a.agent || "coordinator";
        if (!rows.has(name))
            rows.set(name, []);
        rows.get(name).push(a);
    }
    /* The busiest first. */
    return [...rows].sort((a, b) => b[1].length - a[1].length || a[0].localeCompare(b[0]));
};

const keys = () => h("ul", { class: "legend", "aria-label": "Colours" },
    [["m0", "expert (each its colour)", ""], ["m0", "router (paler)", "light2"], ["mx", "dense", ""]].map(([m, words, light]) =>
        h("li", { class: "key" }, s("svg", { class: "swatch", width: 12, height: 12, "aria-hidden": "true" },
            s("rect", { width: 12, height: 12, rx: 3, class: `filled ${m} ${light}` })), words)),
    h("li", { class: "key" }, s("svg", { class: "swatch", width: 12, height: 12, "aria-hidden": "true" },
        s("rect", { width: 12, height: 12, rx: 3, class: "lifeless" })), "scoring, evaluation"),
    h("li", { class: "key" }, s("svg", { width: 12, height: 12, "aria-hidden": "true" },
        s("path", { class: "how-failed", d: "M2 2l8 8m0-8l-8 8" })), "failed or lost"));

/* timeline: of the API. */
export function timelineFigure({ attempts, more: earlier }, run, width, open, redraw) {
    const own = attempts.filter((a) => a.agent);
    if (own.length === 0)
        return h("p", { class: "empty" }, "Nobody has worked on it yet.");
    const rows = group(own.slice(-BARS_MAX));
    const first = Math.min(...own.map((a) => a.started_at));
    const end = run.ended_at || Date.now();
    const last = Math.max(end, ...own.map((a) => a.ended_at || 0), first + 1);
    const { shown, more } = capped(rows, ROWS_MAX, open, "timeline", redraw);
    const narrow = width < 560;
    const longest = Math.max(...shown.map(([name]) => name.length));
    const gutter = narrow ? 0 : Math.min(180, 16 + 7.4 * longest);
    const row = narrow ? ROW + 14 : ROW;
    const x = (ms) => gutter + (width - gutter - 2) * (ms - first) / (last - first);
    const height = shown.length * row + 26;
    const svg = s("svg", { width, height, role: "img",
        "aria-label": `What ${count(rows.length)} agents did over ${duration((last - first) / 1000)}; the table below says it` },
    ticks(first, last, width - gutter).map((t) => {
        const at = x(first + 1000 * t);
        const late = at > width - 30;
        return s("g", null, s("line", { x1: at, x2: at, y1: 0, y2: height - 22, class: "grid" }),
            s("text", { x: at, y: height - 6, class: late ? "faint end" : t ? "faint mid" : "faint" },
                t ? duration(t) : "0"));
    }),
    shown.map(([name, list], i) => {
        const y = i * row + (narrow ? 18 : (ROW - BAR) / 2);
        return s("g", null,
            s("rect", { x: gutter, y, width: width - gutter, height: BAR, rx: 3, class: "slot" }),
            narrow ? s("text", { x: 0, y: y - 5 }, name)
                : s("text", { x: gutter - 12, y: y + BAR - 3, class: "end" },
                    name.length > 22 ? `${name.slice(0, 21)}…` : name),
            list.map((a) => bar(a, x, y, end)));
    }));
    const newest = own.slice(-TABLE_MAX).reverse();
    return h("figure", null, svg, more, keys(),
        earlier && h("figcaption", null, `The newest ${count(attempts.length)} attempts; there were earlier ones.`),
        behind(own.length > TABLE_MAX ? `The newest ${TABLE_MAX} attempts` : "All attempts",
            ["Agent", "Job", "Attempt", "Began", "Lasted", "How it ended"],
            newest.map((a) => [a.agent, h("a", { href: `#/jobs/${a.job}` }, jobWords(a)), count(a.number),
                h("time", { datetime: exactTime(a.started_at) }, timeSeconds(a.started_at)),
                duration(((a.ended_at || end) - a.started_at) / 1000), a.ended_at ? a.outcome : "at work"]),
            (i) => i === 2 || i === 4));
}
