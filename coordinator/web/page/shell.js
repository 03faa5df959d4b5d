/* What surrounds every view: the head with its navigation, the banner of a broken connection, the
 * foot. */
import { erase } from "./api.js";
import { draw, h, s } from "./dom.js";
import { say } from "./dialogs.js";
import { ago, timeSeconds } from "./format.js";
import { linkState } from "./live.js";

const PLACES = [["", "Runs", /^$|^runs\//], ["agents", "Agents", /^agents/],
    ["queue", "Queue", /^queue|^jobs/], ["history", "History", /^history/]];

const mark = () => s("svg", { viewBox: "0 0 32 32", width: 26, height: 26, "aria-hidden": "true" },
    s("g", { fill: "none", "stroke-width": 3, "stroke-linecap": "round" },
        s("path", { d: "M5 16h7c4 0 3-8 8-8h7", class: "m0 drawn" }),
        s("path", { d: "M12 16h15", class: "m1 drawn" }),
        s("path", { d: "M12 16c4 0 3 8 8 8h7", class: "m2 drawn" })),
    s("circle", { cx: 8, cy: 16, r: 4, class: "m3 filled" }));

function connection() {
    const { state } = linkState();
    const words = state === "live" ? "live" : state === "lost" ? "not connected" : "connecting";
    return h("span", { class: `link ${state}` }, words);
}

function themes() {
    const chosen = window.tacitTheme.chosen();
    const choice = (word, label) => h("option", { value: word, selected: chosen === word }, label);
    return h("label", null, h("span", { class: "unseen" }, "Colours"),
        h("select", { class: "themes", onchange: (event) =>
            window.tacitTheme.choose(event.target.value) },
        choice("system", "as the system"), choice("light", "light"), choice("dark", "dark")));
}

function account(context) {
    if (context.session.role === "none")
        return null;
    return [h("span", { class: "who" }, context.session.role),
        h("button", { type: "button", class: "small", onclick: async () => {
            try {
                await erase("/v1/session");
                context.leave();
            } catch (error) {
                say(error.message, true);
            }
        } }, "Log out")];
}

export function shell(context, path) {
    const inside = context.session.role !== "none";
    draw(document.getElementById("top"),
        h("a", { class: "brand", href: "#/" }, mark(), "tacit"),
        inside && h("nav", { "aria-label": "Pages" }, h("ul", null, PLACES.map(([to, words, here]) =>
            h("li", null, h("a", { href: `#/${to}`, "aria-current": here.test(path) && "page" },
                words))))),
        h("div", { class: "right" }, inside && connection(), themes(), account(context)));
    const { state, since } = linkState();
    draw(document.getElementById("banner"), inside && state === "lost" &&
        h("p", null, h("strong", null, "No connection to the coordinator"),
            ` since ${timeSeconds(since)} (${ago(since)}). What you see is how things were then; `,
            "the page tries again by itself."));
    draw(document.getElementById("foot"),
        h("span", null, inside ? "The same in a terminal: " : "tacit, a coordinator of language models that train apart"),
        inside && [h("code", null, "tacit status"), h("code", null, "tacit top")]);
}
