// The files that the page loads: they are those of the sources, small, and say the same in each language.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { it } from 'node:test';
import { brotliCompressSync } from 'node:zlib';

import { make } from '../../inspector/build.mjs';
import en from '../../public/inspector/words.en.js';
import hans from '../../public/inspector/words.zh-Hans.js';
import hant from '../../public/inspector/words.zh-Hant.js';

/** The most bytes of each file, as `brotli -q 11` makes them: what opens the inspector; and what a press of a button in it brings. */
const BYTES = { 'inspector.js': 6400, 'tools.js': 1600 };

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url));

it('the files are those of the sources, and small', async () => {
  const files = await make({ write: false });
  assert.deepEqual(files.map(({ path }) => basename(path)).sort(), Object.keys(BYTES).sort());
  for (const { path, contents } of files) {
    const name = basename(path);
    const served = read(`public/inspector/${name}`);
    assert.ok(served.equals(contents), `${name} is another one: node inspector/build.mjs`);
    const bytes = brotliCompressSync(served).length;
    assert.ok(bytes <= BYTES[name], `${name}: ${bytes} of ${BYTES[name]} bytes`);
  }
});

/** Each text with the names that lead to it. */
function texts(value, path = '') {
  if (typeof value === 'string') return [[path, value]];
  return Object.entries(value).flatMap(([name, inner]) => texts(inner, `${path}.${name}`));
}

const marks = (text) => (text.match(/\{\w+}|\[\w+-\d+]|<\/?\w+>|[♥✓✕⚡]/g) ?? []).sort();

for (const [language, words] of Object.entries({ 'zh-Hant': hant, 'zh-Hans': hans })) {
  it(`${language} says what English says`, () => {
    const [theirs, ours] = [texts(words), texts(en)];
    assert.deepEqual(theirs.map(([path]) => path), ours.map(([path]) => path));
    for (const [index, [path, text]] of theirs.entries()) assert.deepEqual(marks(text), marks(ours[index][1]), path);
  });
}

it('no script is mixed with the other one', () => {
  const simplified = '个们这来时说为对进过还后会发没连务话间听问题单关页试实验断线么样让从开头书写钟见认识记录丢两条环顾给动应该总结终绝经续复读习举例';
  const traditional = '個們這來時說為對進過還後會發沒連務話間聽問題單關頁試實驗斷線麼樣讓從開頭書寫鐘見認識記錄兩條環顧給動應該總結終絕經續復讀習舉例';
  const used = (words) => new Set(texts(words).flatMap(([, text]) => [...text]));
  assert.deepEqual([...used(hant)].filter((c) => simplified.includes(c) && !traditional.includes(c)), []);
  assert.deepEqual([...used(hans)].filter((c) => traditional.includes(c) && !simplified.includes(c)), []);
});

it('each rule that is named stands in PROTOCOL.md', () => {
  const protocol = String(read('PROTOCOL.md'));
  for (const [path, text] of texts(en))
    for (const [, rule] of text.matchAll(/\[(\w+-\d+)]/g)) assert.ok(protocol.includes(`- **${rule}**`), `${path}: ${rule}`);
});
