/* Light or dark: as the system says, or as chosen here. A plain script before the page is drawn, so
 * that a dark page never flashes white. */
(() => {
    const key = "tacit-theme";
    const root = document.documentElement;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    let chosen = null;
    try {
        chosen = localStorage.getItem(key);
    } catch {
        /* No storage (a private window): the system's choice it is. */
    }
    const apply = () => {
        const theme = chosen || (dark.matches ? "dark" : "light");
        root.dataset.theme = theme;
        window.dispatchEvent(new CustomEvent("theme", { detail: theme }));
    };
    window.tacitTheme = {
        chosen: () => chosen || "system",
        choose(word) {
            chosen = word === "system" ? null : word;
            try {
                if (chosen)
                    localStorage.setItem(key, chosen);
                else
                    localStorage.removeItem(key);
            } catch {
                /* It holds for this page alone then. */
            }
            apply();
        },
    };
    dark.addEventListener("change", apply);
    apply();
})();
