// The inspector's element: takes in what both ends note, draws it, tells it in sentences, and stands still on demand.
// What a press of a button brings is in tools.js, and is loaded at the first press.
import { draw, escape, short } from './draw.js';
import css from './inspector.css';
import { layout } from './layout.js';

/** How many entries of each end are kept; of more the oldest third is forgotten, and the count says so. */
const KEPT = 3000;
/** The pause before the server's trace is read again, in milliseconds: soon after it ended, late after a refusal. */
const SOON = 250;
const LATE = 5e3;

const file = (name) => new URL(name, import.meta.url).href;
const sheet = new CSSStyleSheet();
sheet.replaceSync(css);
document.adoptedStyleSheets.push(sheet);

/**
 * The element. The page sets `program`, its own one, which lets the element observe its session and causes faults; and `wish`, the
 * experiment with which it opens.
 */
class Inspector extends HTMLElement {
  /** The page's entries, as the observer gave them. */
  page = [];
  /** The server's entries, with their session, and the page's time at which they came. */
  server = [];
  /** How many milliseconds the drawing shows. */
  span = 16e3;
  /** The page's time at which the drawing stands; 0 while it runs. */
  at = 0;

  async connectedCallback() {
    this.program?.observe(this);
    const { default: words } = await import(file(`words.${document.documentElement.lang || 'en'}.js`));
    if (!this.isConnected) return;
    this.words = words;
    this.role = 'region';
    this.ariaLabel = words.title;
    this.tabIndex = -1;
    this.focus();
    const button = ([act, text, name]) =>
      `<button class="quiet" data-act="${act}"${name ? ` aria-label="${name}" title="${name}"` : ''}>${text}</button>`;
    const tries = Object.entries(words.experiments);
    this.innerHTML = `<div class="bar"><h2>${words.title}</h2><input type="range" max="1000" aria-label="${words.scrub}">${words.buttons.map(button).join('')}</div><nav aria-label="${words.tries}">${tries.map(([name, { title }]) => button([`try ${name}`, title])).join('')}${button(['breaks', words.breaks])}</nav><figure><svg role="img" aria-label="${words.drawing}"></svg></figure><section><div class="card" aria-live="polite">${words.intro}</div><p class="receipt"></p><ol></ol></section>`;
    this.onclick = ({ target }) => this.press(...(target.closest('[data-act]')?.dataset.act.split(' ') ?? []));
    this.find('input').oninput = ({ target }) => this.stand(this.first + ((this.now - this.first) * target.value) / 1e3);
    this.press('try', this.wish);
    const beat = matchMedia('(prefers-reduced-motion: reduce)').matches ? 1e3 : 100;
    this.timer = setInterval(() => this.at || document.hidden || this.show(), beat);
  }

  disconnectedCallback() {
    clearInterval(this.timer);
    this.reading?.abort();
    this.fault('heal');
    this.program?.observe();
  }

  find(selector) {
    return this.querySelector(selector);
  }

  /** The time by the clock of the document, which no fault moves. */
  get now() {
    return performance.now();
  }

  /** An entry of the driver's observer: [kind, ms, connection, ordinal, text]. */
  take(entry) {
    this.keep(this.page, [...entry, this.now]);
  }

  /** The page's session: its trace is read, and read again whenever it ends. */
  async watch(session, key) {
    this.session ??= session;
    this.reading?.abort();
    const { signal } = (this.reading = new AbortController());
    while (!signal.aborted) {
      let pause = SOON;
      try {
        const headers = { 'Everbeat-Session-Key': key };
        const { ok, body } = await fetch(`/api/sessions/${session}/trace`, { headers, signal });
        if (!ok) throw (pause = LATE);
        let rest = '';
        for (const reader = body.pipeThrough(new TextDecoderStream()).getReader(); ; ) {
          const { value, done } = await reader.read();
          if (done) break;
          const lines = (rest + value).split('\n');
          rest = lines.pop();
          for (const line of lines) if (line) this.keep(this.server, { ...JSON.parse(line), session, at: this.now });
        }
      } catch {
        // The server is away; the page's side goes on without it.
      }
      if (this.server.at(-1)?.kind !== 'end') this.keep(this.server, { kind: 'end', at: this.now });
      await new Promise((go) => setTimeout(go, pause));
    }
  }

  keep(list, entry) {
    if (list.push(entry) > KEPT) this.forgets = list.splice(0, KEPT / 3);
  }

  /** A fault of the page's own connection, with its milliseconds where it has a length. */
  fault(name, ms = 0) {
    this.program?.fault(name, ms);
  }

  async press(act, name) {
    if (act && (act !== 'try' || name in this.words.experiments)) (await import('./tools.js')).default(this, act, name);
  }

  /** Stands still at a time, or runs on. */
  stand(at) {
    this.at = at;
    this.show();
  }

  /** A sentence with its numbers, and links to its rules. */
  fill(text, said) {
    return text
      .replace(/\{(\w+)}/g, (_, name) => (said[name] % 1 ? +said[name].toPrecision(2) : escape(this.words.causes[said[name]] ?? said[name])))
      .replace(/\[(\w+-\d+)]/g, (_, rule) => `<a href="${file('PROTOCOL.md')}#:~:text=${rule.replace('-', '%2D')}" target="_blank">${rule}</a>`);
  }

  show() {
    const { words, now, at, span } = this;
    const made = layout(this, now);
    const { rows, receipt, error } = made;
    this.made = made;
    this.first = made.from;
    // An event without a sentence is only drawn.
    const told = rows.filter(({ name, t }) => words.say[name] && t <= (at || now) + 1);
    const svg = this.find('svg');
    const from = (at ? at + span / 8 : now) - span;
    svg.innerHTML = draw(made, { words: words.lanes, from, span, cursor: at, width: svg.clientWidth, height: svg.clientHeight });
    const sentence = ({ t, run, name, said }) => `<li class="${run ? 'theirs' : ''}"><time>${short(t / 1e3)} s</time> ${this.fill(words.say[name], said)}`;
    this.put('ol', told.slice(-40).reverse().map(sentence).join(''));
    const more = ['refused', 'waiting', 'half'].filter((name) => receipt[name]);
    const parts = [receipt.written ? 'receipt' : 'nothing', ...more, ...(error[1] ? ['clocks'] : []), ...(this.forgets ? ['older'] : [])];
    this.put('.receipt', parts.map((name) => this.fill(words[name], { ...receipt, ms: error[1], s: (now - made.from) / 1e3 })).join(' '));
    const slider = this.find('input');
    slider.value = at ? ((at - made.from) / (now - made.from)) * 1e3 : 1e3;
    slider.ariaValueText = `${short((at || now) / 1e3)} s`;
    this.put('[data-act=pause]', at ? words.go : words.buttons[0][1]);
    this.onshow?.(rows);
  }

  /** Puts HTML into an element, if it is another one: what a user selects in it stays. */
  put(selector, html) {
    const element = this.find(selector);
    if (element.made !== html) element.innerHTML = element.made = html;
  }
}

customElements.define('everbeat-inspector', Inspector);
