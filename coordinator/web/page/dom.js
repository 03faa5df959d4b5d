/* Elements from function calls, and a patch of the page to a newly made tree. Views say what should
 * be there; what is there already stays, with its focus, scroll position and open details. */

const SVG = "http://www.w3.org/2000/svg";

function append(el, children) {
    for (const child of children) {
        if (Array.isArray(child))
            append(el, child);
        else if (child !== null && child !== undefined && child !== false)
            el.append(child instanceof Node ? child : String(child));
    }
}

function set(el, name, value) {
    if (value === null || value === undefined || value === false)
        return;
    if (name.startsWith("on"))
        el[name] = value;
    else if (name === "style")
        for (const [property, v] of Object.entries(value))
            el.style.setProperty(property, v);
    else if (name === "key")
        el.tacitKey = value;
    else if (name === "keep")
        el.dataset.keep = el.tacitKey = value;
    else
        el.setAttribute(name, value === true ? "" : value);
}

function build(el, props, children) {
    for (const [name, value] of Object.entries(props || {}))
        set(el, name, value);
    append(el, children);
    return el;
}

/* key: what a list's element is known by. keep: the element belongs to somebody else (a chart) and
 * is never looked into. Handlers are properties: onclick. */
export const h = (tag, props, ...children) => build(document.createElement(tag), props, children);
export const s = (tag, props, ...children) =>
    build(document.createElementNS(SVG, tag), props, children);

const HANDLERS = ["onclick", "onsubmit", "onchange", "oninput", "onkeydown", "ontoggle"];

function patchAttributes(from, to) {
    for (const { name, value } of [...to.attributes])
        if (name !== "style" && from.getAttribute(name) !== value)
            from.setAttribute(name, value);
    for (const { name } of [...from.attributes])
        /* An open <details> is the reader's doing. */
        if (name !== "style" && !to.hasAttribute(name) && !(name === "open" && "open" in from))
            from.removeAttribute(name);
    /* Not setAttribute: the content security policy forbids that. */
    if (from.style && from.style.cssText !== to.style.cssText)
        from.style.cssText = to.style.cssText;
    for (const name of HANDLERS)
        if (from[name] !== to[name])
            from[name] = to[name];
    /* What stands in a field is the reader's, too, unless the field is not being used. */
    if (from.tagName === "OPTION" || from.type === "radio" || from.type === "checkbox") {
        from.selected = to.selected;
        from.checked = to.checked;
    }
}

function patchNode(from, to) {
    if (from.nodeType !== Node.ELEMENT_NODE) {
        if (from.data !== to.data)
            from.data = to.data;
        return;
    }
    patchAttributes(from, to);
    if (from.dataset && from.dataset.keep)
        return;
    patch(from, to.childNodes);
}

const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName &&
    a.tacitKey === b.tacitKey;

/* Makes the children of `parent` like `wanted`, reusing those that have the same key, or, without
 * one, the same name in the same place. */
export function patch(parent, wanted) {
    const keyed = new Map();
    for (const child of parent.childNodes)
        if (child.tacitKey !== undefined)
            keyed.set(child.tacitKey, child);
    let at = parent.firstChild;
    for (const to of [...wanted]) {
        let from = to.tacitKey === undefined ? at : keyed.get(to.tacitKey);
        while (to.tacitKey === undefined && from && from.tacitKey !== undefined)
            from = from.nextSibling;
        if (from && alike(from, to)) {
            if (from === at)
                at = at.nextSibling;
            else
                parent.insertBefore(from, at);
            patchNode(from, to);
        } else {
            parent.insertBefore(to, at);
        }
    }
    while (at) {
        const next = at.nextSibling;
        at.remove();
        at = next;
    }
}

export function draw(parent, ...children) {
    const fresh = document.createDocumentFragment();
    append(fresh, children);
    patch(parent, fresh.childNodes);
}

/* Puts what others draw into the places that keep it. */
export function fill(root, kept) {
    for (const [name, el] of Object.entries(kept)) {
        const place = root.querySelector(`[data-keep="${name}"]`);
        if (place && el.parentNode !== place)
            place.replaceChildren(el);
    }
}

/* A drawing at most once a frame, however many things moved; with a page in the background there
 * are no frames, so a timer does it then. */
export function oncePerFrame(f) {
    let due = false;
    const run = () => {
        if (due) {
            due = false;
            f();
        }
    };
    return () => {
        if (due)
            return;
        due = true;
        if (document.hidden)
            setTimeout(run, 200);
        else
            requestAnimationFrame(run);
    };
}
