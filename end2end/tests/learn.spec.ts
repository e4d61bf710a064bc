// The guided reading (docs/learn): what it links, quotes and shows is true in each language, and each experiment opens.

import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';

import { expect, test } from '../fixtures/app';
import { ROOT } from '../fixtures/server';
import type { Language } from '../pages/names';
import { numbered } from '../pages/room-page';

const LEARN = join(ROOT, 'docs/learn');
const FILES: Record<Language, string> = {
  en: 'README.md',
  'zh-Hant': 'README.zh-Hant.md',
  'zh-Hans': 'README.zh-Hans.md',
};
const LANGUAGES = Object.keys(FILES) as Language[];
const STEPS = 8;
/** The place of the server's block among the blocks of code; the first one is the tutorial's. */
const SERVER_BLOCK = 5;
/** Where the reading expects the server of `make lab`. */
const LAB = '127.0.0.1:8080';

/** The inspector's sentences, as far as the reading needs them. */
interface Sentences {
  title: string;
  say: Record<string, string>;
  experiments: Record<string, { title: string; ask: string; answers: string[]; end: string; steps: string[][] }>;
}

const read = (language: Language) => readFileSync(join(LEARN, FILES[language]), 'utf8');

/** The steps of a text, each with its heading. */
const steps = (text: string) => text.split(/^## /m).filter((section) => /^\d/.test(section));

/** The first parts that a pattern finds, each once, in order. */
const found = (text: string, pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map(([, part]) => part!))];

