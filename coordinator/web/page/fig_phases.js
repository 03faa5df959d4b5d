/* Algorithm 1 as a map of lines: the routers' rounds are stops of one line; where the corpus is
 * parted it becomes a line for each expert, coloured as far as it is trained; the dense model runs
 * beside them from the beginning; all meet at the evaluation. Wide: from left to right. Narrow: from
 * top to bottom. */
import { h, s } from "./dom.js";
import { count, percent } from "./format.js";
import { modelName, roundNow } from "./words.js";
import { behind } from "./parts.js";

const LANES_MAX = 16; /* lines that are drawn; of more experts these are some */
const STOPS_MAX = 12; /* of routers' rounds */
const NARROW = 720;
const ORDER = ["routers", "scoring", "segments", "experts", "dense", "evaluation", "report", "done"];

/* along and across the way → x and y */
function axes(narrow) {
    const at = (a, c) => narrow ? [c, a] : [a, c];
    const point = (a, c) => at(a, c).map((v) => v.toFixed(1)).join(" ");
    return {
        at,
        line: (a, c) => `M${point(a, c)}`,
        to: (a, c) => `L${point(a, c)}`,
        bend: (a, c, a2, c2) => {
            const mid = (a + a2) / 2;
            return `C${point(mid, c)} ${point(mid, c2)} ${point(a2, c2)}`;
        },
    };
}

/* A line as far as it is done, over one of all its length. */
function way(d, share, look, width) {
    const done = Math.max(0, Math.min(1, share));
    return [
        s("path", { d, class: "track", "stroke-width": width }),
        done > 0 && s("path", { d, class: `way ${look}`, "stroke-width": width, pathLength: 1,
            style: { "stroke-dasharray": "1 1", "stroke-dashoffset": String(1 - done) } }),
    ];
}

function stop(x, y, state, r = 8) {
    return s("g", null,
        state === "now" && s("circle", { cx: x, cy: y, r: r + 5, class: "pulse" }),
        state === "stuck" && s("circle", { cx: x, cy: y, r: r + 5, class: "pulse stuck" }),
        s("circle", { cx: x, cy: y, r, class: `stop ${state === "stuck" ? "now" : state}` }),
        state === "done" && r > 6 &&
            s("path", { class: "check", d: `M${x - 3.5} ${y + 0.3}l2.6 2.7 4.6-5.6` }));
}

function label(x, y, title, note, anchor) {
    return s("g", null,
        s("text", { x, y, class: `strong ${anchor}` }, title),
        note && s("text", { x, y: y + 17, class: anchor }, note));
}

const shareOf = (models) => {
    const steps = models.reduce((sum, m) => sum + m.steps, 0);
    return steps ? models.reduce((sum, m) => sum + m.step, 0) / steps : 0;
};

/* What the figure needs to know of a run. */
function facts(run, purity) {
    const of = (target) => (run.models || []).filter((m) => m.target === target);
    const at = run.state === "done" ? ORDER.length - 1 : ORDER.indexOf(run.phase);
    const experts = of("expert");
    const dense = [...of("dense"), ...of("dense-flops")];
    const begun = experts.some((m) => m.step > 0);
    const parted = run.state === "done" || at > ORDER.indexOf("segments") && run.round >= run.rounds || begun;
    return {
        run, experts, dense, routers: of("router"), purity, parted,
        evaluated: run.state === "done" || run.phase === "report",
        reported: run.state === "done",
        live: run.state === "active" && !run.paused,
        phase: run.phase,
    };
}

/* Every how-manieth expert has a line. */
const lanesOf = (experts) => experts.filter((_, i) => i % Math.ceil(experts.length / LANES_MAX) === 0);

