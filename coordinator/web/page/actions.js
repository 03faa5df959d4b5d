/* What an operator can do. Every one is confirmed where it stops work or cannot be undone. */
import { part, post } from "./api.js";
import { ask, perform } from "./dialogs.js";
import { h } from "./dom.js";
import { time } from "./format.js";
import { refreshAll } from "./live.js";

const button = (words, act, look = "small") =>
    h("button", { type: "button", class: look, onclick: (event) => act(event.currentTarget) }, words);

async function change(pressed, path, body, done) {
    await perform(pressed, () => post(path, body), done);
    refreshAll();
}

const field = (words, input) => h("label", { class: "field" }, h("span", null, words), input);

export function runActions(context, run) {
    if (!context.operator())
        return null;
    const path = `/v1/runs/${part(run.name)}`;
    const pause = async (pressed) => {
        const values = await ask({ title: `Pause ${run.name}?`, act: "Pause",
            words: "Agents save where they are, and hand their jobs back; nothing is lost. Other runs get the agents.",
            fields: [field("Until (empty: until somebody resumes it)", h("input", { type: "datetime-local", name: "until" }))] });
        if (!values)
            return;
        const until = values.until ? new Date(values.until).getTime() : 0;
        await change(pressed, `${path}/pause`, { until },
            until ? `${run.name} is paused until ${time(until)}` : `${run.name} is paused`);
    };
    const priority = async (pressed) => {
        const values = await ask({ title: `Priority of ${run.name}`, act: "Set",
            words: "Runs of higher priority get agents first. Between −1,000 and 1,000; 0 is usual.",
            fields: [field("Priority", h("input", { type: "number", name: "priority", value: run.priority, min: -1000, max: 1000, step: 1, required: true }))] });
        if (values)
            await change(pressed, `${path}/priority`, { priority: Number(values.priority) },
                `${run.name} has priority ${values.priority}`);
    };
    const cancel = async (pressed) => {
        const values = await ask({ title: `Cancel ${run.name}?`, act: "Cancel the run", danger: true,
            words: "Its jobs stop, and it cannot be resumed. Models that are published stay." });
        if (values)
            await change(pressed, `${path}/cancel`, undefined, `${run.name} is cancelled`);
    };
    const again = (pressed) => change(pressed, `${path}/retry`, undefined, `${run.name} goes on`);
    return h("div", { class: "buttons", role: "group", "aria-label": `Actions on ${run.name}` },
        run.state === "active" && (run.paused
            ? button("Resume", (b) => change(b, `${path}/resume`, undefined, `${run.name} goes on`))
            : button("Pause …", pause)),
        run.state === "active" && button("Priority …", priority),
        run.state === "active" && button("Cancel …", cancel),
        run.state === "failed" && button("Try again", again));
}

export function jobActions(context, job) {
    if (!context.operator() || job.state !== "quarantined")
        return null;
    return button("Try again", (b) => change(b, `/v1/jobs/${job.job}/retry`, undefined,
        `Job ${job.job} waits for an agent again`));
}

/* The API steers by patterns of names; a name is one that matches itself. */
const only = (agent) => ({ names: [{ pattern: agent.name }] });

export function agentActions(context, agent) {
    if (!context.operator())
        return null;
    const away = agent.state === "draining" || agent.state === "drained";
    const drain = async (pressed) => {
        const values = await ask({ title: `Drain ${agent.name}?`, act: "Drain",
            words: "It gets no more jobs, so that the machine can be stopped.",
            fields: [h("label", { class: "field" }, h("input", { type: "checkbox", name: "now" }),
                " and hands over at once the job it has, half done")] });
        if (values)
            await change(pressed, "/v1/agents/drain", { ...only(agent), now: values.now === "on" },
                `${agent.name} is drained`);
    };
    const revoke = async (pressed) => {
        const values = await ask({ title: `Revoke ${agent.name}?`, act: "Revoke", danger: true,
            words: "Its token is refused from now on, and what it is at goes to another agent. For a machine that is lost, or not trusted any more." });
        if (values)
            await change(pressed, "/v1/agents/revoke", only(agent), `${agent.name} is revoked`);
    };
    if (agent.state === "revoked")
        return button("Restore", (b) => change(b, "/v1/agents/restore", only(agent), `${agent.name} may come again`));
    return h("div", { class: "buttons" },
        away ? button("Undrain", (b) => change(b, "/v1/agents/undrain", only(agent), `${agent.name} gets jobs again`))
            : button("Drain …", drain),
        agent.state === "benched" && button("Unbench", (b) =>
            change(b, `/v1/agents/${part(agent.name)}/unbench`, undefined, `${agent.name} gets jobs again`)),
        button("Revoke …", revoke));
}

