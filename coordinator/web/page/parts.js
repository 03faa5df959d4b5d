/* Pieces that several views have: rows of events, logs, tables behind charts. */
import { h } from "./dom.js";
import { exactTime, time } from "./format.js";

const subject = (event) => [
    event.run && h("a", { href: `#/runs/${encodeURIComponent(event.run)}` }, event.run),
    event.job > 0 && h("a", { href: `#/jobs/${event.job}` }, `job ${event.job}`),
].filter(Boolean);

export function eventItem(event, hideRun = false) {
    const about = hideRun ? subject({ ...event, run: null }) : subject(event);
    return h("li", { key: `event-${event.event}` },
        h("time", { datetime: exactTime(event.at), title: exactTime(event.at) }, time(event.at)),
        h("span", null, about.map((a, i) => [i > 0 && " ", a]), about.length > 0 && " ", event.text, " ",
            h("span", { class: "kind" }, event.who ? `${event.kind} by ${event.who}` : event.kind)));
}

/* Of a thousand experts, the table would be most of what the page builds. */
const ROWS_BEHIND = 200;

/* What a chart shows, for those who read rather than look. */
export function behind(title, heads, rows, numeric = () => true) {
    const left = rows.length - ROWS_BEHIND;
    return h("details", { class: "behind" },
        h("summary", null, "As a table"),
        h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": title },
            h("table", null, h("caption", { class: "unseen" }, title),
                h("thead", null, h("tr", null, heads.map((head, i) =>
                    h("th", { scope: "col", class: i && numeric(i) && "n" }, head)))),
                h("tbody", null, rows.slice(0, ROWS_BEHIND).map((row) => h("tr", null, row.map((cell, i) => i === 0
                    ? h("th", { scope: "row" }, cell)
                    : h("td", { class: numeric(i) && "n" }, cell)))))),
            left > 0 && h("p", { class: "small quiet" }, `${left.toLocaleString("en")} rows more are not shown.`)));
}

/* A table whose rows become little sheets where it is narrow; the roles say that it is one still.
 * heads: [words, numeric]; rows: {key, cells}. */
export function table(caption, heads, rows) {
    return h("table", { class: "stack", role: "table" }, h("caption", { class: "unseen" }, caption),
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map(([words, numeric]) =>
            h("th", { scope: "col", role: "columnheader", class: numeric && "n" }, words)))),
        h("tbody", { role: "rowgroup" }, rows.map(({ key, cells }) => h("tr", { key, role: "row" }, cells.map((cell, i) =>
            i === 0 ? h("th", { scope: "row", role: "rowheader" }, cell)
                : h("td", { role: "cell", class: heads[i][1] && "n", "data-label": heads[i][0] }, h("div", null, cell)))))));
}

export const logBlock = (text, name) => h("pre", { class: "log", tabindex: 0, role: "group",
    "aria-label": name }, text);