function geometry(width, lanes, dense, narrow) {
    const gap = Math.max(5, Math.min(16, 150 / Math.max(1, lanes)));
    const band = gap * Math.max(0, lanes - 1);
    if (narrow) {
        const base = 22;
        return { gap, first: base, middle: base + band / 2, denseFirst: base + band + gap + 8, start: 18,
            routersEnd: 150, parted: 200, fan: 245, lanesEnd: 430, meet: 490, end: 545, height: 570,
            labels: base + band + gap + 8 + 14 * Math.max(1, dense) + 12 };
    }
    const top = 56;
    const middle = top + Math.max(band, 30) / 2;
    return { gap, first: middle - band / 2, middle, denseFirst: middle + Math.max(band, 30) / 2 + 24, start: 14,
        routersEnd: width * 0.27, parted: width * 0.36, fan: width * 0.43, lanesEnd: width * 0.74,
        meet: width * 0.83, end: width - 34,
        height: middle + Math.max(band, 30) / 2 + 24 + 14 * Math.max(1, dense) + 34 };
}

function routerStops(f, g, x) {
    const rounds = f.run.rounds;
    const shown = Math.min(rounds, STOPS_MAX);
    return Array.from({ length: shown }, (_, i) => {
        const round = Math.round((i + 1) * rounds / shown);
        const a = g.start + 8 + (g.routersEnd - g.start - 8) * (shown === 1 ? 1 : i / (shown - 1));
        const here = f.live && (f.phase === "routers" || f.phase === "scoring") && f.run.round < rounds &&
            round >= roundNow(f.run) && (i === 0 || Math.round(i * rounds / shown) < roundNow(f.run));
        const state = f.run.round >= round ? "done" : here ? "now" : "";
        const [px, py] = x.at(a, g.middle);
        return s("g", { "data-tip": `Round ${round}: ${f.run.round >= round ? "done" : here ? "now" : "to come"}` },
            stop(px, py, state, 6));
    });
}

/* Where somebody is at work: a dot on the line, placed as a dash of no length. */
const front = (d, share, live) => live && share < 1 && s("path", { d, class: "front", pathLength: 1,
    style: { "stroke-dasharray": "0 2", "stroke-dashoffset": String(-Math.max(0.01, share)) } });

function drawing(f, width) {
    const narrow = width < NARROW;
    const lanes = lanesOf(f.experts);
    const g = geometry(width, lanes.length, f.dense.length, narrow);
    const x = axes(narrow);
    const { run } = f;
    const em = run.rounds > 0;
    const stateAt = (phases, done) => done ? "done" : f.live && phases.includes(f.phase) ? "now" : "";
    const parts = [];
    const routersShare = em ? run.round / run.rounds : 1;
    parts.push(way(x.line(g.start, g.middle) + x.to(g.parted, g.middle),
        f.parted ? 1 : routersShare * 0.85, "plainly", 4));
    f.dense.forEach((m, i) => {
        const c = g.denseFirst + 14 * i;
        const d = x.line(g.start, c) + x.to(g.lanesEnd, c) + x.bend(g.lanesEnd, c, g.meet, g.middle);
        parts.push(s("g", { "data-tip": `${modelName(m.target, m.index)}: step ${count(m.step)} of ${count(m.steps)}` },
            way(d, m.step / m.steps, "drawn mx", 3), front(d, m.step / m.steps, f.live && m.agent)));
    });
    lanes.forEach((m, i) => {
        const c = g.first + g.gap * i;
        const d = x.line(g.parted, g.middle) + x.bend(g.parted, g.middle, g.fan, c) +
            x.to(g.lanesEnd, c) + x.bend(g.lanesEnd, c, g.meet, g.middle);
        const share = m.steps ? m.step / m.steps : 0;
        parts.push(s("g", { "data-tip": `expert ${m.index}: step ${count(m.step)} of ${count(m.steps)}` +
            (m.agent ? `\nat work: ${m.agent}` : "") },
        way(d, share, `drawn m${m.index % 8}`, Math.min(5, g.gap - 2)),
        front(d, share, f.live && m.agent)));
    });
    parts.push(way(x.line(g.meet, g.middle) + x.to(g.end, g.middle), f.reported ? 1 : f.evaluated ? 0.5 : 0, "plainly", 4));
    if (em)
        parts.push(routerStops(f, g, x));
    parts.push(stop(...x.at(g.parted, g.middle), stateAt(["scoring", "segments"].filter(() => run.round >= run.rounds), f.parted)));
    parts.push(stop(...x.at(g.meet, g.middle), stateAt(["evaluation"], f.evaluated)));
    parts.push(stop(...x.at(g.end, g.middle), stateAt(["report"], f.reported)));
    parts.push(labels(f, g, narrow));
    return s("svg", { width, height: g.height, role: "img", "aria-label": inWords(f) }, parts);
}

