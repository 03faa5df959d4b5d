/* Answers of the API as the figures want them. */

export const attemptsOf = (value) => value.attempts;

/* Rounds of which the counts by source were kept. */
export const partingOf = (value) => ({
    sources: value.sources.map((s) => s.name),
    rounds: value.rounds.filter((r) => r.sources.length > 0)
        .map((r) => ({ ...r, counts: r.sources.map((s) => s.counts) })),
});

const LOOKS = { routers: "m0 light2", scoring: "lifeless", experts: "m0", dense: "mx", "dense-flops": "mx light1" };

/* The mixture's parts are one bar; each dense model is one. */
export function costBarsOf(value) {
    const part = (name, words) => {
        const p = value.parts.find((one) => one.part === name);
        return { name: words || name, look: LOOKS[name], spent: p.spent, planned: p.planned };
    };
    return [
        { name: "mixture", parts: [part("routers"), part("scoring"), part("experts")] },
        { name: "dense", parts: [part("dense")] },
        { name: "dense, equal FLOPs", parts: [part("dense-flops", "dense, equal FLOPs")] },
    ].filter((bar) => bar.parts.some((p) => p.planned > 0));
}
