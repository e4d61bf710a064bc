// The pictures of the README.

import { join } from 'node:path';

import { expect, test } from '../fixtures/app';
import type { RoomPage } from '../pages/room-page';

const DIRECTORY = join(__dirname, '../../docs/screenshots');
const SIZES = {
  wide: { width: 1120, height: 700 },
  narrow: { width: 390, height: 780 },
};

// With short heartbeats the round trip shown is the link's: the first one includes the page's loading.
test.use({ serverArgs: ['--heartbeat-interval', '1s', '--heartbeat-timeout', '1s'] });

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ['light', 'dark'] as const) {
    const name = `${size}-${colorScheme}`;
    test(`picture of a ${name} page`, { tag: '@screenshots' }, async ({ openPage, server }) => {
      const opening = { colorScheme, viewport, deviceScaleFactor: 2, via: server };
      const [ada, bob] = [await openPage('lobby', opening), await openPage()];
      await ada.name.fill('Ada');
      await bob.name.fill('Bob');
      const say = async (who: RoomPage, text: string) => {
        await who.send(text);
        await ada.expectFate(text, 'durable');
      };
      await say(bob, 'Are you still there? My train was in the tunnel.');
      await say(ada, 'I am. Did you miss anything?');
      await say(bob, 'Not a word, and nothing came twice.');
      await say(ada, 'The server was restarted in between, too.');
      await bob.type('I did not even not');
      await expect(ada.typing.locator('.body')).toHaveText('I did not even not');
      await ada.input.fill('Then all is');
      await expect(ada.connection).toContainText(/(^|\D)\d ms/);
      await ada.page.evaluate(() => window.scrollTo(0, 0));
      await ada.page.screenshot({ path: join(DIRECTORY, `${name}.png`), animations: 'disabled' });
    });
  }
}
