// The node's API as the page asks it. An answer that is no 2xx, or none at all, is a Trouble,
// which says what to do about it.

const kStorage = 'clickmill.key';
let clockAhead = 0; // of this browser, ms: the node's time is what ranges are made of

export class Trouble extends Error {
  constructor(status, message, {field = '', again = false} = {}) {
    super(message);
    Object.assign(this, {status, field, again});
  }
}

// Kept by the browser for this tab alone.
export const key = {
  get: () => sessionStorage.getItem(kStorage) || '',
  set: text => sessionStorage.setItem(kStorage, text),
  forget: () => sessionStorage.removeItem(kStorage),
};

export const now = () => Date.now() - clockAhead;

function watchClock(answer) {
  const date = Date.parse(answer.headers.get('Date') || '');
  const ahead = Date.now() - date;
  // The header has whole seconds, and the answer was on its way for a while.
  if (!Number.isNaN(date)) clockAhead = Math.abs(ahead) > 3000 ? ahead : 0;
}

async function troubleOf(answer) {
  const problem = await answer.json().catch(() => ({}));
  const said = problem.detail || answer.statusText || `status ${answer.status}`;
  const field = problem.field || '';
  switch (answer.status) {
    case 401:
      return new Trouble(401, 'This node doesn’t know the key. Check it for missing characters, ' +
        'or ask whoever runs clickmill for another one.');
    case 403: return new Trouble(403, `Your key isn’t allowed to do this: ${said}.`);
    default:
      if (answer.status >= 500) {
        return new Trouble(answer.status, `The node can’t answer right now: ${said}. ` +
          'The page goes on trying by itself.', {again: true});
      }
      return new Trouble(answer.status, `${said}.`.replace(/([.!?])\.$/, '$1'), {field});
  }
}

async function ask(path, parameters, options = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters || {})) {
    if (value !== '' && value !== undefined && value !== null) query.set(name, value);
  }
  const headers = key.get() ? {Authorization: `Bearer ${key.get()}`} : {};
  const address = String(query) ? `${path}?${query}` : path;
  let answer;
  try {
    answer = await fetch(address, {cache: 'no-store', credentials: 'same-origin', ...options,
      headers});
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Trouble(0, 'No answer from the node. Is it running, and are you still on its ' +
      'network? The page goes on trying by itself.', {again: true});
  }
  watchClock(answer);
  return answer;
}

export async function get(path, parameters, options) {
  const answer = await ask(path, parameters, options);
  if (!answer.ok) throw await troubleOf(answer);
  return answer.json();
}

export async function getText(path, parameters, options) {
  const answer = await ask(path, parameters, options);
  if (!answer.ok) throw await troubleOf(answer);
  return answer.text();
}

// Readiness is an answer whatever its status.
export async function readiness(options) {
  const answer = await ask('readyz', {}, options);
  const said = await answer.json().catch(() => null);
  if (!said || !Array.isArray(said.reasons)) throw await troubleOf(answer);
  return said;
}

export async function post(path, parameters, body) {
  const answer = await ask(path, parameters, {method: 'POST', body: JSON.stringify(body)});
  if (!answer.ok) throw await troubleOf(answer);
  return answer.json();
}

// Asks again and again while the page is seen: `work` gets a signal that ends it, is never begun
// twice, and may say after how many ms to come again. It takes up a fifth of the time at most.
export function repeat(work, everyMs) {
  let timer = 0;
  let abort = new AbortController();
  let busy = false;
  const arm = ms => {
    clearTimeout(timer);
    timer = setTimeout(run, ms);
  };
  async function run() {
    if (busy || abort.signal.aborted) return;
    if (document.hidden) return;
    busy = true;
    const began = performance.now();
    let pause = everyMs;
    try {
      pause = await work(abort.signal) || everyMs;
    } finally {
      busy = false;
      if (!abort.signal.aborted) arm(Math.max(pause, 4 * (performance.now() - began)));
    }
  }
  const seen = () => {
    if (!document.hidden) run();
  };
  document.addEventListener('visibilitychange', seen);
  arm(0);
  return () => {
    clearTimeout(timer);
    abort.abort();
    document.removeEventListener('visibilitychange', seen);
  };
}
