// The inspector: both ends of a connection on one time axis, and the experiments.

import AxeBuilder from '@axe-core/playwright';

import { expect, test } from '../fixtures/app';
import { Inspector } from '../pages/inspector';

/** Quick enough to wait for. */
const BEAT = ['--heartbeat-interval', '3s', '--heartbeat-timeout', '2s'];

test.use({ serverArgs: [...BEAT, '--lab', '--drain', '1s'] });

test('nothing of the inspector is loaded before it is opened', async ({ openPage }) => {
  const room = await openPage();
  const loaded: string[] = [];
  room.page.on('request', (request) => loaded.push(new URL(request.url()).pathname));
  await room.send('hello');
  await room.expectFate('hello', 'durable');
  const before = await room.page.evaluate(() =>
    performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname),
  );
  expect(before.filter((path) => path.startsWith('/inspector'))).toEqual([]);
  expect(loaded.filter((path) => /inspector|trace/.test(path))).toEqual([]);

  const inspector = await Inspector.open(room);
  expect(loaded.filter((path) => path.startsWith('/inspector')).sort()).toEqual([
    '/inspector/inspector.js',
    '/inspector/words.en.js',
  ]);
  await inspector.region.getByRole('button', { name: 'Close' }).click();
  await expect(inspector.region).toBeHidden();
  await expect(room.page.locator('header .inspect'), 'the focus does not get lost').toBeFocused();
});

test('it shows the frames of the wire, and counts by both ends', async ({ openPage }) => {
  const room = await openPage();
  const inspector = await Inspector.open(room);
  await room.sendAll(['one', 'two', 'three', 'four']);
  await room.expectFate('four', 'durable');
  await inspector.expectReceipt(4);
  await inspector.expectFramesOf(room.wire.frames);
  await expect(inspector.story).toContainText('Your message leaves as #1.');
  await expect(inspector.story).toContainText('Server: #4 is on the disk');
  await expect(inspector.receipt).toContainText(/clocks are compared to within [\d.]+ ms/);
});

test('a heartbeat', async ({ openPage }) => {
  const room = await openPage();
  const inspector = await Inspector.open(room);
  await inspector.guess(/A heartbeat/);
  await inspector.press('Keep quiet');
  await inspector.expectMoment(/You saw it coming\..*one end asked ♥\?, and the other answered/);
  await inspector.goOn();
  await expect(inspector.card).toContainText('One small question');
});

test('a cut', async ({ openPage }) => {
  const room = await openPage();
  const inspector = await Inspector.open(room);
  await inspector.guess(/A cut/, 0);
  await inspector.press('Cut the line');
  await inspector.expectMoment(/It went otherwise\..*drawn by lot between 0 and 0\.25 s/);
  await inspector.goOn();
  await room.expectState('live');
  await room.send('after');
  await inspector.expectReceipt(1);
  await inspector.expectFramesOf(room.wire.frames);
});

test('half-open', async ({ openPage }) => {
  const room = await openPage();
  const inspector = await Inspector.open(room);
  await inspector.guess(/Half-open/);
  await inspector.press('Lose everything');
  await room.send('into the void');
  await inspector.expectMoment(/the page asked at once/);
  await inspector.goOn();
  await room.expectFate('into the void', 'durable');
  await inspector.expectReceipt(1);
  const lost = (await inspector.arrows()).filter(({ ours, up, fate }) => ours && up && fate === 'lost');
  expect(lost.map(({ type }) => type)).toContain('publish');
  expect(lost.map(({ type }) => type)).toContain('ping');
  await inspector.expectFramesOf(room.wire.frames, { swallowed: lost.length, isDeaf: true });
});

