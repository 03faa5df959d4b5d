/* All jobs, by state and run. */
import { part } from "./api.js";
import { h } from "./dom.js";
import { capped } from "./dialogs.js";
import { count, plural } from "./format.js";
import { jobList, jobTable } from "./jobs.js";
import { Resource } from "./live.js";

const ROWS = 100;
const LIMIT = 1000;
const STATES = ["", "leased", "running", "fetching", "uploading", "silent", "waiting", "backing off", "quarantined",
    "done", "cancelled"];

export function queueView(context, query) {
    const open = new Set();
    const logs = new Map();
    const run = query.get("run") || "";
    const state = query.get("state") || "";
    const path = `/v1/jobs?limit=${LIMIT}${run && `&run=${part(run)}`}${state && `&state=${part(state)}`}`;
    const jobs = new Resource(path, (c) => c.jobs || c.runs && c.runs.length > 0);
    const runs = new Resource("/v1/runs", (c) => c.runs && c.runs.length > 0);
    const go = (to) => {
        const next = new URLSearchParams();
        for (const [name, value] of Object.entries({ run, state, ...to }))
            if (value)
                next.set(name, value);
        location.hash = `#/queue?${next}`;
    };
    const choose = (label, value, values, name) => h("label", null, h("span", { class: "small" }, `${label} `),
        h("select", { onchange: (event) => go({ [name]: event.target.value }) },
            values.map((v) => h("option", { value: v, selected: v === value }, v || "all"))));
    const list = () => {
        if (!jobs.value)
            return h("p", { class: "empty" }, jobs.error ? jobs.error.message : "Looking …");
        if (jobs.value.length === 0)
            return h("p", { class: "empty" }, "No such jobs.");
        if (state === "quarantined")
            return h("div", { class: "sheet" }, jobList(context, jobs.value, { open, logs }));
        /* What is going on before what is over; newest first within each. */
        const over = (j) => j.state === "done" || j.state === "cancelled";
        const sorted = [...jobs.value].sort((a, b) => over(a) - over(b));
        const { shown, more } = capped(sorted, ROWS, open, "jobs", context.redraw);
        return h("div", { class: "sheet" }, jobTable(shown, "Jobs, open ones first"), more,
            jobs.value.length === LIMIT && h("p", { class: "small quiet" }, `The newest ${count(LIMIT)} are looked at.`));
    };
    return {
        title: "Queue",
        ready: () => jobs.value,
        close: () => [jobs, runs].forEach((r) => r.release()),
        render: () => [
            h("div", { class: "head" }, h("div", null, h("h1", null, "Queue"),
                h("p", { class: "lede" }, jobs.value ? plural(jobs.value.length, "job") + (jobs.value.length === LIMIT ? " or more" : "") : "")),
            h("div", { class: "withtools" },
                choose("Run", run, [...new Set(["", run, ...(runs.value || []).map((r) => r.name)])], "run"),
                choose("State", state, STATES, "state"))),
            h("section", { "aria-labelledby": "found" }, h("h2", { id: "found", class: "unseen" }, "Jobs"), list()),
        ],
    };
}
