// The pages are made by the server; this keeps them up to date, and makes them quicker to use. Without it they work, too.
'use strict';

// ---- what is shown in the reader's own terms

const forms = {
  time: new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }),
  date: new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }),
};

function localise(root) {
  for (const time of root.querySelectorAll('time')) {
    const text = forms[time.dataset.form].format(new Date(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
    time.title = time.dateTime;
  }
}

function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, '0');
  if (whole < 60) return whole + ' s';
  const hours = Math.floor(whole / 3600);
  const rest = whole % 3600;
  return (hours ? hours + ':' + two(Math.floor(rest / 60)) : Math.floor(rest / 60)) + ':' + two(rest % 60);
}

let ahead = 0; // how much the server's clock is ahead of ours, in seconds

function tick() {
  const now = Date.now() / 1000 + ahead;
  for (const element of document.querySelectorAll('[data-since]')) {
    const text = span(now - Number(element.dataset.since));
    if (element.textContent !== text) element.textContent = text;
  }
}

// ---- one tree becomes another, and what stays is left alone: focus, selection, what is open

function sameAttributes(from, to) {
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && name !== 'open' && name !== 'title') from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (name !== 'open' && from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
}

function morph(from, to) {
  if (from.nodeType !== 1) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  if (from.hasAttribute('data-keep') && to.hasAttribute('data-keep')) return;
  if (from.tagName === 'TIME' && from.dateTime === to.dateTime) return;
  if (from.hasAttribute('data-since') && from.dataset.since === to.dataset.since) return;
  sameAttributes(from, to);
  const known = new Map();
  for (const child of from.children) if (child.id) known.set(child.id, child);
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    const kept = next.id ? known.get(next.id) : null;
    if (kept) {
      if (kept === at) at = at.nextSibling;
      else from.insertBefore(kept, at);
      morph(kept, next);
    } else if (at && !next.id && !at.id && at.nodeName === next.nodeName) {
      const here = at;
      at = at.nextSibling;
      morph(here, next);
    } else {
      from.insertBefore(document.importNode(next, true), at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    if (!(gone.nodeType === 1 && gone.hasAttribute('data-keep'))) gone.remove();
  }
}

const main = document.getElementById('main');
const connection = document.getElementById('connection');
let turn = 0; // of requests: an older answer never overwrites a newer one

async function load(address, options) {
  const mine = ++turn;
  const answer = await fetch(address, { ...options, headers: { accept: 'text/html' } });
  if (answer.status === 401) location.reload();
  const text = await answer.text();
  return { mine, status: answer.status, page: new DOMParser().parseFromString(text, 'text/html'), address: answer.url };
}

function show({ mine, page }) {
  const next = page.getElementById('main');
  if (mine !== turn || !next) return;
  morph(main, next);
  document.title = page.title;
  localise(main);
  tick();
}

// ---- live

let failures = 0;

async function refresh() {
  const every = Number(main.dataset.live || 0);
  if (every && !document.hidden) {
    try {
      const found = await load(location.href);
      if (found.status < 500) {
        failures = 0;
        show(found);
      }
    } catch (error) {
      failures += 1;
    }
    connection.hidden = failures < 2;
  }
  if (every) setTimeout(refresh, Math.min(15000, every * 2 ** Math.min(failures, 4)));
}

// ---- the ladder: a step opens without leaving the page

async function open(address, push) {
  try {
    const found = await load(address);
    if (push) history.pushState(null, '', address);
    show(found);
    return true;
  } catch (error) {
    location.href = address;
    return false;
  }
}

document.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-step]');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  open(link.getAttribute('href'), true).then(() => {
    if (link.dataset.step !== '' && matchMedia('(max-width: 60rem)').matches) document.getElementById('panel')?.scrollIntoView();
    if (link.dataset.step === '') document.getElementById('scroll')?.focus();
  });
});

if (document.getElementById('scroll')) addEventListener('popstate', () => open(location.href, false));

document.addEventListener('keydown', (event) => {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
  if (!document.activeElement?.closest('#scroll')) return;
  const all = [...document.querySelectorAll('.ladder a.step')];
  const here = all.indexOf(document.activeElement);
  const next = all[here < 0 ? (event.key === 'ArrowDown' ? 0 : all.length - 1) : here + (event.key === 'ArrowDown' ? 1 : -1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.scrollIntoView({ block: 'nearest' });
});

// ---- the editor of actions

let waiting = 0;

document.addEventListener('input', (event) => {
  const field = event.target.closest('[data-check]');
  if (!field) return;
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const body = new URLSearchParams({ do: 'check', actions: field.value });
    const answer = await fetch(field.form.action, { method: 'POST', body });
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const found = page.getElementById('faults');
    if (found) document.getElementById('faults').replaceChildren(...found.cloneNode(true).childNodes);
  }, 250);
});

