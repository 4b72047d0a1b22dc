"use strict";
const SECONDS = 6; // that an episode takes
const data = JSON.parse(document.getElementById("data").textContent);
const [stage, time, task, play] = ["stage", "time", "task", "play"].map((id) => document.getElementById(id));
const every = data.runs.flatMap((run) => run.stages.flatMap((each) => each.paths.flat()));
const last = Math.max(...every.map((path) => path.length / 2)) - 1;
let playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
let started = null; // when step 0 was, on the clock of the animation

stage.max = data.steps.length - 1;
stage.value = stage.max;
time.max = last;
task.add(new Option("all", ""));
data.tasks.forEach((each, number) => task.add(new Option(each.name, number)));

const panels = data.runs.map((run) => {
  const figure = document.createElement("figure");
  const heading = document.createElement("h2");
  const canvas = document.createElement("canvas");
  const caption = document.createElement("figcaption");
  heading.textContent = run.name;
  canvas.setAttribute("role", "img");
  canvas.style.aspectRatio = data.aspect;
  figure.append(heading, canvas, caption);
  document.getElementById("panels").append(figure);
  return { run, canvas, caption };
});

/** The numbers of the tasks that are shown. */
function chosen() {
  return task.value === "" ? data.tasks.map((_, number) => number) : [Number(task.value)];
}

function draw() {
  const now = Number(time.value);
  const steps = data.steps[Number(stage.value)];
  document.getElementById("stage-text").textContent = steps === 0 ? "before adaptation" : `after ${steps} ${data.unit}`;
  document.getElementById("time-text").textContent = `${now} of ${last}`;
  play.textContent = playing ? "Pause" : "Play";
  for (const panel of panels) {
    const shown = panel.run.stages[Number(stage.value)];
    drawPanel(panel.canvas, shown, now);
    panel.caption.textContent = caption(shown, now);
    panel.canvas.setAttribute("aria-label", `${panel.run.name}: ${panel.caption.textContent}`);
  }
}

/** Mean return, and what has been solved so far. */
function caption(shown, now) {
  const returns = chosen().flatMap((number) => shown.returns[number]);
  const mean = returns.reduce((sum, each) => sum + each, 0) / returns.length;
  const text = `return ${mean.toFixed(2)}`;
  if (!data.success) return text;
  const solved = chosen().map((number) => shown.solved[number].map((step) => step >= 0 && step <= now));
  const tasks = solved.filter((each) => each.some(Boolean)).length;
  const share = solved.flat().filter(Boolean).length / solved.flat().length;
  return `${text} · solved by now: ${tasks} of ${solved.length} tasks, ${Math.round(100 * share)} % of trajectories`;
}

function drawPanel(canvas, shown, now) {
  const density = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = width / data.aspect;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  const pen = canvas.getContext("2d");
  pen.scale(density, density);
  const style = getComputedStyle(document.documentElement);
  const [ink, faint, wall] = ["--ink", "--faint", "--wall"].map((name) => style.getPropertyValue(name));
  const x = (number) => (number / data.resolution) * width;
  const y = (number) => height - (number / data.resolution) * height;
  const circle = (cx, cy, radius) => {
    pen.beginPath();
    pen.arc(x(cx), y(cy), Math.max(radius === null ? 3 : x(radius), 2), 0, 2 * Math.PI);
  };

  pen.fillStyle = wall;
  for (const [left, bottom, right, top] of data.blocks) {
    pen.fillRect(x(left), y(top), x(right - left), y(bottom) - y(top) + 0.5); // No seams between rows.
  }
  pen.strokeStyle = faint;
  for (const ring of data.rings) { circle(...ring); pen.stroke(); }
  if (data.labels.length) {
    const [left, bottom, right, top] = data.limits;
    pen.fillStyle = ink;
    pen.font = "12px system-ui, sans-serif";
    pen.fillText(`${data.labels[1]}, ${bottom} to ${top}`, 6, 14);
    pen.textAlign = "right";
    pen.fillText(`${data.labels[0]}, up to ${Math.floor(right)}`, width - 6, height - 6);
  }
  for (const number of chosen()) {
    pen.strokeStyle = pen.fillStyle = data.tasks[number].colour;
    if (data.goals.length) {
      const reached = shown.solved[number].some((step) => step >= 0 && step <= now);
      circle(...data.goals[number]);
      pen.globalAlpha = reached ? 0.35 : 0.1;
      pen.fill();
      pen.globalAlpha = 1;
      pen.stroke();
    }
    shown.paths[number].forEach((path, trajectory) => {
      const end = Math.min(now, path.length / 2 - 1);
      const first = shown.solved[number][trajectory];
      const solved = first >= 0 && first <= now;
      pen.globalAlpha = solved ? 0.9 : 0.45;
      pen.lineWidth = solved ? 1.8 : 1;
      pen.beginPath();
      if (data.pivots.length) {
        pen.lineWidth *= 2;
        pen.moveTo(x(data.pivots[number][0]), y(data.pivots[number][1]));
        pen.lineTo(x(path[2 * end]), y(path[2 * end + 1]));
      } else {
        for (let step = 0; step <= end; step++) pen.lineTo(x(path[2 * step]), y(path[2 * step + 1]));
      }
      pen.stroke();
      circle(path[2 * end], path[2 * end + 1], null);
      pen.globalAlpha = 1;
      pen.fill();
    });
    pen.lineWidth = 1;
    pen.globalAlpha = 1;
    if (data.pivots.length) {
      const [px, py] = data.pivots[number];
      pen.fillStyle = ink;
      pen.font = "12px system-ui, sans-serif";
      pen.textAlign = "center";
      circle(px, py, null);
      pen.fill();
      pen.fillText(data.tasks[number].name, x(px), height - (py / data.resolution) * height - height / 2.4 / Math.round(Math.sqrt(data.tasks.length)));
    }
  }
}

function tick(clock) {
  if (playing) {
    started ??= clock - (Number(time.value) / last) * SECONDS * 1000;
    const share = (clock - started) / (SECONDS * 1000);
    time.value = Math.min(Math.floor(share * (last + 1)), last);
    if (share > 1.2) started = null, time.value = 0; // A pause at the end, then again.
    draw();
  }
  requestAnimationFrame(tick);
}

function pause() {
  playing = false;
  draw();
}

stage.addEventListener("input", () => { started = null; if (playing) time.value = 0; draw(); });
time.addEventListener("input", pause);
task.addEventListener("input", draw);
play.addEventListener("click", () => {
  playing = !playing;
  started = null;
  if (Number(time.value) === last) time.value = 0;
  draw();
});
window.addEventListener("resize", draw);
draw();
requestAnimationFrame(tick);
