// The page: who asks, which view, and the question, which stands in the address behind the #.

import {get, key, Trouble} from './api.js';
import {ClicksView, kRanges} from './clicks.js';
import {NodeView} from './node.js';
import {ReviewView} from './review.js';
import {browserZone} from './time.js';
import {field, h, notice, put, say} from './ui.js';

const kViews = {clicks: ['Clicks', ClicksView], review: ['Review', ReviewView],
  node: ['Node', NodeView]};
const kDefaults = {view: 'clicks', range: 'today', beside: '1'};

const main = document.getElementById('main');
const views = document.getElementById('views');
const needsKey = document.documentElement.dataset.keys === 'needed';

// #/clicks?range=today&zone=… An address without a question is given the first one.
function questionOf(hash) {
  const [path, query] = hash.replace(/^#\/?/, '').split('?');
  const question = Object.fromEntries(new URLSearchParams(query || ''));
  question.view = kViews[path] ? path : kDefaults.view;
  if (!kRanges.some(([name]) => name === question.range)) {
    question.range = kDefaults.range;
    if (query === undefined) question.beside = kDefaults.beside;
  }
  question.zone ||= browserZone();
  return question;
}
function hashOf({view, ...rest}) {
  const asked = Object.entries(rest).filter(([, value]) => value);
  return `#/${view}?${new URLSearchParams(asked)}`;
}

const app = {
  who: null,
  question: questionOf(location.hash),
  addressOf: changes => hashOf({...app.question, ...changes}),
  ask(changes) {
    const address = app.addressOf(changes);
    if (address !== location.hash) location.hash = address;
  },
  // What no view can mend by itself is mended here.
  failed(error, show) {
    if (error.status === 401) {
      key.forget();
      askForKey(error.message);
    } else if (error instanceof Trouble) {
      show(error);
    } else {
      show(new Trouble(-1, `The page itself has failed (${error.message}). Load it again.`));
    }
  },
};

let shown = null;
let view = null;

function end() {
  view?.stop?.();
  view = shown = null;
  views.hidden = true;
  document.getElementById('who').replaceChildren();
}

function askForKey(complaint) {
  end();
  document.title = 'clickmill';
  // Of type password, the browser would offer to keep it.
  const input = h('input', {type: 'text', class: 'secret', autocomplete: 'off',
    autocapitalize: 'off', spellcheck: 'false', required: true, 'aria-describedby': 'key-help'});
  const place = h('div', {}, complaint ? notice('bad', complaint) : null);
  put(main, h('form', {class: 'card login', onsubmit: async event => {
    event.preventDefault();
    const given = input.value.trim();
    // What no header can carry is no key.
    if (!/^[\x21-\x7e]+$/.test(given)) {
      put(place, notice('bad', 'A key has letters, digits and signs only, and no blanks.'));
      return;
    }
    key.set(given);
    await begin();
  }}, h('h1', {}, 'Your key'),
  h('p', {id: 'key-help'}, 'Whoever runs this clickmill gave you one. It is kept in this tab ' +
    'only and forgotten when you close it.'),
  place, field('Key', input), h('p', {class: 'buttons'},
    h('button', {type: 'submit', class: 'main'}, 'Show my clicks'))));
  input.focus();
}

function showFrame() {
  const {who} = app;
  const mine = who.role === 'admin' ? Object.keys(kViews) : ['clicks'];
  if (!mine.includes(app.question.view)) app.question.view = 'clicks';
  views.hidden = mine.length < 2;
  put(views, mine.map(name => h('a', {
    href: hashOf({view: name, zone: app.question.zone}), 'data-keep': name,
    'aria-current': name === app.question.view ? 'page' : null}, kViews[name][0])));
  put(document.getElementById('who'), h('span', {}, who.advertiser_id || who.name),
    who.keys ? h('button', {class: 'quiet', onclick: () => {
      key.forget();
      askForKey('');
      say('The key is forgotten.');
    }}, 'Forget key') : null);
}

function showView() {
  app.question = questionOf(location.hash);
  const address = hashOf(app.question);
  if (address !== location.hash) history.replaceState(null, '', address);
  if (!app.who) return;
  showFrame();
  if (shown === app.question.view) {
    view.changed();
    return;
  }
  view?.stop?.();
  shown = app.question.view;
  view = new kViews[shown][1](main, app);
}

async function begin() {
  try {
    app.who = await get('v1/whoami');
  } catch (error) {
    app.failed(error, trouble => {
      put(main, notice('bad', trouble.message));
      if (trouble.again) setTimeout(begin, 3000);
    });
    return;
  }
  if (app.who.role === 'ingest') {
    key.forget();
    askForKey('This key may send clicks, but not read them. Ask whoever runs clickmill for one ' +
      'with the role advertiser or admin.');
    return;
  }
  showView();
}

addEventListener('hashchange', showView);
// The address behind the # is the question's.
document.querySelector('.skip').addEventListener('click', event => {
  event.preventDefault();
  main.focus();
});
document.getElementById('foot').textContent =
  `clickmill ${document.documentElement.dataset.version}`;
if (needsKey && !key.get()) askForKey('');
else begin();
