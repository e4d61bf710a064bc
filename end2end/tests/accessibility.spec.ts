// Accessibility: the page has no violations that axe finds.

import { expect, test } from '../fixtures/app';
import { sideways, violations } from '../fixtures/axe';

const SIZES = {
  wide: { width: 1280, height: 800 },
  narrow: { width: 360, height: 740 },
};
const LONG_WORD = 'Donaudampfschiffahrtsgesellschaftskapitän'.repeat(4);

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ['light', 'dark'] as const) {
    test(`a ${size} ${colorScheme} page is accessible, live and without a connection`, async ({
      openPage,
      chaos,
      server,
    }) => {
      const ada = await openPage('lobby', { colorScheme, viewport });
      const bob = await openPage('lobby', { via: server });
      await bob.send('Hello!');
      await ada.send(LONG_WORD);
      await ada.expectFate(LONG_WORD, 'durable');
      await bob.type('I am still ');
      await expect(ada.typing.locator('.body')).toHaveText('I am still ');
      expect(await violations(ada.page)).toEqual([]);

      chaos.blockWebSockets();
      await expect(ada.tryNow).toBeVisible();
      await ada.send('Waiting');
      await ada.expectWaiting(1);
      expect(await violations(ada.page)).toEqual([]);
      expect(await sideways(ada.page), 'nothing scrolls sideways').toEqual([]);
    });
  }
}
