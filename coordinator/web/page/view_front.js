/* Without a session: how much there is (on loopback), and the log-in. */
import { get, post } from "./api.js";
import { h } from "./dom.js";
import { count } from "./format.js";

function facts(overview) {
    const fact = (words, value, note) =>
        h("div", null, h("dt", null, words), h("dd", null, value, note && h("small", null, note)));
    const sum = (map) => Object.values(map || {}).reduce((a, b) => a + b, 0);
    const parts = (map) => Object.entries(map || {}).filter(([, n]) => n > 0)
        .map(([word, n]) => `${count(n)} ${word.replace("_", " ")}`).join(", ");
    const group = (words, map) => map && fact(words, count(sum(map)), parts(map));
    return h("dl", { class: "facts" },
        group("Runs", overview.runs), group("Agents", overview.agents), group("Jobs", overview.jobs),
        overview.rate !== undefined && fact("Tokens a second", count(Math.round(overview.rate))));
}

export function frontView(context) {
    let overview = null;
    let wrong = "";
    let timer = 0;
    const load = async () => {
        try {
            overview = await get("/v1/overview");
            context.redraw();
            timer = setTimeout(load, 5000);
        } catch {
            /* Elsewhere than on loopback there is none. */
        }
    };
    if (context.session.loopback)
        load();
    const submit = async (event) => {
        event.preventDefault();
        const token = event.target.elements.token.value.trim();
        wrong = "";
        try {
            await post("/v1/session", { token });
            clearTimeout(timer);
            await context.enter();
        } catch (error) {
            wrong = error.status === 401 || error.status === 403
                ? "This token is not known here. Is it the whole line of the file?" : error.message;
            context.redraw();
        }
    };
    return {
        title: "Log in",
        close: () => clearTimeout(timer),
        render: () => [
            h("h1", null, "Language models that train apart"),
            h("p", { class: "lede" }, context.session.away
                ? "The coordinator does not answer. The page tries again when you reload it."
                : "Routers part a corpus, experts train alone on machines that come and go. " +
                  "Log in to see which, and how far they are."),
            /* Keys: figures that come late must not take the place of a form being filled in. */
            overview && h("section", { key: "all", "aria-labelledby": "all" },
                h("h2", { id: "all" }, "This coordinator"),
                h("div", { class: "sheet" }, facts(overview))),
            h("section", { key: "in", class: "login", "aria-labelledby": "in" },
                h("h2", { id: "in" }, "Log in"),
                h("form", { class: "sheet", onsubmit: submit },
                    h("label", { class: "field" }, h("span", null, "Token"),
                        h("input", { type: "password", name: "token", required: true,
                            autocomplete: "current-password", spellcheck: "false",
                            "aria-describedby": "token-help token-wrong" })),
                    h("p", { class: "small", id: "token-help" }, "An operator's stands in ",
                        h("code", null, "admin.token"), ", a viewer's in ",
                        h("code", null, "viewer.token"), ", in the coordinator's data folder."),
                    h("p", { class: "wrong", id: "token-wrong", role: "alert" }, wrong),
                    h("div", { class: "buttons" },
                        h("button", { type: "submit", class: "primary" }, "Log in")))),
        ],
    };
}
