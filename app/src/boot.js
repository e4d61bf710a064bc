(({ dataset: { js, wasm, words } }) => {
  const TAB = 'sessionStorage';
  const BROWSER = 'localStorage';
  const NAME = 'everbeat.name';
  // In the tab's storage: when this script reloaded the page, and why the reloaded one stays the server's.
  const AGAIN = 'everbeat.again';
  const AGAIN_AFTER_MS = 600_000;
  // Longer than the driver takes to find out whose storage it has, also if the browser never answers (lock.rs).
  const PATIENCE_MS = 8_000;
  // The alert after this time is removed when the file arrives, so it need not wait for the slowest lines.
  const LATE_MS = 10_000;
  // A browser neither paints nor parses to the end before it has the style sheet.
  const STYLE_MS = 5_000;
  const ANSWER_MS = 10_000;
  const RENEWALS_MAX = 3;
  const FIELDS = 'input[id], textarea[id]';
  const STOPS = 'a, button, input:not([type=hidden]), textarea, [tabindex]';
  const PARTS =
    '.messages, [role=log], .connection, .words > span, .outbox, h1, #composer, #message, #name, .typing ul, .people ul';
  // In the order of `Word`, from its first on.
  const [
    TAG, BOOT_WASM, BOOT_SOCKET, BOOT_LOAD, BOOT_LATE, BOOT_FAULT, BOOT_CHANGED, BOOT_NO_ANSWER, BOOT_ONE_WAITS,
    BOOT_MANY_WAIT, BOOT_BUTTON, BOOT_AGAIN, BOOT_AGAIN_NEW, BOOT_AGAIN_ONLY,
  ] = words.split('\n');
  const WHY = { wasm: BOOT_WASM, socket: BOOT_SOCKET, load: BOOT_LOAD, late: BOOT_LATE, fault: BOOT_FAULT };
  // Chinese sentences follow each other without spaces.
  const SPACE = TAG === 'en' ? ' ' : '';
  // The reader's calendar, for the program (`frontend/src/calendar.rs`): in the page's language, and as the browser's own
  // locale writes that language and counts the hours.
  const locale = navigator.languages.find((tag) => tag.startsWith(TAG)) ?? TAG;
  const { hourCycle } = new Intl.DateTimeFormat([], { hour: 'numeric' }).resolvedOptions();
  const writers = [{ timeStyle: 'short' }, { dateStyle: 'full' }, { dateStyle: 'full', timeStyle: 'long' }].map(
    (form) => new Intl.DateTimeFormat(locale, { ...form, hourCycle }),
  );
  window.everbeatCalendar = {
    begin: (ms, days) => {
      const day = new Date(ms);
      return +new Date(day.getFullYear(), day.getMonth(), day.getDate() + days);
    },
    text: (ms, form) => writers[form]?.format(ms) ?? new Date(ms).toISOString(),
  };
  const find = (id) => document.getElementById(id);
  const soon = () => AbortSignal.timeout?.(ANSWER_MS);
  const parsed = new Promise((done) => {
    if (document.readyState !== 'loading') done();
    else document.addEventListener('DOMContentLoaded', done);
  });
  const here = location.pathname;
  // `isShown`: the document holds the program's page, not the server's.
  let program, served, said, reason, parts, isShown, isStarted, isOver, isLooking, composition, sending;
  let renewals = 0;
  addEventListener('compositionstart', () => {
    composition ??= new Promise((done) => {
      const end = () => ((composition = undefined), done());
      for (const event of ['compositionend', 'focusout', 'pagehide']) addEventListener(event, end, { once: true });
    });
  });

  // A browser that forbids a storage throws.
  const get = (area, key) => {
    try {
      return window[area].getItem(key) ?? '';
    } catch {
      return '';
    }
  };
  const set = (area, key, text) => {
    try {
      if (text) window[area].setItem(key, text);
      else window[area].removeItem(key);
      return true;
    } catch {
      return false;
    }
  };
  const remembered = () => {
    try {
      return JSON.parse(get(TAB, AGAIN)) ?? {};
    } catch {
      return {};
    }
  };
  const remember = (what) => set(TAB, AGAIN, JSON.stringify(what));
  // As in `input.rs`.
  const room = () => location.pathname.split('/')[2] || 'lobby';
  const textKey = () => `everbeat.text.${room()}`;
  const waiting = () => {
    const isWaiting = ([key, text]) =>
      /^everbeat\.(left\..+\.)?outbox\.\d+$/.test(key) && /"stage":"(un)?sent"/.test(text);
    const count = [TAB, BROWSER].flatMap((area) => {
      try {
        return Object.entries(window[area]).filter(isWaiting);
      } catch {
        return [];
      }
    }).length;
    if (count === 0) return '';
    return count === 1 ? BOOT_ONE_WAITS : BOOT_MANY_WAIT.replace('{n}', count);
  };

  const typed = (page) => {
    const fields = [...(page?.querySelectorAll(FIELDS) ?? [])];
    return Object.fromEntries(fields.filter((f) => f.value !== f.defaultValue).map((f) => [f.id, f.value]));
  };
  // A text that is already in a field is kept, too.
  const type = (texts) => {
    for (const [id, text] of Object.entries(texts)) {
      const field = find(id);
      if (!field || field.value === text) continue;
      const isNew = field.localName === 'input' || text.includes(field.value);
      field.value = isNew ? text : `${field.value}\n${text}`;
      for (const event of ['input', 'change']) field.dispatchEvent(new Event(event, { bubbles: true }));
    }
  };

  // While the program's page is not shown, this script stores and restores the fields, under the program's
  // keys (EO-4).
  const kept = { message: () => get(TAB, textKey()), name: () => get(BROWSER, NAME) };
  const filled = new WeakSet();
  let isNamed;
  const fill = (id) => {
    const field = find(id);
    if (isShown || !field || filled.has(field)) return;
    filled.add(field);
    const text = kept[id]();
    // The server's value of a field is older.
    if (text && (id === 'message' || field.value === field.defaultValue)) type({ [id]: text });
  };
  const keepName = () => {
    if (!isShown && isNamed) set(BROWSER, NAME, find('name')?.value);
  };
  addEventListener('focusin', ({ target }) => target.id in kept && fill(target.id), true);
  addEventListener('input', ({ target: { id, value } }) => {
    if (!isShown && id === 'message') set(TAB, textKey(), value);
    isNamed ||= id === 'name';
  }, true);
  // Not at each letter: other pages show the stored name.
  addEventListener('change', ({ target }) => target.id === 'name' && keepName(), true);
  addEventListener('pagehide', keepName);

  const stops = (page) => [...page.querySelectorAll(STOPS)];
  // Replaces one page by another: typed texts, the focus and the scroll position stay.
  const swap = (page, fresh) => {
    const texts = typed(page);
    const active = document.activeElement;
    const { id, selectionStart, selectionEnd } = active ?? {};
    const place = page ? stops(page).indexOf(active) : -1;
    const top = page?.querySelector('.scroller')?.scrollTop;
    const isOpen = fresh.showPopover && page?.querySelector('#around:popover-open');
    if (page) page.replaceWith(fresh);
    else document.body.prepend(fresh);
    type(texts);
    if (isOpen) find('around')?.showPopover();
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
  const show = async (loaded, data) => {
    program = loaded;
    const fresh = document.createElement('div');
    fresh.id = 'page';
    fresh.className = 'alive';
    program.start(fresh, data, words);
    isStarted = true;
    // The program sets the first values of its fields just after this; typed texts go in after them.
    await null;
    isShown = true;
    swap(find('page'), fresh);
    parts = [...fresh.querySelectorAll(PARTS)];
  };
  // Waits until no input method composes and no plain form is being sent.
  const calm = async () => {
    while (composition || sending) await (composition ?? sending);
  };

  // An alert of these sentences, the last of which has the link in it.
  const tell = (...sentences) => {
    const [before, after] = sentences.filter(Boolean).join(SPACE).split('{again}');
    said?.remove();
    said = document.createElement('p');
    said.className = 'alert';
    said.setAttribute('role', 'alert');
    const again = document.createElement('a');
    again.href = location.pathname + location.search;
    again.textContent = BOOT_AGAIN;
    said.append(before, again, after);
    (find('composer') ?? document.querySelector('main') ?? document.body).prepend(said);
  };
  // Shows the server's page, and why the program's is not shown, if that is known.
  const say = (why, first) => {
    const page = find('page');
    isShown = false;
    delete document.body.dataset.hydrated;
    if (served && page !== served) swap(page, served);
    served?.classList.add('alone');
    Object.keys(kept).forEach(fill);
    const form = find('composer');
    if (form && location.pathname !== here) {
      // The program had changed to another room, of which only the name is known here.
      form.action = location.pathname;
      document.querySelector('h1').textContent = room();
      document.querySelector('[role=log]').replaceChildren();
    }
    reason = why;
    const reasons = why ? [WHY[why], waiting(), form && BOOT_BUTTON] : [];
    tell(first, ...reasons, form ? BOOT_AGAIN_NEW : BOOT_AGAIN_ONLY);
    const connection = document.querySelector('.connection');
    if (connection && why) connection.dataset.state = 'stopped';
  };
  // Reloads the page; after a second failure the reloaded page stays the server's. A page that had started is
  // always reloaded, if its text is stored: that ends its connection.
  const giveUp = async (why) => {
    if (isOver) return;
    isOver = true;
    await calm();
    const isFirst = !(Date.now() - remembered().at < AGAIN_AFTER_MS);
    const stay = isFirst ? undefined : why;
    const box = find('message');
    const isKept = !box?.value || kept.message().includes(box.value);
    if ((isFirst || isStarted) && isKept && remember({ at: Date.now(), stay })) {
      try {
        const answer = await fetch(location.href, { method: 'HEAD', cache: 'no-store', signal: soon() });
        // Not `reload`: that would send a form again, if this page is the answer to one.
        if (answer.ok) return location.replace(location.pathname + location.search);
      } catch {}
    }
    say(why);
  };

  // Sends the plain form: the text stays in the box until the server has it.
  const send = async (form) => {
    const box = find('message');
    const body = new URLSearchParams(new FormData(form));
    keepName();
    box.readOnly = true;
    let refusal;
    try {
      const answer = await fetch(form.action, { method: 'POST', body, signal: soon() });
      // A message that was taken is answered with a redirect to the room; another redirect may be to a sign-in.
      if (answer.redirected && new URL(answer.url).pathname === new URL(form.action).pathname) {
        box.value = '';
        set(TAB, textKey(), '');
        location.replace(location.pathname + location.search);
        return new Promise(() => {});
      }
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      refusal = page.querySelector('.alert')?.textContent;
      const key = page.querySelector('[name=key]');
      if (key) form.elements.key.value = key.value;
    } catch (error) {
      console.warn(error);
    }
    box.readOnly = false;
    say(reason, refusal ?? BOOT_NO_ANSWER);
  };
  addEventListener('submit', (event) => {
    if (isShown || event.target.id !== 'composer') return;
    event.preventDefault();
    sending ??= send(event.target).finally(() => (sending = undefined));
  });

  // Whether the elements that the program changes are those in the document. If an extension replaced them by
  // copies, or removed the nodes by which the program finds its place, the page shows nothing new.
  const isSound = () => {
    const messages = parts.find((part) => part.matches('.messages'));
    const outbox = parts.find((part) => part.matches('.outbox'));
    const rows = messages?.querySelectorAll('.message, .gap').length;
    const isStuck = messages?.querySelector('[data-fate=waiting], [data-fate=sent]') && outbox?.dataset.waiting === '0';
    return parts.every((part) => part.isConnected) && (!messages || messages.dataset.rows === String(rows)) && !isStuck;
  };
  const frames = () => new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then)));
  const data = () => (location.pathname === here ? find('snapshot')?.textContent : undefined);
  const renew = async () => {
    await calm();
    if (isOver) return;
    renewals += 1;
    await show(program, data());
  };
  // Checks two frames after a change, and two more: a change may be under way.
  const look = async () => {
    if (document.body.dataset.forbidden) return giveUp('socket');
    if (isLooking || isOver) return;
    isLooking = true;
    const isAmiss = () => !isOver && !isSound();
    await frames();
    if (isAmiss()) await frames();
    if (isAmiss() && renewals >= RENEWALS_MAX) {
      // More renewals would go on for ever: from now on the page stays as it is.
      return tell(BOOT_CHANGED, BOOT_AGAIN_ONLY);
    }
    try {
      if (isAmiss()) await renew();
    } catch (error) {
      console.warn(error);
      giveUp('fault');
    }
    isLooking = false;
  };

  // The inspector is loaded when its user opens it, with an experiment or without. It stands beside the page, which may
  // be built anew.
  const inspect = (wish) => {
    const open = document.querySelector('everbeat-inspector');
    if (open) return wish ? open.press('try', wish) : open.remove();
    import('/inspector/inspector.js');
    document.body.append(Object.assign(document.createElement('everbeat-inspector'), { program, wish }));
  };
  addEventListener('click', ({ target }) => {
    const way = isShown && target.closest?.('.inspect');
    if (way) inspect(way.value);
  });

  const run = async () => {
    const missing = Object.entries({ wasm: 'WebAssembly', socket: 'WebSocket' });
    const [lack] = missing.find(([, name]) => !window[name]) ?? [];
    const loading = lack ? Promise.reject() : load(js);
    loading.catch(() => {});
    setTimeout(() => {
      const style = document.querySelector('link[rel=stylesheet]');
      if (!style || style.sheet) return;
      style.media = 'print';
      style.addEventListener('load', () => (style.media = 'all'));
    }, STYLE_MS);
    await parsed;
    served = find('page');
    Object.keys(kept).forEach(fill);
    const { at, stay } = remembered();
    if (at) remember({ at });
    if (stay) return say(stay);
    if (lack) return giveUp(lack);
    const late = setTimeout(() => isOver || say('late'), LATE_MS);
    let loaded;
    try {
      loaded = await loading;
    } catch (error) {
      console.warn(error);
      return giveUp('load');
    } finally {
      clearTimeout(late);
    }
    await calm();
    try {
      await show(loaded, data());
    } catch (error) {
      console.warn(error);
      try {
        // One more try in a fresh instance, without the data, which may be the cause.
        await show(await load(`${js}?again`));
      } catch (error) {
        console.warn(error);
        return giveUp('fault');
      }
    }
    const attributeFilter = ['data-forbidden', 'data-rows', 'data-waiting', 'data-fate'];
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributeFilter });
    look();
    const wish = new URLSearchParams(location.search).get('experiment');
    if (wish) inspect(wish);
    setTimeout(() => document.body.dataset.hydrated || giveUp('fault'), PATIENCE_MS);
  };
  // An exception that went through the driver has ended it; a panic ends the program.
  const died = (error) => {
    if (isStarted && (program.is_broken() || error instanceof WebAssembly.RuntimeError)) giveUp('fault');
  };
  addEventListener('error', ({ error }) => died(error));
  addEventListener('unhandledrejection', ({ reason }) => died(reason));
  run();
})(document.currentScript);
