// Accessibility: the page has no violations that axe finds.

import AxeBuilder from '@axe-core/playwright';

import { expect, test } from '../fixtures/app';

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
      const findings = async () => {
        const { violations } = await new AxeBuilder({ page: ada.page }).analyze();
        return violations
          .filter(({ impact }) => impact === 'serious' || impact === 'critical')
          .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(', ')}`);
      };
      expect(await findings()).toEqual([]);

      chaos.blockWebSockets();
      await expect(ada.tryNow).toBeVisible();
      await ada.send('Waiting');
      await ada.expectWaiting(1);
      expect(await findings()).toEqual([]);

      const sideways = await ada.page.evaluate(() =>
        [document.documentElement, ...document.querySelectorAll('body *')]
          .filter((box) => box.scrollWidth > box.clientWidth)
          .filter((box) => {
            const { overflowX } = getComputedStyle(box);
            return box === document.documentElement || /auto|scroll/.test(overflowX);
          })
          .map((box) => box.outerHTML.slice(0, 80)),
      );
      expect(sideways, 'nothing scrolls sideways').toEqual([]);
    });
  }
}
