/* Learning curves of all models, and the validation curve, on one axis of tokens or hours: uPlot
 * draws them; the legend, a readout and a table are ours. */
import { h, s } from "./dom.js";
import { count, duration, number, short } from "./format.js";
import { modelKey, modelName } from "./words.js";
import { behind } from "./parts.js";

const HEIGHT = 340;
const LEGEND_MAX = 20;
const READOUT_MAX = 12;
const DASH = { router: [3, 3], dense: [], "dense-flops": [8, 4], expert: [] };

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colourOf = (c) => c.look === "mx" ? css("--ink2") : css(`--${c.look}`);

/* A resume rewinds: points that a later attempt has gone over again are not drawn twice. */
export function rewound(points) {
    const out = [];
    for (const p of points) {
        while (out.length && out[out.length - 1].step >= p.step)
            out.pop();
        out.push(p);
    }
    return out;
}

/* Experts' and routers' tokens are those of all of them together: at one place of the axis, mixture
 * and dense model have read as much. */
function lineOf(curve, experts) {
    const parted = curve.target === "expert" || curve.target === "router";
    const many = parted ? experts : 1;
    const points = rewound(curve.steps.map((step, i) => ({
        step, loss: curve.losses[i], hours: curve.ats[i] / 3600,
        tokens: step * curve.step_tokens * many })));
    return {
        key: modelKey(curve.target, curve.index), name: modelName(curve.target, curve.index),
        target: curve.target, look: parted ? `m${curve.index % 8}` : "mx", points,
    };
}

/* When a model had reached a step: the validation curve knows no hours. */
function hoursAt(lines, target, step) {
    let latest = null;
    for (const line of lines.filter((l) => l.target === target)) {
        const p = line.points.find((q) => q.step >= step) || line.points[line.points.length - 1];
        if (p)
            latest = Math.max(latest || 0, p.hours);
    }
    return latest;
}

function heldOut(lines, validation, curves, experts) {
    const dense = curves.find((c) => c.target === "dense");
    const expert = curves.find((c) => c.target === "expert");
    const of = (name, look, target, curve, many) => curve && {
        key: `held-${target}`, name, target: "held-out", look,
        points: validation.filter((v) => v[name.startsWith("mixture") ? "mixture" : "dense"] > 0).map((v) => ({
            step: v.step, loss: Math.log(name.startsWith("mixture") ? v.mixture : v.dense),
            tokens: v.step * curve.step_tokens * many, hours: hoursAt(lines, target, v.step) })),
    };
    return [of("mixture, held-out", "m3", "expert", expert, experts), of("dense, held-out", "mx", "dense", dense, 1)]
        .filter((line) => line && line.points.length > 0);
}

function hourUnit(most) {
    if (most * 3600 < 300)
        return [3600, "seconds"];
    return most < 3 ? [60, "minutes"] : [1, "hours"];
}

function sample(look, target) {
    const dash = { router: "2 3", "dense-flops": "6 3" }[target];
    return s("svg", { width: 22, height: 10, "aria-hidden": "true", class: look },
        target === "held-out" ? [2, 11, 20].map((x) => s("circle", { cx: x, cy: 5, r: 2.4, class: "filled" }))
            : s("path", { d: "M1 5H21", class: "drawn", "stroke-width": target.startsWith("dense") ? 3 : 2,
                "stroke-dasharray": dash }));
}

const nearest = (xs, ys, i) => {
    for (let d = 0; d < 60; d++) {
        if (ys[i - d] !== null && ys[i - d] !== undefined)
            return ys[i - d];
        if (ys[i + d] !== null && ys[i + d] !== undefined)
            return ys[i + d];
    }
    return null;
};

/* About six round losses, evenly apart on a logarithmic axis. */
export function lossTicks(low, high) {
    /* Before there is any loss, an axis has no ends. */
    if (!(low > 0 && high > low && Number.isFinite(high)))
        return [];
    const round = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8];
    const list = [];
    const apart = Math.max(1.04, (high / low) ** (1 / 7));
    for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10)
        for (const r of round)
            if (r * power >= low && r * power <= high && (list.length === 0 || r * power >= list[list.length - 1] * apart))
                list.push(r * power);
    return list.length > 1 ? list : [low, high];
}

