/* Questions before something is changed, and short notices of what came of it. */
import { h } from "./dom.js";

let said;

/* For screen readers, and as a note in the corner for a while. */
export function say(words, bad = false) {
    const region = document.getElementById("said");
    region.textContent = words;
    if (said)
        said.remove();
    const note = h("div", { class: `note${bad ? " bad" : ""}`, "aria-hidden": "true" }, words);
    said = note;
    document.body.append(note);
    setTimeout(() => note.remove(), 6000);
}

/* Asks in a modal dialog. act: what the button says; danger: it cannot be undone, so the way out
 * has the focus. fields: elements of a form. Gives the form's values, or null. */
export function ask({ title, words, act, danger = false, fields = [] }) {
    return new Promise((resolve) => {
        const leave = h("button", { type: "button", class: "plain" }, "Leave it");
        const go = h("button", { type: "submit", class: danger ? "danger" : "primary" }, act);
        const form = h("form", { method: "dialog" },
            h("h2", { id: "ask-title" }, title),
            words && h("p", null, words),
            fields,
            h("div", { class: "buttons" }, leave, go));
        const dialog = h("dialog", { "aria-labelledby": "ask-title" }, form);
        const end = (value) => {
            dialog.close();
            dialog.remove();
            resolve(value);
        };
        leave.onclick = () => end(null);
        dialog.addEventListener("cancel", (event) => {
            event.preventDefault();
            end(null);
        });
        form.onsubmit = (event) => {
            event.preventDefault();
            end(Object.fromEntries(new FormData(form)));
        };
        document.body.append(dialog);
        dialog.showModal();
        const first = form.querySelector("input, select");
        (first || (danger ? leave : go)).focus();
    });
}

/* Runs an action of a button: it cannot be pressed twice, and what came of it is said. */
export async function perform(button, work, done) {
    button.disabled = true;
    try {
        await work();
        say(done);
    } catch (error) {
        say(error.message, true);
    }
    button.disabled = false;
}

/* A list that shows its beginning; the rest at a button's press. `open` holds which are whole. */
export function capped(items, limit, open, name, redraw) {
    if (items.length <= limit || open.has(name))
        return { shown: items, more: null };
    const rest = items.length - limit;
    const more = h("button", { type: "button", class: "plain more",
        onclick: () => {
            open.add(name);
            redraw();
        } }, `${rest.toLocaleString("en")} more`);
    return { shown: items.slice(0, limit), more };
}

