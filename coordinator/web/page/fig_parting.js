/* How the corpus parts, from round to round: for each expert a row of columns, one a round, each the
 * sources of the sequences that it was given. A source has the colour of the expert that most of it
 * went to in the end, so that rows turn into their own colour as the routers learn. */
import { h, s } from "./dom.js";
import { capped } from "./dialogs.js";
import { count, percent } from "./format.js";
import { behind } from "./parts.js";

const ROWS_MAX = 16;
const COLUMNS_MAX = 40;
const HEIGHT = 58;
const GAP = 10;
const SOURCES_MAX = 24; /* in the legend */
const LIGHTS = ["", "light1", "light2", "light3"];

const sum = (list) => list.reduce((a, b) => a + b, 0);
const largest = (list) => list.reduce((best, v, i) => v > list[best] ? i : best, 0);

/* Source → the expert most of it goes to, and a shade among the sources of that expert. */
function coloursOf(last) {
    const used = new Map();
    return last.map((row) => {
        const home = largest(row);
        const nth = used.get(home) || 0;
        used.set(home, nth + 1);
        return `m${home % 8} ${LIGHTS[nth % LIGHTS.length]}`;
    });
}

function columns(rounds) {
    if (rounds.length <= COLUMNS_MAX)
        return rounds;
    return Array.from({ length: COLUMNS_MAX }, (_, i) => rounds[Math.round(i * (rounds.length - 1) / (COLUMNS_MAX - 1))]);
}

const roundName = (r) => r.final ? "corpus" : String(r.round);

function column(r, e, sources, looks, order, x, y, width) {
    const all = sum(r.counts.map((row) => row[e]));
    let at = y + HEIGHT;
    const tip = order.filter((i) => r.counts[i][e] > 0).sort((a, b) => r.counts[b][e] - r.counts[a][e]).slice(0, 6)
        .map((i) => `${sources[i]}: ${percent(r.counts[i][e] / all)}`).join("\n");
    return s("g", { "data-tip": `expert ${e}, ${r.final ? "whole corpus" : `round ${r.round}`}\n${tip}` },
        s("rect", { x, y, width, height: HEIGHT, class: "slot" }),
        all > 0 && order.map((i) => {
            const size = HEIGHT * r.counts[i][e] / all;
            at -= size;
            return size > 0.4 && s("rect", { x: x.toFixed(1), y: at.toFixed(1), width: width.toFixed(1),
                height: Math.max(0.5, size - 0.6).toFixed(1), class: `filled ${looks[i]}` });
        }));
}

export function partingFigure(parting, width, open, redraw) {
    const { sources, rounds } = parting;
    if (rounds.length === 0 && parting.withoutCounts)
        return h("p", { class: "empty" }, `Purity ${percent(parting.purity)}. Of so many sources and experts no counts are kept.`);
    if (rounds.length === 0)
        return h("p", { class: "empty" }, "The corpus has not been parted yet: the first round's sequences go to the routers at random.");
    const last = rounds[rounds.length - 1];
    const looks = coloursOf(last.counts);
    const experts = last.counts[0].length;
    const shownRounds = columns(rounds);
    const { shown, more } = capped(Array.from({ length: experts }, (_, e) => e), ROWS_MAX, open, "parting", redraw);
    const narrow = width < 620;
    const left = narrow ? 0 : 84;
    const right = narrow ? 0 : 170;
    const row = HEIGHT + GAP + (narrow ? 20 : 0);
    const room = width - left - right;
    const pitch = Math.min(110, room / shownRounds.length);
    const bar = Math.max(2, pitch - Math.min(6, pitch * 0.12));
    /* An expert's own sources at the bottom, the largest first. */
    const orderOf = (e) => sources.map((_, i) => i).sort((a, b) =>
        (largest(last.counts[b]) === e) - (largest(last.counts[a]) === e) || sum(last.counts[b]) - sum(last.counts[a]));
    const height = shown.length * row + 26;
    const every = Math.ceil(34 / pitch);
    const svg = s("svg", { width, height, role: "img",
        "aria-label": `Sources of ${experts} experts' sequences in ${rounds.length} rounds: purity from ${percent(rounds[0].purity)} to ${percent(last.purity)}` },
    shown.map((e, n) => {
        const y = n * row + (narrow ? 20 : 0);
        const counts = last.counts.map((r) => r[e]);
        const best = largest(counts);
        const mostly = `${percent(counts[best] / Math.max(1, sum(counts)))} ${sources[best]}`;
        const order = orderOf(e);
        return s("g", null,
            narrow ? s("text", { x: 0, y: y - 6 }, s("tspan", { class: "strong" }, `Expert ${e}`), ` · ${mostly}`)
                : [s("text", { x: 0, y: y + HEIGHT / 2 + 4, class: "strong" }, `Expert ${e}`),
                    s("text", { x: left + pitch * shownRounds.length + 10, y: y + HEIGHT / 2 + 4 }, mostly.slice(0, 26))],
            shownRounds.map((r, i) => column(r, e, sources, looks, order, left + i * pitch, y, bar)));
    }),
    shownRounds.map((r, i) => (i % every === 0 || r.final) && s("text", {
        x: left + i * pitch + bar / 2, y: height - 6, class: "faint mid" }, roundName(r))),
    !narrow && s("text", { x: 0, y: height - 6, class: "faint" }, "round"));
    return h("figure", null, svg, more,
        h("ul", { class: "legend", "aria-label": "Sources" }, sources.slice(0, SOURCES_MAX).map((name, i) =>
            h("li", { class: "key" }, s("svg", { class: "swatch", width: 12, height: 12, "aria-hidden": "true" },
                s("rect", { width: 12, height: 12, rx: 3, class: `filled ${looks[i]}` })), name)),
        sources.length > SOURCES_MAX && h("li", { class: "key" }, `and ${count(sources.length - SOURCES_MAX)} more`)),
        h("figcaption", null, `Purity, the part of an expert's sequences that its largest source has, went from ${percent(rounds[0].purity)} to ${percent(last.purity)}. `,
            "Nobody tells the routers what the sources are: they find them."),
        behind(`Sequences by source and expert, ${last.final ? "the whole corpus" : `round ${last.round}`}`,
            ["Source", ...Array.from({ length: Math.min(experts, 32) }, (_, e) => `Expert ${e}`)],
            sources.map((name, i) => [name, ...last.counts[i].slice(0, 32).map(count)])));
}