export function curvesFigure(redraw) {
    const element = h("div", { class: "plot" });
    const readout = h("div", { class: "readout", hidden: true });
    const hidden = new Set();
    let axis = "tokens";
    let plot = null;
    let drawnFor = "";
    let lines = [];

    function showReadout(u) {
        const i = u.cursor.idx;
        if (i === null || i === undefined) {
            readout.hidden = true;
            return;
        }
        const rows = lines.map((line, n) => [line.name, nearest(u.data[0], u.data[n + 1], i)])
            .filter((row, n) => row[1] !== null && !hidden.has(lines[n].key)).slice(0, READOUT_MAX);
        readout.replaceChildren(
            h("span", null, axis === "tokens" ? "tokens" : "after"),
            h("b", null, axis === "tokens" ? short(u.data[0][i]) : duration(u.data[0][i] * 3600)),
            ...rows.flatMap(([name, loss]) => [h("span", null, name), h("b", null, number(loss))]));
        readout.hidden = false;
    }

    function options(width, most) {
        const [scale, unit] = hourUnit(most);
        const font = "12px " + css("--sans");
        const common = { stroke: css("--ink3"), font, labelFont: font, grid: { stroke: css("--rule"), width: 1 },
            ticks: { show: false } };
        return {
            width, height: HEIGHT, legend: { show: false }, padding: [10, 12, 0, 0],
            cursor: { points: { size: 6 }, drag: { x: true, y: false } },
            scales: { x: { time: false }, y: { distr: 3, log: 10, range: (_, low, high) => low > 0 ? [low / 1.03, high * 1.03] : [1, 10] } },
            axes: [
                { ...common, size: 32, label: axis === "tokens" ? "tokens, all experts together" : `${unit} since the run began`,
                    labelSize: 18, space: 70,
                    values: (_, ticks) => ticks.map((v) => axis === "tokens" ? short(v) : String(+(v * scale).toFixed(2))),
                    splits: axis === "tokens" ? undefined : (u, n, low, high, step, space) => {
                        const rough = Math.max(1e-9, (high - low) * scale / Math.max(2, u.bbox.width / devicePixelRatio / 90));
                        const size = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600].find((v) => v >= rough) || rough;
                        const list = [];
                        if (!Number.isFinite(high - low))
                            return list;
                        for (let v = Math.ceil(low * scale / size) * size; v <= high * scale; v += size)
                            list.push(v / scale);
                        return list;
                    } },
                { ...common, size: 52, label: "loss, nats a token", labelSize: 18, labelGap: 4,
                    splits: (_, n, low, high) => lossTicks(low, high), filter: (_, ticks) => ticks,
                    values: (_, ticks) => ticks.map((v) => String(+v.toFixed(3))) },
            ],
            series: [{}, ...lines.map((line) => {
                const colour = colourOf(line);
                const held = line.target === "held-out";
                return { label: line.name, stroke: colour, width: line.target.startsWith("dense") ? 2.4 : held ? 1 : 1.6,
                    dash: DASH[line.target], spanGaps: true, show: !hidden.has(line.key),
                    alpha: line.target === "router" ? 0.75 : 1,
                    points: { show: held || line.points.length === 1, size: 7, fill: colour, stroke: colour } };
            })],
            hooks: { setCursor: [showReadout] },
        };
    }

    function data() {
        return lines.length === 0 ? [[]] : window.uPlot.join(lines.map((line) => {
            const points = line.points.filter((p) => p[axis] !== null);
            const xs = points.map((p) => p[axis]);
            /* An axis needs ascending places; of points at one place the last counts. */
            const keep = points.filter((p, i) => i === points.length - 1 || xs[i] < xs[i + 1]);
            return [keep.map((p) => p[axis]), keep.map((p) => p.loss)];
        }));
    }

    function toggle(line) {
        if (!hidden.delete(line.key))
            hidden.add(line.key);
        drawnFor = "";
        redraw();
    }

    return {
        element,
        /* curves, validation: of the API; key: changes whenever they do. */
        draw(curves, validation, experts, key, width) {
            const theme = document.documentElement.dataset.theme;
            const now = [key, width, theme, axis, [...hidden].join()].join("|");
            if (now === drawnFor || width < 50)
                return;
            drawnFor = now;
            lines = curves.map((c) => lineOf(c, experts));
            lines.push(...heldOut(lines, validation || [], curves, experts));
            const values = data();
            const xs = values[0];
            if (plot)
                plot.destroy();
            plot = new window.uPlot(options(width, xs.length ? xs[xs.length - 1] : 0), values, element);
            element.append(readout);
        },
        choice: () => h("fieldset", { class: "choice" }, h("legend", { class: "unseen" }, "Axis"),
            ["tokens", "hours"].map((word) => h("label", null, h("input", { type: "radio", name: "axis", value: word,
                checked: axis === word, onchange: () => {
                    axis = word;
                    redraw();
                } }), h("span", null, word)))),
        legend() {
            const shown = lines.slice(0, LEGEND_MAX);
            return h("ul", { class: "legend", "aria-label": "Curves shown" }, shown.map((line) => {
                const last = line.points[line.points.length - 1];
                return h("li", { key: line.key }, h("button", { type: "button", "aria-pressed": String(!hidden.has(line.key)),
                    onclick: () => toggle(line) }, sample(line.look, line.target), line.name,
                h("span", { class: "now" }, last ? number(last.loss) : "")));
            }), lines.length > LEGEND_MAX &&
                h("li", { class: "key" }, `and ${count(lines.length - LEGEND_MAX)} more`));
        },
        table: () => behind("Losses of every model on its way",
            ["Model", "Steps", "Tokens", "at 10 %", "at 25 %", "at 50 %", "at 75 %", "Newest"],
            lines.map((line) => {
                const at = (share) => line.points[Math.max(0, Math.ceil(line.points.length * share) - 1)];
                const last = at(1);
                return [line.name, last ? count(last.step) : "–", last ? short(last.tokens) : "–",
                    ...[0.1, 0.25, 0.5, 0.75, 1].map((share) => last ? number(at(share).loss) : "–")];
            })),
        close: () => plot && plot.destroy(),
    };
}
