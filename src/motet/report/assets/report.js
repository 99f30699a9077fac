"use strict";
// Draws the figures when they come into view, in the colours of the theme, for the chosen tasks.
(() => {
  // Hues after Okabe and Ito, in an order of which neighbours differ in lightness too; lines beyond
  // them are dashed.
  const THEMES = {
    light: {
      text: "#1d2229", quiet: "#59626f", grid: "#e3e6ea", crowd: "rgba(110,120,132,0.28)",
      surface: "#ffffff",
      series: ["#0072b2", "#d55e00", "#00856b", "#a8508a", "#8a6a00", "#4d4d4d", "#3aa0d8"],
      sequential: [[0, "#f4f7fa"], [0.5, "#6fb1d9"], [1, "#00406b"]],
      diverging: [[0, "#b34a00"], [0.25, "#eda36b"], [0.5, "#f6f6f6"], [0.75, "#6fb1d9"], [1, "#005a8f"]],
    },
    dark: {
      text: "#e6e9ed", quiet: "#a3adb9", grid: "#2e353d", crowd: "rgba(160,172,186,0.25)",
      surface: "#15181c",
      series: ["#56b4e9", "#ff8a4c", "#3dc9a0", "#e59ac8", "#e5cf45", "#c4c4c4", "#9db7ff"],
      sequential: [[0, "#1b2229"], [0.5, "#2f7fb0"], [1, "#bfe4fb"]],
      diverging: [[0, "#ff9a5c"], [0.25, "#94501f"], [0.5, "#23282e"], [0.75, "#1f628c"], [1, "#6cc3f5"]],
    },
  };
  const DASHES = ["solid", "dash", "dot", "dashdot"];
  const PRINT_WIDTH = 660;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let printing = false;

  const plots = [...document.querySelectorAll(".plot")].map((place) => ({
    place,
    figure: JSON.parse(place.nextElementSibling.textContent),
    drawn: false,
  }));
  const byPlace = new Map(plots.map((plot) => [plot.place, plot]));

  // The chosen tasks, in the order in which they were chosen; null where all are shown.
  const picker = document.querySelector(".picker");
  let chosen = null;

  const theme = () => THEMES[dark.matches && !printing ? "dark" : "light"];

  function colour(trace, number, colours) {
    const hue = colours.series[number % colours.series.length];
    const dash = DASHES[Math.floor(number / colours.series.length) % DASHES.length];
    trace.line = { width: 2, ...trace.line, color: hue, dash };
    trace.marker = { ...trace.marker, color: hue };
    if (trace.error_x) trace.error_x = { ...trace.error_x, color: hue };
  }

  function painted(figure, colours) {
    let number = 0;
    const shown = [];
    const crowd = [];
    for (const each of figure.data) {
      const trace = { ...each };
      const { role, task } = each.meta ?? {};
      if (role === "task" && chosen && !chosen.includes(task)) {
        trace.line = { width: 1, color: colours.crowd };
        trace.mode = "lines";
        trace.showlegend = false;
        crowd.push(trace);
        continue;
      }
      if (role === "task") colour(trace, chosen ? chosen.indexOf(task) : number++, colours);
      else if (role === "mean") trace.line = { width: 4, color: colours.text };
      else if (role === "reference") trace.line = { width: 1, color: colours.quiet, dash: "dot" };
      else if (role === "nodes") trace.marker = { ...trace.marker, color: colours.quiet };
      else if (role === "sequential" || role === "diverging") trace.colorscale = colours[role];
      else colour(trace, number++, colours);
      shown.push(trace);
    }
    return [...crowd, ...shown];
  }

  function laidOut(figure, colours, width) {
    const axis = (own) => ({
      gridcolor: colours.grid, linecolor: colours.quiet, zerolinecolor: colours.grid,
      automargin: true, ...own,
    });
    const { xaxis, yaxis, annotations, shapes, ...layout } = figure.layout;
    const entries = figure.data.filter((each) => each.showlegend !== false && each.type !== "heatmap");
    const arrow = { helps: colours.series[0], hurts: colours.series[1] };
    return {
      showlegend: entries.length > 1 && !entries.every((each) => each.meta?.role === "nodes"),
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colours.text, size: 12, family: "system-ui, sans-serif" },
      margin: { l: 55, r: 15, t: 25, b: 45 },
      legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", x: 0, traceorder: "normal" },
      hoverlabel: { bgcolor: colours.surface, font: { color: colours.text }, namelength: -1 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colours.grid, activecolor: colours.quiet },
      width,
      ...layout,
      xaxis: axis(xaxis),
      yaxis: axis(yaxis),
      shapes: (shapes ?? []).map((each) => ({ ...each, line: { color: colours.quiet, ...each.line } })),
      annotations: (annotations ?? []).map((each) => ({
        ...each, arrowcolor: arrow[each.name], font: { color: colours.quiet, ...each.font },
      })),
    };
  }

  function draw(plot) {
    const colours = theme();
    plot.drawn = true;
    const width = printing ? PRINT_WIDTH : undefined;
    return Plotly.react(
      plot.place, painted(plot.figure, colours), laidOut(plot.figure, colours, width),
      { responsive: !printing, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] },
    );
  }

  const visible = (plot) => plot.place.offsetParent !== null;
  const redraw = () => plots.filter((plot) => plot.drawn && visible(plot)).forEach(draw);
  const drawAll = () => Promise.all(plots.filter(visible).map(draw));

  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const plot = byPlace.get(entry.target);
        if (entry.isIntersecting && !plot.drawn) draw(plot);
      }
    },
    { rootMargin: "600px" },
  );

  function choose(tasks) {
    chosen = tasks;
    document.getElementById("chosen").value = tasks.length;
    for (const each of document.querySelectorAll("[data-task]")) {
      each.hidden = each.dataset.task !== "" && !tasks.includes(each.dataset.task);
    }
    for (const plot of plots) plot.drawn = plot.drawn && visible(plot);
    redraw();
  }

  if (picker) {
    const boxes = [...picker.querySelectorAll("input[type=checkbox]")];
    const presets = JSON.parse(document.getElementById("presets").textContent);
    const search = document.getElementById("search");
    const ticked = () => boxes.filter((box) => box.checked).map((box) => box.value);
    const tick = (tasks) => {
      for (const box of boxes) box.checked = tasks.includes(box.value);
      choose(tasks);
    };
    picker.addEventListener("change", (event) => {
      if (event.target.type === "checkbox") {
        const now = ticked();
        choose([...chosen.filter((task) => now.includes(task)),
          ...now.filter((task) => !chosen.includes(task))]);
      }
    });
    search.addEventListener("input", () => {
      const wanted = search.value.toLowerCase();
      for (const box of boxes) {
        box.parentElement.hidden = !box.value.toLowerCase().includes(wanted);
      }
    });
    picker.addEventListener("click", (event) => {
      const preset = event.target.dataset.preset;
      if (preset === "found") {
        tick(boxes.filter((box) => !box.parentElement.hidden).map((box) => box.value));
      } else if (preset) tick(presets[preset]);
    });
    choose(ticked());
  }

  // plotly.js is a global script; the page holds it compressed.
  async function load() {
    const packed = document.getElementById("plotly").textContent;
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    plots.forEach((plot) => watcher.observe(plot.place));
    dark.addEventListener("change", redraw);
    window.addEventListener("beforeprint", () => { printing = true; drawAll(); });
    window.addEventListener("afterprint", () => { printing = false; redraw(); });
  }

  if (typeof DecompressionStream === "undefined") {
    document.getElementById("without").hidden = false;
    plots.forEach((plot) => { plot.place.hidden = true; });
  } else {
    const ready = load();
    window.motetReport = { drawAll: () => ready.then(drawAll), choose, plots };
  }
})();
