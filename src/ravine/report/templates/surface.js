// The page: what is set on it, and what is drawn of that. One redraw a frame at most.
(() => {
  const data = JSON.parse(document.getElementById("payload").textContent);
  const $ = (id) => document.getElementById(id);
  const LRS = Array.from({ length: 41 }, (_, i) => 10 ** (-4 + (5 * i) / 40));
  const TOLERANCE = 1e-10;
  const now = { surface: null, params: {}, start: null, noise: 0, seed: data.seed, step: data.steps, focus: null, common: false, lr: 0.01 };
  const rules = data.rules.map((rule) => ({
    ...rule,
    run: ravine.rules[rule.name],
    values: Object.fromEntries(rule.hypers.map((hyper) => [hyper.name, hyper.default ?? 0.01])),
  }));
  let about, surface, land, walks = [], draws = null, stale = { ground: true, paths: true, view: true }, queued = false, chart;

  function refresh(what) {
    if (what === "ground") stale.ground = stale.paths = true;
    if (what === "paths") stale.paths = true;
    stale.view = true;
    if (!queued) { queued = true; requestAnimationFrame(draw); }
  }

  const paramsOf = () => about.params.map((param) => now.params[param.name]);

  function settings(rule, lr) {
    const hypers = rule.hypers.map((hyper) => (hyper.name === "lr" && lr !== undefined ? lr : rule.values[hyper.name]));
    return { start: now.start, hypers, params: paramsOf(), steps: data.steps, scale: now.noise, draws };
  }

  // A rule that no JavaScript could be made of: its path from the list that Python left, at the nearest learning rate.
  function fixedPath(rule) {
    const own = rule.fixed.paths[about.name];
    if (!own) return null;
    const lr = rule.fixed.lr;
    let best = 0;
    own.forEach((path, i) => { if (Math.abs(Math.log(path.lr / lr)) < Math.abs(Math.log(own[best].lr / lr))) best = i; });
    return { points: Float64Array.from(own[best].points), losses: Float64Array.from(own[best].losses), count: own[best].losses.length };
  }

  function draw() {
    queued = false;
    if (stale.ground) {
      land = map.survey(surface, about, paramsOf());
      map.ground($("ground"), land);
    }
    if (stale.paths) {
      draws = now.noise ? ravine.noise(now.seed, data.steps) : null;
      walks = rules.filter((rule) => rule.on).map((rule) => {
        const path = rule.run ? ravine.walk(rule.run, surface, settings(rule, now.common ? now.lr : undefined)) : fixedPath(rule);
        return { rule, look: rule.look, path };
      }).filter((each) => each.path);
      walks.forEach(tell);
    }
    map.paths($("paths"), land, walks, now.step, now.start);
    chart = charts.losses($("chart"), walks, land.low, now.step, data.steps);
    takeApart();
    $("step").value = now.step;
    $("at").textContent = `${now.step} of ${data.steps}`;
    $("where").textContent = `Start (${charts.short(now.start[0])}, ${charts.short(now.start[1])}), loss ${charts.short(lossAt(now.start))}.`;
    stale = { ground: false, paths: false, view: false };
    document.documentElement.dataset.drawn = "true";
  }

  function lossAt(point) {
    const out = [0];
    surface.loss(point, paramsOf(), out);
    return out[0];
  }

  function outside(path, k) {
    const [left, right, bottom, top] = about.domain, x = path.points[2 * k], y = path.points[2 * k + 1];
    return x < left || x > right || y < bottom || y > top;
  }

  // The first step off the map; the number of points if there is none.
  function leaves(path) {
    let k = 0;
    while (k < path.count && !outside(path, k)) k++;
    return k;
  }

  function tell({ rule, path }) {
    const off = leaves(path), broken = path.count <= data.steps, gone = path.count > 0 && outside(path, path.count - 1);
    rule.end.classList.toggle("bad", broken || gone);
    rule.end.textContent = broken
      ? `diverged at step ${path.count}${off < path.count ? `, left the map at ${off}` : ""}`
      : gone ? `left the map at step ${off}` : `ends at ${charts.short(Math.max(path.losses[data.steps] - land.low, 0))}`;
  }

  function takeApart() {
    const walk = walks.find(({ rule }) => rule.name === now.focus && rule.run);
    const list = $("parts");
    if (!walk || now.step >= walk.path.count) {
      charts.apart($("apart"), null);
      list.replaceChildren();
      return;
    }
    const step = Math.min(now.step, data.steps - 1, walk.path.count - 1);
    const hypers = settings(walk.rule, now.common ? now.lr : undefined).hypers;
    const parts = ravine.parts(walk.rule.run, walk.path, step, hypers);
    charts.apart($("apart"), parts, walk.look);
    const added = parts.step.map((value, i) => value - parts.past[i]);
    const rows = [["velocity: what the past alone does", parts.past, charts.PAST], ["+ gradient: what it adds", added, charts.GRADIENT], [`= step ${step + 1}`, parts.step, walk.look.colour]];
    list.replaceChildren(...rows.flatMap(([name, [x, y], colour]) => {
      const term = document.createElement("dt"), value = document.createElement("dd");
      term.textContent = name;
      term.style.setProperty("--c", colour);
      value.textContent = `${charts.short(x)}, ${charts.short(y)}`;
      return [term, value];
    }));
  }

  // The learning rate whose loss falls fastest, by the mean of log10 of the loss above the lowest point; one whose path
  // leaves the map only where all do.
  function bestLr(rule) {
    let best = rule.values.lr, lowest = Infinity;
    for (const lr of LRS) {
      const path = ravine.walk(rule.run, surface, settings(rule, lr));
      if (path.count <= data.steps) continue;
      let sum = leaves(path) < path.count ? 1e6 : 0;
      for (const loss of path.losses) sum += Math.log10(Math.max(loss - land.low, TOLERANCE));
      if (sum < lowest - 1e-9) { lowest = sum; best = lr; }
    }
    return best;
  }

  function tune() {
    draws = now.noise ? ravine.noise(now.seed, data.steps) : null;
    land = land ?? map.survey(surface, about, paramsOf());
    now.common = $("common").checked = false;
    for (const rule of rules) if (rule.run) rule.values.lr = bestLr(rule);
    showLr();
    refresh("paths");
  }

  // Sliders: 0..1000 over the range of a hyper, on its natural scale.

  function scaleOf(hyper) {
    if (hyper.name === "lr") return log(1e-4, 10);
    if (hyper.highOpen && hyper.high === 1) {  // a decay: 0, 0.9, 0.99 ... evenly
      return { to: (s) => 1 - 10 ** (-4 * s), from: (value) => -Math.log10(1 - value) / 4 };
    }
    if (hyper.log && hyper.high !== null && hyper.low > 0) return log(hyper.low, hyper.high);
    if (hyper.log) {
      const wide = log(hyper.default > 0 ? Math.min(hyper.default / 100, 1e-5) : 1e-5, Math.max(hyper.default * 100, 1));
      if (hyper.lowOpen) return wide;
      return { to: (s) => (s < 0.02 ? 0 : wide.to(s)), from: (value) => (value === 0 ? 0 : wide.from(value)) };
    }
    const high = hyper.high ?? Math.max(10 * Math.abs(hyper.default), 1);
    return { to: (s) => hyper.low + s * (high - hyper.low), from: (value) => (value - hyper.low) / (high - hyper.low) };
  }

  function log(low, high) {
    const span = Math.log(high / low);
    return { to: (s) => +(low * Math.exp(s * span)).toPrecision(3), from: (value) => Math.log(value / low) / span };
  }

  function slider(hyper, get, set, label) {
    const row = document.createElement("label"), name = document.createElement("span");
    const input = document.createElement("input"), output = document.createElement("output");
    row.className = "slider";
    row.title = hyper.about;
    name.textContent = hyper.name.replaceAll("_", " ");
    input.setAttribute("aria-label", `${label}, ${hyper.name.replaceAll("_", " ")}: ${hyper.about}`);
    input.dataset.name = hyper.name;
    const isSwitch = hyper.low === 0 && hyper.high === 1 && !hyper.highOpen && (hyper.default === 0 || hyper.default === 1);
    const scale = scaleOf(hyper);
    const show = () => {
      if (isSwitch) { input.checked = get() === 1; output.textContent = input.checked ? "on" : "off"; return; }
      input.value = Math.round(1000 * scale.from(get()));
      output.textContent = input.ariaValueText = charts.short(get());
    };
    input.type = isSwitch ? "checkbox" : "range";
    if (!isSwitch) { input.min = 0; input.max = 1000; }
    input.addEventListener("input", () => {
      const share = input.value / 1000;
      set(isSwitch ? Number(input.checked) : Math.max(hyper.low, scale.to(share)));
      output.textContent = isSwitch ? (input.checked ? "on" : "off") : charts.short(get());
      input.ariaValueText = output.textContent;
    });
    row.append(name, input, output);
    show();
    return { row, show };
  }

  function ruleCard(rule) {
    const card = document.createElement("div"), head = document.createElement("div"), label = document.createElement("label");
    const box = document.createElement("input"), swatch = document.createElement("span");
    card.className = "rule";
    card.dataset.rule = rule.name;
    head.className = "head";
    box.type = "checkbox";
    box.checked = rule.on;
    swatch.innerHTML = rule.look.swatch;
    rule.end = document.createElement("span");
    rule.end.className = "end";
    label.append(box, swatch, rule.name.replaceAll("_", " "));
    head.append(label, rule.end);
    card.append(head);
    card.classList.toggle("off", !rule.on);
    box.addEventListener("change", () => {
      rule.on = box.checked;
      card.classList.toggle("off", !rule.on);
      if (!rule.on) rule.end.textContent = "";
      else now.focus = rule.name;
      focusable();
      refresh("paths");
      basins.draw();
    });
    const set = (name) => (value) => { rule.values[name] = value; refresh("paths"); };
    const own = rule.hypers.map((hyper) => [hyper, slider(hyper, () => rule.values[hyper.name], set(hyper.name), rule.name)]);
    const rest = document.createElement("details"), summary = document.createElement("summary");
    const others = own.filter(([hyper]) => hyper.name !== "lr");
    summary.textContent = others.map(([hyper]) => hyper.name.replaceAll("_", " ")).join(", ");
    rest.append(summary, ...others.map(([, each]) => each.row));
    rule.sliders = own;
    for (const [hyper, each] of own) if (hyper.name === "lr") { card.append(each.row); rule.lrRow = each; }
    if (others.length) card.append(rest);
    if (!rule.run) fixedCard(rule, card);
    return card;
  }

  function fixedCard(rule, card) {
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = `Computed in advance, from the surface's own start and at ${rule.fixed.lrs.length} learning rates. Reason: ${rule.fixed.reason}.`;
    const hyper = { name: "lr", about: "learning rate, the nearest one that was computed", low: 0, high: null, lowOpen: true, log: true };
    const each = slider(hyper, () => rule.fixed.lr, (value) => { rule.fixed.lr = value; refresh("paths"); }, rule.name);
    card.append(each.row, note);
  }

  function focusable() {
    const choices = rules.filter((rule) => rule.on && rule.run);
    if (!choices.some((rule) => rule.name === now.focus)) now.focus = (choices.find((rule) => rule.name === "momentum") ?? choices[0])?.name ?? null;
    $("focus").replaceChildren(...choices.map((rule) => new Option(rule.name.replaceAll("_", " "), rule.name, false, rule.name === now.focus)));
  }

  const lrScale = log(1e-4, 10);

  function showLr() {
    $("shared").hidden = !now.common;
    $("lr").value = Math.round(1000 * lrScale.from(now.lr));
    $("lr-value").textContent = charts.short(now.lr);
    for (const rule of rules) {
      if (!rule.lrRow) continue;
      rule.lrRow.row.hidden = now.common;
      rule.lrRow.row.style.display = now.common ? "none" : "";
      rule.lrRow.show();
    }
  }

  function choose(name, start) {
    about = data.surfaces.find((each) => each.name === name);
    surface = ravine.surfaces[name];
    now.surface = name;
    now.start = [...(start ?? about.start)];
    now.noise = data.noise !== null && name === data.first ? data.noise : about.noise;
    now.params = Object.fromEntries(about.params.map((param) => [param.name, param.default]));
    land = null;
    $("surface").value = name;
    $("name").textContent = name.replaceAll("_", " ");
    $("about").textContent = about.about ? `${about.about[0].toUpperCase()}${about.about.slice(1)}.` : "";
    const rows = about.params.map((param) => slider(param, () => now.params[param.name], (value) => { now.params[param.name] = value; refresh("ground"); }, "surface").row);
    const noise = { name: "gradient noise", about: "standard deviation of what is added to each number of the gradient", default: 0, low: 0, high: 4 * about.noiseScale, log: false };
    rows.push(slider(noise, () => now.noise, (value) => { now.noise = value; refresh("paths"); }, "surface").row);
    const seed = { name: "seed", about: "of the noise: all rules get the same noise at the same step", default: 0, low: 0, high: 1000, log: false };
    rows.push(slider(seed, () => now.seed, (value) => { now.seed = Math.round(value); refresh("paths"); }, "surface").row);
    $("params").replaceChildren(...rows);
    if (rules.every((rule) => !rule.lr)) tune();
    else {
      for (const rule of rules) rule.values.lr = rule.lr;
      showLr();
    }
    basins.choose(name);
    refresh("ground");
  }

  // The start, dragged and moved by keys.

  function moveTo(point) {
    const [left, right, bottom, top] = about.domain;
    now.start = [Math.min(Math.max(point[0], left), right), Math.min(Math.max(point[1], bottom), top)];
    refresh("paths");
  }

  function listen() {
    const square = $("map");
    let held = false;
    const follow = (event) => {
      const box = square.getBoundingClientRect(), [left, right, bottom, top] = about.domain;
      moveTo([left + ((event.clientX - box.left) / box.width) * (right - left), top - ((event.clientY - box.top) / box.height) * (top - bottom)]);
    };
    square.addEventListener("pointerdown", (event) => {
      held = true;
      square.setPointerCapture(event.pointerId);
      follow(event);
    });
    square.addEventListener("pointermove", (event) => held && follow(event));
    for (const name of ["pointerup", "pointercancel"]) square.addEventListener(name, () => { held = false; });
    square.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!way) return;
      event.preventDefault();
      const size = ((about.domain[1] - about.domain[0]) / 100) * (event.shiftKey ? 10 : 1);
      moveTo([now.start[0] + way[0] * size, now.start[1] + way[1] * size]);
    });
    const scrub = (event) => {
      const box = $("losses").getBoundingClientRect();
      stop();
      at(chart.stepAt(event.clientX - box.left));
    };
    $("losses").addEventListener("pointerdown", (event) => { $("losses").setPointerCapture(event.pointerId); scrub(event); });
    $("losses").addEventListener("pointermove", (event) => event.buttons && scrub(event));
    $("step").max = data.steps;
    $("step").addEventListener("input", (event) => { stop(); at(Number(event.target.value)); });
    $("play").addEventListener("click", () => (playing ? stop() : play()));
    $("focus").addEventListener("change", (event) => { now.focus = event.target.value; refresh(); });
    $("common").addEventListener("change", (event) => { now.common = event.target.checked; showLr(); refresh("paths"); });
    $("lr").addEventListener("input", (event) => {
      now.lr = lrScale.to(event.target.value / 1000);
      $("lr-value").textContent = charts.short(now.lr);
      refresh("paths");
    });
    $("best").addEventListener("click", tune);
    $("reset").addEventListener("click", () => {
      for (const rule of rules) for (const hyper of rule.hypers) rule.values[hyper.name] = hyper.default ?? 0.01;
      for (const rule of rules) for (const [, each] of rule.sliders) each.show();
      now.common = $("common").checked = false;
      now.step = data.steps;
      stop();
      choose(now.surface, now.surface === data.first ? data.start : undefined);
    });
    $("surface").addEventListener("change", (event) => choose(event.target.value));
    new ResizeObserver(() => { refresh("ground"); basins.draw(); }).observe(square);
  }

  const at = (step) => { now.step = Math.min(Math.max(step, 0), data.steps); refresh(); };
  let playing = 0;

  function play() {
    const begun = performance.now(), from = now.step >= data.steps ? 0 : now.step;
    playing = 1;
    $("play").textContent = "Pause";
    $("play").setAttribute("aria-pressed", "true");
    const tick = (time) => {
      if (!playing) return;
      at(from + Math.floor(((time - begun) / 1000) * (data.steps / 8)));
      if (now.step >= data.steps) stop();
      else requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  function stop() {
    playing = 0;
    $("play").textContent = "Play";
    $("play").setAttribute("aria-pressed", "false");
  }

  // Basins, which Python computed: log10 of the final loss, a byte for each rule, learning rate and start.

  const basins = {
    now: null,
    choose(name) {
      this.now = data.basins.find((each) => each.surface === name) ?? null;
      $("basins").hidden = !this.now;
      if (!this.now) return;
      const { lrs, steps, rules: all } = this.now;
      $("basin-steps").textContent = steps;
      $("basin-lr").max = lrs.length - 1;
      $("basin-lr").value = lrs.length >> 1;
      for (const each of all) each.bytes ??= Uint8Array.from(atob(each.codes), (c) => c.charCodeAt(0));
      $("maps").replaceChildren(...all.map((each) => {
        const figure = document.createElement("figure"), canvas = document.createElement("canvas"), caption = document.createElement("figcaption");
        canvas.width = canvas.height = this.now.size;
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `Final loss of ${each.rule} over starts`);
        each.canvas = canvas;
        each.share = document.createElement("span");
        each.figure = figure;
        canvas.addEventListener("click", (event) => {
          const box = canvas.getBoundingClientRect(), [left, right, bottom, top] = about.domain;
          const rule = rules.find((own) => own.name === each.rule);
          rule.values.lr = lrs[$("basin-lr").value];
          now.common = $("common").checked = false;
          showLr();
          moveTo([left + ((event.clientX - box.left) / box.width) * (right - left), top - ((event.clientY - box.top) / box.height) * (top - bottom)]);
        });
        caption.append(each.rule.replaceAll("_", " "), each.share);
        figure.append(canvas, caption);
        return figure;
      }));
      this.draw();
    },
    draw() {
      if (!this.now) return;
      const { lrs, size, low, high, rules: all, success } = this.now, number = Number($("basin-lr").value), starts = size * size;
      $("basin-value").textContent = charts.short(lrs[number]);
      const value = (code) => low + (code / 254) * (high - low);
      const shown = all.filter((each) => rules.find((rule) => rule.name === each.rule).on);
      for (const each of all) {
        each.figure.hidden = !shown.includes(each);
        if (each.figure.hidden) continue;
        const context = each.canvas.getContext("2d"), image = context.createImageData(size, size);
        let good = 0;
        for (let k = 0; k < starts; k++) {
          const code = each.bytes[number * starts + k], i = k % size, j = size - 1 - Math.floor(k / size);
          const share = code === 255 ? 1 : code / 254;
          if (code !== 255 && value(code) <= success) good++;
          const colour = code === 255 ? ((i + j) % 3 ? [255, 255, 255] : [213, 94, 0]) : [0, 1, 2].map((c) => Math.round([12, 44, 84][c] + ([238, 243, 247][c] - [12, 44, 84][c]) * share));
          image.data.set([...colour, 255], 4 * (j * size + i));
        }
        context.putImageData(image, 0, 0);
        each.share.textContent = `${Math.round((100 * good) / starts)} %`;
        each.share.title = `starts that end within ${charts.short(10 ** success)} of the lowest point`;
      }
      charts.spread($("spread"), shown.map((each) => ({ look: rules.find((rule) => rule.name === each.rule).look, quartiles: each.quartiles })), lrs, number);
    },
  };
  $("basin-lr").addEventListener("input", () => basins.draw());

  $("surface").replaceChildren(...data.surfaces.map((each) => new Option(each.name.replaceAll("_", " "), each.name)));
  $("surface").closest(".pick").hidden = data.surfaces.length < 2;
  $("rules").replaceChildren(...rules.map(ruleCard));
  focusable();
  listen();
  choose(data.first, data.start);
})();
