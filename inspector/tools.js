// What a press of a button in the inspector brings: the experiments, the faults, the table, the export.
import { escape, label } from './draw.js';

/**
 * Steps of each experiment: what is broken, for how long, the event at which the drawing stands still, and how many
 * milliseconds it then shows.
 */
const EXPERIMENTS = {
  heartbeat: [['', 0, /pong/, 32e3]],
  cut: [['cut', 0, /^state waiting/, 4e3]],
  'half-open': [['mute deafen', 0, /^close 4000/, 8e3]],
  'lost-ack': [['lost-ack', 0, /^in resumed/, 2e3]],
  kill: [['kill', 0, /^in resumed/, 16e3]],
  restart: [['drain', 0, /^in go_away/, 4e3]],
  // Asleep it hears and says nothing: what comes first shows that it is awake.
  sleep: [['sleep', 8e3, /^(in|out) p|^close/, 16e3], ['clock', 36e5, /^out probe/, 8e3]],
};
/** The faults of the page's own connection, with their milliseconds; and those of a lab's server. */
const FAULTS = { cut: 0, mute: 0, deafen: 0, 'lost-ack': 0, sleep: 8e3, clock: 36e5, heal: 0 };
const LAB = ['stall', 'drain', 'kill'];

const lab = document.querySelector('meta[name=everbeat-lab]')?.content;

/** Does what the button `act` says; `name` is that of an experiment or a fault. */
export default function press(inspector, act, name) {
  const { words } = inspector;
  const card = (html) => inspector.put('.card', html);
  const button = (act, text, kind = '') => `<button class="${kind}" data-act="${act}">${text}</button>`;
  const title = (name) => `<h3>${words.experiments[name].title}</h3>`;
  const state = (inspector.experiment ??= {});

  const step = () => words.experiments[state.name].steps[state.n];
  const offer = () => card(`${title(state.name)}<p>${step()[0]}</p>${button('begin', step()[1])}`);

  const zoom = (by) => {
    inspector.span = Math.min(256e3, Math.max(1e3, inspector.span * by));
    inspector.show();
  };

  const acts = {
    /** Asks for a guess first. */
    try() {
      Object.assign(state, { name, n: 0, since: null });
      inspector.stand(0);
      const { ask, answers } = words.experiments[name];
      const can = lab || !LAB.includes(EXPERIMENTS[name][0][0]);
      const guesses = can ? answers.map((text, n) => button(`guess ${n}`, text, 'quiet')).join('') : `<p>${words.lab}</p>`;
      card(`${title(name)}<p>${ask}</p>${guesses}`);
    },
    guess() {
      state.guess = +name;
      offer();
    },
    begin() {
      const [faults, ms] = EXPERIMENTS[state.name][state.n];
      state.since = inspector.now;
      inspector.stand(0);
      card(`${title(state.name)}<p>${step()[2]}</p>`);
      faults.split(' ').forEach((fault) => fault && acts.fault(fault, ms));
    },
    next() {
      inspector.stand(0);
      if (++state.n < EXPERIMENTS[state.name].length) return offer();
      card(title(state.name) + `<p>${words.experiments[state.name].end}</p>`);
    },
    breaks() {
      card(`<h3>${words.breaks}</h3>` + [...Object.keys(FAULTS), ...(lab ? LAB : [])].map((fault) => button(`fault ${fault}`, words.faults[fault], 'quiet')).join(''));
    },
    fault(fault = name, ms = FAULTS[fault]) {
      if (LAB.includes(fault)) fetch(`${lab}/lab/${fault}?ms=8000`, { method: 'POST' }).catch(() => 0);
      else inspector.fault(fault, ms);
    },
    pause: () => inspector.stand(inspector.at ? 0 : inspector.now),
    out: () => zoom(2),
    in: () => zoom(0.5),
    close() {
      inspector.remove();
      document.querySelector('.inspect')?.focus();
    },
    table() {
      const figure = inspector.find('figure');
      inspector.twin = !inspector.twin;
      inspector.find('[data-act=table]').ariaPressed = inspector.twin;
      if (inspector.twin) figure.insertAdjacentHTML('beforeend', '<div tabindex="0"></div>');
      else figure.lastChild.remove();
      inspector.show();
    },
    save() {
      const { page, server } = inspector;
      const href = URL.createObjectURL(new Blob([JSON.stringify({ page, server }, null, 1)], { type: 'application/json' }));
      Object.assign(document.createElement('a'), { href, download: 'everbeat.json' }).click();
      setTimeout(() => URL.revokeObjectURL(href), 1e3);
    },
  };

  /** Stands still at the moment for which the experiment was made, and keeps the table up to date. */
  inspector.onshow = (rows) => {
    if (inspector.twin) inspector.put('figure div', table(inspector));
    const [, , name, span] = EXPERIMENTS[state.name]?.[state.n] ?? [];
    const moment = state.since && rows.find((row) => row.t > state.since && !row.run && name.test(row.name));
    if (!moment) return;
    inspector.span = span;
    state.since = null;
    inspector.fault('heal');
    const { answers, right } = words.experiments[state.name];
    const guess = state.n ? '' : `<p><b>${state.guess === right ? words.right : words.wrong}</b> ${answers[right]}</p>`;
    card(title(state.name) + guess + `<p>${inspector.fill(step()[3], moment.said)}</p>` + button('next', words.next));
    inspector.stand(moment.t);
  };

  acts[act]();
}

/** The drawing's twin: each frame, newest first. */
function table({ words, made }) {
  const seconds = (t) => (t == null ? '' : ((t - made.from) / 1e3).toFixed(3));
  const row = ({ up, e, a, b, fate }) =>
    `<tr><td>${seconds(a)}<td>${seconds(b)}<td>${words.ways[up]}<td>${escape(label(e))}<td>${escape(e.type)}<td>${words.fates[fate]}`;
  const heads = words.columns.map((name) => `<th scope="col">${name}`).join('');
  return `<table><caption>${words.drawing}</caption><thead><tr>${heads}<tbody>${made.arrows.slice(-200).reverse().map(row).join('')}</table>`;
}
