// The layout of what both ends noted, on entries written by hand.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { layout } from '../../inspector/layout.js';
import { Conversation, living } from './conversation.mjs';

const read = (conversation, now = conversation.t + 5000) => layout(conversation.events, now);
const named = ({ arrows }, type, fate) => arrows.filter(({ e, fate: is }) => e.type === type && (!fate || is === fate));
const counts = ({ receipt: { written, logged, lost, doubled } }) => ({ written, logged, lost, doubled });
const names = ({ rows }) => rows.map(({ name }) => name);

describe('the clocks', () => {
  it('are compared to within the frames’ way, whatever they show', () => {
    for (const ahead of [0, 5000, -86_400_000]) {
      const made = read(living({ ahead, way: 20 }).say(1, 1, 42));
      const [publish] = named(made, 'publish');
      assert.ok(Math.abs(publish.b - publish.a - 20) < 0.01, `${publish.b - publish.a} of 20 ms, ${ahead} ahead`);
      assert.ok(Math.abs(made.error[1] - 20) < 0.01);
    }
  });

  it('of another start of the server are another one', () => {
    const talk = living().say(1, 1, 42).unwatch().end().back(200, 0, { closed: 1006 });
    talk.ahead = -3_000_000;
    talk.watch().open().greet(1).join(42).wait(300).say(2, 2, 43);
    const made = read(talk);
    for (const { a, b } of named(made, 'publish', 'arrived')) assert.ok(Math.abs(b - a - 20) < 0.01);
    assert.deepEqual(counts(made), { written: 2, logged: 2, lost: 0, doubled: 0 });
  });
});

describe('each frame', () => {
  it('is one arrow with one fate', () => {
    const talk = living().say(1, 1, 42).up({ type: 'ping' }).down({ type: 'pong' });
    talk.write(2, 2, { lost: true }).end(4000).back(180, 0, 'no_answer').open().greet(1).join(42).write(2, 2).commit(2, 43);
    const { arrows } = read(talk);
    const noted = talk.page.filter(([kind]) => kind === 'out' || kind === 'in').length;
    assert.equal(arrows.length, noted);
    for (const { fate } of arrows) assert.match(fate, /^(arrived|flying|lost|unknown)$/);
    assert.equal(new Set(arrows.map(({ e }) => `${e.c} ${e.k} ${e.n}`)).size, noted);
  });

  it('that was lost with its connection is lost, and its repetition is another one', () => {
    const talk = living().write(1, 1, { lost: true }).wait(1000);
    const flying = read(talk, talk.t);
    assert.equal(named(flying, 'publish', 'flying').length, 1);
    talk.end(4000).back(100, 0, 'no_answer').open().greet(0).join(41).write(1, 1).commit(1, 42);
    const made = read(talk);
    assert.deepEqual(named(made, 'publish').map(({ fate }) => fate), ['lost', 'arrived']);
    assert.ok(names(made).includes('out again'));
  });

  it('that the page did not hear is lost', () => {
    const talk = living().write(1, 1).commit(1, 42).down({ type: 'ack', room: 'lobby', seq: 1, offset: 42 }, { lost: true }).end();
    const [ack] = named(read(talk), 'ack');
    assert.equal(ack.fate, 'lost');
    assert.equal(ack.up, 0);
  });

  it('is unknown where the server’s side is', () => {
    const untraced = new Conversation().open().greet();
    untraced.server = [];
    assert.deepEqual(read(untraced).arrows.map(({ fate }) => fate), ['unknown', 'arrived']);
    const killed = living().unwatch().write(1, 1, { lost: true }).end();
    killed.server = killed.server.filter(({ kind }) => kind !== 'close');
    assert.equal(named(read(killed), 'publish')[0].fate, 'unknown');
  });

  it('pairs by connection and ordinal, not by content', () => {
    const talk = living();
    for (let n = 0; n < 3; n++) talk.up({ type: 'ping' }, { lost: n === 2 }).wait(10);
    talk.end(4000);
    assert.deepEqual(named(read(talk), 'ping').map(({ fate }) => fate), ['arrived', 'arrived', 'lost']);
  });

  it('of a connection that never reached the server is not another one’s', () => {
    const talk = living().end().back(10, 0, { closed: 1006 });
    talk.open();
    talk.theirs -= 1;
    talk.up({ type: 'hello', session: { id: 's1', key: '…' } }, { lost: true }).wait(200).note('closed', '1006', talk.connection);
    talk.back(300, 1, { closed: 1006 }).open().greet(0);
    const hellos = named(read(talk), 'hello');
    assert.deepEqual(hellos.map(({ fate }) => fate), ['unknown', 'lost', 'arrived']);
  });
});