function notes(f) {
    const { run } = f;
    const rounds = run.rounds === 0 ? "random, as a control"
        : run.round >= run.rounds ? `${run.rounds} rounds, done` : `round ${roundNow(run)} of ${run.rounds}`;
    const share = shareOf(f.experts);
    return {
        routers: rounds,
        parted: f.parted ? (f.purity ? `purity ${percent(f.purity)}` : "done") : "by the routers",
        experts: share >= 1 ? `${count(run.expert_steps)} steps each, done`
            : share > 0 ? `${percent(share)} of ${count(run.expert_steps)} steps` : `${count(run.expert_steps)} steps each`,
        dense: f.dense.map((m) => `${m.step >= m.steps ? "done" : percent(m.step / m.steps)}`).join(", "),
        evaluation: f.evaluated ? "done" : f.phase === "evaluation" && f.live ? "now" : "on held-out text",
        report: f.reported ? "written" : f.phase === "report" && f.live ? "now" : "",
    };
}

function labels(f, g, narrow) {
    const n = notes(f);
    const experts = `${count(f.run.experts)} experts`;
    const dense = f.dense.length > 1 ? "Dense models" : "Dense model";
    if (narrow) {
        const at = (y, title, note) => label(g.labels, y, title, note, "");
        return [at((g.start + g.routersEnd) / 2, "Routers", n.routers), at(g.parted, "Corpus parted", n.parted),
            at((g.fan + g.lanesEnd) / 2 - 26, experts, n.experts),
            f.dense.length > 0 && at((g.fan + g.lanesEnd) / 2 + 24, dense, n.dense),
            at(g.meet, "Evaluation", n.evaluation), at(g.end, "Report", n.report)];
    }
    const y = g.first - 34 < 14 ? 16 : g.first - 34;
    const over = (a, title, note, anchor) => label(a, Math.min(y, g.middle - 44), title, note, anchor);
    return [over(g.start, "Routers", n.routers, ""), over(g.parted, "Corpus parted", n.parted, "mid"),
        over((g.fan + g.lanesEnd) / 2, experts, n.experts, "mid"),
        over(g.meet, "Evaluation", n.evaluation, "mid"), over(g.end + 34, "Report", n.report, "end"),
        f.dense.length > 0 && s("text", { x: g.start, y: g.denseFirst + 14 * f.dense.length + 12 },
            s("tspan", { class: "strong" }, dense), ` to compare: ${n.dense}`)];
}

function inWords(f) {
    const n = notes(f);
    return `The way of the run. Routers: ${n.routers}. Corpus: ${n.parted}. Experts: ${n.experts}. ` +
        (f.dense.length ? `Dense: ${n.dense}. ` : "") + `Evaluation: ${n.evaluation}. Report: ${n.report || "to come"}.`;
}

export function phasesFigure(run, purity, width) {
    const f = facts(run, purity);
    return h("figure", null, drawing(f, Math.max(280, width)),
        behind("How far every model is", ["Model", "Step", "Of", "Loss", "State", "At work"],
            (run.models || []).map((m) => [modelName(m.target, m.index), count(m.step), count(m.steps),
                m.loss === null || m.loss === undefined ? "–" : m.loss.toFixed(3), m.state, m.agent || "–"]),
            (i) => i < 4));
}
