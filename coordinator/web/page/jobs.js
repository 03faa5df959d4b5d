/* Jobs in lists: what is moving, what waits and why, what was given up with its logs. */
import { get } from "./api.js";
import { h } from "./dom.js";
import { jobActions } from "./actions.js";
import { ago, bytes, count, duration, exactTime, number, plural, short, time } from "./format.js";
import { logBlock, table } from "./parts.js";
import { badge, jobWords } from "./words.js";

const MOVING = new Set(["fetching", "saving", "uploading"]);

/* Uploads that are going on, of these jobs. */
export function transferList(all, jobs) {
    const of = new Map(jobs.map((j) => [j.job, j]));
    const list = all.filter((t) => of.has(t.job));
    return list.length > 0 && h("ul", { class: "items", "aria-label": "Uploads" }, list.map((t) => h("li", { key: `up-${t.digest}` },
        h("div", { class: "line small" }, badge("uploading", t.agent || "an operator"), h("span", null, jobWords(of.get(t.job))),
            h("span", { class: "num quiet" }, `${bytes(t.bytes)} of ${bytes(t.total)}, begun ${ago(t.began_at)}`)),
        h("div", { class: "bar", role: "progressbar", "aria-label": `Upload of ${t.agent || "an operator"}`, "aria-valuemin": 0,
            "aria-valuemax": 100, "aria-valuenow": Math.round(100 * t.bytes / t.total) },
        h("i", { style: { width: `${100 * t.bytes / t.total}%` } })))));
}

/* What agents are at, those first whose bytes are on their way. */
export function underWay(leased) {
    if (leased.length === 0)
        return null;
    const moving = leased.filter((j) => MOVING.has(j.state));
    const others = leased.filter((j) => !MOVING.has(j.state));
    return jobTable([...moving, ...others].slice(0, 40), "Jobs under way, those in transfer first");
}

const JOB_HEADS = [["Job"], ["State"], ["Agent"], ["Loss", true], ["Tokens/s", true], ["Since"], ["Why"]];

export const jobTable = (jobs, caption) => table(caption, JOB_HEADS, jobs.map((j) => ({ key: j.job, cells: [
    h("a", { href: `#/jobs/${j.job}` }, jobWords(j)), badge(j.state), j.agent || "–", number(j.loss),
    j.rate ? short(j.rate) : "–", h("time", { datetime: exactTime(j.since_at) }, ago(j.since_at)),
    h("span", { class: "reason" }, firstLine(j.reason)),
] })));

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
                h("span", { class: "small quiet" }, `${j.run} · ${plural(j.failures, "failure")} · ${ago(j.since_at)}`),
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
