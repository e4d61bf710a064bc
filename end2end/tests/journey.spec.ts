import { chromium, firefox } from '../engines/puppeteer';
import { webkit } from '../engines/webkit';
import { test } from '../fixtures/app';
import { Visitor } from '../pages/visitor';

// Everbeat's promises, tested in each of the three browser engines.
for (const engine of [chromium, firefox, webkit]) {
  test(`the journey in ${engine.name}: typed, sent, killed, restarted, reloaded, closed`, async ({ server }) => {
    test.skip(engine.unavailable !== undefined, engine.unavailable);
    const browser = await engine.start();
    try {
      const open = async (): Promise<Visitor> => {
        const visitor = new Visitor(await browser.newTab());
        await visitor.tab.goto(server.url);
        await visitor.expectAlive();
        return visitor;
      };
      const [ada, bob] = [await open(), await open()];
      await ada.type('Hello');
      await bob.expectTyping(['Hello']);
      await ada.send(', Bob');
      await bob.expectTyping([]);
      await bob.expectLog(['Hello, Bob']);

      await server.kill();
      await Promise.all([ada.expectState('waiting'), bob.expectState('waiting')]);
      await ada.send('nobody hears me');
      await ada.expectFate('nobody hears me', 'waiting');
      await server.start();
      await Promise.all([ada.expectState('live'), bob.expectState('live')]);
      await ada.expectLog(['Hello, Bob', 'nobody hears me']);
      await bob.expectLog(['Hello, Bob', 'nobody hears me']);

      await server.kill();
      await ada.expectState('waiting');
      await ada.send('reloaded meanwhile');
      await server.start();
      await ada.tab.reload();
      await ada.expectAlive();
      await ada.expectLog(['Hello, Bob', 'nobody hears me', 'reloaded meanwhile']);
      await bob.expectState('live');
      await bob.expectLog(['Hello, Bob', 'nobody hears me', 'reloaded meanwhile']);

      await server.kill();
      await ada.expectState('waiting');
      await ada.send('left in a tab');
      await ada.expectFate('left in a tab', 'waiting');
      await ada.tab.close();
      await server.start();
      const again = await open();
      const all = ['Hello, Bob', 'nobody hears me', 'reloaded meanwhile', 'left in a tab'];
      await again.expectLog(all);
      await bob.expectState('live');
      await bob.expectLog(all);
    } finally {
      await browser.close();
    }
  });
}
