/* Jobs in lists: what is moving, what waits and why, what was given up with its logs. */
import { get } from "./api.js";
import { h } from "./dom.js";
import { jobActions } from "./actions.js";
import { ago, count, duration, exactTime, number, short, time } from "./format.js";
import { logBlock } from "./parts.js";
import { badge, jobWords } from "./words.js";

const MOVING = new Set(["fetching", "saving", "uploading"]);

/* What is on its way between agents and coordinator, and what is being computed. */
export function transfers(leased) {
    if (leased.length === 0)
        return null;
    const moving = leased.filter((j) => MOVING.has(j.state));
    const others = leased.filter((j) => !MOVING.has(j.state));
    return jobTable([...moving, ...others].slice(0, 40), "Jobs under way, those in transfer first");
}

export function jobTable(jobs, caption) {
    return h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption },
        h("table", null, h("caption", { class: "unseen" }, caption),
            h("thead", null, h("tr", null, ["Job", "State", "Agent", "Loss", "Tokens/s", "Since", "Why"].map((words, i) =>
                h("th", { scope: "col", class: (i === 3 || i === 4) && "n" }, words)))),
            h("tbody", null, jobs.map((j) => h("tr", { key: j.job },
                h("th", { scope: "row" }, h("a", { href: `#/jobs/${j.job}` }, jobWords(j))),
                h("td", null, badge(j.state)),
                h("td", null, j.agent || "–"),
                h("td", { class: "n" }, number(j.loss)),
                h("td", { class: "n" }, j.rate ? short(j.rate) : "–"),
                h("td", null, h("time", { datetime: exactTime(j.since_at) }, ago(j.since_at))),
                h("td", { class: "wide" }, firstLine(j.reason)))))));
}

const firstLine = (text) => (text || "").split("\n")[0].slice(0, 140);

export async function loadAttempts(id, logs, redraw) {
    try {
        logs.set(id, await get(`/v1/jobs/${id}/attempts`));
    } catch (error) {
        logs.set(id, error);
    }
    redraw();
}

export function attemptList(attempts) {
    return h("ol", { class: "items" }, [...attempts].reverse().map((a) => h("li", { key: `attempt-${a.number}` },
        h("div", { class: "line" },
            h("h3", null, `Attempt ${a.number}`), badge(a.outcome, a.outcome === "open" ? "at work" : a.outcome),
            h("span", { class: "small" }, a.agent ? `${a.agent} on ${a.host}` : "the coordinator"),
            h("span", { class: "small quiet" }, `${time(a.started_at)}, ` +
                (a.ended_at ? `lasted ${duration((a.ended_at - a.started_at) / 1000)}` : `for ${duration((Date.now() - a.started_at) / 1000)}`)),
            a.step > a.step_first && h("span", { class: "small quiet num" }, `steps ${count(a.step_first)} to ${count(a.step)}`),
            a.loss !== null && a.loss !== undefined && h("span", { class: "small quiet num" }, `loss ${number(a.loss)}`)),
        a.end && h("p", { class: "reason small" }, a.end),
        a.log && logBlock(a.log, `Log of attempt ${a.number}`))));
}

/* Jobs with reasons in full, and logs where they are opened. at: {open, logs, name}. */
export function jobList(context, jobs, at) {
    return h("ul", { class: "items" }, jobs.slice(0, 50).map((j) => {
        const known = at.logs.get(j.job);
        return h("li", { key: `job-${j.job}` },
            h("div", { class: "line" },
                h("a", { href: `#/jobs/${j.job}` }, jobWords(j)), badge(j.state),
                h("span", { class: "small quiet" }, `${j.run} · ${count(j.failures)} failures · ${ago(j.since_at)}`),
                h("div", { class: "buttons" }, jobActions(context, j))),
            j.reason && h("p", { class: "reason small" }, j.reason),
            h("details", { ontoggle: (event) => {
                if (event.currentTarget.open && !at.logs.has(j.job))
                    loadAttempts(j.job, at.logs, context.redraw);
            } }, h("summary", null, "Attempts and logs"),
            known === undefined ? h("p", { class: "small" }, "Looking …")
                : known instanceof Error ? h("p", { class: "small" }, known.message) : attemptList(known)));
    }), jobs.length > 50 && h("li", null, `${count(jobs.length - 50)} more`));
}