// What may stand where the caret is: names of actions, or the fields of the action around it.
function suggested(field) {
  const before = field.value.slice(0, field.selectionStart);
  const known = JSON.parse(field.dataset.complete);
  const verb = before.match(/"action"\s*:\s*"([\w.]*)$/);
  if (verb) return Object.keys(known).filter((name) => name.startsWith(verb[1]) && name !== verb[1]).map((name) => [verb[1], name]);
  const key = before.match(/[{,]\s*"(\w*)$/);
  if (!key) return [];
  let depth = 0;
  let from = before.length - 1;
  for (; from >= 0 && depth >= 0; from -= 1) depth += before[from] === '}' ? 1 : before[from] === '{' ? -1 : 0;
  const around = before.slice(from + 1).match(/"action"\s*:\s*"([\w.]+)"/);
  const names = around ? known[around[1]] || [] : ['action'];
  return names.filter((name) => name.startsWith(key[1]) && name !== key[1]).map((name) => [key[1], name]);
}

function suggest(field) {
  const list = document.getElementById(field.getAttribute('aria-controls'));
  const found = suggested(field).slice(0, 8);
  list.replaceChildren(...found.map(([begun, name], index) => {
    const item = document.createElement('li');
    Object.assign(item, { id: `suggestion-${index}`, textContent: name, role: 'option' });
    item.dataset.begun = begun;
    item.ariaSelected = String(index === 0);
    return item;
  }));
  list.hidden = !found.length;
  if (found.length) field.setAttribute('aria-activedescendant', 'suggestion-0');
  else field.removeAttribute('aria-activedescendant');
}

function complete(field, item) {
  const rest = item.textContent.slice(item.dataset.begun.length);
  const ends = field.value[field.selectionEnd] === '"';
  field.setRangeText(ends ? rest : `${rest}"`, field.selectionStart, field.selectionEnd, 'end');
  if (ends) field.selectionStart = field.selectionEnd += 1;
  field.dispatchEvent(new Event('input', { bubbles: true }));
}

document.addEventListener('input', (event) => {
  if (event.target.closest('[data-complete]')) suggest(event.target);
});

document.addEventListener('keydown', (event) => {
  const field = event.target.closest('[data-complete]');
  const list = field && document.getElementById(field.getAttribute('aria-controls'));
  if (!list || list.hidden) return;
  const here = list.querySelector('[aria-selected=true]');
  const next = { ArrowDown: here.nextElementSibling || list.firstElementChild, ArrowUp: here.previousElementSibling || list.lastElementChild }[event.key];
  if (next) {
    here.ariaSelected = 'false';
    next.ariaSelected = 'true';
    field.setAttribute('aria-activedescendant', next.id);
  } else if (event.key === 'Enter' || event.key === 'Tab') complete(field, here);
  else if (event.key === 'Escape') list.hidden = true;
  else return;
  event.preventDefault();
});

document.addEventListener('mousedown', (event) => {
  const item = event.target.closest('[role=option]');
  const field = item && document.querySelector(`[aria-controls="${item.parentElement.id}"]`);
  if (!field) return;
  event.preventDefault(); // the caret stays where it is
  complete(field, item);
});

document.addEventListener('focusout', (event) => {
  const field = event.target.closest?.('[data-complete]');
  if (field) document.getElementById(field.getAttribute('aria-controls')).hidden = true;
});

document.addEventListener('change', (event) => {
  const choice = event.target.closest('[data-insert]');
  if (choice?.value) {
    const field = document.querySelector(choice.dataset.insert);
    const text = field.value.trimEnd();
    const body = text.replace(/\s*\]$/, '');
    const begun = /\[\s*$/.test(body);
    field.value = text.endsWith(']') ? `${body}${begun ? '' : ','}\n  ${choice.value}\n]` : `[\n  ${choice.value}\n]`;
    choice.value = '';
    field.focus();
    field.dispatchEvent(new Event('input', { bubbles: true }));
  }
  const all = event.target.closest('[data-all]');
  if (all) for (const box of document.querySelectorAll(all.dataset.all)) box.checked = all.checked;
});

// ---- copying

document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  const found = document.querySelector(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(found.textContent);
    button.textContent = 'Copied';
  } catch (error) { // no permission, or no TLS: it is selected, for the keyboard
    const range = document.createRange();
    range.selectNodeContents(found);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    button.textContent = 'Selected: press Ctrl+C';
  }
});

localise(document);
setInterval(tick, 1000);
if (main?.dataset.live) setTimeout(refresh, Number(main.dataset.live));
