/* What the mixture costs beside the dense model, in FLOPs: what is spent, of what is planned. */
import { h, s } from "./dom.js";
import { bytes, count, duration, percent, short } from "./format.js";
import { behind } from "./parts.js";

const BAR = 26;

/* costs: of shapes.js */
export function costsFigure(costs, width) {
    const { bars } = costs;
    const most = Math.max(...bars.map((b) => sum(b, "planned")), 1);
    const narrow = width < 560;
    const left = narrow ? 0 : 150;
    const right = narrow ? 0 : 130;
    const row = BAR + (narrow ? 40 : 20);
    const x = (v) => (width - left - right) * v / most;
    const height = bars.length * row;
    const svg = s("svg", { width, height, role: "img", "aria-label": bars.map(words).join("; ") },
        bars.map((b, i) => {
            const y = i * row + (narrow ? 22 : 0);
            let at = left;
            const text = `${short(sum(b, "spent"))} of ${short(sum(b, "planned"))}`;
            return s("g", null,
                narrow ? s("text", { x: 0, y: y - 7 }, s("tspan", { class: "strong" }, b.name), ` ${text}`)
                    : [s("text", { x: 0, y: y + 17, class: "strong" }, b.name),
                        s("text", { x: left + x(sum(b, "planned")) + 10, y: y + 17 }, text)],
                b.parts.map((p) => {
                    const from = at;
                    at += x(p.planned);
                    return s("g", { "data-tip": `${p.name}\n${short(p.spent)} of ${short(p.planned)} FLOPs` },
                        s("rect", { x: from, y, width: Math.max(0.5, x(p.planned) - 1), height: BAR, class: "slot" }),
                        p.spent > 0 && s("rect", { x: from, y, height: BAR, class: `filled ${p.look}`,
                            width: Math.max(0.5, x(Math.min(p.spent, p.planned)) - 1) }));
                }));
        }));
    return h("figure", null, svg,
        h("ul", { class: "legend", "aria-label": "Parts" }, legend(bars)),
        h("figcaption", null, `In FLOPs; ${duration(costs.seconds)} of computing so far, ${bytes(costs.down)} fetched and ${bytes(costs.up)} sent by agents.`,
            costs.parallel > 0 && ` Data-parallel training of the same steps would move ${bytes(costs.parallel)}.`),
        behind("FLOPs of training", ["Part", "Spent", "Planned", "Done", "Tokens", "Computing"],
            bars.flatMap((b) => b.parts.map((p) => [b.parts.length > 1 ? `${b.name}: ${p.name}` : b.name,
                short(p.spent), short(p.planned), percent(p.spent / p.planned), count(p.tokens), duration(p.seconds)]))));
}

const sum = (bar, what) => bar.parts.reduce((all, p) => all + p[what], 0);
const words = (b) => `${b.name}: ${short(sum(b, "spent"))} of ${short(sum(b, "planned"))} FLOPs`;

function legend(bars) {
    const seen = new Map();
    for (const b of bars)
        for (const p of b.parts)
            seen.set(p.name, p.look);
    return [...seen].map(([name, look]) => h("li", { class: "key" },
        s("svg", { class: "swatch", width: 12, height: 12, "aria-hidden": "true" },
            s("rect", { width: 12, height: 12, rx: 3, class: `filled ${look}` })), name));
}
