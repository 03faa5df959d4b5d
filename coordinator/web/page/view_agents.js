/* All agents: what each is, and does. */
import { h } from "./dom.js";
import { agentActions } from "./actions.js";
import { capped } from "./dialogs.js";
import { ago, bytes, count, exactTime, plural, short } from "./format.js";
import { Resource } from "./live.js";
import { table } from "./parts.js";
import { badge } from "./words.js";

const ROWS = 100;
const FIRST = ["working", "draining", "benched", "silent", "idle", "drained", "revoked"];

export function agentsView(context) {
    const open = new Set();
    let wanted = "";
    const agents = new Resource("/v1/agents", (c) => c.agents || c.jobs);
    const heads = [["Agent"], ["State"], ["Job"], ["Tokens/s", true], ["Threads", true], ["Memory", true], ["Done", true],
        ["Failed", true], ["Seen"], ["Machine"], ...context.operator() ? [["Actions"]] : []];
    const cells = (a) => [
        [a.name, a.labels && h("div", { class: "small quiet" }, a.labels)],
        [badge(a.state), a.reason && h("div", { class: "small reason" }, a.reason)],
        a.job || "–", a.rate ? short(a.rate) : "–", count(a.threads), bytes(a.memory), count(a.jobs_done), count(a.failures),
        h("time", { datetime: exactTime(a.seen_at) }, ago(a.seen_at)),
        [a.host, h("div", { class: "small quiet" }, [a.processor, a.isa].filter(Boolean).join(" · "))],
        ...context.operator() ? [agentActions(context, a)] : [],
    ];
    const summary = (list) => FIRST.map((state) => [state, list.filter((a) => a.state === state).length])
        .filter(([, n]) => n > 0).map(([state, n]) => `${count(n)} ${state}`).join(", ");
    return {
        title: "Agents",
        ready: () => agents.value,
        close: () => agents.release(),
        render: () => {
            const all = agents.value;
            if (!all)
                return [h("h1", null, "Agents"), h("p", { class: "lede" }, agents.error ? agents.error.message : "Looking …")];
            const found = all.filter((a) => !wanted || [a.name, a.host, a.labels, a.owner, a.state].join(" ").includes(wanted))
                .sort((a, b) => FIRST.indexOf(a.state) - FIRST.indexOf(b.state) || a.name.localeCompare(b.name));
            const { shown, more } = capped(found, ROWS, open, "agents", context.redraw);
            return [
                h("div", { class: "head" }, h("div", null, h("h1", null, "Agents"),
                    h("p", { class: "lede" }, all.length ? `${plural(all.length, "machine")}: ${summary(all)}.`
                        : "No machine has joined yet.")),
                all.length > 8 && h("label", null, h("span", { class: "small" }, "Find "),
                    h("input", { type: "text", placeholder: "name, host, label, state", oninput: (event) => {
                        wanted = event.target.value.trim();
                        context.redraw();
                    } }))),
                all.length === 0
                    ? h("div", { class: "sheet empty" }, "On any machine that can reach this one:",
                        h("pre", null, `tacit-agent --coordinator ${location.origin} --token-file join.token --work DIR`))
                    : h("div", { class: "sheet" }, shown.length ? table("Agents", heads, shown.map((a) => ({ key: a.agent, cells: cells(a) }))) : h("p", { class: "empty" }, "None is like that."), more),
            ];
        },
    };
}
