// Functions that run in the measured page. Playwright sends each as source text, so it can use nothing
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
    // A draft shows that the program took the character; the browser's form takes it before the program runs.
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

/** Records when each text that another member types is painted. */
export function notePaints(): void {
  window.paintsAt = [];
  new MutationObserver(() => {
    const length = document.querySelector('.typing .body')?.textContent?.length;
    if (length === undefined || window.paintsAt[length]) return;
    requestAnimationFrame(() => {
      // The first task after a frame runs after its paint.
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => (window.paintsAt[length] ??= performance.timeOrigin + performance.now());
      port2.postMessage(undefined);
    });
  }).observe(document, { characterData: true, childList: true, subtree: true });
}

/** Records every task of more than 50 ms. */
export function watchLongTasks(): void {
  window.longTasks = [];
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.longTasks.push(duration);
  }).observe({ type: 'longtask', buffered: true });
}

/**
 * Scrolls up and loads older messages until the page has no more of them; returns how many it shows.
 * It runs within the page alone: calls from the test would cost the page time.
 */
export async function loadOlder(): Promise<number> {
  const scroller = document.querySelector('.scroller');
  const list = document.querySelector('.messages [role=log]');
  if (!scroller || !list) throw new Error('no list of messages');
  for (;;) {
    const button = document.querySelector<HTMLButtonElement>('button.older');
    if (!button) return list.querySelectorAll('.message').length;
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
