// The map: height bands and contour lines, the lowest points, paths over it.
const map = (() => {
  const SIZE = 129, BANDS = 16;
  const PALE = [247, 249, 251], DEEP = [122, 146, 171];

  // Heights over the map, the lowest points, and bands that are finer where it is low.
  function survey(surface, about, params) {
    const [left, right, bottom, top] = about.domain;
    const heights = new Float64Array(SIZE * SIZE), out = [0];
    let low = Infinity, high = -Infinity, place = [left, bottom];
    for (let j = 0; j < SIZE; j++) {
      for (let i = 0; i < SIZE; i++) {
        const x = [left + ((right - left) * i) / (SIZE - 1), bottom + ((top - bottom) * j) / (SIZE - 1)];
        surface.loss(x, params, out);
        heights[j * SIZE + i] = out[0];
        if (out[0] < low) { low = out[0]; place = x; }
        if (Number.isFinite(out[0]) && out[0] > high) high = out[0];
      }
    }
    const minima = about.minima.length ? about.minima : [descend(surface, params, place, (right - left) / SIZE)];
    for (const point of minima) {
      surface.loss(point, params, out);
      low = Math.min(low, out[0]);
    }
    const sorted = Float64Array.from(heights).filter(Number.isFinite).sort();
    const scale = Math.max((sorted[sorted.length >> 1] - low) / 12, 1e-300);
    const span = Math.log1p((high - low) / scale) || 1;
    const levels = Array.from({ length: BANDS - 1 }, (_, k) => low + scale * Math.expm1((span * (k + 1)) / BANDS));
    return { heights, minima, low, levels, domain: about.domain };
  }

  // The bottom of the pit around a point, by steps along the axes that halve.
  function descend(surface, params, point, width) {
    let best = point, out = [0];
    surface.loss(best, params, out);
    let lowest = out[0];
    while (width > 1e-9) {
      let moved = false;
      for (const [dx, dy] of [[width, 0], [-width, 0], [0, width], [0, -width]]) {
        const next = [best[0] + dx, best[1] + dy];
        surface.loss(next, params, out);
        if (out[0] < lowest) { lowest = out[0]; best = next; moved = true; }
      }
      if (!moved) width /= 2;
    }
    return best;
  }

  function fit(canvas) {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return { context, width, height };
  }

  function ground(canvas, land) {
    const { context, width, height } = fit(canvas);
    const { heights, levels } = land;
    context.fillStyle = `rgb(${PALE})`;
    context.fillRect(0, 0, width, height);
    const sx = width / (SIZE - 1), sy = height / (SIZE - 1);
    // From the highest band down: each lower one is painted over it, as the area below its level.
    for (let k = levels.length - 1; k >= 0; k--) {
      const share = 1 - (k + 0.5) / levels.length;
      context.fillStyle = `rgb(${PALE.map((p, c) => Math.round(p + (DEEP[c] - p) * share))})`;
      context.beginPath();
      for (let j = 0; j + 1 < SIZE; j++) row(context, heights, levels[k], j, sx, sy, height);
      context.fill();
    }
    context.strokeStyle = "rgba(40, 66, 96, 0.28)";
    context.lineWidth = 0.8;
    context.beginPath();
    for (const level of levels) lines(context, heights, level, sx, sy, height);
    context.stroke();
  }

  // The part of a row of cells below a level; cells that lie all below it are joined into one box.
  function row(context, heights, level, j, sx, sy, height) {
    let from = -1;
    for (let i = 0; i + 1 < SIZE; i++) {
      const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]];
      const over = corners.map(([a, b]) => heights[b * SIZE + a] - level);
      const below = over.filter((value) => value <= 0).length;
      if (below === 4) { if (from < 0) from = i; continue; }
      if (from >= 0) { box(context, from, i, j, sx, sy, height); from = -1; }
      if (!below) continue;
      let first = true;
      for (let c = 0; c < 4; c++) {
        const d = (c + 1) % 4, [x, y] = corners[c], [u, v] = corners[d];
        const put = (a, b) => { context[first ? "moveTo" : "lineTo"](a * sx, height - b * sy); first = false; };
        if (over[c] <= 0) put(x, y);
        if (over[c] <= 0 !== over[d] <= 0) {
          const t = share(over[c], over[d]);
          put(x + t * (u - x), y + t * (v - y));
        }
      }
      context.closePath();
    }
    if (from >= 0) box(context, from, SIZE - 1, j, sx, sy, height);
  }

  function box(context, from, to, j, sx, sy, height) {
    // Half a pixel larger: neighbours shall leave no seam.
    context.rect(from * sx - 0.25, height - (j + 1) * sy - 0.25, (to - from) * sx + 0.5, sy + 0.5);
  }

  const share = (a, b) => (Number.isFinite(a) && Number.isFinite(b) ? a / (a - b) : 0.5);

  function lines(context, heights, level, sx, sy, height) {
    for (let j = 0; j + 1 < SIZE; j++) {
      for (let i = 0; i + 1 < SIZE; i++) {
        const a = heights[j * SIZE + i] - level, b = heights[j * SIZE + i + 1] - level;
        const c = heights[(j + 1) * SIZE + i + 1] - level, d = heights[(j + 1) * SIZE + i] - level;
        const cuts = [];
        if (a <= 0 !== b <= 0) cuts.push(i + share(a, b), j);
        if (b <= 0 !== c <= 0) cuts.push(i + 1, j + share(b, c));
        if (c <= 0 !== d <= 0) cuts.push(i + 1 - share(c, d), j + 1);
        if (d <= 0 !== a <= 0) cuts.push(i, j + 1 - share(d, a));
        for (let k = 0; k + 3 < cuts.length; k += 4) {
          context.moveTo(cuts[k] * sx, height - cuts[k + 1] * sy);
          context.lineTo(cuts[k + 2] * sx, height - cuts[k + 3] * sy);
        }
      }
    }
  }

  const DASHES = { solid: [], dash: [7, 4], dot: [2, 3] };

  function symbol(context, name, x, y, size, colour) {
    const [shape, open] = name.split("-open").length > 1 ? [name.replace("-open", ""), true] : [name, false];
    context.beginPath();
    const polygon = (points) => points.forEach(([a, b], i) => context[i ? "lineTo" : "moveTo"](x + a * size, y + b * size));
    if (shape === "circle") context.arc(x, y, size, 0, 2 * Math.PI);
    else if (shape === "square") context.rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8);
    else if (shape === "diamond") polygon([[0, -1.3], [1.2, 0], [0, 1.3], [-1.2, 0]]);
    else if (shape === "triangle-up") polygon([[0, -1.2], [1.15, 0.9], [-1.15, 0.9]]);
    else if (shape === "triangle-down") polygon([[0, 1.2], [-1.15, -0.9], [1.15, -0.9]]);
    else if (shape === "cross") polygon([[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2], [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]]);
    else polygon(Array.from({ length: 10 }, (_, k) => {
      const r = k % 2 ? 0.55 : 1.35, turn = (Math.PI * k) / 5 - Math.PI / 2;
      return [r * Math.cos(turn), r * Math.sin(turn)];
    }));
    context.closePath();
    context.fillStyle = open ? "#fff" : colour;
    context.strokeStyle = open ? colour : "#fff";
    context.lineWidth = open ? 2 : 1.4;
    context.fill();
    context.stroke();
  }

  // Paths up to a step, what follows faintly; where one leaves the map, an arrow on its edge.
  function paths(canvas, land, walks, step, start) {
    const { context, width, height } = fit(canvas);
    const [left, right, bottom, top] = land.domain;
    const sx = width / (right - left), sy = height / (top - bottom);
    const to = (points, k) => [(points[2 * k] - left) * sx, height - (points[2 * k + 1] - bottom) * sy];
    context.clearRect(0, 0, width, height);
    context.lineJoin = context.lineCap = "round";
    for (const [x, y] of land.minima) {
      context.beginPath();
      context.arc((x - left) * sx, height - (y - bottom) * sy, 5.5, 0, 2 * Math.PI);
      context.fillStyle = "#d3212d";
      context.strokeStyle = "#fff";
      context.lineWidth = 2;
      context.fill();
      context.stroke();
    }
    const trace = (path, from, until) => {
      context.beginPath();
      for (let k = from; k <= until; k++) {
        const [x, y] = to(path.points, k);
        // Far off the map a canvas loses its digits: there the direction is all that is seen.
        const far = Math.max(Math.abs(x), Math.abs(y)) / 1e5;
        context[k === from ? "moveTo" : "lineTo"](far > 1 ? x / far : x, far > 1 ? y / far : y);
      }
      context.stroke();
    };
    for (const { path, look } of walks) {
      const now = Math.min(step, path.count - 1);
      context.setLineDash(DASHES[look.dash]);
      context.globalAlpha = 0.3;
      context.strokeStyle = look.colour;
      context.lineWidth = 1.4;
      if (now < path.count - 1) trace(path, now, path.count - 1);
      context.globalAlpha = 0.75;
      context.strokeStyle = "#fff";
      context.lineWidth = 4.2;
      context.setLineDash([]);
      trace(path, 0, now);
      context.setLineDash(DASHES[look.dash]);
      context.globalAlpha = 1;
      context.strokeStyle = look.colour;
      context.lineWidth = 2.2;
      trace(path, 0, now);
      context.setLineDash([]);
    }
    for (const { path, look } of walks) {
      const now = Math.min(step, path.count - 1);
      const [x, y] = to(path.points, now);
      if (x >= 0 && y >= 0 && x <= width && y <= height) symbol(context, look.symbol, x, y, 5.2, look.colour);
      else leaving(context, path, now, to, width, height, look.colour);
    }
    const x = (start[0] - left) * sx, y = height - (start[1] - bottom) * sy;
    context.beginPath();
    context.arc(x, y, 7, 0, 2 * Math.PI);
    context.fillStyle = "#fff";
    context.strokeStyle = "#1f2429";
    context.lineWidth = 3;
    context.fill();
    context.stroke();
  }

  function leaving(context, path, now, to, width, height, colour) {
    let k = now;
    const inside = ([x, y]) => x >= 0 && y >= 0 && x <= width && y <= height;
    while (k > 0 && !inside(to(path.points, k - 1))) k--;
    if (k === 0) return;
    const [x, y] = to(path.points, k - 1), [u, v] = to(path.points, k);
    const turn = Math.atan2(v - y, u - x), dx = Math.cos(turn), dy = Math.sin(turn);
    const reach = Math.min(
      dx > 0 ? (width - x) / dx : dx < 0 ? -x / dx : Infinity,
      dy > 0 ? (height - y) / dy : dy < 0 ? -y / dy : Infinity,
    );
    context.save();
    context.translate(x + dx * reach, y + dy * reach);
    context.rotate(turn);
    context.beginPath();
    context.moveTo(-1, 0);
    context.lineTo(-15, -7.5);
    context.lineTo(-15, 7.5);
    context.closePath();
    context.fillStyle = colour;
    context.strokeStyle = "#fff";
    context.lineWidth = 1.5;
    context.fill();
    context.stroke();
    context.restore();
  }

  return { survey, ground, paths, fit, symbol, DASHES };
})();
