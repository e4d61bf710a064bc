// Whole stories, as both ends would note them: for the golden files, and to look at.
import { living } from './conversation.mjs';

export const scenes = {
  'a heartbeat': () =>
    living().say(1, 1, 42).wait(6000).up({ type: 'ping' }).down({ type: 'pong' }).wait(3000).down({ type: 'message', room: 'lobby', offset: 43 }),

  'a cut': () =>
    living().say(1, 1, 42).wait(900).note('fault', 'cut').end().back(180, 0, { closed: 1006 }).open().greet(1).join(42).wait(700).say(2, 2, 43),

  'half-open': () => {
    const talk = living().say(1, 1, 42).wait(2000).note('fault', 'mute').note('fault', 'deafen').wait(600);
    talk.write(2, 2, { lost: true }).wait(980).up({ type: 'ping' }, { lost: true }).wait(1980).end(4000).note('fault', 'heal');
    talk.back(150, 0, 'no_answer').open().greet(1).join(42).write(2, 2).commit(2, 43);
    return talk.down({ type: 'message', room: 'lobby', offset: 43, seq: 2 }).down({ type: 'ack', room: 'lobby', seq: 2, offset: 43 }).show(2, 2, 43);
  },

  'a lost ack': () => {
    const talk = living().say(1, 1, 42).wait(2000).note('fault', 'lost-ack').wait(900).write(2, 2).commit(2, 43);
    talk.down({ type: 'ack', room: 'lobby', seq: 2, offset: 43 }, { lost: true }).end().back(150, 0, { closed: 1006 });
    return talk.open().greet(2).join(42).show(2, 2, 43);
  },

  'a kill': () => {
    const talk = living().say(1, 1, 42).wait(800).unwatch().write(2, 2, { lost: true });
    talk.ended = true;
    talk.note('closed', '1006', talk.connection).back(220, 0, { closed: 1006 });
    talk.ahead = 100;
    talk.watch().open().greet(1).join(42).write(2, 2).commit(2, 43);
    return talk.down({ type: 'ack', room: 'lobby', seq: 2, offset: 43 }).show(2, 2, 43);
  },

  'a slot': () => {
    const talk = living().say(1, 1, 42).wait(500).down({ type: 'go_away', reconnect_after_ms: 1400, reason: 'restart' }).wait(1400);
    return talk.end(1001).back(0, 0, 'go_away').open().greet(1).join(42);
  },
};
