// What runs in the measured page. Each function is sent there as it stands: it can name nothing
// outside of itself.

/** Durations in milliseconds. */
export type LongTasks = number[];

declare global {
  interface Window {
    /** When the first typed character took effect, in milliseconds since the navigation began. */
    firstKeyAt?: number;
    /** When each key was pressed. */
    keysAt: number[];
    /** When a text of this length was first painted. */
    paintsAt: number[];
    longTasks: LongTasks;
  }
}

/** Types a character as soon as the input box takes it, and waits until the page sends it. */
export function armFirstKey(): void {
  const send = WebSocket.prototype.send;
  let isTyped = false;
  WebSocket.prototype.send = function (this: WebSocket, data) {
    // The page took the character, and not only the browser, whose form takes it before the page is alive.
    if (isTyped && String(data).includes('"draft"')) window.firstKeyAt ??= performance.now();
    send.call(this, data);
  };
  const look = () => {
    const input = document.querySelector<HTMLTextAreaElement>('#message');
    if (isTyped || !input || input.disabled) return;
    input.focus();
    document.execCommand('insertText', false, 'a');
    isTyped = true;
  };
  new MutationObserver(look).observe(document, {
    attributes: true,
    childList: true,
    subtree: true,
  });
}

/** Notes when each text that another member types is on the screen. */
export function notePaints(): void {
  window.paintsAt = [];
  new MutationObserver(() => {
    const length = document.querySelector('.typing .body')?.textContent?.length;
    if (length === undefined || window.paintsAt[length]) return;
    requestAnimationFrame(() => {
      // The first task after a frame: by then it was painted.
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => (window.paintsAt[length] ??= performance.timeOrigin + performance.now());
      port2.postMessage(undefined);
    });
  }).observe(document, { characterData: true, childList: true, subtree: true });
}

/** Notes every task of more than 50 ms. */
export function watchLongTasks(): void {
  window.longTasks = [];
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.longTasks.push(duration);
  }).observe({ type: 'longtask', buffered: true });
}

/**
 * Scrolls up and loads older messages until the page has no more of them; returns how many it shows.
 * The page is not asked from outside meanwhile: that would be work of its own.
 */
export async function loadOlder(): Promise<number> {
  const scroller = document.querySelector('.scroller');
  const list = document.querySelector('.messages [role=log]');
  if (!scroller || !list) throw new Error('no list of messages');
  for (;;) {
    const button = document.querySelector<HTMLButtonElement>('button.older');
    if (!button) return list.querySelectorAll('li').length;
    scroller.scrollTop = -scroller.scrollHeight;
    const grown = new Promise<void>((resolve) => {
      const observer = new MutationObserver(() => {
        observer.disconnect();
        resolve();
      });
      observer.observe(list, { childList: true });
    });
    button.click();
    await grown;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
