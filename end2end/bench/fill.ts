// Fills a room with messages, from within a browser.

import type { Browser } from '@playwright/test';

const AT_ONCE = 500;

/** Publishes this many messages into a room, over a connection of its own. */
export async function fill(url: string, browser: Browser, room: string, count: number): Promise<void> {
  const page = await browser.newPage();
  await page.goto(`${url}/healthz`);
  await page.evaluate(publish, { room, count, atOnce: AT_ONCE });
  await page.close();
}

function publish({ room, count, atOnce }: { room: string; count: number; atOnce: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${location.host}/ws`, 'everbeat.v1');
    const say = (frame: object) => socket.send(JSON.stringify(frame));
    let sent = 0;
    const go = (until: number) => {
      for (; sent < Math.min(until, count); sent += 1) {
        const body = `Message ${sent + 1}, with about as much text as people write in one line.`;
        say({ type: 'publish', seq: sent + 1, room, body });
      }
    };
    socket.onopen = () => say({ type: 'hello' });
    socket.onclose = ({ code, reason }) => reject(new Error(`closed: ${code} ${reason}`));
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(String(data)) as { type: string; seq: number };
      if (frame.type === 'welcome') say({ type: 'join', room });
      if (frame.type === 'joined') go(atOnce);
      if (frame.type === 'error') reject(new Error(String(data)));
      if (frame.type === 'ack') {
        go(frame.seq + atOnce);
        if (frame.seq === count) resolve();
      }
    };
  });
}
