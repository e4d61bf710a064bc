// Draws a layout as SVG. Pure: the same layout and view give the same text.

/** The lanes, across: from where to where. */
const LANES = {
  state: [0.02, 0.08],
  heard: [0.3, 0.12],
  wire: [0.35, 0.64],
  served: [0.69, 0.81],
  mine: [0.85, 0.9],
  room: [0.94, 0.99],
};

export const escape = (text) => String(text).replace(/[<&"]/g, (c) => `&#${c.charCodeAt()};`);

/** A number for a reader. */
export const short = (n) => Math.round(n * 10) / 10;

/** A frame's name on the wire: its number, where it has one. */
export const label = ({ type, d }) =>
  ({ ping: '♥?', pong: '♥', publish: `#${d.seq}`, ack: `✓#${d.seq}`, message: `@${d.offset}` })[type] ?? type;

/**
 * The lanes of a layout, from the time `from` for `span` ms; in a narrow place time runs down, not to the right.
 * `words`: the lanes' names, and those of the two lines of silence. `cursor`: the time at which it stands, if it does.
 */
export function draw({ arrows, states, heard, served, steps, now }, { words, from, span, cursor, width, height }) {
  const down = width < 520;
  const gutter = down ? 18 : 76;
  const long = (down ? height : width) - gutter;
  const until = from + span;
  const along = (t) => short(((t - from) / span) * long);
  const at = ([t, u]) => (down ? [short(u * width), along(t)] : [along(t), short(u * height)]);
  const path = (kind, points) => `<path class="${kind}" d="M${points.map(at).join('L')}"/>`;
  const rule = (kind, u) => path(kind, [[from, u], [until, u]]);
  const text = (kind, point, words) => {
    const [x, y] = at(point);
    return `<text class="${kind}" x="${x}" y="${y}">${words}</text>`;
  };
  let out = '';
  for (let t = Math.max(0, from - (from % (span / 8))); t < until; t += span / 8)
    out += path('tick', [[t, 0], [t, 1]]) + text('time', [t, 0.335], short(t / 100) / 10);

  const [top, bottom] = LANES.state;
  for (const { a, b, status, ceiling_ms } of states) {
    const bar = (kind, to) => (out += path(kind, [[a, top], [to, top], [to, bottom], [a, bottom]]));
    bar(`state ${status}`, b);
    // The wait was drawn between nothing and this (RC-1).
    if (ceiling_ms) bar('ceiling', a + ceiling_ms);
  }

  for (const [lines, [low, high]] of [[heard, LANES.heard], [served, LANES.served]]) {
    const tall = ([t, v]) => [t, low + (high - low) * v];
    for (const [kind, v] of [['asks', 2 / 3], ['dead', 1]]) out += rule(kind, tall([0, v])[1]) + (down ? '' : text(`${kind} line`, tall([until, v]), words[kind]));
    for (const line of lines) out += path('area', [[line[0][0], low], ...line.map(tall), [line.at(-1)[0], low]]) + path('silence', line.map(tall));
  }

  const [page, server] = LANES.wire;
  out += rule('rail', page) + rule('rail', server);
  const taken = [];
  for (const arrow of arrows) {
    const { up, e, a, b, fate } = arrow;
    const start = a ?? b;
    if (start < from - 1e3 || start > until) continue;
    const [u, v] = up ? [page, server] : [server, page];
    const kind = `${fate} ${e.type} ${up ? 'up' : ''}`;
    const end = b ? [b, v] : [fate === 'flying' ? now : a + span / 60, (u + v) / 2];
    out += path(`arrow ${kind}`, [[start, u], end]) + (b ? '' : text(`mark ${kind}`, end, { lost: '✕', unknown: '?' }[fate] ?? ''));
    // A name that would lie on another one is left out, and so are those of drafts, which are many.
    const name = label(e);
    for (const level of e.type === 'draft' ? [] : down ? [0] : [0, 1, 2]) {
      const key = up * 3 + level;
      if (along(start) < taken[key]) continue;
      taken[key] = along(start) + (down ? 13 : name.length * 7 + 8);
      out += text(kind, [start, u + (v - u) * (0.12 + level * 0.13)], escape(name));
      break;
    }
  }

  for (const [[high, low], names] of [[LANES.mine, ['written', 'logged', 'known']], [LANES.room, ['head', 'shown']]]) {
    const known = steps[names.at(-1)];
    const base = known.findLast(([t]) => t < from)?.[1] ?? (names[2] ? 0 : (known[0]?.[1] ?? 0));
    const most = Math.max(1, (steps[names[0]].at(-1)?.[1] ?? 0) - base);
    const stairs = names.map((name) => {
      let u = low;
      const corners = steps[name].flatMap(([t, value]) => [[t, u], [t, (u = low - ((low - high) * Math.max(0, value - base)) / most)]]);
      return [[0, low], ...corners, [now, u]];
    });
    // What lies between is the outbox, or the replay.
    out += path('open', [...stairs[0], ...stairs.at(-1).toReversed()]) + stairs.map((points, n) => path(`stair ${names[n]}`, points)).join('');
  }
  if (cursor) out += path('cursor', [[cursor, 0], [cursor, 1]]);

  const titles = Object.entries(LANES).map(([name, [a, b]]) => {
    const middle = short(((a + b) / 2) * (down ? width : height));
    return `<text class="lane" ${down ? `x="${middle}" y="11" text-anchor="middle"` : `x="2" y="${middle + 4}"`}>${words[name]}</text>`;
  });
  const place = down ? `y="${gutter}" width="${width}" height="${long}"` : `x="${gutter}" width="${long}" height="${height}"`;
  return `<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>${titles.join('')}<svg ${place}>${out}</svg>`;
}
