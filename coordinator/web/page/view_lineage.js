/* What an artifact was made of, as a graph that grows where one asks. */
import { get, part } from "./api.js";
import { h } from "./dom.js";
import { lineageGraph } from "./fig_lineage.js";
import { digits } from "./format.js";
import { inputsOf } from "./lineage.js";

const LEVELS_FIRST = 3; /* that are fetched unasked */
const NODES_FIRST = 40;

export function lineageView(context, digest) {
    const nodes = new Map(); /* digest → {made, error, open, digests} */
    let closed = false;

    async function fetchNode(name, digests) {
        if (nodes.has(name)) {
            digests.forEach((one) => nodes.get(name).digests.add(one));
            return nodes.get(name);
        }
        const node = { made: null, error: null, open: false, digests: new Set(digests) };
        nodes.set(name, node);
        try {
            node.made = await get(`/v1/lineage/${part(digests[0])}`);
        } catch (error) {
            node.error = error;
        }
        if (!closed)
            context.redraw();
        return node;
    }

    async function expand(name, levels, digests = [name]) {
        const node = await fetchNode(name, digests);
        if (closed || node.error || levels === 0 || nodes.size > NODES_FIRST)
            return;
        node.open = true;
        context.redraw();
        for (const input of inputsOf(node.made))
            await expand(input.name, levels - 1, input.digests);
    }

    expand(digest, LEVELS_FIRST);
    return {
        title: `Lineage of ${digits(digest)}`,
        close: () => {
            closed = true;
        },
        render: () => [
            h("p", { class: "crumb" }, h("a", { href: "#/" }, "Runs")),
            h("h1", null, "Lineage of ", h("span", { class: "mono" }, digits(digest))),
            h("p", { class: "lede" }, "From left to right: what it is, what it was made of, what that was made of, down to the shards of the data set. Every name is a digest of the content, so nothing here can be changed unnoticed."),
            h("section", { "aria-labelledby": "graph" }, h("h2", { id: "graph", class: "unseen" }, "Graph"),
                h("div", { class: "sheet" }, lineageGraph(digest, nodes, (name) => expand(name, 1)))),
            h("p", { class: "small quiet" }, "In a terminal: ", h("code", null, `tacit lineage ${digits(digest)}`)),
        ],
    };
}
