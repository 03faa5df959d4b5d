/* Numbers, times and sizes as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const clockSeconds = new Intl.DateTimeFormat("en-GB", {
    hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dayClock = new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

export const known = (x) => x !== null && x !== undefined && Number.isFinite(x);

export const count = (n) => known(n) ? whole.format(n) : "–";

const STEPS = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

/* 1,230,000 → "1.23 M": for axes and where room is short. */
export function short(n, unit = "") {
    if (!known(n))
        return "–";
    const step = STEPS.find(([size]) => Math.abs(n) >= size * 0.9995);
    if (!step)
        return trim(n, Math.abs(n) < 10 && n % 1 ? 2 : 0) + (unit ? ` ${unit}` : "");
    const x = n / step[0];
    return `${trim(x, x < 10 ? 2 : x < 100 ? 1 : 0)} ${step[1]}${unit}`;
}

function trim(x, digits) {
    const text = x.toFixed(digits);
    return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

export const bytes = (n) => short(n, "B");
export const number = (x, digits = 3) => known(x) ? x.toFixed(digits) : "–";
export const percent = (x, digits = 0) => known(x) ? `${(100 * x).toFixed(digits)} %` : "–";
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/* Seconds → "3 min 20 s", two parts at most. */
export function duration(seconds) {
    if (!known(seconds))
        return "–";
    if (seconds < 1)
        return `${Math.max(0, Math.round(seconds * 1000))} ms`;
    if (seconds < 10)
        return `${trim(seconds, 1)} s`;
    const t = Math.round(seconds);
    if (t < 60)
        return `${t} s`;
    const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
    const first = parts.findIndex(([size]) => t >= size);
    const [size, unit] = parts[first];
    const [size2, unit2] = parts[first + 1];
    const n = Math.floor(t / size);
    const rest = Math.floor((t % size) / size2);
    return n >= 10 && first < 2 || rest === 0 ? `${n} ${unit}` : `${n} ${unit} ${rest} ${unit2}`;
}

/* One unit, rounded: for a range, where seconds would feign a precision that is not there. */
export function roughly(seconds) {
    if (seconds < 5)
        return "a few seconds";
    if (seconds < 90)
        return `${Math.ceil(seconds / 5) * 5} s`;
    if (seconds < 90 * 60)
        return `${Math.round(seconds / 60)} min`;
    if (seconds < 36 * 3600)
        return `${trim(seconds / 3600, seconds < 10 * 3600 ? 1 : 0)} h`;
    return `${trim(seconds / 86400, 1)} days`;
}

export function range(low, high) {
    const a = roughly(low);
    const b = roughly(high);
    if (a === b)
        return `about ${a}`;
    const [x, unit] = a.split(" ");
    const [y, unit2] = b.split(" ");
    return unit === unit2 ? `${x} to ${y} ${unit}` : `${a} to ${b}`;
}

/* How long a run will still take, or nothing where it is not known. */
export function leftWords(run) {
    if (run.state !== "active" || run.paused || !known(run.left_least) || !known(run.left_most))
        return "";
    const words = range(run.left_least, run.left_most);
    return `${words[0].toUpperCase()}${words.slice(1)} left`;
}

export const ago = (ms, now = Date.now()) => {
    const seconds = (now - ms) / 1000;
    return seconds < 5 ? "now" : `${duration(seconds < 60 ? Math.round(seconds) : seconds)} ago`;
};

export function time(ms) {
    if (!ms)
        return "–";
    const d = new Date(ms);
    return d.toDateString() === new Date().toDateString() ? clock.format(d) : dayClock.format(d);
}
export const exactTime = (ms) => ms ? new Date(ms).toISOString().replace(/\.\d+Z/, "Z") : "";
export const timeSeconds = (ms) => clockSeconds.format(new Date(ms));
export const dayOf = (ms) => day.format(new Date(ms));

export const digits = (hex) => hex ? hex.slice(0, 10) : "–";
export const isDigest = (hex) => typeof hex === "string" && /[1-9a-f]/.test(hex);
export const cut = (text, n) => text && text.length > n ? `${text.slice(0, n - 1)}…` : text || "";