const experiments = (text: string) => found(text, /\?experiment=([\w-]+)/g);
const rules = (text: string) => found(text, /\[([A-Z]{2}-\d+)\]\(\.\.\/\.\.\/PROTOCOL\.md#/g);
const blocks = (text: string) => [...text.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code!);

/** The places in the code: a file, and a function in it. */
const places = (text: string) =>
  [...text.matchAll(/\[`([\w.]+)`:\s+`(\w+)`\]\(\.\.\/\.\.\/([\w./-]+)\)/g)].map(([, name, item, path]) => ({
    name: name!,
    item: item!,
    path: path!,
  }));

/** The sentences of the inspector that a text quotes. */
const quotes = (text: string) => [...text.matchAll(/^> (.*?)\\?$/gm)].map(([, quote]) => quote!);

/** A block without its comments, which each language has for itself. */
const bare = (code: string) =>
  code
    .replace(/(^|\s)\/\/ .*$/gm, '')
    .replace(/[ \t]+$/gm, '')
    .trim();

/** The program that the blocks of the reading make together, for this server. */
const program = (url: string) =>
  blocks(read('en'))
    .filter((_, index) => index !== 0 && index !== SERVER_BLOCK)
    .join('\n')
    .replaceAll(`ws://${LAB}`, url.replace('http', 'ws'));

function sentences(language: Language): Sentences {
  const source = readFileSync(join(ROOT, `public/inspector/words.${language}.js`), 'utf8');
  return new Function(source.replace(/^export default/m, 'return'))() as Sentences;
}

/** The anchors of a Markdown file, as GitHub makes them of its headings. */
const anchors = (markdown: string) =>
  found(markdown, /^#+ (.+)$/gm).map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}\p{Pc} -]/gu, '')
      .replaceAll(' ', '-'),
  );

/** The part of a Markdown file below the heading with this anchor, up to the next heading of its kind. */
const section = (markdown: string, anchor: string) =>
  markdown.split(/^(?=##+ )/m).find((part) => anchors(part)[0] === anchor) ?? '';

for (const language of LANGUAGES) {
  test(`the reading in ${language} links the same as the others`, () => {
    const text = read(language);
    const english = steps(read('en'));
    const own = steps(text);
    expect(own.length).toBe(STEPS);
    for (const [index, step] of own.entries()) {
      const other = english[index]!;
      expect(experiments(step), 'each step has one experiment').toHaveLength(1);
      expect(experiments(step)).toEqual(experiments(other));
      expect(rules(step).length).toBeGreaterThan(0);
      expect(rules(step)).toEqual(rules(other));
      expect(places(step).length).toBeGreaterThan(0);
      expect(places(step)).toEqual(places(other));
      expect(quotes(step).length).toBeGreaterThan(0);
      expect(quotes(step).length).toBe(quotes(other).length);
      expect(step.match(/<details><summary>[^]+?<\/summary><p>[^]+?<\/p><\/details>/g)).toHaveLength(1);
      expect(blocks(step), 'each step has one block of code').toHaveLength(1);
      expect(bare(blocks(step)[0]!)).toBe(bare(blocks(other)[0]!));
      expect(step.match(/\b[A-Z]{2}-\d+\b/g)?.sort()).toEqual(other.match(/\b[A-Z]{2}-\d+\b/g)?.sort());
    }

    // The list of contents says the same as the steps.
    const contents = text.split('\n').filter((line) => /^\| \[\d\]\(#/.test(line));
    expect(contents).toHaveLength(STEPS);
    for (const [index, line] of contents.entries()) {
      expect(line.match(/\b[A-Z]{2}-\d+\b/g)).toEqual(rules(own[index]!));
      expect(found(line, /`([\w-]+)`/g)).toEqual(experiments(own[index]!));
      expect(found(line, /\(#([^)]+)\)/g)).toEqual(anchors(`## ${own[index]!}`).slice(0, 1));
    }
    expect(experiments(text), 'in the language of the text').toEqual(
      language === 'en'
        ? found(text, /\?experiment=([\w-]+)\)/g)
        : found(text, new RegExp(`\\?experiment=([\\w-]+)&lang=${language}\\)`, 'g')),
    );
  });

  test(`each link and rule of the reading in ${language} is there`, () => {
    const text = read(language);
    const protocol = readFileSync(join(ROOT, 'PROTOCOL.md'), 'utf8');
    for (const rule of text.match(/\b[A-Z]{2}-\d+\b/g) ?? []) {
      expect(protocol, rule).toContain(`- **${rule}**`);
    }
    for (const [, rule, anchor] of text.matchAll(/\[([A-Z]{2}-\d+)\]\(\.\.\/\.\.\/PROTOCOL\.md#([\w-]+)\)/g)) {
      expect(section(protocol, anchor!), `${rule} under ${anchor}`).toContain(`- **${rule}**`);
    }
    for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (link!.startsWith(`http://${LAB}/`)) continue;
      const [path, anchor] = link!.split('#');
      const file = path ? join(LEARN, path) : join(LEARN, FILES[language]);
      expect(existsSync(file), link).toBe(true);
      if (anchor) expect(anchors(readFileSync(file, 'utf8')), link).toContain(anchor);
    }
    for (const { name, item, path } of places(text)) {
      expect(basename(path)).toBe(name);
      expect(readFileSync(join(ROOT, path), 'utf8'), `${item} in ${path}`).toMatch(new RegExp(`\\bfn ${item}\\b`));
    }
    for (const other of LANGUAGES) {
      if (other !== language) expect(text).toContain(`](${FILES[other]})`);
    }
    const readme = join(ROOT, language === 'en' ? 'README.md' : `README.${language}.md`);
    expect(readFileSync(readme, 'utf8')).toContain(`](${relative(dirname(readme), join(LEARN, FILES[language]))})`);
  });

  test(`the reading in ${language} quotes what the inspector says`, () => {
    const { say, experiments: tries } = sentences(language);
    const said = Object.values(say).map((sentence) => {
      const words = sentence.replace(/ ?\[[A-Z]{2}-\d+\]/g, '').trim();
      const escaped = words.replace(/[.*+?^$()|[\]\\]/g, '\\$&');
      return new RegExp(`^${escaped.replace(/\{\w+\}/g, '.+?')}$`, 'u');
    });
    const cards = Object.values(tries).flatMap(({ ask, end, steps }) => [ask, end, ...steps.flat()]);
    for (const quote of quotes(read(language))) {
      const isSaid = said.some((sentence) => sentence.test(quote)) || cards.some((card) => card.includes(quote));
      expect(isSaid, quote).toBe(true);
    }
  });
}

test("the server's block appends a number once", () => {
  type Append = (db: unknown, id: string, publish: unknown) => unknown;
  const append = new Function(`${blocks(read('en'))[SERVER_BLOCK]}\nreturn append;`)() as Append;
  const lobby: string[] = [];
  const db = {
    sessions: { ada: { last_seq: 0, acks: {} } },
    rooms: { lobby },
    transaction: (work: () => unknown) => work(),
  };
  const hello = { seq: 1, room: 'lobby', body: 'hello' };
  const first = append(db, 'ada', hello);
  expect(first).toEqual({ type: 'ack', seq: 1, room: 'lobby', offset: 1 });
  expect(append(db, 'ada', hello)).toEqual(first);
  expect(lobby).toEqual(['hello']);
  expect(() => append(db, 'ada', { ...hello, seq: 3 })).toThrow('seq_gap');
});

test.describe('in the page', () => {
  test.use({
    serverArgs: ['--heartbeat-interval', '3s', '--heartbeat-timeout', '2s', '--lab', '--drain', '1s'],
  });

  for (const language of LANGUAGES) {
    test(`each experiment of the reading in ${language} opens`, async ({ openPage }) => {
      const { page } = await openPage();
      const { origin } = new URL(page.url());
      const { title, experiments: tries } = sentences(language);
      const links = found(read(language), new RegExp(`\\(http://${LAB}(/\\?experiment=[^)]+)\\)`, 'g'));
      expect(links, 'all that there are').toHaveLength(Object.keys(tries).length);
      for (const link of links) {
        await page.goto(`${origin}${link}`);
        await expect(page.locator('html')).toHaveAttribute('lang', language);
        const card = page.getByRole('region', { name: title }).locator('.card');
        const experiment = tries[new URL(link, origin).searchParams.get('experiment')!]!;
        await expect(card.getByRole('heading')).toHaveText(experiment.title);
        await expect(card).toContainText(experiment.ask);
        await expect(card.getByRole('button')).toHaveText(experiment.answers);
      }
    });
  }

  test("the tutorial's block and the page see each other type", async ({ openPage, server }) => {
    const room = await openPage('lobby', { via: server, bypassCSP: true });
    const code = blocks(read('en'))[0]!.replaceAll(LAB, `127.0.0.1:${server.port}`);
    await room.page.evaluate(`${code}\nglobalThis.bare = bare;\n0`);
    await expect.poll(() => room.page.evaluate('bare.readyState')).toBe(1);
    await room.page.evaluate("bare.send('hello')");
    await expect(room.received).toHaveText('hello');
    await expect(room.typing.locator('.body')).toHaveText('hello');
  });

  test('the program of the reading loses and doubles nothing', async ({ openPage, server }) => {
    const room = await openPage('lobby', { via: server, bypassCSP: true });
    const publish = (from: number, to: number) =>
      room.page.evaluate(`for (let n = ${from}; n <= ${to}; n++) publish('line ' + n)`);
    const expectLines = (count: number) =>
      expect.poll(() => room.bodies(), { timeout: 30_000 }).toEqual(numbered('line', count));

    await room.page.evaluate(`${program(server.url)}\nconnect();\n0`);
    await publish(1, 10);
    await expectLines(10);

    // Some of these are on their way when the server dies, the others are written while it is dead.
    await publish(11, 20);
    await server.kill();
    await publish(21, 30);
    await server.start();
    await expectLines(30);

    const stopping = server.terminate();
    await room.expectState('waiting');
    await publish(31, 40);
    expect(await stopping).toBe(0);
    await server.start();
    await expectLines(40);
  });
});
