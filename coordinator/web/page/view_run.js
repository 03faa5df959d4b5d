/* One run, from Algorithm 1 at a glance down to logs. */
import { part } from "./api.js";
import { h } from "./dom.js";
import { ago, count, digits, duration, isDigest, leftWords, number, percent, plural, short, time } from "./format.js";
import { runActions } from "./actions.js";
import { costsFigure } from "./fig_costs.js";
import { curvesFigure } from "./fig_curves.js";
import { partingFigure } from "./fig_parting.js";
import { phasesFigure } from "./fig_phases.js";
import { timelineFigure } from "./fig_timeline.js";
import { jobList, transferList, underWay } from "./jobs.js";
import { logRows, Resource } from "./live.js";
import { eventItem, table } from "./parts.js";
import { costsOf, partingOf } from "./shapes.js";
import { badge, modelName, nowWords, runState } from "./words.js";

const EVENTS_SHOWN = 12;
const MODELS_SHOWN = 40;
const MODEL_HEADS = [["Model"], ["Step", true], ["State"], ["At work"], ["Lineage"]];

function lede(run) {
    const left = leftWords(run);
    const words = [h("strong", null, nowWords(run), "."), " "];
    if (run.state === "active" && run.reason)
        words.push(`${run.reason[0].toUpperCase()}${run.reason.slice(1)}. `);
    if (left)
        words.push(`${left}, at the paces so far.`);
    else if (run.state === "done")
        words.push(`It took ${duration((run.ended_at - run.created_at) / 1000)}.`);
    return h("p", { class: "lede" }, words);
}

function head(context, run) {
    return h("div", { class: "head" },
        h("div", null,
            h("p", { class: "crumb" }, h("a", { href: "#/" }, "Runs")),
            h("div", { class: "line" }, h("h1", null, run.name),
                h("span", { class: "bigger" }, bigBadge(run))),
            lede(run)),
        runActions(context, run));
}

function bigBadge(run) {
    const mark = badge(runState(run));
    mark.classList.add("big");
    return mark;
}

function facts(run) {
    const rate = (run.models || []).reduce((sum, m) => sum + (m.rate || 0), 0);
    const working = new Set((run.models || []).map((m) => m.agent).filter(Boolean)).size;
    const fact = (words, value, note) => h("div", null, h("dt", null, words),
        h("dd", null, value, note && h("small", null, note)));
    const needs = run.needs ? ` · needs ${run.needs}` : "";
    return h("dl", { class: "facts" },
        fact("Progress", percent(run.progress, run.progress < 0.1 && run.progress > 0 ? 1 : 0), "of its FLOPs"),
        run.state === "active" && fact("Tokens a second", rate ? short(rate) : "–",
            `${plural(working, "agent")} training`),
        fact("Experts", count(run.experts), `${count(run.expert_steps)} steps each` +
            (run.extended_from ? `, extended from ${count(run.extended_from)}` : "")),
        fact("Jobs done", count(run.jobs_done), `${count(run.jobs_leased)} under way, ${count(run.jobs_waiting)} waiting`),
        fact("Begun", time(run.created_at), run.state === "active" ? ago(run.created_at) : `ended ${time(run.ended_at)}`),
        fact("Data", run.dataset, `seed ${run.seed} · priority ${run.priority}${needs}` +
            (run.forked_from ? ` · from ${run.forked_from}` : "")));
}

function result(report) {
    if (!report)
        return null;
    const gap = (a, b) => b ? `${((b.perplexity / a.perplexity - 1) * 100).toFixed(1)} % above the mixture` : "";
    const rows = [["Mixture", report.mixture, ""], ["Dense, equal tokens", report.dense, gap(report.mixture, report.dense)],
        ["Dense, equal FLOPs", report.dense_flops, gap(report.mixture, report.dense_flops)]].filter((row) => row[1]);
    return h("section", { "aria-labelledby": "result" }, h("h2", { id: "result" }, "The result"),
        h("div", { class: "sheet" }, h("dl", { class: "facts" }, rows.map(([name, q, note]) =>
            h("div", null, h("dt", null, name), h("dd", null, number(q.perplexity, 2),
                h("small", null, note || "perplexity on held-out text"),
                h("small", { class: "quiet" }, `${number(q.perplexity_after_prefix, 2)} after the prefix · ${short(q.tokens)} tokens · ${short(q.flops)} FLOPs`))))),
        h("p", { class: "small quiet" }, h("code", null, `tacit report ${report.run} --html report.html`), " makes a page of all figures to send on.")));
}

function models(run) {
    const list = (run.models || []).filter((m) => isDigest(m.content));
    if (list.length === 0)
        return null;
    return h("section", { "aria-labelledby": "models" }, h("h2", { id: "models" }, "Where models come from"),
        h("div", { class: "sheet" }, table("Newest published model of each, and the way to its lineage", MODEL_HEADS,
            list.slice(0, MODELS_SHOWN).map((m) => ({ key: `${m.target}${m.index}`, cells: [
                modelName(m.target, m.index), `${count(m.step)} of ${count(m.steps)}`, badge(m.state), m.agent || "–",
                h("a", { class: "mono", href: `#/lineage/${m.content}` }, digits(m.content))] }))),
        list.length > MODELS_SHOWN && h("p", { class: "small quiet" }, `and ${count(list.length - MODELS_SHOWN)} more`)));
}

