// Loss against step, one step taken apart, and final loss against learning rate.
const charts = (() => {
  const INK = "#1f2429", MUTED = "#5c6670", LINE = "#dfe3e7";
  const FLOOR = 1e-12, FONT = '12px system-ui, "Segoe UI", Roboto, Arial, sans-serif';
  const SUPER = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const power = (k) => (k === 0 ? "1" : k === 1 ? "10" : `10${k < 0 ? "⁻" : ""}${[...String(Math.abs(k))].map((d) => SUPER[d]).join("")}`);
  const short = (value) => {
    if (!Number.isFinite(value)) return "∞";
    if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5)) return value.toExponential(1).replace("-", "−").replace("e+", "e");
    return String(+value.toPrecision(3)).replace("-", "−");
  };

  // Axes with powers of ten upwards; returns the two scales.
  function axes(context, width, height, [x0, x1], [y0, y1], ticks, label) {
    const left = 44, right = 12, top = 8, bottom = 34;
    const X = (x) => left + ((x - x0) / (x1 - x0 || 1)) * (width - left - right);
    const Y = (y) => height - bottom - ((y - y0) / (y1 - y0 || 1)) * (height - top - bottom);
    context.clearRect(0, 0, width, height);
    context.font = FONT;
    context.fillStyle = MUTED;
    context.strokeStyle = LINE;
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    const every = Math.max(1, Math.ceil((y1 - y0) / 6));
    context.beginPath();
    for (let k = Math.ceil(y0); k <= y1; k++) {
      if (k % every) continue;
      context.moveTo(left, Y(k));
      context.lineTo(width - right, Y(k));
      context.fillText(power(k), left - 7, Y(k));
    }
    context.stroke();
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const [x, text] of ticks) context.fillText(text, X(x), height - bottom + 7);
    context.textAlign = "right";
    context.textBaseline = "bottom";
    context.fillText(label, width - right, height - 1);
    return { X, Y, left, right, top, bottom };
  }

  const logOf = (loss, low) => Math.log10(Math.max(loss - low, FLOOR));

  function losses(canvas, walks, low, step, steps) {
    const { context, width, height } = map.fit(canvas);
    let least = 0, most = -12;
    for (const { path } of walks) {
      const first = logOf(path.losses[0], low);
      most = Math.max(most, first + 1);
      for (let k = 0; k < path.count; k++) least = Math.min(least, logOf(path.losses[k], low));
    }
    least = Math.floor(Math.min(least, most - 1));
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => [Math.round(part * steps), String(Math.round(part * steps))]);
    const scale = axes(context, width, height, [0, steps], [least, most], ticks, "step");
    context.save();
    context.beginPath();
    context.rect(scale.left, scale.top - 4, width - scale.left - scale.right + 6, height - scale.top - scale.bottom + 8);
    context.clip();
    context.lineJoin = "round";
    context.lineWidth = 2;
    for (const { path, look } of walks) {
      context.strokeStyle = look.colour;
      context.setLineDash(map.DASHES[look.dash]);
      context.beginPath();
      for (let k = 0; k < path.count; k++) context[k ? "lineTo" : "moveTo"](scale.X(k), scale.Y(logOf(path.losses[k], low)));
      context.stroke();
    }
    context.setLineDash([3, 3]);
    context.strokeStyle = INK;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(scale.X(step), scale.top);
    context.lineTo(scale.X(step), height - scale.bottom);
    context.stroke();
    context.setLineDash([]);
    for (const { path, look } of walks) {
      const now = Math.min(step, path.count - 1);
      map.symbol(context, look.symbol, scale.X(now), scale.Y(logOf(path.losses[now], low)), 4.2, look.colour);
    }
    context.restore();
    return { stepAt: (x) => Math.round(((x - scale.left) / (width - scale.left - scale.right)) * steps) };
  }

  // Past and gradient, tip to tail, and the step that they make.
  const PAST = "#5c6670", GRADIENT = "#7b3aa0";

  function apart(canvas, parts, look) {
    const { context, width, height } = map.fit(canvas);
    context.clearRect(0, 0, width, height);
    if (!parts) return;
    const { past, step } = parts;
    const corners = [[0, 0], past, step];
    const xs = corners.map((p) => p[0]), ys = corners.map((p) => p[1]);
    const wide = Math.max(...xs) - Math.min(...xs), high = Math.max(...ys) - Math.min(...ys);
    const scale = Math.min((width - 44) / (wide || 1e-300), (height - 44) / (high || 1e-300));
    if (!Number.isFinite(scale) || scale > 1e290) return;
    const cx = (Math.max(...xs) + Math.min(...xs)) / 2, cy = (Math.max(...ys) + Math.min(...ys)) / 2;
    const at = ([x, y]) => [width / 2 + (x - cx) * scale, height / 2 - (y - cy) * scale];
    arrow(context, at([0, 0]), at(past), PAST, 2.5);
    arrow(context, at(past), at(step), GRADIENT, 2.5);
    arrow(context, at([0, 0]), at(step), look.colour, 3.5);
  }

  function arrow(context, [x, y], [u, v], colour, thick) {
    const length = Math.hypot(u - x, v - y);
    if (length < 1) return;
    const turn = Math.atan2(v - y, u - x), head = Math.min(11, length * 0.6);
    context.save();
    context.translate(x, y);
    context.rotate(turn);
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = thick;
    context.beginPath();
    context.moveTo(0, 0);
    context.lineTo(length - head * 0.8, 0);
    context.stroke();
    context.beginPath();
    context.moveTo(length, 0);
    context.lineTo(length - head, head * 0.5);
    context.lineTo(length - head, -head * 0.5);
    context.fill();
    context.restore();
  }

  // Per rule the quartiles of log10 of the final loss, at each learning rate.
  function spread(canvas, rows, lrs, number) {
    const { context, width, height } = map.fit(canvas);
    let least = 0, most = 0;
    for (const { quartiles } of rows) {
      for (const [low, , high] of quartiles) { least = Math.min(least, low); most = Math.max(most, high); }
    }
    const x0 = Math.log10(lrs[0]), x1 = Math.log10(lrs[lrs.length - 1]);
    const ticks = [];
    for (let k = Math.ceil(x0 - 1e-9); k <= x1 + 1e-9; k++) ticks.push([k, power(k)]);
    const scale = axes(context, width, height, [x0, x1], [Math.floor(least), Math.ceil(most)], ticks, "learning rate");
    const X = (i) => scale.X(Math.log10(lrs[i]));
    for (const { quartiles, look } of rows) {
      context.fillStyle = look.colour;
      context.globalAlpha = rows.length > 6 ? 0.06 : 0.12;
      context.beginPath();
      quartiles.forEach(([low], i) => context[i ? "lineTo" : "moveTo"](X(i), scale.Y(low)));
      for (let i = quartiles.length - 1; i >= 0; i--) context.lineTo(X(i), scale.Y(quartiles[i][2]));
      context.fill();
      context.globalAlpha = 1;
    }
    for (const { quartiles, look } of rows) {
      context.strokeStyle = look.colour;
      context.setLineDash(map.DASHES[look.dash]);
      context.lineWidth = 2;
      context.beginPath();
      quartiles.forEach(([, middle], i) => context[i ? "lineTo" : "moveTo"](X(i), scale.Y(middle)));
      context.stroke();
      context.setLineDash([]);
      quartiles.forEach(([, middle], i) => i % 3 === 0 && map.symbol(context, look.symbol, X(i), scale.Y(middle), 3.6, look.colour));
    }
    context.setLineDash([3, 3]);
    context.strokeStyle = INK;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(X(number), scale.top);
    context.lineTo(X(number), height - scale.bottom);
    context.stroke();
    context.setLineDash([]);
  }

  return { losses, apart, spread, short, logOf, PAST, GRADIENT };
})();
