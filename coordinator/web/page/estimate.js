/* How long a run will still take, as a range: from the pace of the whole way and that of the last
 * stretch, which differ when agents come and go. */

const KEEP_MS = 10 * 60 * 1000;
const RECENT_MS = 90 * 1000;
const SPREAD = 0.15; /* paces are never as even as one measurement of them */

const seen = new Map(); /* run → [[ms, progress] …] while this page is open */

export function noteProgress(run, now = Date.now()) {
    if (run.state !== "active")
        return;
    const list = seen.get(run.name) || [];
    const last = list[list.length - 1];
    if (last && run.progress < last[1])
        list.length = 0; /* rolled back or extended: a new way */
    if (!last || run.progress !== last[1])
        list.push([now, run.progress]);
    while (list.length > 2 && now - list[0][0] > KEEP_MS)
        list.shift();
    seen.set(run.name, list);
}

/* {low, high} in seconds, or null where nothing can be said yet. */
export function timeLeft(run, now = Date.now()) {
    if (run.state !== "active" || run.paused || run.progress >= 1)
        return null;
    const paces = [];
    const age = (now - run.created_at) / 1000;
    if (run.progress > 0.01 && age > 1)
        paces.push(run.progress / age);
    const list = seen.get(run.name) || [];
    const from = list.find(([at]) => now - at <= RECENT_MS);
    if (from && run.progress > from[1] && now - from[0] > 5000)
        paces.push((run.progress - from[1]) / ((now - from[0]) / 1000));
    if (paces.length === 0)
        return null;
    const left = 1 - run.progress;
    return {
        low: left / Math.max(...paces) * (1 - SPREAD),
        high: left / Math.min(...paces) * (1 + SPREAD),
    };
}
