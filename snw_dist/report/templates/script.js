/* Draws the figures, sorts and searches the tables, switches the theme. All data is in the page. */
"use strict";
(() => {
  const root = document.documentElement, data = JSON.parse(document.getElementById("of-figures").textContent);
  const narrow = () => window.matchMedia("(max-width: 40rem)").matches;

  /* Theme: that of the system until the reader chooses; kept where the browser allows it. */
  const dark = window.matchMedia("(prefers-color-scheme: dark)"), button = document.querySelector(".theme");
  const kept = () => { try { return localStorage.getItem("snw-theme"); } catch { return null; } };
  const show = (theme) => {
    root.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${theme === "dark" ? "light" : "dark"} theme`);
  };
  show(kept() || (dark.matches ? "dark" : "light"));
  button.hidden = false;
  button.addEventListener("click", () => {
    show(root.dataset.theme === "dark" ? "light" : "dark");
    try { localStorage.setItem("snw-theme", root.dataset.theme); } catch { /* a page without storage */ }
    redraw();
  });
  dark.addEventListener("change", () => { if (!kept()) { show(dark.matches ? "dark" : "light"); redraw(); } });

  /* In print all is light, also a drawing that looks at the theme. */
  let onScreen = root.dataset.theme;
  addEventListener("beforeprint", () => { onScreen = root.dataset.theme; root.dataset.theme = "light"; });
  addEventListener("afterprint", () => { root.dataset.theme = onScreen; });

  /* Tables: a click on a heading sorts, numbers as numbers, empty cells last. */
  const value = (row, column) => row.cells[column].textContent.trim();
  const number = (text) => (/^[-+]?[\d,]*\.?\d+(e[-+]?\d+)?$/i.test(text) ? parseFloat(text.replaceAll(",", "")) : NaN);
  const compare = (a, b) => {
    const [x, y] = [number(a), number(b)];
    if (!isNaN(x) && !isNaN(y)) return x - y;
    return isNaN(x) === isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : isNaN(x) ? 1 : -1;
  };
  for (const heading of document.querySelectorAll("th")) {
    heading.firstElementChild.addEventListener("click", () => {
      const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1, column = heading.cellIndex;
      for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const body = heading.closest("table").tBodies[0];
      const rows = [...body.rows].map((row) => [value(row, column), row]);
      rows.sort(([a], [b]) => (a === "" || b === "" ? (a === "") - (b === "") : sign * compare(a, b)));
      body.append(...rows.map(([, row]) => row));
    });
  }
  for (const field of document.querySelectorAll(".search")) {
    field.hidden = false;
    const rows = [...field.parentNode.querySelector("tbody").rows];
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
  }

  /* Figures. Colours stand as @0, @grey, @0/0.18 (with opacity) in the data. */
  const variable = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const colour = (text) => {
    const [name, opacity] = text.slice(1).split("/");
    if (name === "shades") { /* from faint to strong: an empty cell has the colour of the paper */
      const shades = root.dataset.theme === "dark" ? [...data.shades].reverse() : data.shades;
      return shades.map((shade, i) => [i / (shades.length - 1), shade]);
    }
    const hex = variable(name === "grey" ? "--grey" : `--c${name % data.colours}`);
    return opacity ? hex + Math.round(255 * opacity).toString(16).padStart(2, "0") : hex;
  };
  const themed = (item) => {
    if (typeof item === "string") return /^@(\d+|grey|shades)(\/[\d.]+)?$/.test(item) ? colour(item) : item;
    if (Array.isArray(item)) return item.length && typeof item[0] === "number" ? item : item.map(themed);
    if (item === null || typeof item !== "object") return item;
    return Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, key.endsWith("text") ? inner : themed(inner)]));
  };
  const axis = ({ short, ...own }) => ({
    automargin: true, gridcolor: variable("--line"), linecolor: variable("--line"), zeroline: false, ticks: "",
    fixedrange: narrow(), nticks: narrow() ? 5 : 8, exponentformat: "power", minexponent: 7, separatethousands: true,
    ...own, ...(short && narrow() ? { ticktext: short } : {}), title: { ...own.title, standoff: 8 },
  });
  const layout = (panel, height) => ({
    ...panel.layout, height, autosize: true, showlegend: false, barmode: "overlay", bargap: 0, hovermode: "closest",
    margin: { l: 4, r: 10, t: 8, b: 4 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    dragmode: narrow() ? false : "zoom", font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: variable("--ink") },
    hoverlabel: { bgcolor: variable("--sheet"), bordercolor: variable("--soft"), font: { color: variable("--ink") }, align: "left" },
    xaxis: axis(panel.layout.xaxis), yaxis: axis(panel.layout.yaxis),
  });
  const plots = [...document.querySelectorAll(".plot")];
  const panelOf = (plot) => data.figures[plot.dataset.figure][plot.dataset.panel];
  const draw = (plot) => {
    const panel = panelOf(plot), width = plot.clientWidth, known = Number(plot.dataset.height);
    const height = plot.dataset.square ? Math.min(width, 460) : known || Math.max(240, Math.min(340, 0.62 * width));
    const off = new Set(JSON.parse(plot.closest("figure").dataset.off || "[]"));
    const traces = themed(panel.data).map((trace) => ({ ...trace, visible: !off.has(trace.name) }));
    return Plotly.react(plot, traces, layout(panel, height), { displayModeBar: false, displaylogo: false, responsive: false, doubleClick: "reset" });
  };
  const redraw = () => { if (window.Plotly) plots.forEach(draw); };
  for (const entry of document.querySelectorAll(".legend button")) {
    entry.addEventListener("click", () => {
      const pressed = entry.getAttribute("aria-pressed") !== "true", figure = entry.closest("figure");
      entry.setAttribute("aria-pressed", String(pressed));
      const off = [...figure.querySelectorAll('.legend [aria-pressed="false"]')].map((one) => one.dataset.name);
      figure.dataset.off = JSON.stringify(off);
      figure.querySelectorAll(".plot").forEach(draw);
    });
  }
  const inflated = async () => {
    const bytes = Uint8Array.from(atob(document.getElementById("packed-plotly").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };
  (async () => {
    const started = performance.now();
    if (plots.length) {
      await inflated();
      root.classList.add("drawn"); /* from here on the still pictures are for print alone */
      for (const plot of plots) {
        await draw(plot);
        await new Promise((done) => setTimeout(done)); /* the page stays alive meanwhile */
      }
    }
    root.dataset.drawnMs = Math.round(performance.now() - started);
    let width = innerWidth, waiting;
    addEventListener("resize", () => {
      if (innerWidth === width) return; /* a phone's address bar that comes and goes */
      width = innerWidth;
      clearTimeout(waiting);
      waiting = setTimeout(redraw, 150);
    });
  })();
})();
