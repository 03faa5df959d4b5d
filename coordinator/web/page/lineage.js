/* What a job read, from the answer to /v1/lineage. */

const named = (digest) => /[1-9a-f]/.test(digest || "");

export const SHARDS = "shards"; /* all of a data set's are one node of the graph */

/* Each input once, by the digest of its content where it has one. The state beside a model is left
 * out: both come from the same job. */
export function inputsOf(made) {
    const inputs = (made && made.grant && made.grant.inputs) || [];
    const list = new Map();
    for (const i of inputs) {
        if (i.role === "state" && inputs.some((o) => o.role === "model" && o.index === i.index))
            continue;
        const digest = named(i.content) ? i.content : i.digest;
        const name = i.role === "shard" ? SHARDS : digest;
        if (!list.has(name))
            list.set(name, { name, role: i.role, digests: [] });
        list.get(name).digests.push(digest);
    }
    /* What was computed first, then the data. */
    return [...list.values()].sort((a, b) => (a.name === SHARDS) - (b.name === SHARDS));
}
