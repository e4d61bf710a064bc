(({ dataset: { js, wasm } }) => {
  // sessionStorage: when this page was loaded again by itself, and what to carry over.
  const AGAIN = 'everbeat.again';
  const AGAIN_AFTER_MS = 600_000;
  const PATIENCE_MS = 2_000;
  const FIELDS = 'input[id], textarea[id]';
  const STOPS = 'a, button, input:not([type=hidden]), textarea, [tabindex]';
  const WHY = {
    wasm: 'This browser does not run WebAssembly (Lockdown Mode turns it off): this page cannot update by itself.',
    load: 'A part of this page could not be loaded: it does not update by itself.',
    fault: 'This page stopped because of a fault in it: it does not update by itself.',
  };
  const find = (id) => document.getElementById(id);
  const parsed = new Promise((done) => {
    if (document.readyState !== 'loading') done();
    else document.addEventListener('DOMContentLoaded', done);
  });
  let served, isStarted, isOver, composition;
  addEventListener('compositionstart', () => {
    composition ??= new Promise((done) => {
      const end = () => ((composition = undefined), done());
      for (const event of ['compositionend', 'focusout', 'pagehide']) addEventListener(event, end, { once: true });
    });
  });

  const remembered = () => {
    try {
      return JSON.parse(sessionStorage.getItem(AGAIN)) ?? {};
    } catch {
      return {};
    }
  };
  const remember = (what) => {
    try {
      sessionStorage.setItem(AGAIN, JSON.stringify(what));
      return true;
    } catch {
      return false;
    }
  };
  const typed = (page) => {
    const fields = [...(page?.querySelectorAll(FIELDS) ?? [])];
    return Object.fromEntries(fields.filter((f) => f.value !== f.defaultValue).map((f) => [f.id, f.value]));
  };
  // What stands in a field already is not lost either.
  const type = (texts) => {
    for (const [id, text] of Object.entries(texts ?? {})) {
      const field = find(id);
      if (!field || field.value === text) continue;
      const isNew = field.localName === 'input' || text.includes(field.value);
      field.value = isNew ? text : `${field.value}\n${text}`;
      for (const event of ['input', 'change']) field.dispatchEvent(new Event(event, { bubbles: true }));
    }
  };
  const stops = (page) => [...page.querySelectorAll(STOPS)];
  // One page in place of another: what was typed, the focus and the place in the list stay.
  const swap = (page, fresh) => {
    const texts = typed(page);
    const active = document.activeElement;
    const { id, selectionStart, selectionEnd } = active ?? {};
    const place = page ? stops(page).indexOf(active) : -1;
    const top = page?.querySelector('.scroller')?.scrollTop;
    if (page) page.replaceWith(fresh);
    else document.body.prepend(fresh);
    type(texts);
    const focused = place >= 0 && stops(fresh).find((stop, index) => (id ? stop.id === id : index === place));
    if (focused) focused.focus({ preventScroll: true });
    if (focused && selectionEnd != null) focused.setSelectionRange?.(selectionStart, selectionEnd);
    if (top) fresh.querySelector('.scroller')?.scrollTo(0, top);
  };

  const load = async (url) => {
    const program = await import(url);
    await program.default({ module_or_path: wasm });
    return program;
  };
  const show = async (program, data) => {
    const fresh = document.createElement('div');
    fresh.id = 'page';
    program.start(fresh, data);
    // The first values of its fields are set just after that: what was typed goes in after them.
    await null;
    swap(find('page'), fresh);
  };

  const say = (why) => {
    const page = find('page');
    if (served && page !== served) swap(page, served);
    const name = find('name');
    try {
      if (name) name.value ||= localStorage.getItem('everbeat.name') ?? '';
    } catch {}
    const words = document.createElement('p');
    words.className = 'alert';
    words.setAttribute('role', 'alert');
    const again = document.createElement('a');
    again.href = location.pathname + location.search;
    again.textContent = 'Load it again';
    const form = find('composer');
    const rest = form ? ' What you write is sent with the button. ' : ' ';
    words.append(WHY[why] + rest, again, form ? ' to see what is new.' : '.');
    (form ?? document.querySelector('main') ?? document.body).prepend(words);
    const connection = document.querySelector('.connection');
    if (connection) connection.dataset.state = 'stopped';
  };
  // Once: loads the page again. A page that came alive is never left half dead: its connection goes with it.
  const giveUp = async (why) => {
    if (isOver) return;
    isOver = true;
    const isFirst = !(Date.now() - remembered().at < AGAIN_AFTER_MS);
    const stay = isFirst ? undefined : why;
    if ((isFirst || isStarted) && remember({ at: Date.now(), stay, texts: typed(find('page')) })) {
      try {
        const answer = await fetch(location.href, { method: 'HEAD', cache: 'no-store' });
        // Not the form that was sent, if this page answers one.
        if (answer.ok) return location.replace(location.pathname + location.search);
      } catch {}
    }
    say(why);
  };

  const run = async () => {
    const loading = typeof WebAssembly === 'object' ? load(js) : Promise.reject();
    loading.catch(() => {});
    await parsed;
    served = find('page');
    const { at, stay, texts } = remembered();
    if (at) remember({ at });
    type(texts);
    if (stay) return say(stay);
    if (typeof WebAssembly !== 'object') return giveUp('wasm');
    let program;
    try {
      program = await loading;
    } catch (error) {
      console.warn(error);
      return giveUp('load');
    }
    while (composition) await composition;
    try {
      await show(program, find('snapshot')?.textContent);
      isStarted = true;
    } catch (error) {
      console.warn(error);
      try {
        // Once more in a fresh instance, without what the first one may have stumbled over.
        await show(await load(`${js}?again`));
      } catch (error) {
        console.warn(error);
        return giveUp('fault');
      }
    }
    setTimeout(() => document.body.dataset.hydrated || giveUp('fault'), PATIENCE_MS);
  };
  const died = (error) => {
    if (isStarted && error instanceof WebAssembly.RuntimeError) giveUp('fault');
  };
  addEventListener('error', ({ error }) => died(error));
  addEventListener('unhandledrejection', ({ reason }) => died(reason));
  run();
})(document.currentScript);
