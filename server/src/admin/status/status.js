// Keeps a page of the operator up to date: applies what the server sends of it, and says how old that is. Without
// scripts the page stays as it is, and is reloaded by hand.

/** How long nothing may come before the page calls its figures old. */
const OLD_MS = 10_000;

const freshness = document.querySelector("#freshness");
const pause = document.querySelector("#pause");
const stale = document.querySelector("#stale");
const { fresh, paused, stale: isOld, again } = freshness.dataset;

let source;
/** When the newest update came, and since when the operator has looked without a pause. */
let newest = performance.now();
let looked = newest;

/** Makes an element what another one is. The nodes that both have stay: with focus, scroll position and what is typed. */
const morph = (old, now) => {
  for (const { name } of [...old.attributes]) {
    // Whether it is folded out is the operator's affair.
    if (!now.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of now.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const ids = new Set([...now.children].map(({ id }) => id));
  for (const child of [...old.children]) {
    if (child.id && !ids.has(child.id)) child.remove();
  }
  const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let here = old.firstChild;
  for (const next of [...now.childNodes]) {
    const same = next.id ? known.get(next.id) : here && !here.id && here.nodeName === next.nodeName ? here : undefined;
    if (!same) {
      old.insertBefore(next, here);
      continue;
    }
    if (same === here) here = here.nextSibling;
    else old.insertBefore(same, here);
    if (same.nodeType === Node.ELEMENT_NODE) morph(same, next);
    else if (same.data !== next.data) same.data = next.data;
  }
  while (here) {
    const after = here.nextSibling;
    here.remove();
    here = after;
  }
};

/** Applies what changed. Focus stays; where its element is gone, it goes to what held that. */
const apply = (changed) => {
  const focused = document.activeElement;
  const holder = focused?.closest("[tabindex]");
  for (const [id, html] of changed) {
    const template = document.createElement("template");
    template.innerHTML = html;
    const old = document.getElementById(id);
    if (old) morph(old, template.content.firstElementChild);
  }
  if (focused !== document.activeElement) {
    (focused.isConnected ? focused : holder)?.focus({ preventScroll: true });
  }
};

const close = () => {
  source?.close();
  source = undefined;
};

const open = () => {
  close();
  source = new EventSource(document.body.dataset.updates);
  source.onmessage = ({ data }) => {
    newest = performance.now();
    apply(JSON.parse(data));
    tell();
  };
  source.onerror = () => {
    // A server that refuses is asked again; after a loss the browser asks by itself.
    if (source?.readyState === EventSource.CLOSED) setTimeout(() => source && open(), 3000);
  };
};

/** Whether the operator wants updates. */
const isWanted = () => pause.getAttribute("aria-pressed") !== "true";

const tell = () => {
  const now = performance.now();
  const age = now - newest;
  freshness.textContent = (isWanted() ? fresh : paused).replace("{n}", Math.round(age / 1000));
  if (!isWanted() || document.hidden) return;
  // Old figures of a page that was not looked at are no fault of the server.
  const old = Math.min(age, now - looked) > OLD_MS;
  if (freshness.classList.toggle("bad", old) !== (stale.textContent === isOld)) {
    stale.textContent = old ? isOld : again;
  }
};

const follow = () => {
  looked = performance.now();
  if (isWanted() && !document.hidden) open();
  else close();
  tell();
};

pause.hidden = false;
document.querySelector("#by-hand").hidden = true;
pause.addEventListener("click", () => {
  pause.setAttribute("aria-pressed", isWanted());
  freshness.classList.remove("bad");
  stale.textContent = "";
  follow();
});
document.addEventListener("visibilitychange", follow);
setInterval(tell, 1000);
follow();
