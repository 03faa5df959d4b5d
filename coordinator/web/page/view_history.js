/* What happened, newest first. */
import { h } from "./dom.js";
import { capped } from "./dialogs.js";
import { count, dayOf } from "./format.js";
import { logRows } from "./live.js";
import { eventItem } from "./parts.js";

const ROWS = 100;

export function historyView(context, query) {
    const open = new Set();
    const run = query.get("run");
    return {
        title: "History",
        render: () => {
            const rows = logRows().filter((e) => !run || e.run === run);
            const { shown, more } = capped(rows, ROWS, open, "events", context.redraw);
            const days = new Map();
            for (const e of shown) {
                const day = dayOf(e.at);
                days.set(day, [...(days.get(day) || []), e]);
            }
            return [
                h("h1", null, run ? `History of ${run}` : "History"),
                h("p", { class: "lede" }, rows.length ? `The newest ${count(rows.length)} things that happened. `
                    : "Nothing has happened yet. ", run && h("a", { href: "#/history" }, "Of all runs")),
                [...days].map(([day, list]) => h("section", { key: day, "aria-label": day }, h("h2", null, day),
                    h("ul", { class: "events sheet" }, list.map((e) => eventItem(e, Boolean(run)))))),
                more,
            ];
        },
    };
}
