// Writes what both ends of a connection would note: the page's entries as its observer gives them, the server's as its
// trace gives them. The two have clocks of their own, and a frame takes a time on its way.

/** When the server's process began, in Unix time. */
const BEGAN = 1_800_000_000_000;

export class Conversation {
  page = [];
  server = [];
  session = 's1';
  /** The page's clock. */
  t = 0;
  /** The page's number of its connection, and the server's. */
  connection = 0;
  theirs = 6;

  /** `ahead`: the server's clock less the page's. `way`: a frame's time on its way. Both in milliseconds. */
  constructor({ ahead = 5000, way = 20 } = {}) {
    Object.assign(this, { ahead, way });
  }

  wait(ms) {
    this.t += ms;
    return this;
  }

  /** An entry of the page. */
  note(kind, text = '', connection = 0, ordinal = 0, t = this.t) {
    this.page.push([kind, t, connection, ordinal, typeof text === 'string' ? text : JSON.stringify(text)]);
    return this;
  }

  /** An entry of the server, at a time of the page's clock. */
  trace(kind, fields = {}, t = this.t) {
    const ms = Math.round((t + this.ahead) * 1000) / 1000;
    this.server.push({ n: this.server.length + 1, ms, connection: 0, kind, session: this.session, at: t + this.way, ...fields });
    return this;
  }

  /** The server's stream begins: what was before is not in it. */
  watch() {
    this.server.splice(this.server.findLastIndex(({ kind }) => kind === 'end') + 1);
    this.trace('clock', { unix_ms: BEGAN + this.t, idle_ms: 5700, timeout_ms: 2000 });
    return this.ordinals && !this.ended ? this.#opened() : this;
  }

  /** The stream ends, as the page sees it. */
  unwatch() {
    this.server.push({ kind: 'end', at: this.t });
    return this;
  }

  state(fields) {
    return this.note('state', fields);
  }

  event(fields) {
    return this.note('event', fields);
  }

  open() {
    this.connection += 1;
    this.theirs += 1;
    this.ended = false;
    this.ordinals = { out: 0, in: 0, got: 0, sent: 0 };
    this.state({ status: 'connecting' }).note('open', '', this.connection);
    this.wait(this.way).note('opened', '', this.connection);
    return this;
  }

  /** The page sends; `lost` on its way. The clock goes on to its arrival. */
  up(frame, { lost = false } = {}) {
    this.note('out', frame, this.connection, ++this.ordinals.out);
    this.wait(this.way);
    if (!lost) this.#traced('in', frame, ++this.ordinals.got);
    return this;
  }

  /** The server sends. */
  down(frame, { lost = false } = {}) {
    this.#traced('out', frame, ++this.ordinals.sent);
    this.wait(this.way);
    if (!lost) this.note('in', frame, this.connection, ++this.ordinals.in);
    return this;
  }

  /** The first entry of a connection, with the number of frames that went before. */
  #opened() {
    const { got, sent } = this.ordinals;
    return this.trace('open', { connection: this.theirs, in: got, out: sent, heard_ms: 0 });
  }

  #traced(kind, { type, seq, last_seq, offset, head, room }, ordinal) {
    const numbers = { seq: seq ?? last_seq, offset: offset ?? head };
    this.trace(kind, { connection: this.theirs, ordinal, frame: type, room, ...numbers });
  }

  /** A handshake; `last`: the number up to which the session's messages are settled, if it is resumed. */
  greet(last) {
    const session = { id: this.session, key: '…' };
    const resumed = last !== undefined;
    this.#opened();
    this.up(resumed ? { type: 'hello', session } : { type: 'hello' });
    const heartbeat = { interval_ms: 6000, timeout_ms: 2000 };
    this.down({ type: 'welcome', session, resumed, last_seq: last ?? 0, heartbeat });
    return this.state({ status: 'live' });
  }

  /** Enters the room; `head`: its newest message. */
  join(head) {
    this.up({ type: 'join', room: 'lobby' });
    return this.down({ type: 'joined', room: 'lobby', from: head, head, recovered: true });
  }

  /** The user sends a message. */
  write(id, seq, options) {
    this.event({ type: 'queued', id, seq, room: 'lobby', stage: 'unsent', body: 5 });
    this.event({ type: 'fate', id, seq, fate: 'sent' });
    return this.up({ type: 'publish', seq, room: 'lobby', body: 5 }, options);
  }

  /** The server stores it. */
  commit(seq, offset) {
    return this.wait(4).trace('commit', { connection: this.theirs, seq, offset, room: 'lobby', took_ms: 4 });
  }

  /** The page shows it. */
  show(id, seq, offset) {
    this.event({ type: 'message', room: 'lobby', offset, session: this.session, seq });
    return this.event({ type: 'fate', id, seq, fate: { durable: { offset } } });
  }

  /** A message, stored and acknowledged. */
  say(id, seq, offset) {
    this.write(id, seq).commit(seq, offset);
    this.down({ type: 'message', room: 'lobby', offset, seq });
    return this.down({ type: 'ack', room: 'lobby', seq, offset }).show(id, seq, offset);
  }

  /** The connection ends: `code` by the page, or as it comes back. */
  end(code) {
    if (code) this.note('close', String(code), this.connection);
    this.note('closed', '1006', this.connection);
    this.ended = true;
    return this.trace('close', { connection: this.theirs, code: 1006, by: 'line' }, this.t + this.way);
  }

  /** The page waits before its next try; `attempt`: how many failed. None drew a wait before a slot. */
  back(ms, attempt, cause) {
    const ceiling_ms = cause === 'go_away' ? null : 250 * 2 ** attempt;
    this.state({ status: 'waiting', until_ms: this.t + ms, cause, attempt, offline: false, ceiling_ms });
    return this.wait(ms);
  }

  get events() {
    return { page: this.page, server: this.server.toSorted((x, y) => (x.at ?? 0) - (y.at ?? 0)), session: this.session };
  }
}

/** A page that the server knows, connected and in its room; the trace is read from its first `welcome` on. */
export const living = (options) => new Conversation(options).open().greet().watch().join(41).wait(500);
