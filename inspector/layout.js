// Both ends of a connection on one time axis, the milliseconds of the page's clock. Pure.
const last = (list, test) => list.filter(test).pop();

/** An entry's text: JSON, or a bare word or number. */
const parse = (text) => (text[0] === '{' ? JSON.parse(text) : text);

/** The name of a value that has more to say, or the value itself. */
const tag = (value) => (Object(value) === value ? Object.keys(value)[0] : value);

/** The server's entries; `at` is when the page got a stream's `clock`. Each start of the server is a run. */
function traced(entries) {
  let run = 0;
  let zero;
  let shift = 0;
  return entries.map((d) => {
    if (d.kind === 'clock' && !(Math.abs(d.unix_ms - d.ms - zero) < 999)) {
      run++;
      zero = d.unix_ms - d.ms;
      shift = d.at - d.ms;
    }
    return { k: d.kind, t: d.ms == null ? d.at : d.ms + shift, c: d.connection && run + '/' + d.connection, n: d.ordinal, d, type: d.frame, run };
  });
}

/** Connections in order; each entry of one gets it as `o`. `gap`: what came of it may be missing here. */
function connections(entries) {
  const all = [];
  for (const e of entries) {
    if (/^(end|lost)$/.test(e.k)) for (const c of all) c.gap = !c.close;
    if (!e.c) continue;
    const c = (e.o = all.find(({ id }) => id === e.c) ?? all[all.push({ id: e.c, t: e.t, run: e.run, got: 0 }) - 1]);
    if (e.k === 'in' && e.n) c.got = e.n;
    if (/^open|^close/.test(e.k)) c[e.k.slice(0, 5)] ??= e;
  }
  return all;
}

/** Silence as a line: 0 at a received frame, 2/3 as this end asks, 1 as it gives up. */
function silence(c, entries, ask, dead, now) {
  let zero = c.t;
  let asked;
  let owed;
  let wait;
  const line = [[zero, 0]];
  const to = (t, height) => line.push([t, Math.min(1, height)]);
  for (const e of [...entries.filter((e) => e.o === c && e.n), { t: c.close?.t ?? now }]) {
    const asks = e.k === 'out' && e.type === 'ping' && !asked;
    if (/^(publish|draft|join)$/.test(e.type)) owed = e.k === 'out';
    if (e.k === 'out' && !asks) continue;
    const quiet = e.t - zero;
    to(e.t, asked ? (2 + (e.t - asked) / wait) / 3 : Math.min(1, quiet / ask) / 1.5);
    if (asks) {
      to((asked = e.t), 2 / 3);
      e.quiet = quiet;
      // Early, or while an answer is owed, it is a probe, with a short deadline (HB-6).
      e.probe = !e.run && (owed || quiet < ask * 0.45);
      wait = e.probe ? Math.min(2e3, dead) : dead;
    } else {
      to((zero = e.t), 0);
      asked = owed = 0;
    }
  }
  // The last point is no received frame.
  line.pop();
  return line;
}

/** One pass over both ends' entries: sentences, staircases and what became of each of the user's messages. */
function story(entries, session, covers, now) {
  const rows = [];
  const mine = [];
  const log = {};
  const pings = {};
  const steps = { written: [], logged: [], known: [], head: [], shown: [] };
  let room;
  let doubled = 0;
  const top = (name) => steps[name].at(-1)?.[1] ?? 0;
  const step = (name, t, value) => value === top(name) || steps[name].push([t, value]);
  const offsets = (m) => new Set(m.keys.flatMap((key) => log[key] ?? []));
  // A frame may be noted before the event that gives its message an id: then the two become one.
  const own = (seq, id, t) => {
    const named = id != null && mine.find((m) => m.id === id);
    const same = last(mine, (m) => m.seq === seq && m.session === session && (id == null || m.id == null));
    const m = named || same || mine[mine.push({ session, t, keys: [] }) - 1];
    if (same && named) {
      m.keys.push(...same.keys);
      m.session = session;
      mine.splice(mine.indexOf(same), 1);
    }
    m.seq = seq;
    m.id ??= id;
    return m;
  };
  for (const e of entries) {
    const { k, t, d, type, c, run } = e;
    const { seq, offset } = d;
    let what = type ?? d.status ?? d.verdict ?? (k === 'closed' ? '' : d);
    const said = { ...d };
    if (k === 'out' && !run) {
      if (type === 'join') room = d.room;
      if (type === 'hello' && d.session) what = 'resume';
      if (type === 'ping') {
        (pings[c] ??= []).push(t);
        said.s = e.quiet / 1e3;
        if (e.probe) what = 'probe';
      }
      if (type === 'publish') {
        const m = own(seq, null, t);
        if (m.keys.push(session + '#' + seq) > 1) what = 'again';
      }
    } else if (k === 'in' && !run) {
      if (type === 'welcome') {
        session = d.session.id;
        if (d.resumed) what = 'resumed';
      }
      if (d.recovered === false) what = 'gap';
      if (type === 'pong') said.ms = t - pings[c]?.shift();
      said.s = d.reconnect_after_ms / 1e3;
    } else if (k === 'state') {
      said.s = (d.until_ms - t + e.late) / 1e3;
      said.ceiling = d.ceiling_ms / 1e3;
      said.cause = tag(d.cause);
      if (d.until_ms && !d.ceiling_ms) what = d.offline ? 'offline' : 'slot';
    } else if (k === 'event') {
      if (/queued|fate/.test(type)) {
        const m = own(seq, d.id, t);
        m.fate = tag(d.fate) ?? 'waiting';
        if (m.fate === 'waiting') m.session = session;
        if (m.fate === 'durable' && !m.settled) {
          m.keys.push(m.session + '#' + seq);
          m.settled = t;
          step('known', t, top('known') + 1);
        }
      }
      if (type === 'message') doubled += log[d.room + offset] === (log[d.room + offset] = 1);
    } else if (k === 'commit' && offset) {
      const key = d.session + '#' + seq;
      const m = mine.find((m) => m.keys.includes(key));
      if (m && !offsets(m).size) step('logged', t, top('logged') + 1);
      (log[key] ??= []).push(offset);
    }
    room ??= d.room;
    if (d.room === room && /^(joined|message|ack)$/.test(type)) {
      step('head', t, Math.max(top('head'), d.head ?? offset));
      if (k === 'event' && type === 'message') step('shown', t, offset);
      if (k === 'in' && type === 'joined') step('shown', t, d.from);
    }
    step('written', t, mine.length);
    rows.push({ t, said, run, name: `${run ? 'server ' : ''}${k}${what.trim ? ` ${what}` : ''}`.trim() });
  }
  const receipt = { written: mine.length, logged: 0, lost: 0, doubled, refused: 0, waiting: 0, half: 0 };
  for (const m of mine) {
    const times = offsets(m).size;
    // Without the server's side there is only the page's word.
    const both = covers(m.t) && covers(m.t) === covers(m.settled ?? now);
    const is = times || (m.settled && (!both || now - m.settled < 3e3)) ? 'logged' : m.settled ? 'lost' : 'waiting';
    receipt[m.fate === 'refused' ? m.fate : is]++;
    receipt.doubled += Math.max(0, times - 1);
    receipt.half += !times && !both;
  }
  return { rows, steps, receipt };
}

