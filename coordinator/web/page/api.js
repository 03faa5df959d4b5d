/* Requests to the coordinator that served this page. The session is a cookie that scripts cannot
 * read; what changes something carries a header that other sites cannot send. */

export class Problem extends Error {
    constructor(status, detail, code) {
        super(detail);
        this.status = status;
        this.code = code;
    }
}

async function problemOf(reply) {
    let told = {};
    try {
        told = await reply.json();
    } catch {
        /* Whoever answered (a proxy, maybe) does not speak problem+json. */
    }
    const words = told.detail || told.title ||
        `The coordinator answered ${reply.status} ${reply.statusText}`.trim();
    return new Problem(reply.status, words, told.code);
}

async function request(method, path, body) {
    const headers = { Accept: "application/json" };
    if (method !== "GET")
        headers["X-Tacit-Request"] = "1";
    if (body !== undefined)
        headers["Content-Type"] = "application/json";
    let reply;
    try {
        reply = await fetch(path, {
            method, headers, cache: "no-store", credentials: "same-origin",
            body: body === undefined ? undefined : JSON.stringify(body),
        });
    } catch {
        throw new Problem(0, "The coordinator cannot be reached.");
    }
    if (!reply.ok)
        throw await problemOf(reply);
    const text = await reply.text();
    return text ? JSON.parse(text) : null;
}

export const get = (path) => request("GET", path);
export const post = (path, body) => request("POST", path, body);
export const erase = (path) => request("DELETE", path);

/* A part of a path that a name may be. */
export const part = encodeURIComponent;
