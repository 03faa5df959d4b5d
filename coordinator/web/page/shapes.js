/* Answers of the API as the figures want them. */

/* /parting → rounds with counts[source][expert]. Of very many sources and experts only the shares
 * are kept: such rounds have nothing to draw. */
export function partingOf(value) {
    return {
        sources: value.sources.map((s) => s.name),
        rounds: value.rounds.filter((r) => r.sources && r.sources.length > 0).map((r) => ({
            round: r.round, final: r.final, purity: r.purity,
            counts: r.sources.map((row) => row.counts),
        })),
        purity: value.rounds.length ? value.rounds[value.rounds.length - 1].purity : null,
        withoutCounts: value.rounds.some((r) => !r.sources || r.sources.length === 0),
    };
}

const PARTS = { routers: ["routers train", "m3"], scoring: ["sequences are scored", "m5"], experts: ["experts train", "m0"],
    dense: ["dense trains", "mx"], "dense-flops": ["dense trains", "mx"] };
const BARS = [["Mixture", ["routers", "scoring", "experts"]], ["Dense", ["dense"]], ["Dense, equal FLOPs", ["dense-flops"]]];

/* /costs → a bar for each that is compared, and what went over the network. */
export function costsOf(value) {
    const of = new Map(value.parts.map((p) => [p.part, p]));
    const sum = (field) => value.parts.reduce((all, p) => all + (p[field] || 0), 0);
    return {
        bars: BARS.map(([name, parts]) => ({ name, parts: parts.filter((p) => of.has(p) && of.get(p).planned > 0).map((p) => ({
            ...of.get(p), name: PARTS[p][0], look: PARTS[p][1] })) })).filter((bar) => bar.parts.length > 0),
        down: sum("bytes_down"), up: sum("bytes_up"), seconds: sum("seconds"),
        parallel: value.data_parallel_bytes,
    };
}
