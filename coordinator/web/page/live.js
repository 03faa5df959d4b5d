/* What the page shows of the coordinator, and how it stays true: a stream of events says what has
 * moved, and only that is fetched again. */
import { get } from "./api.js";

/* However fast things move, the same is not fetched more often, nor are more than a tenth of the
 * time and of the coordinator spent on it. */
const FETCH_MS_MIN = 700;
const FETCH_SHARE = 10;
const RETRY_MS_MAX = 10000;
const LOG_MAX = 500;

const resources = new Set();
const listeners = new Set();
const link = { state: "starting", since: 0, tries: 0 };
const log = new Map(); /* by number: what is sent again after a break is there once */
let source = null;
let timer = 0;

const tell = (what) => {
    for (const f of [...listeners])
        f(what);
};

/* f(what): "link", "log", "resource", or an event of the log that has just come. */
export function listen(f) {
    listeners.add(f);
    return () => listeners.delete(f);
}

export const linkState = () => link;

/* Newest first. */
export const logRows = () => [...log.values()].sort((a, b) => b.event - a.event);

function logAdd(rows) {
    const fresh = rows.filter((row) => !log.has(row.event));
    for (const row of fresh)
        log.set(row.event, row);
    for (const number of [...log.keys()].sort((a, b) => a - b).slice(0, -LOG_MAX))
        log.delete(number);
    return fresh;
}

/* One thing of the coordinator's: `value` is the newest known, `error` why there is none newer.
 * moves(change) says whether a change event means it. */
export class Resource {
    constructor(path, moves, options = {}) {
        this.path = path;
        this.moves = moves;
        this.options = options;
        this.value = undefined;
        this.error = null;
        this.version = 0;
        this.busy = this.again = false;
        this.notBefore = 0;
        this.timer = 0;
        resources.add(this);
        this.fetch();
    }

    async fetch() {
        if (this.busy || this.timer) {
            this.again = this.busy;
            return;
        }
        const wait = this.notBefore - performance.now();
        if (wait > 0) {
            this.timer = setTimeout(() => {
                this.timer = 0;
                this.fetch();
            }, wait);
            return;
        }
        const began = performance.now();
        this.busy = true;
        try {
            const value = await get(this.path);
            if (resources.has(this)) {
                this.value = value;
                this.error = null;
                this.version++;
            }
        } catch (error) {
            this.error = error;
            if (error.status === 401)
                tell("session");
        }
        this.busy = false;
        const took = performance.now() - began;
        this.notBefore = performance.now() + Math.max(FETCH_MS_MIN, FETCH_SHARE * took);
        if (!resources.has(this))
            return;
        tell("resource");
        if (this.again) {
            this.again = false;
            this.fetch();
        }
    }

    /* At once: an action of the operator's has just changed it. */
    now() {
        clearTimeout(this.timer);
        this.timer = this.notBefore = 0;
        this.fetch();
    }

    release() {
        clearTimeout(this.timer);
        resources.delete(this);
    }
}

export function refreshAll() {
    for (const r of resources)
        r.now();
}

let stale = false;

function onChange(change) {
    if (document.hidden) {
        stale = true;
        return;
    }
    for (const r of resources)
        if (r.moves(change))
            r.fetch();
}

document.addEventListener("visibilitychange", () => {
    if (!document.hidden && stale) {
        stale = false;
        refreshAll();
    }
});

/* Every try that fails is told: the stream of an ended session is refused like any other. */
function setLink(state) {
    if (state === "lost" && link.state !== "lost")
        link.since = Date.now();
    link.state = state;
    tell("link");
}

function retryLater() {
    clearTimeout(timer);
    /* Each page waits for a time of its own, so that a hundred do not come at once. */
    const wait = Math.min(RETRY_MS_MAX, 500 * 2 ** link.tries++) * (0.75 + Math.random() / 2);
    timer = setTimeout(connect, wait);
}

function connect() {
    if (source)
        source.close();
    const newest = Math.max(0, ...log.keys());
    source = new EventSource(newest ? `/v1/events?after=${newest}` : "/v1/events");
    source.onopen = () => {
        const again = link.state === "lost";
        link.tries = 0;
        setLink("live");
        /* What moved in between is fetched; what happened, the stream tells itself. */
        if (again)
            refreshAll();
    };
    source.onerror = () => {
        setLink("lost");
        source.close();
        retryLater();
    };
    source.addEventListener("log", (message) => {
        const told = JSON.parse(message.data);
        for (const row of logAdd(Array.isArray(told) ? told : [told]))
            tell(row);
        tell("log");
    });
    source.addEventListener("change", (message) => onChange(JSON.parse(message.data)));
}

/* The log's end as it is on record, then the stream from there on. */
export async function startLive() {
    const week = Date.now() - 7 * 24 * 3600 * 1000;
    try {
        logAdd(await get(`/v1/history?limit=10000&since=${week}`));
        tell("log");
    } catch {
        /* The stream will find out, and say so. */
    }
    connect();
}

export function stopLive() {
    clearTimeout(timer);
    if (source)
        source.close();
    source = null;
    log.clear();
    for (const r of [...resources])
        r.release();
    link.state = "starting";
}