function section(id, title, body, tools) {
    return h("section", { "aria-labelledby": id },
        tools ? h("div", { class: "withtools" }, h("h2", { id }, title), tools) : h("h2", { id }, title),
        h("div", { class: "sheet" }, body));
}

const looking = (resource) => h("p", { class: "empty" }, resource.error ? resource.error.message : "Looking …");

/* What the page asks for, and when it asks again. */
function resourcesOf(name) {
    const path = `/v1/runs/${part(name)}`;
    const moved = (c) => c.runs && c.runs.includes(name);
    return {
        run: new Resource(path, moved),
        curves: new Resource(`${path}/curves?limit=150`, moved),
        timeline: new Resource(`${path}/timeline`, moved),
        parting: new Resource(`${path}/parting`, moved),
        costs: new Resource(`${path}/costs`, moved),
        transfers: new Resource("/v1/transfers", (c) => c.jobs || moved(c)),
        leased: new Resource(`/v1/jobs?run=${part(name)}&state=leased&limit=200`, (c) => c.jobs || moved(c)),
        quarantined: new Resource(`/v1/jobs?run=${part(name)}&state=quarantined&limit=200`, (c) => c.jobs || moved(c)),
    };
}

export function runView(context, name) {
    const r = resourcesOf(name);
    const curves = curvesFigure(context.redraw);
    const open = new Set();
    const logs = new Map();
    const inner = () => context.width - (context.width > 600 ? 44 : 32);

    function drawCurves() {
        if (!r.curves.value || !r.run.value)
            return;
        const report = r.report && r.report.value;
        const curve = (report && report.curve) || [];
        curves.draw(r.curves.value, curve, r.run.value.experts, `${r.curves.version}.${r.report ? r.report.version : 0}`, inner());
    }

    function work(run) {
        const leased = r.leased.value || [];
        const given = r.quarantined.value || [];
        return h("section", { "aria-labelledby": "work" }, h("h2", { id: "work" }, "Queue and transfers"),
            h("div", { class: "sheet" },
                h("p", { class: "small" }, `${count(run.jobs_leased)} under way, ${count(run.jobs_waiting)} waiting, ${count(run.jobs_done)} done, ${count(run.jobs_quarantined)} in quarantine. `,
                    h("a", { href: `#/queue?run=${part(name)}` }, "The queue of this run")),
                transferList(r.transfers.value || [], leased), underWay(leased)),
            given.length > 0 && h("div", { class: "sheet alarm" }, h("h3", null, "Quarantine"),
                jobList(context, given, { open, logs, name: "quarantine" })));
    }

    function happened() {
        const rows = logRows().filter((e) => e.run === name);
        if (rows.length === 0)
            return null;
        return h("section", { "aria-labelledby": "happened" }, h("h2", { id: "happened" }, "What happened"),
            h("ul", { class: "events sheet" }, rows.slice(0, EVENTS_SHOWN).map((e) => eventItem(e, true))),
            rows.length > EVENTS_SHOWN && h("p", { class: "small" }, h("a", { href: `#/history?run=${part(name)}` }, `${count(rows.length - EVENTS_SHOWN)} more`)));
    }

    function render() {
        const run = r.run.value;
        if (!run)
            return [h("p", { class: "crumb" }, h("a", { href: "#/" }, "Runs")), h("h1", null, name),
                h("p", { class: "lede" }, r.run.error ? r.run.error.message : "Looking …")];
        if (run.state === "done" && !r.report)
            r.report = new Resource(`/v1/runs/${part(name)}/report`, (c) => c.runs && c.runs.includes(name));
        const parting = r.parting.value && partingOf(r.parting.value);
        return [
            head(context, run),
            h("div", { class: "sheet" }, phasesFigure(run, parting && parting.purity, inner())),
            h("section", { "aria-labelledby": "figures" }, h("h2", { id: "figures", class: "unseen" }, "In figures"),
                h("div", { class: "sheet" }, facts(run))),
            result(r.report && r.report.value),
            section("curves", "Learning curves", r.curves.value
                ? r.curves.value.length ? [h("div", { keep: "plot" }), curves.legend(), curves.table()]
                    : h("p", { class: "empty" }, "No losses yet: the first come within seconds of training.")
                : looking(r.curves), curves.choice()),
            section("who", "Who trains what", r.timeline.value
                ? timelineFigure(r.timeline.value, run, inner(), open, context.redraw) : looking(r.timeline)),
            section("parting", "How the corpus parts", parting
                ? partingFigure(parting, inner(), open, context.redraw) : looking(r.parting)),
            section("costs", "Costs, beside dense", r.costs.value ? costsFigure(costsOf(r.costs.value), inner()) : looking(r.costs)),
            work(run),
            models(run),
            happened(),
        ];
    }

    return {
        title: name,
        ready: () => r.run.value && r.curves.value && r.leased.value,
        kept: { plot: curves.element },
        render,
        drawn: drawCurves,
        close: () => {
            Object.values(r).forEach((one) => one.release());
            curves.close();
        },
    };
}