describe('silence', () => {
  it('grows until a frame comes, and from its question to its end faster', () => {
    const talk = living().wait(6000).up({ type: 'ping' }).wait(2000).end(4000);
    const line = read(talk).heard[0];
    assert.deepEqual(line.at(-1)[1], 1);
    const asked = line.findIndex(([, height]) => height === 2 / 3);
    assert.ok(asked > 0 && line.slice(asked).every(([, height]) => height >= 2 / 3));
    assert.ok(line.some(([t, height]) => t > 0 && height === 0), 'it is cut by what came before');
  });

  it('is not broken by what this end sends', () => {
    const talk = living().write(1, 1, { lost: true }).wait(3000);
    const line = read(talk, talk.t).heard[0];
    assert.ok(Math.abs(line.at(-1)[1] - 3520 / 6000 / 1.5) < 0.01, String(line.at(-1)));
  });

  it('of which a question comes while an answer is owed is a probe', () => {
    const quiet = living().wait(3000);
    assert.ok(names(read(quiet.up({ type: 'ping' }))).includes('out ping'), 'the first interval is half of one at least');
    const owed = living().wait(2000).write(1, 1, { lost: true }).wait(1000).up({ type: 'ping' }, { lost: true });
    assert.ok(names(read(owed)).includes('out probe'));
  });

  it('of which a question comes early is a probe', () => {
    const talk = living().write(1, 1, { lost: true }).wait(1000).up({ type: 'ping' }, { lost: true });
    const made = read(talk.wait(1000), talk.t);
    assert.ok(names(made).includes('out probe'));
    // Half of the 2 s of a probe.
    assert.ok(Math.abs(made.heard[0].at(-1)[1] - (2 + 1020 / 2000) / 3) < 0.01);
  });
});

describe('the receipt', () => {
  it('counts what both ends saw', () => {
    const talk = living();
    for (let n = 1; n <= 4; n++) talk.say(n, n, 41 + n);
    const { receipt, steps } = read(talk);
    assert.deepEqual(receipt, { written: 4, logged: 4, lost: 0, doubled: 0, refused: 0, waiting: 0, half: 0 });
    for (const name of ['written', 'logged', 'known']) assert.equal(steps[name].at(-1)[1], 4);
    assert.equal(steps.head.at(-1)[1], 45);
    assert.equal(steps.shown.at(-1)[1], 45);
  });

  it('says what is on its way', () => {
    const { receipt } = read(living().write(1, 1, { lost: true }));
    assert.deepEqual([receipt.written, receipt.logged, receipt.waiting, receipt.lost], [1, 0, 1, 0]);
  });

  it('names a message that the page calls stored and the log does not have', () => {
    const talk = living().write(1, 1).down({ type: 'ack', room: 'lobby', seq: 1, offset: 42 });
    talk.event({ type: 'fate', id: 1, seq: 1, fate: { durable: { offset: 42 } } });
    assert.deepEqual(counts(read(talk)), { written: 1, logged: 0, lost: 1, doubled: 0 });
  });

  it('names a message that is stored twice, also under another number', () => {
    const same = living().say(1, 1, 42).commit(1, 43);
    assert.equal(read(same).receipt.doubled, 1);
    const other = living().write(1, 1).commit(1, 42).event({ type: 'fate', id: 1, seq: 2, fate: 'sent' });
    other.up({ type: 'publish', seq: 2, room: 'lobby', body: 5 }).commit(2, 43);
    assert.deepEqual(counts(read(other)), { written: 1, logged: 1, lost: 0, doubled: 1 });
  });

  it('names a message that is shown twice', () => {
    const talk = living().say(1, 1, 42).event({ type: 'message', room: 'lobby', offset: 42, session: 's1', seq: 1 });
    assert.equal(read(talk).receipt.doubled, 1);
  });

  it('has the page’s word alone where the server was not seen', () => {
    const talk = living().unwatch();
    const traced = talk.server.length;
    talk.wait(100).say(1, 1, 42);
    talk.server.length = traced;
    const { receipt } = read(talk);
    assert.deepEqual([receipt.written, receipt.logged, receipt.half, receipt.lost], [1, 1, 1, 0]);
  });

  it('follows a message into a fresh session', () => {
    const talk = living().say(1, 1, 42).end().event({ type: 'queued', id: 2, seq: 2, room: 'lobby' });
    talk.back(100, 0, { closed: 1006 });
    talk.session = 's2';
    talk.open().greet();
    talk.event({ type: 'fate', id: 2, seq: 1, fate: 'waiting' }).event({ type: 'fate', id: 2, seq: 1, fate: 'sent' });
    talk.up({ type: 'publish', seq: 1, room: 'lobby', body: 5 }).commit(1, 43).show(2, 1, 43);
    assert.deepEqual(counts(read({ events: { ...talk.events, session: 's1' }, t: talk.t })), { written: 2, logged: 2, lost: 0, doubled: 0 });
  });
});
