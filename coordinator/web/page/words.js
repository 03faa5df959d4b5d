/* What things are called, and the marks of states: a shape beside the word, so that colour is never
 * alone. */
import { h, s } from "./dom.js";
import { count, plural } from "./format.js";

/* State → [tone, shape]. Tones are colours of base.css. */
const STATES = {
    active: ["live", "ring"], running: ["live", "play"], working: ["live", "play"],
    training: ["live", "play"], leased: ["live", "play"], open: ["live", "play"],
    done: ["good", "tick"], agrees: ["good", "tick"],
    failed: ["bad", "cross"], quarantined: ["bad", "cross"], differs: ["bad", "cross"],
    revoked: ["bad", "cross"],
    cancelled: ["calm", "cross"], expired: ["warn", "gap"], silent: ["warn", "gap"],
    benched: ["warn", "pause"], "backing off": ["warn", "pause"],
    paused: ["warn", "pause"], draining: ["warn", "pause"], drained: ["warn", "pause"],
    fetching: ["live", "down"], saving: ["live", "down"], uploading: ["live", "up"],
    waiting: ["calm", "dot"], idle: ["calm", "dot"], released: ["calm", "dot"],
    overtaken: ["calm", "dot"],
};

const SHAPES = {
    ring: () => s("circle", { cx: 6, cy: 6, r: 3.6, class: "hollow" }),
    dot: () => s("circle", { cx: 6, cy: 6, r: 2.4 }),
    play: () => s("path", { d: "M3.5 2.2v7.6l6-3.8z" }),
    tick: () => s("path", { d: "M2.4 6.4l2.5 2.6 4.8-5.8", class: "hollow" }),
    cross: () => s("path", { d: "M3 3l6 6M9 3l-6 6", class: "hollow" }),
    pause: () => s("path", { d: "M4 2.6v6.8M8 2.6v6.8", class: "hollow" }),
    gap: () => s("path", { d: "M6 2v4.6M6 9.2v.4", class: "hollow" }),
    down: () => s("path", { d: "M6 2v7M3 6.4L6 9.6l3-3.2", class: "hollow" }),
    up: () => s("path", { d: "M6 10V3M3 5.6L6 2.4l3 3.2", class: "hollow" }),
};

export const tone = (state) => (STATES[state] || ["calm"])[0];

export function badge(state, words = state) {
    const [tint, shape] = STATES[state] || ["calm", "dot"];
    return h("span", { class: `badge ${tint}` },
        s("svg", { viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true" },
            SHAPES[shape]()),
        words);
}

export const runState = (run) => run.paused && run.state === "active" ? "paused" : run.state;

const DENSE = { dense: "dense", "dense-flops": "dense, equal FLOPs" };

/* "expert 3" */
export const modelName = (target, index) => DENSE[target] || `${target} ${index}`;

/* A key of a model that sorts routers, experts, dense. */
export const modelKey = (target, index) => `${target}:${index}`;

/* "train expert 3, steps 500 to 1,000". Rounds count from 1, as people do; models from 0, as they
 * are called everywhere. */
export function jobWords(job) {
    const place = job.final || !job.round ? `chunk ${count(job.chunk + 1)}`
        : `round ${count(job.round + 1)}`;
    const model = modelName(job.target, job.index);
    switch (job.kind) {
    case "train-router":
        return `train router ${job.index}, round ${count(job.round + 1)}`;
    case "train":
        return `train ${model}, steps ${count(job.step_first)} to ${count(job.step_last)}`;
    case "score":
        return `score ${place}, part ${count(job.part + 1)}`;
    case "assign":
        return `assign ${place}`;
    case "segment":
        return `cut segments of chunk ${count(job.chunk + 1)}, part ${count(job.part + 1)}`;
    case "eval":
        return `evaluate ${model}` + (job.step_last ? ` at step ${count(job.step_last)}` : "");
    case "report":
        return "write the report";
    case "replay":
        return job.target === "none" ? "replay a scoring" : `replay ${model}`;
    default:
        return job.kind;
    }
}

const PHASES = {
    routers: (run) => `Routers learn, round ${roundNow(run)} of ${run.rounds}`,
    scoring: (run) => run.round < run.rounds
        ? `Routers score new sequences and part them for round ${roundNow(run)} of ${run.rounds}`
        : "The routers are ready and part the whole corpus",
    segments: () => "The parted corpus is cut into a segment for each expert",
    experts: (run) => `${plural(run.experts, "expert")} train, each alone on its own segment`,
    dense: () => "The dense model trains, to compare",
    evaluation: () => "The models are evaluated on held-out text",
    report: () => "The coordinator writes the report",
};

export const roundNow = (run) => Math.min(run.rounds, run.round + 1);

/* What happens now, in a sentence without its full stop. */
export function nowWords(run) {
    if (run.state === "done")
        return "Done: every model is trained and evaluated, and the report is written";
    if (run.state === "failed")
        return `The run has failed${run.reason ? `: ${run.reason}` : ""}`;
    if (run.state === "cancelled")
        return "The run was cancelled";
    return (PHASES[run.phase] || (() => run.phase))(run);
}
