/* The graph of what was made of what: plates in columns, from the artifact on the left to what it all
 * began with on the right. */
import { h, s } from "./dom.js";
import { count, digits, duration, plural, time } from "./format.js";
import { inputsOf, SHARDS } from "./lineage.js";
import { jobWords } from "./words.js";

const PLATE = { width: 224, height: 90, across: 56, down: 14 };
const INPUTS_MAX = 12; /* of a plate that are drawn */

/* Column of each: the longest way from the root, so that wires lead to the right only. */
function columnsOf(root, nodes) {
    const column = new Map([[root, 0]]);
    const edges = [];
    const queue = [root];
    while (queue.length) {
        const name = queue.shift();
        const node = nodes.get(name);
        if (!node || !node.open || !node.made)
            continue;
        for (const input of inputsOf(node.made).slice(0, INPUTS_MAX)) {
            if (!nodes.has(input.name))
                continue;
            edges.push([name, input.name]);
            const at = column.get(name) + 1;
            if (!column.has(input.name) || column.get(input.name) < at) {
                column.set(input.name, at);
                queue.push(input.name);
            }
        }
    }
    return { column, edges: [...new Map(edges.map((e) => [e.join(), e])).values()] };
}

/* Each column's plates at the mean height of what leads to them, so that wires cross little. */
function place(column, edges) {
    const columns = [];
    for (const [name, c] of column)
        (columns[c] = columns[c] || []).push(name);
    const y = new Map();
    columns.forEach((names, c) => {
        const wish = (name) => {
            const from = edges.filter(([, to]) => to === name).map(([a]) => y.get(a)).filter((v) => v !== undefined);
            return from.length ? from.reduce((a, b) => a + b, 0) / from.length : 0;
        };
        const sorted = c === 0 ? names : names.map((n, i) => [n, wish(n), i]).sort((a, b) => a[1] - b[1] || a[2] - b[2]).map(([n]) => n);
        sorted.forEach((name, i) => y.set(name, i * (PLATE.height + PLATE.down)));
    });
    return { columns, y };
}

function words(name, node) {
    const { made, error } = node;
    if (error)
        return [error.status === 404 ? "not on record" : error.message, ""];
    if (!made)
        return ["Looking …", ""];
    if (name === SHARDS)
        return [`Data set ${made.dataset}`, plural(node.digests.size, "shard")];
    if (made.what === "shard")
        return [`${made.split} shard ${made.number}`, `data set ${made.dataset}`];
    if (made.what === "tokenizer")
        return ["Tokenizer", `data set ${made.dataset}`];
    if (made.what === "spec")
        return ["Spec", `run ${made.run}`];
    return [jobWords(made.grant), `${made.agent || "the coordinator"}, ${time(made.at)}, ${duration(made.seconds)}`];
}

/* The colour of the model that a job trained; none for what serves all. */
function look({ made }) {
    const { target, index } = (made && made.grant) || {};
    return target === "expert" || target === "router" ? `m${index % 8}` : target && target !== "none" ? "mx" : "";
}

function plate(name, node, root, x, y, grow) {
    const [title, note] = words(name, node);
    const inputs = node.made ? inputsOf(node.made) : [];
    const hidden = inputs.length - INPUTS_MAX;
    return h("li", { class: `plate ${look(node)}${name === root ? " root" : ""}`, key: name,
        style: { left: `${x}px`, top: `${y}px`, width: `${PLATE.width}px`, height: `${PLATE.height}px` } },
    h("b", { title }, title),
    h("div", { class: "small quiet" }, note),
    name === SHARDS ? null : name === root ? h("span", { class: "mono" }, digits(name))
        : h("span", { class: "mono" }, h("a", { href: `#/lineage/${name}`, "aria-label": `Lineage of ${digits(name)}` }, digits(name))),
    inputs.length > 0 && !node.open && [" ", h("button", { type: "button", class: "plain", onclick: () => grow(name) },
        `of ${plural(inputs.length, "input")} …`)],
    node.open && hidden > 0 && h("span", { class: "small quiet" }, ` ${count(hidden)} more inputs`));
}

export function lineageGraph(root, nodes, grow) {
    const { column, edges } = columnsOf(root, nodes);
    const { columns, y } = place(column, edges);
    const x = (name) => column.get(name) * (PLATE.width + PLATE.across);
    const width = columns.length * (PLATE.width + PLATE.across) - PLATE.across + 4;
    const height = Math.max(...columns.map((c) => c.length)) * (PLATE.height + PLATE.down);
    const wires = edges.map(([from, to]) => {
        const x1 = x(from) + PLATE.width;
        const y1 = y.get(from) + PLATE.height / 2;
        const x2 = x(to);
        const y2 = y.get(to) + PLATE.height / 2;
        const mid = (x1 + x2) / 2;
        return s("path", { class: "wire", d: `M${x1} ${y1}C${mid} ${y1} ${mid} ${y2} ${x2} ${y2}` });
    });
    return h("figure", { class: "lineage", tabindex: 0, role: "group", "aria-label": "What it was made of" },
        h("div", { style: { width: `${width}px`, height: `${height}px`, position: "relative" } },
            s("svg", { width, height, "aria-hidden": "true" }, wires),
            h("ul", { class: "plates" }, [...column.keys()].map((name) =>
                plate(name, nodes.get(name) || {}, root, x(name) + 1, y.get(name) + 1, grow)))));
}
