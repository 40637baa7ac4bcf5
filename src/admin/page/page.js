
"use strict";
(() => {
  const WINDOW_MS = 600_000;
  // An event comes every second.
  const SILENT_MS = 5_000;
  const KEPT = 50;

  const $ = id => document.getElementById(id);
  const state = JSON.parse($("state").textContent);
  let heard = Date.now();
  let held = false;
  let lost = false;
  // The worker was started anew while the page was held.
  let outdated = false;
  let said = "";

  // === words ===

  const whole = new Intl.NumberFormat("en");
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
  const number = value => value == null ? "–" : value >= 100_000 ? short.format(value) : whole.format(value);
  const rate = value => value == null ? "–" : value < 10 ? String(Math.round(value * 10) / 10) : number(Math.round(value));
  const time = ms => {
    if (ms == null) return "–";
    if (ms < 1) return `${ms.toFixed(2)} ms`;
    if (ms < 10) return `${ms.toFixed(1)} ms`;
    if (ms < 1000) return `${Math.round(ms)} ms`;
    return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
  };
  const clock = at => new Date(at).toLocaleTimeString("en-GB");
  const lasting = ms => {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
    if (days) return `${days} d ${hours} h`;
    if (hours) return `${hours} h ${minutes} min`;
    return minutes ? `${minutes} min` : `${seconds} s`;
  };
  const many = (count, one, more) => `${number(count)} ${count === 1 ? one : more}`;

  // === elements ===

  const element = (name, className, ...inside) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...inside.map(one => one == null ? "" : one));
    return made;
  };
  const cell = (text, className) => element("td", className, text);
  const facts = pairs => pairs.filter(([, value]) => value != null).flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]);
  /** Only where it differs, so that nothing moves under a reader's eyes or screen reader. */
  const put = (target, text) => { if (target.textContent !== text) target.textContent = text; };

  // === charts ===

  const SVG = "http://www.w3.org/2000/svg";
  const nice = most => {
    if (!(most > 0)) return 1;
    const power = 10 ** Math.floor(Math.log10(most));
    return [1, 1.5, 2, 3, 5, 7.5, 10].map(step => step * power).find(step => step >= most * 0.999);
  };

  /** Series of [at, value]; a value of null, or a longer gap than usual, breaks the line. */
  function chart(figure, series, unit, gap) {
    const now = state.at;
    const values = series.flatMap(one => one.points.map(([, value]) => value)).filter(value => value != null);
    const drawn = series.filter(one => one.always || one.points.some(([, value]) => value));
    const newest = one => unit(one.points.at(-1)?.[1]);
    const latest = drawn.map(one => `${one.name} ${newest(one)}`).join(", ");
    const most = nice(Math.max(0, ...values));
    const x = at => (1 - (now - at) / WINDOW_MS) * 600;
    const y = value => 118 - value / most * 114;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 600 120");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `The last ten minutes, up to ${unit(Math.max(0, ...values))}. Now: ${latest || "nothing"}.`);
    const path = (d, className) => {
      const line = document.createElementNS(SVG, "path");
      line.setAttribute("d", d);
      line.setAttribute("class", className);
      svg.append(line);
    };
    for (const { points, className, filled } of drawn) {
      const runs = [];
      let before = null;
      for (const [at, value] of points) {
        if (value == null || now - at > WINDOW_MS) { before = null; continue; }
        if (before == null || at - before > gap) runs.push([]);
        runs.at(-1).push([x(at), y(value)]);
        before = at;
      }
      for (const run of runs) {
        const corners = run.map(([left, top]) => `${left.toFixed(1)} ${top.toFixed(1)}`).join("L");
        if (filled) path(`M${run[0][0].toFixed(1)} 119L${corners}L${run.at(-1)[0].toFixed(1)} 119Z`, `area ${className}`);
        path(`M${corners}${run.length === 1 ? "h0.1" : ""}`, `line ${className}`);
      }
    }
    const top = element("div", "ends", element("span", "", values.length ? unit(most) : "nothing yet"),
      element("span", "", values.length ? `now ${drawn.map(newest).join(" · ")}` : ""));
    const bottom = element("div", "ends", element("span", "", "10 min ago"), element("span", "", "now"));
    figure.replaceChildren(top, svg, bottom);
  }

  function charts() {
    const of = (list, name) => list.map(one => [one.at, one[name]]);
    const { rates, latencies } = state;
    const perSecond = value => `${rate(value)} /s`;
    // The latency of a second in which nothing was answered is not 0.
    chart($("throughput"), [
      { name: "sets", points: of(rates, "sets"), className: "main", filled: true, always: true },
      { name: "dead letters", points: of(rates, "dead_letters"), className: "badline" },
    ], perSecond, 10_000);
    chart($("lag"), [{ name: "lag", points: of(rates, "lag"), className: "main", filled: true, always: true }], number, 10_000);
    chart($("latency"), [
      { name: "half", points: of(latencies, "p50"), className: "main", filled: true },
      { name: "95 %", points: of(latencies, "p95"), className: "second" },
      { name: "99 %", points: of(latencies, "p99"), className: "third" },
    ], time, 15_000);
  }

  // === the state in words ===

  const minute = () => state.rates.filter(one => state.at - one.at < 60_000);
  const mean = (list, name) => list.length ? list.reduce((sum, one) => sum + one[name], 0) / list.length : 0;

  function verdict() {
    const stuck = state.live.find(check => !check.good);
    const missing = state.ready.find(check => !check.good);
    const letters = Math.round(minute().reduce((sum, one) => sum + one.dead_letters, 0));
    if (stuck) return ["bad", "Stuck", `${stuck.name}: ${stuck.says}.`];
    if (state.phase === "stopping") return ["calm", "Stopping", "No further set is taken; what is in flight is finished and committed."];
    if (state.phase === "starting") return ["calm", "Starting", missing ? `${missing.name}: ${missing.says}.` : ""];
    if (missing) return ["bad", "Not ready", `${missing.name}: ${missing.says}.`];
    if (letters) return ["warn", "Working, with dead letters", `${many(letters, "record was", "records were")} set aside in the last minute.`];
    const sets = mean(minute(), "sets");
    if (sets < 0.05) {
      if (!state.partitions_total) return ["calm", "Working, without partitions", "Other workers of the group have all of them; this one takes over when one of those stops."];
      const lag = state.rates.at(-1)?.lag;
      if (lag == null) return ["warn", "Working, but nothing is answered", "No set was answered in the last minute, and how many records wait is not known yet."];
      return lag ? ["warn", "Working, but nothing is answered", `${many(lag, "record waits", "records wait")}, and no set was answered in the last minute.`]
        : ["good", "Working", "Nothing to do: no set came in the last minute."];
    }
    return ["good", "Working", `${rate(sets)} sets a second over the last minute, 95 % of them within ${time(state.stages.at(-1)?.p95)}.`];
  }

  function hero() {
    const [tone, words, sentence] = verdict();
    $("hero").className = `card hero ${tone}`;
    put($("verdict"), words);
    put($("sentence"), sentence);
    const checks = [...state.ready, ...state.live].map(check => {
      const line = element("li", check.good ? "" : "bad", element("b", "", check.name), ` ${check.says}`);
      if (!check.good) line.prepend(element("span", "hidden", "failed: "));
      return line;
    });
    $("checks").replaceChildren(...checks);
    document.title = `${lost ? "? " : ""}${words} · crossrank`;
    // Screen readers hear when the verdict changes, not every second.
    const news = lost ? "Connection lost" : words;
    if (news !== said) put($("said"), said = news);
  }

  function tiles() {
    const now = state.rates.at(-1) || {};
    const whole = state.stages.at(-1) || {};
    const last = state.rates.slice(-5);
    const list = [
      ["sets a second", rate(mean(last, "sets"))],
      ["pairs a second", rate(mean(last, "pairs"))],
      ["tokens a second", rate(mean(last, "tokens"))],
      ["lag", number(now.lag)],
      ["in flight", number(now.in_flight)],
      ["dead letters in all", number(state.totals.dead_letters), state.totals.dead_letters ? "bad" : ""],
    ];
    const made = list.map(([name, value, tone]) => element("div", "tile", element("dt", "", name), element("dd", tone, value)));
    $("tiles").replaceChildren(...made);
  }

  function stages() {
    const seen = state.stages.filter(stage => stage.count);
    const most = Math.max(...seen.map(stage => stage.p95), 0.001);
    const rows = seen.map(stage => {
      const half = element("i"), bar = element("span", "bar", half);
      bar.style.width = `${stage.p95 / most * 100}%`;
      half.style.width = `${stage.p50 / stage.p95 * 100}%`;
      const name = element("th", "", stage.name === "whole" ? "the whole way" : stage.name);
      name.scope = "row";
      return element("tr", "", name, element("td", "", bar), cell(time(stage.p50), "n"), cell(time(stage.p95), "n"), cell(time(stage.p99), "n"));
    });
    $("stages").replaceChildren(...rows.length ? rows : [element("tr", "", wide("No set was answered in the last minute.", 5))]);
  }

  function wide(text, columns) {
    const only = cell(text, "quiet");
    only.colSpan = columns;
    return only;
  }

  function model() {
    const { model } = state;
    if (!model) return $("model").replaceChildren(...facts([["model", "not loaded yet"]]));
    $("model").replaceChildren(...facts([
      ["model", model.id], ["revision", element("code", "", model.revision)], ["label", model.label],
      ["precision", model.precision], ["backend", model.backend], ["device and kernels", model.device], ["replicas", number(model.replicas)],
    ]));
  }

  const STATES = { assigned: "good", paused: "warn", draining: "calm" };

  function partitions() {
    const { partitions: list, partitions_total: total } = state;
    const topic = list[0]?.topic;
    const left = total > list.length ? ` The ${list.length} with the largest lag are shown.` : "";
    put($("partitions-note"), total ? `${many(total, "partition", "partitions")} of ${topic}.${left}` : "None is assigned to this worker.");
    const offset = value => value == null ? "–" : String(value);
    // Looked at once a second.
    const age = one => !one.uncommitted ? "–" : one.commit_age_s < 1 ? "< 1 s" : time(one.commit_age_s * 1000);
    const rows = list.map(one => {
      const name = element("th", "", String(one.index));
      name.scope = "row";
      return element("tr", "", name, element("td", "", element("span", `pill ${STATES[one.state]}`, one.state)), cell(number(one.lag), "n"),
        cell(number(one.in_flight), "n"), cell(offset(one.committed), "n"), cell(offset(one.next), "n"), cell(offset(one.end), "n"), cell(number(one.uncommitted), "n"), cell(age(one), "n"));
    });
    $("partitions").replaceChildren(...rows);
  }

  // === lists that grow: what stands there is left as it is ===

  function grow(list, shown, make, note, empty) {
    const place = $(list);
    const newest = Number(place.firstElementChild?.dataset.number || 0);
    const fresh = shown.filter(one => one.number > newest).map(one => {
      const made = make(one);
      made.dataset.number = one.number;
      return made;
    });
    place.prepend(...fresh.reverse());
    while (place.children.length > KEPT) place.lastElementChild.remove();
    put($(note), place.children.length ? "" : empty);
  }

  const KINDS = { dead_letter: ["bad", "dead letter"], error: ["bad", "error"], warning: ["warn", "warning"] };

  const stamp = at => {
    const made = element("time", "", clock(at));
    made.dateTime = new Date(at).toISOString();
    return made;
  };

  function notice(one) {
    const [tone, kind] = KINDS[one.kind];
    const about = element("span", "about code", [one.code, one.position].filter(Boolean).join(" · "));
    return element("li", "", stamp(one.at), element("span", "", element("span", `pill ${tone}`, kind)), element("span", "words", one.message), about);
  }

  const TONES = { reranked: "good", partial: "warn", passthrough: "calm" };

  function set(one) {
    const moved = one.displacement == null ? "" : `, moved by ${one.displacement.toFixed(1)} ranks`;
    const from = `${one.topic}/${one.partition}/${one.offset} · ${many(one.candidates, "candidate", "candidates")}${moved} · ${time(one.took_ms)}`;
    const summary = element("summary", "", stamp(one.at), element("span", "request code", one.request_id), element("span", `pill ${TONES[one.status]}`, one.status), element("span", "from figures", from));
    const box = element("details", "", summary);
    // Most are never opened.
    box.addEventListener("toggle", () => { if (box.open && box.children.length === 1) box.append(...orders(one)); });
    return box;
  }

  function orders(one) {
    const score = value => value == null ? "–" : value.toFixed(Math.abs(value) < 10 ? 4 : 2);
    const row = (rank, placed, moved) => element("li", "", element("span", "rank", String(rank)), element("span", "code", placed.id), element("span", "figures", score(placed.score)), moved,
      placed.text ? element("span", "text", placed.text) : "");
    const step = (first, rank) => {
      const by = first - rank;
      if (!by) return element("span", "moved same", "same");
      const arrow = element("span", `moved ${by > 0 ? "up" : "down"}`, `${by > 0 ? "▲" : "▼"} ${Math.abs(by)}`);
      arrow.append(element("span", "hidden", by > 0 ? " ranks up" : " ranks down"));
      return arrow;
    };
    const side = (title, rows) => element("div", "", element("h3", "", title), element("ol", "", ...rows));
    const before = one.before.map(placed => row(placed.first, placed, ""));
    const after = one.after.map((placed, place) => row(place + 1, placed, step(placed.first, place + 1)));
    const sides = element("div", "sides", side("Before: the first stage, and its score", before), side("After: the answer, its score, and how far each moved", after));
    return one.query ? [element("p", "query", one.query), sides] : [sides];
  }

  // === all of it ===

  function draw() {
    hero();
    tiles();
    charts();
    stages();
    model();
    partitions();
    const missed = state.notices_missed ? ` ${many(state.notices_missed, "more was", "more were")} left out: they came faster than fifty a second.` : "";
    grow("notices", state.notices, notice, "notices-note", `Nothing went wrong, as far as this worker remembers.${missed}`);
    if (missed) put($("notices-note"), missed.trim());
    grow("sets", state.sets, set, "sets-note", "No set was answered yet.");
    const names = Object.entries(state.totals).map(([name, value]) => [name.replaceAll("_", " "), whole.format(value)]);
    $("totals").replaceChildren(...facts(names));
    put($("about"), `Version ${state.version}. Up for ${lasting(state.at - state.started)}; times are those of this browser.`);
  }

  function take(view) {
    const from = view.at - WINDOW_MS;
    const joined = (old, more) => {
      const last = old.at(-1)?.at || 0;
      return [...old, ...more.filter(one => one.at > last)].filter(one => one.at > from);
    };
    const rates = joined(state.rates, view.rates), latencies = joined(state.latencies, view.latencies);
    const numbered = (old, more) => {
      const last = old.at(-1)?.number || 0;
      return [...old, ...more.filter(one => one.number > last)].slice(-KEPT);
    };
    const sets = numbered(state.sets, view.sets), notices = numbered(state.notices, view.notices);
    Object.assign(state, view, { rates, latencies, sets, notices });
  }

  function told(event) {
    const view = JSON.parse(event.data);
    heard = Date.now();
    if (lost) watch();
    // A worker that was started anew counts from the beginning. Who reads meanwhile goes on reading.
    outdated = view.started !== state.started;
    if (outdated) return held ? undefined : location.reload();
    take(view);
    if (!held) draw();
  }

  function watch() {
    const now = Date.now() - heard > SILENT_MS;
    if (now !== lost) {
      lost = now;
      $("main").classList.toggle("stale", lost);
      $("lost").hidden = !lost;
      put($("lost"), lost ? `Connection lost. What you see is from ${clock(state.at)}; trying again.` : "");
      hero();
    }
  }

  $("hold").addEventListener("click", () => {
    held = !held;
    $("hold").setAttribute("aria-pressed", String(held));
    put($("hold"), held ? "Held: go on" : "Hold");
    if (!held && outdated) location.reload();
    else if (!held) draw();
  });

  function connect() {
    const events = new EventSource("events");
    events.addEventListener("all", told);
    events.addEventListener("news", told);
    // The browser gives up where the answer is an error, such as too many open pages.
    events.addEventListener("error", () => { if (events.readyState === EventSource.CLOSED) setTimeout(connect, 10_000); });
  }

  draw();
  addEventListener("load", () => {
    connect();
    setInterval(watch, 1000);
  });
})();