/**
 * Lanes, arrows, staircases, sentences and the receipt of the page's and the server's entries until `now`.
 *
 * An entry of the page may have a sixth part: the time at which it was taken, by a clock that no fault moves.
 */
export function layout({ page, server = [], session }, now) {
  const mine = page.map(([k, ms, c, n, text, t = ms]) => ((d) => ({ k, t, c, n, d, type: d.type, late: t - ms }))(parse(text)));
  const theirs = traced(server);
  const [pages, servers] = [connections(mine), connections(theirs)];
  // Connections are paired by their order, from the newest.
  for (const s of [...servers].reverse()) {
    const p = last(pages, (p) => !p.peer && p.t < s.t + 50);
    if (p) [p.peer, s.peer] = [s, p];
  }
  // Frames are paired by connection and ordinal. None comes before it was sent: that sets the clocks.
  const frames = {};
  const limits = {};
  for (const e of [...mine, ...theirs]) {
    if (!e.n) continue;
    const up = +(!e.run === (e.k === 'out'));
    const c = e.o.peer && e.run ? e.o.peer.id : e.c;
    const f = (frames[[c, up, e.n]] ??= { up, c });
    f[e.k] = e;
    if (!f.in || !f.out) continue;
    const limit = (limits[(up ? f.in : f.out).run] ??= [-Infinity, Infinity]);
    limit[up] = up ? Math.min(limit[1], f.in.t - f.out.t) : Math.max(limit[0], f.out.t - f.in.t);
  }
  const error = ({ run }) => {
    const [low, high] = limits[run] ?? [];
    return isFinite(high - low) ? [(low + high) / 2, Math.abs(high - low) / 2] : [0];
  };
  for (const e of [...theirs, ...servers]) e.t -= error(e)[0];
  // The number of the trace's stream at a time, or 0.
  const covers = (t) => {
    const before = server.filter((e) => e.at <= t);
    return before.at(-1)?.kind === 'end' ? 0 : before.length && before.filter((e) => e.kind === 'end').length + 1;
  };
  const fate = ({ o: { peer, close }, n, t }) => {
    if (peer ? peer.gap || n <= peer.open?.d.in : !covers(t)) return 'unknown';
    return peer?.close || n < peer?.got || (close && now - close.t > 3e3) ? 'lost' : 'flying';
  };
  const arrows = Object.values(frames).map((f) => ({
    up: f.up,
    c: f.c,
    e: f.out ?? f.in,
    a: f.out?.t,
    b: f.in?.t,
    fate: f.in ? 'arrived' : fate(f.out),
  }));
  const { interval_ms = 25e3, timeout_ms = 5e3 } = last(mine, (e) => e.d.heartbeat)?.d.heartbeat ?? {};
  const entries = [...mine, ...theirs].sort((x, y) => x.t - y.t);
  const states = mine.filter((e) => e.k === 'state');
  const heard = pages.map((c) => silence(c, entries, interval_ms, timeout_ms, now));
  return {
    ...story(entries, session, covers, now),
    arrows: arrows.sort((x, y) => (x.a ?? x.b) - (y.a ?? y.b)),
    states: states.map((e, n) => ({ ...e.d, a: e.t, b: states[n + 1]?.t ?? now })),
    heard,
    served: servers.map((c) => silence(c, entries, interval_ms * 0.95, timeout_ms, now)),
    error: theirs.length ? error(theirs.at(-1)) : [],
    from: entries[0]?.t ?? now,
    now,
  };
}