test('a lost ack', async ({ openPage }) => {
  const room = await openPage();
  const inspector = await Inspector.open(room);
  await inspector.guess(/A lost receipt/);
  await inspector.press('Lose the next receipt');
  await room.send('once');
  await inspector.expectMoment(/up to #1/);
  await inspector.goOn();
  await room.expectFate('once', 'durable');
  await inspector.expectReceipt(1);
  const acks = (await inspector.arrows()).filter(({ type }) => type === 'ack');
  expect(acks.map(({ fate }) => fate)).toEqual(['lost']);
});

/** The browser's own message when the trace ends, or is asked for while there is no server. */
const NO_SERVER = /^Failed to load resource: net::ERR_/;

test('the server is killed', async ({ openPage, server, guard }) => {
  guard.expected.push(NO_SERVER);
  server.wasDisturbed = true;
  const room = await openPage('lobby', { via: server });
  const inspector = await Inspector.open(room);
  await room.send('before');
  await room.expectFate('before', 'durable');
  await inspector.guess(/The server is killed/);
  await inspector.press('Kill the server');
  await room.expectState(/waiting|connecting/);
  await room.send('meanwhile');
  await server.kill();
  await server.start();
  await inspector.expectMoment(/up to #1/);
  await inspector.goOn();
  await room.expectFate('meanwhile', 'durable');
  await inspector.expectBothEnds();
  await inspector.expectReceipt(2, { traceEnded: true });
  await inspector.expectFramesOf(room.wire.frames);
});

test('a restart with slots', async ({ openPage, server, guard }) => {
  guard.expected.push(NO_SERVER);
  server.wasDisturbed = true;
  const room = await openPage('lobby', { via: server });
  const inspector = await Inspector.open(room);
  await inspector.guess(/A restart with turns/);
  await inspector.press('Restart the server');
  await inspector.expectMoment(/yours is in [\d.]+ s/);
  await inspector.goOn();
  await room.expectState(/waiting|connecting/);
  await server.terminate();
  await server.start();
  await room.expectState('live');
  await room.send('after');
  await inspector.expectReceipt(1, { traceEnded: true });
});

test('sleep, and a clock that jumps', async ({ openPage, guard }) => {
  // A page that slept learns late that its socket is closed, and may send on it before.
  guard.expected.push(/^WebSocket is already in CLOSING or CLOSED state/);
  const room = await openPage();
  const inspector = await Inspector.open(room);
  await inspector.guess(/Sleep/);
  await inspector.press('Sleep');
  await inspector.expectMoment(/it is the page that slept/);
  await inspector.card.getByRole('button', { name: 'Go on' }).click();
  await inspector.press('Let the clock jump');
  await inspector.expectMoment(/only silence after a question counts/);
  await inspector.goOn();
  await room.expectState('live');
  await room.send('still here');
  await inspector.expectReceipt(1);
});

test('without a lab no server can be broken', async ({ openPage }) => {
  const room = await openPage();
  await room.page.evaluate(() => document.querySelector('meta[name=everbeat-lab]')?.remove());
  const inspector = await Inspector.open(room);
  await inspector.region.getByRole('button', { name: /The server is killed/ }).click();
  await expect(inspector.card).toContainText('make lab');
  await expect(inspector.card.getByRole('button')).toHaveCount(0);
  await inspector.region.getByRole('button', { name: 'Break it yourself' }).click();
  await expect(inspector.card.getByRole('button', { name: 'Cut the line' })).toBeVisible();
  await expect(inspector.card.getByRole('button', { name: 'Kill the server' })).toBeHidden();
});

test('an address opens an experiment', async ({ openPage }) => {
  const room = await openPage();
  await room.page.goto(`${new URL(room.page.url()).origin}/?experiment=lost-ack`);
  const inspector = new Inspector(room);
  await expect(inspector.card).toContainText('A lost receipt');
});

test('an empty room invites to cut the connection', async ({ openPage }) => {
  const room = await openPage();
  const invitation = room.page.getByRole('button', { name: 'Pull the plug' });
  await invitation.click();
  const inspector = new Inspector(room);
  await expect(inspector.card).toContainText('A cut');
  await room.send('no longer empty');
  await expect(invitation).toBeHidden();
});

test('the keyboard pauses, scrubs and reads the table', async ({ openPage }) => {
  const room = await openPage();
  const inspector = await Inspector.open(room);
  await expect(inspector.region).toBeFocused();
  await room.send('hello');
  await inspector.expectReceipt(1);
  await inspector.pause.focus();
  await room.page.keyboard.press('Enter');
  await expect(inspector.pause).toHaveText('Go on');
  const before = await inspector.story.locator('li').count();
  const slider = inspector.region.getByRole('slider', { name: 'Point in time' });
  await slider.focus();
  await room.page.keyboard.press('Home');
  await expect.poll(() => inspector.story.locator('li').count()).toBeLessThan(before);
  await room.page.keyboard.press('End');
  await expect.poll(() => inspector.story.locator('li').count()).toBe(before);
  await inspector.region.getByRole('button', { name: 'Table' }).press('Enter');
  const rows = inspector.region.getByRole('table').getByRole('row');
  await expect(rows.filter({ hasText: 'publish' })).toContainText('arrived');
});

test('what is saved holds no text and no key', async ({ openPage }) => {
  const room = await openPage();
  const inspector = await Inspector.open(room);
  await room.send('a secret of mine');
  await inspector.expectReceipt(1);
  const [download] = await Promise.all([
    room.page.waitForEvent('download'),
    inspector.region.getByRole('button', { name: 'Save' }).click(),
  ]);
  const text = await (await download.createReadStream()).toArray().then((parts) => Buffer.concat(parts).toString());
  const saved = JSON.parse(text) as { page: unknown[]; server: unknown[] };
  expect(saved.page.length).toBeGreaterThan(3);
  expect(saved.server.length).toBeGreaterThan(3);
  expect(text).not.toContain('secret of mine');
  expect(text).not.toMatch(/"key\\?":\s*\\?"(?!…)/);
});

for (const [name, viewport] of Object.entries({
  wide: { width: 1440, height: 900 },
  narrow: { width: 360, height: 740 },
})) {
  for (const colorScheme of ['light', 'dark'] as const) {
    test(`it is accessible, ${name} and ${colorScheme}`, async ({ openPage }) => {
      const room = await openPage('lobby', { viewport, colorScheme, reducedMotion: 'reduce' });
      const inspector = await Inspector.open(room);
      await room.send('hello');
      await inspector.expectReceipt(1);
      const findings = async () => {
        const { violations } = await new AxeBuilder({ page: room.page }).analyze();
        return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 90)).join(', ')}`);
      };
      expect(await findings()).toEqual([]);
      await inspector.guess(/A cut/);
      expect(await findings()).toEqual([]);
      await inspector.region.getByRole('button', { name: 'Table' }).press('Enter');
      expect(await findings()).toEqual([]);
      await expect(room.input, 'the input box stays in reach').toBeInViewport();
    });
  }
}
