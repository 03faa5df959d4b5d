/* All runs, and what needs a look. */
import { h } from "./dom.js";
import { capped } from "./dialogs.js";
import { ago, bytes, count, duration, leftWords, percent, plural, time } from "./format.js";
import { logRows, Resource } from "./live.js";
import { eventItem } from "./parts.js";
import { badge, nowWords, runState, tone } from "./words.js";

const RUNS_SHOWN = 60;

function runCard(run) {
    const state = runState(run);
    const end = run.state === "active"
        ? leftWords(run) || `begun ${ago(run.created_at)}`
        : `${time(run.ended_at)}, took ${duration((run.ended_at - run.created_at) / 1000)}`;
    return h("li", { class: "sheet", key: run.name },
        h("div", { class: "line" },
            h("h3", null, h("a", { href: `#/runs/${encodeURIComponent(run.name)}` }, run.name)),
            badge(state)),
        h("p", { class: "small" }, nowWords(run), "."),
        h("div", { class: `bar ${tone(state)}`, role: "progressbar", "aria-label": `Progress of ${run.name}`,
            "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * run.progress) },
        h("i", { style: { width: `${100 * run.progress}%` } })),
        h("div", { class: "line small num" },
            h("span", null, `${percent(run.progress)} · ${plural(run.experts, "expert")} on ${run.dataset}`),
            h("span", { class: "quiet" }, end)));
}

function statusFacts(status) {
    const fact = (words, value, note, look) => h("div", { class: look },
        h("dt", null, words), h("dd", null, value, note && h("small", null, note)));
    const moving = status.jobs_moving + status.jobs_silent;
    return h("dl", { class: "facts" },
        fact("Active runs", count(status.runs_active)),
        fact("Agents at work", `${count(status.agents_working)} of ${count(status.agents)}`,
            `${count(status.threads)} threads at hand`),
        fact("Jobs running", count(status.jobs_running),
            moving ? `${count(moving)} fetching, sending or silent` : null),
        fact("Waiting", count(status.jobs_waiting),
            status.jobs_backing_off ? `${count(status.jobs_backing_off)} rest after a failure` : null),
        fact("In quarantine", count(status.jobs_quarantined), null,
            status.jobs_quarantined ? "bad" : null),
        fact("Disk", bytes(status.disk_used), `${bytes(status.disk_free)} free`,
            status.storage !== "ok" ? "bad" : null));
}

/* What is wrong, and what can be done about it. */
function worries(status, alarms) {
    const list = [];
    if (status.storage && status.storage !== "ok")
        list.push(["alarm", `The coordinator cannot write: ${status.storage}`,
            "Agents keep what they have made. Free some room on its disk; work goes on by itself."]);
    for (const a of alarms || [])
        list.push(["alarm", `Two results of one job differ: ${a.run}, ${a.words}`,
            `By ${a.agent || "the coordinator"} and ${a.other || "the coordinator"}: one of the two ` +
            "machines is at fault. tacit verify says which."]);
    if (status.jobs_quarantined)
        list.push(["caution", `${plural(status.jobs_quarantined, "job")} in quarantine`,
            h("a", { href: "#/queue?state=quarantined" }, "Logs, and another try")]);
    if (status.jobs_waiting && status.agents_working + status.agents_idle === 0)
        list.push(["caution", `${plural(status.jobs_waiting, "job waits", "jobs wait")}, and no agent is there`,
            "Start tacit-agent somewhere; what it needs stands in the README."]);
    return list.map(([look, title, advice]) => h("div", { class: `sheet ${look}`, key: title },
        h("h3", null, title), h("p", { class: "small" }, advice)));
}

const FIRST_RUN = `tacit ingest my-data DIR --vocab 4096 --seq 256
tacit run spec > my-run.ini
tacit run create my-run.ini`;

export function runsView(context) {
    const open = new Set();
    const runs = new Resource("/v1/runs", (c) => c.runs && c.runs.length > 0);
    const status = new Resource("/v1/status", () => true);
    const alarms = new Resource("/v1/alarms", (c) => c.runs && c.runs.length > 0);
    const list = () => {
        if (!runs.value)
            return h("p", { class: "empty" }, runs.error ? runs.error.message : "Looking …");
        if (runs.value.length === 0)
            return h("div", { class: "sheet empty" }, "No run yet. The first one takes three commands:",
                h("pre", null, FIRST_RUN));
        const { shown, more } = capped(runs.value, RUNS_SHOWN, open, "runs", context.redraw);
        return [h("ul", { class: "runs" }, shown.map(runCard)), more];
    };
    return {
        title: "Runs",
        ready: () => runs.value && status.value,
        close: () => [runs, status, alarms].forEach((r) => r.release()),
        render: () => {
            const events = logRows().slice(0, 8);
            return [
                h("h1", null, "Runs"),
                status.value && h("section", { "aria-labelledby": "now" },
                    h("h2", { id: "now", class: "unseen" }, "The coordinator now"),
                    worries(status.value, alarms.value),
                    h("div", { class: "sheet" }, statusFacts(status.value))),
                h("section", { "aria-labelledby": "all" }, h("h2", { id: "all", class: "unseen" }, "All runs"), list()),
                events.length > 0 && h("section", { "aria-labelledby": "lately" },
                    h("h2", { id: "lately" }, "Lately"),
                    h("ul", { class: "events sheet" }, events.map((e) => eventItem(e)))),
            ];
        },
    };
}
