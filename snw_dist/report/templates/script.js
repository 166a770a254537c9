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
    draw(figures);
  });
  dark.addEventListener("change", () => { if (!kept()) { show(dark.matches ? "dark" : "light"); draw(figures); } });

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
  const axis = ({ short, ...own }, nticks) => ({
    automargin: true, ticklabeloverflow: "allow", gridcolor: variable("--line"), linecolor: variable("--line"), zeroline: false, ticks: "",
    fixedrange: narrow(), nticks, exponentformat: "power", minexponent: 7, separatethousands: true,
    ...own, ...(short && narrow() ? { ticktext: short } : {}), title: { ...own.title, standoff: 8 },
  });
  const body = getComputedStyle(document.body).fontFamily, pen = document.createElement("canvas").getContext("2d");
  const widest = (names) => {
    pen.font = `12px ${body}`;
    return Math.max(...names.flatMap((name) => name.split("<br>")).map((line) => pen.measureText(line).width));
  };
  const layout = (panel, width, height) => {
    const xaxis = axis(panel.layout.xaxis, Math.min(8, Math.floor(width / 70)));
    const yaxis = axis(panel.layout.yaxis, narrow() ? 5 : 8);
    return { /* margins that are large enough from the start: else plotly draws every axis twice */
      ...panel.layout, height, autosize: true, showlegend: false, barmode: "overlay", bargap: 0, hovermode: "closest",
      margin: { l: Math.max(70, yaxis.ticktext ? widest(yaxis.ticktext) + 34 : 0), r: narrow() ? 16 : 26, t: 20, b: 50 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: narrow() ? false : "zoom",
      font: { family: body, size: 12, color: variable("--ink") }, xaxis, yaxis,
      hoverlabel: { bgcolor: variable("--sheet"), bordercolor: variable("--soft"), font: { color: variable("--ink") }, align: "left" },
    };
  };
  const drawn = (plot) => {
    const panel = data.figures[plot.dataset.figure][plot.dataset.panel];
    const off = new Set(JSON.parse(plot.closest("figure").dataset.off || "[]"));
    const traces = themed(panel.data).map((trace) => ({ ...trace, visible: !off.has(trace.name) }));
    return Plotly.react(plot, traces, layout(panel, plot.clientWidth, plot.clientHeight), { displayModeBar: false, displaylogo: false, responsive: false, doubleClick: "reset" });
  };
  const pause = () => new Promise((done) => setTimeout(done)); /* the page stays alive meanwhile */
  const figures = new Set([...document.querySelectorAll(".plot")].map((plot) => plot.closest("figure")));

  /* What is in the window is drawn first, then what is next to it, until nothing waits. */
  const waiting = new Set(figures);
  let busy = true; /* until plotly is there */
  const far = (figure) => { const { top, bottom } = figure.getBoundingClientRect(); return Math.max(top - innerHeight, -bottom, 0); };
  const nearest = () => [...waiting].map((figure) => [far(figure), figure]).sort(([a], [b]) => a - b)[0] ?? [Infinity];
  const timed = (name) => { root.dataset[name] ??= Math.round(performance.now()); };
  const work = async () => {
    busy = true;
    for (let [away, figure] = nearest(); figure; [away, figure] = nearest()) {
      if (away) timed("seenMs");
      waiting.delete(figure);
      try {
        for (const plot of figure.querySelectorAll(".plot")) {
          await drawn(plot);
          await pause();
        }
        figure.classList.add("drawn");
      } catch (error) { console.error(error); } /* it keeps its picture */
    }
    busy = false;
  };
  const draw = (wanted) => {
    wanted.forEach((figure) => waiting.add(figure));
    if (!busy) work();
  };
  for (const entry of document.querySelectorAll(".legend button")) {
    entry.addEventListener("click", () => {
      const pressed = entry.getAttribute("aria-pressed") !== "true", figure = entry.closest("figure");
      entry.setAttribute("aria-pressed", String(pressed));
      const off = [...figure.querySelectorAll('.legend [aria-pressed="false"]')].map((one) => one.dataset.name);
      figure.dataset.off = JSON.stringify(off);
      draw([figure]);
    });
  }
  /* As a file of its own and with this line Chromium compiles all of it, once and beside the page. */
  const HINT = "//# allFunctionsCalledOnLoad\n";
  const unpacked = async () => {
    const packed = atob(document.getElementById("packed-plotly").textContent), bytes = new Uint8Array(packed.length);
    for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
    const text = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
    const script = document.createElement("script");
    script.src = URL.createObjectURL(new Blob([HINT, text], { type: "text/javascript" }));
    await new Promise((loaded, failed) => { [script.onload, script.onerror] = [loaded, failed]; document.head.append(script); });
  };
  let width = innerWidth, soon;
  addEventListener("resize", () => {
    if (innerWidth === width) return; /* a phone's address bar that comes and goes */
    width = innerWidth;
    clearTimeout(soon);
    soon = setTimeout(draw, 150, figures);
  });
  (async () => {
    try {
      if (figures.size && root.classList.contains("live")) {
        await unpacked();
        await work();
      }
    } catch (error) { console.error(error); } /* all figures keep their pictures */
    timed("seenMs");
    timed("drawnMs");
    for (const still of document.querySelectorAll(".still")) { /* for print */
      await pause();
      still.loading = "eager";
    }
  })();
})();
