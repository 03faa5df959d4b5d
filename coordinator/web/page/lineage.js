/* What a job read, from the answer to /v1/lineage. */

const named = (digest) => /[1-9a-f]/.test(digest || "");

/* Each input once, by the digest of its content where it has one. The state beside a model is left
 * out: both come from the same job. */
export function inputsOf(made) {
    const inputs = (made && made.grant && made.grant.inputs) || [];
    const list = new Map();
    for (const i of inputs) {
        const beside = i.role === "state" && inputs.some((o) => o.role === "model" && o.index === i.index);
        const name = named(i.content) ? i.content : i.digest;
        if (!beside)
            list.set(name, { name, role: i.role, index: i.index });
    }
    return [...list.values()];
}
