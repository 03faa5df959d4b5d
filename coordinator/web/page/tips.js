/* Small notes at the pointer, for marks of charts that carry data-tip. What they say is also in the
 * table behind the chart, so they need not be reached by keyboard. */

export function startTips() {
    const tip = document.getElementById("tip");
    const hide = () => {
        tip.hidden = true;
    };
    document.addEventListener("pointermove", (event) => {
        const mark = event.target.closest && event.target.closest("[data-tip]");
        if (!mark) {
            hide();
            return;
        }
        tip.textContent = mark.getAttribute("data-tip");
        tip.hidden = false;
        const box = tip.getBoundingClientRect();
        const x = Math.min(event.clientX + 14, innerWidth - box.width - 8);
        const below = event.clientY + 18;
        const y = below + box.height > innerHeight ? event.clientY - box.height - 12 : below;
        tip.style.left = `${Math.max(8, x)}px`;
        tip.style.top = `${Math.max(8, y)}px`;
    });
    document.addEventListener("pointerleave", hide);
    document.addEventListener("scroll", hide, { passive: true, capture: true });
    document.addEventListener("keydown", hide);
}
