// A browser that does what it is told: a JSON line in is a thing to do, a JSON line out is what
// came of it. world.py speaks to it. Arguments: the folder with puppeteer-core, the browser
// (chrome or firefox) and its program.

import {createInterface} from 'node:readline';
import {createRequire} from 'node:module';
import {pathToFileURL} from 'node:url';

const [folder, kind, program] = process.argv.slice(2);
const entry = createRequire(`${folder}/node_modules/`).resolve('puppeteer-core');
const {default: puppeteer} = await import(pathToFileURL(entry));

const options = kind === 'firefox'
    // Pings are off as shipped; the rest of Firefox is.
    ? {extraPrefsFirefox: {'browser.send_pings': true, 'dom.disable_open_during_load': false}}
    // What puppeteer turns off for quiet tests and people have on.
    : {args: ['--no-sandbox', '--disable-gpu'], ignoreDefaultArgs: ['--disable-background-networking']};
// On a screen, where it has menus, a page is as large as its window.
const shown = process.env.CLICKMILL_SHOWN ? {headless: false, defaultViewport: null} : {headless: true};
const browser = await puppeteer.launch({browser: kind, executablePath: program, ...shown, ...options});

const pages = new Map();
const complaints = new Map(); // page -> what it wrote to its console, errors and warnings
let last = 0;
function number(page) {
  for (const [id, known] of pages) if (known === page) return id;
  pages.set(++last, page);
  complaints.set(last, []);
  const complain = text => complaints.get(number(page)).push(text);
  page.on('console', message => {
    if (['error', 'warn', 'warning'].includes(message.type())) complain(message.text());
  });
  page.on('pageerror', error => complain(String(error)));
  return last;
}

const deeds = {
  version: () => browser.version(),
  async open({url, script = true}) {
    const page = await browser.newPage();
    const id = number(page);
    if (!script) await page.setJavaScriptEnabled(false);
    await page.goto(url);
    return id;
  },
  async pages() {
    const open = await browser.pages();
    return open.map(page => ({page: number(page), url: page.url()}));
  },
  click: ({page, selector, button, count}) => pages.get(page).click(selector, {button, count}),
  // In the frame whose address begins so.
  clickIn: ({page, url, selector, count}) =>
    pages.get(page).frames().find(frame => frame.url().startsWith(url)).click(selector, {count}),
  async press({page, selector, key, times = 1}) {
    if (selector) await pages.get(page).focus(selector);
    for (let i = 0; i < times; ++i) await pages.get(page).keyboard.press(key);
  },
  async type({page, selector, text}) {
    await pages.get(page).focus(selector);
    await pages.get(page).keyboard.type(text);
  },
  size: ({page, width, height}) => pages.get(page).setViewport({width, height}),
  scheme: ({page, scheme}) =>
    pages.get(page).emulateMediaFeatures([{name: 'prefers-color-scheme', value: scheme}]),
  async screenshot({page, path}) {
    await pages.get(page).screenshot({path, fullPage: true});
  },
  front: ({page}) => pages.get(page).bringToFront(),
  complaints: ({page}) => complaints.get(page).splice(0),
  // `code` is the body of an async function.
  run: ({page, code}) => pages.get(page).evaluate(`(async () => {${code}})()`),
  async goto({page, url}) {
    await pages.get(page).goto(url);
  },
  close: ({page}) => pages.get(page).close(),
};

console.log(JSON.stringify({ready: true}));
for await (const line of createInterface({input: process.stdin})) {
  const {deed, ...what} = JSON.parse(line);
  try {
    console.log(JSON.stringify({value: await deeds[deed](what) ?? null}));
  } catch (error) {
    console.log(JSON.stringify({error: `${deed}: ${error.message}`}));
  }
}
await browser.close();
