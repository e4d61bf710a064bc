// The layout and the drawing of whole stories are those of the golden files. UPDATE=1 writes them anew.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { it } from 'node:test';

import { draw } from '../../inspector/draw.js';
import { layout } from '../../inspector/layout.js';
import words from '../../public/inspector/words.en.js';
import { scenes } from './scenes.mjs';

const golden = new URL('golden/', import.meta.url);
mkdirSync(golden, { recursive: true });

/** An arrow, a step or a sentence in one line each. */
const told = ({ arrows, steps, rows, receipt, states, heard, served, error }) => ({
  arrows: arrows.map(({ up, e, a, b, fate }) => `${at(a)} ${up ? '→' : '←'} ${at(b)} ${e.type} ${e.n} ${fate}`),
  states: states.map(({ a, b, status }) => `${at(a)} ${at(b)} ${status}`),
  heard: heard.map(line),
  served: served.map(line),
  steps: Object.fromEntries(Object.entries(steps).map(([name, list]) => [name, list.map(([t, value]) => `${at(t)} ${value}`)])),
  rows: rows.map(({ t, name }) => `${at(t)} ${name}`),
  receipt,
  error: error.map((ms) => at(ms)),
});
const at = (t) => (t == null ? '?' : String(Math.round(t * 10) / 10));
const line = (points) => points.map(([t, height]) => `${at(t)} ${height.toFixed(3)}`).join(', ');

for (const [name, scene] of Object.entries(scenes)) {
  it(name, () => {
    const talk = scene();
    const now = talk.t + 2000;
    const made = layout(talk.events, now);
    const view = { words: words.lanes, from: now - 16000, span: 16000, cursor: 0 };
    const texts = {
      [`${name}.json`]: JSON.stringify(told(made), null, 1),
      [`${name}.wide.svg`]: draw(made, { ...view, width: 900, height: 400 }),
      [`${name}.narrow.svg`]: draw(made, { ...view, width: 340, height: 400 }),
    };
    for (const [file, text] of Object.entries(texts)) {
      const url = new URL(file.replaceAll(' ', '-'), golden);
      const lines = `${text.replaceAll('><', '>\n<')}\n`;
      assert.doesNotMatch(lines, /NaN|undefined/, file);
      if (process.env.UPDATE) writeFileSync(url, lines);
      assert.equal(lines, readFileSync(url, 'utf8'), file);
    }
  });
}
