// The pictures of the READMEs, in the language of each.

import { join } from 'node:path';

import { expect, test } from '../fixtures/app';
import type { Language } from '../pages/names';
import type { RoomPage } from '../pages/room-page';

const DIRECTORY = join(__dirname, '../../docs/screenshots');
const SIZES = {
  wide: { width: 1120, height: 700 },
  narrow: { width: 390, height: 780 },
};

interface Talk {
  locale: string;
  ada: string;
  bob: string;
  /** What is said, in turn, by Bob first. */
  said: string[];
  typing: string;
  unsent: string;
  /** How the round trip is written. */
  trip: RegExp;
}

const TALKS: Record<Language, Talk> = {
  en: {
    locale: 'en-GB',
    ada: 'Ada',
    bob: 'Bob',
    said: [
      'Are you still there? My train was in the tunnel.',
      'I am. Did you miss anything?',
      'Not a word, and nothing came twice.',
      'The server was restarted in between, too.',
    ],
    typing: 'I did not even not',
    unsent: 'Then all is',
    trip: /(^|\D)\d ms/,
  },
  'zh-Hant': {
    locale: 'zh-TW',
    ada: '小雅',
    bob: '阿博',
    said: ['你還在嗎？剛才火車過山洞。', '在啊。有漏掉什麼嗎？', '一句都沒漏，也沒有重複。', '其實伺服器剛剛還重新啟動過。'],
    typing: '我完全沒發',
    unsent: '那就一切',
    trip: /(^|\D)\d 毫秒/,
  },
  'zh-Hans': {
    locale: 'zh-CN',
    ada: '小雅',
    bob: '阿博',
    said: ['你还在吗？刚才火车过隧道。', '在啊。有漏掉什么吗？', '一句都没漏，也没有重复。', '其实服务器刚刚还重启过。'],
    typing: '我完全没发',
    unsent: '那就一切',
    trip: /(^|\D)\d 毫秒/,
  },
};

// With short heartbeats the round trip shown is the link's: the first one includes the page's loading.
test.use({ serverArgs: ['--heartbeat-interval', '1s', '--heartbeat-timeout', '1s'] });

for (const [language, talk] of Object.entries(TALKS) as [Language, Talk][]) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ['light', 'dark'] as const) {
      const name = `${size}-${colorScheme}${language === 'en' ? '' : `.${language}`}`;
      test(`picture of a ${name} page`, { tag: '@screenshots' }, async ({ openPage, server }) => {
        const { locale } = talk;
        const opening = { colorScheme, viewport, deviceScaleFactor: 2, via: server, language, locale };
        const [ada, bob] = [await openPage('lobby', opening), await openPage()];
        await ada.name.fill(talk.ada);
        await bob.name.fill(talk.bob);
        const say = async (who: RoomPage, text: string) => {
          await who.send(text);
          await ada.expectFate(text, 'durable');
        };
        for (const [turn, text] of talk.said.entries()) await say(turn % 2 ? ada : bob, text);
        await bob.type(talk.typing);
        await expect(ada.typing.locator('.body')).toHaveText(talk.typing);
        await ada.input.fill(talk.unsent);
        await expect(ada.connection).toContainText(talk.trip);
        await ada.page.evaluate(() => window.scrollTo(0, 0));
        await ada.page.screenshot({ path: join(DIRECTORY, `${name}.png`), animations: 'disabled' });
      });
    }
  }
}
