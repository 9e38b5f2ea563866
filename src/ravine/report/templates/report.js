"use strict";
// Draws the figures from the page's JSON, and sorts and filters the table. No library but plotly, no network.
(() => {
  const touch = matchMedia("(pointer: coarse)").matches;
  const PRINT_WIDTH = 690; // px that fit between the margins of an A4 page
  const config = {
    displaylogo: false,
    displayModeBar: touch ? false : "hover",
    // Named one by one: what plotly adds by default differs by version, and some of it leads to a website.
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    showTips: false,
  };
  const redraws = []; // one per figure: draws it anew, for another width of the page

  function start(figure) {
    const box = document.getElementById("figure-" + figure.name);
    const chips = box.querySelector(".chips");
    const note = box.querySelector(".note");
    const targets = [...box.querySelectorAll(".panel")];
    const picked = new Set();
    let view = figure.views[0];

    // With many rules the bands would cover one another: they wait until the reader has picked some.
    function visible(trace) {
      if (picked.size && trace.meta !== "ground" && !picked.has(trace.legendgroup)) return false;
      return !(trace.meta === "band" && figure.crowded && !picked.size);
    }
    function draw(page = 0) {
      const width = page ? page / (targets.length > 1 ? 2.05 : 1) : targets[0].clientWidth;
      const long = (panel) => width < 480 && panel.layout.title.text.length > 40;
      const room = view.panels.some(long) ? 14 : 0; // for titles of two lines, the same in every panel
      targets.forEach((target, i) => {
        const panel = view.panels[i];
        const data = panel.data.map((trace) => ({ ...trace, visible: visible(trace) }));
        const layout = structuredClone(panel.layout);
        layout.width = width;
        // A matrix would leave a narrow page empty above and below it.
        if (layout.meta === "square") layout.height = Math.min(layout.height, 0.8 * width + 45);
        layout.margin.t += room;
        layout.height += room;
        target.style.minHeight = `${layout.height}px`; // as high as it is, not as most are
        if (long(panel)) layout.title.text = layout.title.text.replace(" (", "<br>(");
        if (touch) {
          // A finger scrolls the page; it doesn't drag the axes.
          layout.dragmode = false;
          for (const axis of ["xaxis", "yaxis"]) layout[axis].fixedrange = true;
        }
        const image = { format: "svg", filename: `ravine-${figure.name}-${i + 1}`, width: 720, height: 440 };
        Plotly.react(target, data, layout, { ...config, toImageButtonOptions: image });
      });
      note.textContent = view.note;
    }
    function legend() {
      const keys = new Set(view.chips.map((chip) => chip.key));
      for (const key of picked) if (!keys.has(key)) picked.delete(key);
      chips.replaceChildren(
        ...view.chips.map((chip) => {
          const button = document.createElement("button");
          button.type = "button";
          button.innerHTML = chip.swatch; // our own drawing; the label below is text
          button.append(chip.label);
          button.addEventListener("click", () => {
            if (!picked.delete(chip.key)) picked.add(chip.key);
            if (picked.size === view.chips.length) picked.clear();
            press();
            draw();
          });
          button.dataset.key = chip.key;
          return button;
        }),
      );
      press();
    }
    function press() {
      chips.classList.toggle("picking", picked.size > 0);
      for (const button of chips.children) button.setAttribute("aria-pressed", picked.has(button.dataset.key));
    }
    function choose(index) {
      view = figure.views[index];
      for (const button of box.querySelectorAll("[data-view]")) {
        button.setAttribute("aria-pressed", Number(button.dataset.view) === index);
      }
      legend();
      draw();
    }
    for (const button of box.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => choose(Number(button.dataset.view)));
    }
    const select = box.querySelector("[data-views]");
    if (select) {
      select.selectedIndex = 0;
      select.addEventListener("change", () => choose(select.selectedIndex));
    }
    redraws.push(draw);
    choose(0);
  }

  let waiting = 0;
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's address bar came or went
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(() => redraws.forEach((redraw) => redraw()), 80);
  });
  const folded = [...document.querySelectorAll("details.numbers")];
  const print = (on) => {
    for (const details of folded) details.open = on;
    redraws.forEach((redraw) => redraw(on ? PRINT_WIDTH : 0));
  };
  matchMedia("print").addEventListener("change", (event) => print(event.matches));
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));

  function table() {
    const element = document.getElementById("runs");
    if (!element) return;
    const body = element.tBodies[0];
    const heads = [...element.tHead.rows[0].cells];
    const rows = [...body.rows].map((tr) => ({
      tr,
      rule: tr.dataset.rule,
      words: (tr.textContent + " " + tr.dataset.id).toLowerCase(),
      // A number where the cell has one, else its text; an empty cell has neither and comes last.
      values: [...tr.cells].map((td) => (td.dataset.v !== undefined ? Number(td.dataset.v) : td.textContent || null)),
    }));
    heads.forEach((head, column) => {
      head.firstElementChild.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const sign = down ? -1 : 1;
        rows.sort((a, b) => {
          const x = a.values[column], y = b.values[column];
          if (x === null || y === null) return (x === null) - (y === null);
          if (typeof x === "number" && typeof y === "number") return sign * (x - y);
          return sign * String(x).localeCompare(String(y), "en", { numeric: true });
        });
        body.append(...rows.map((row) => row.tr));
      });
    });
    const filter = document.getElementById("filter");
    const rule = document.getElementById("rule");
    const count = document.getElementById("count");
    const all = count.textContent;
    function show() {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const fits = (!rule.value || row.rule === rule.value) && words.every((word) => row.words.includes(word));
        row.tr.hidden = !fits;
        shown += fits;
      }
      count.textContent = shown === rows.length ? all : `${shown} of ${all}`;
    }
    filter.addEventListener("input", show);
    rule.addEventListener("change", show);
    show(); // a browser may have kept what was typed before a reload
  }

  // A table that goes on beyond the edge says so: a shadow alone is easily missed.
  for (const box of document.querySelectorAll(".scroll")) {
    const hint = document.createElement("p");
    hint.className = "hint";
    hint.textContent = "Scroll sideways for more columns →";
    box.before(hint);
    const show = () => { hint.hidden = box.scrollWidth <= box.clientWidth + 1; };
    new ResizeObserver(show).observe(box);
    show();
  }
  table();
  for (const figure of JSON.parse(document.getElementById("figures").textContent)) if (figure.views.length) start(figure);
  document.documentElement.dataset.drawn = "true";
})();
