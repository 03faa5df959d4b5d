/* One job: its attempts, their logs, and what it was made from. */
import { part } from "./api.js";
import { h } from "./dom.js";
import { jobActions } from "./actions.js";
import { count, digits, duration, number, plural, time } from "./format.js";
import { attemptList } from "./jobs.js";
import { Resource } from "./live.js";
import { badge, jobWords } from "./words.js";

function outputs(made) {
    if (!made || !made.outputs || made.outputs.length === 0)
        return null;
    return h("section", { "aria-labelledby": "gave" }, h("h2", { id: "gave" }, "What it gave"),
        h("div", { class: "sheet" }, h("p", { class: "small" }, `${count(made.tokens)} tokens in ${duration(made.seconds)} of computing.`),
            h("ul", { class: "items" }, made.outputs.slice(0, 40).map((o) => {
                const name = /[1-9a-f]/.test(o.content || "") ? o.content : o.digest;
                return h("li", null, h("div", { class: "line" }, h("span", null, o.role),
                    h("a", { class: "mono", href: `#/lineage/${name}` }, digits(name))));
            }))));
}

export function jobView(context, id) {
    const moved = (c) => c.jobs || c.runs && c.runs.length > 0;
    const job = new Resource(`/v1/jobs/${id}`, moved);
    const attempts = new Resource(`/v1/jobs/${id}/attempts`, moved);
    let made = null;
    return {
        title: `Job ${id}`,
        close: () => [job, attempts, made].forEach((r) => r && r.release()),
        render: () => {
            const j = job.value;
            if (!j)
                return [h("h1", null, `Job ${id}`), h("p", { class: "lede" }, job.error ? job.error.message : "Looking …")];
            if (j.state === "done" && !made)
                made = new Resource(`/v1/jobs/${id}/made`, () => false);
            return [
                h("div", { class: "head" },
                    h("div", null,
                        h("p", { class: "crumb" }, h("a", { href: "#/" }, "Runs"), " / ",
                            h("a", { href: `#/runs/${part(j.run)}` }, j.run)),
                        h("div", { class: "line" }, h("h1", null, jobWords(j)), badge(j.state)),
                        h("p", { class: "lede" }, `Job ${j.job}, ${j.state} since ${time(j.since_at)}` +
                            (j.agent ? `, by ${j.agent}` : "") + `. ${plural(j.attempts, "attempt")}, ${plural(j.failures, "failure")}.` +
                            (j.loss ? ` Loss ${number(j.loss)}.` : ""))),
                    h("div", { class: "buttons" }, jobActions(context, j))),
                j.reason && h("p", { class: "sheet reason" }, j.reason),
                outputs(made && made.value),
                h("section", { "aria-labelledby": "attempts" }, h("h2", { id: "attempts" }, "Attempts and logs"),
                    h("div", { class: "sheet" }, attempts.value && attempts.value.length ? attemptList(attempts.value)
                        : h("p", { class: "empty" }, attempts.error ? attempts.error.message : "None yet."))),
            ];
        },
    };
}
