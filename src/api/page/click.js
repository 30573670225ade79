// clickmill: gives every click on a link to /v1/click?ad_id=… an id and its time, so that it
// counts once however often the browser asks. No cookie, no storage; links work without it.
(() => {
  'use strict';
  if (window.clickmill) return;
  const script = document.currentScript;
  const collector = script && script.src ? new URL('click', script.src).href : '';
  const timed = !script || script.dataset.time !== 'collector';
  const changed = new Map(); // link -> its own href
  let last = {};

  function address(plain, withTime) {
    const now = performance.now();
    // Both clicks of a double click are the same one.
    if (last.plain !== plain || now - last.began > 1000) {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      const id = Array.from(bytes, byte => (byte + 256).toString(16).slice(1)).join('');
      last = {plain, began: now, id, ms: Date.now()};
    }
    const url = new URL(plain, document.baseURI);
    url.search += '&click_id=' + last.id + (withTime && timed ? '&timestamp_ms=' + last.ms : '');
    return url.href;
  }

  function isAd(href) {
    try {
      const {pathname, searchParams: has} = new URL(href, document.baseURI);
      return pathname.endsWith('/v1/click') && has.has('ad_id') && !has.has('click_id');
    } catch {
      return false;
    }
  }

  function prepare(event) {
    if (event.type === 'auxclick' && event.button !== 1) return;
    const link = event.composedPath().find(at => /^(a|area)$/i.test(at.localName));
    const plain = link && (changed.get(link) || link.getAttribute('href'));
    if (!plain || !isAd(plain)) return;
    // A menu may stay open for long: what is chosen there has the time of its arrival.
    const own = address(plain, event.type !== 'contextmenu');
    link.setAttribute('href', own);
    changed.set(link, plain);
    // By then the browser has taken the address, and what comes next is another click.
    setTimeout(() => {
      if (link.getAttribute('href') === own) link.setAttribute('href', plain);
      changed.delete(link);
    });
  }
  for (const type of ['click', 'auxclick', 'contextmenu']) addEventListener(type, prepare, true);

  window.clickmill = {
    // Counts a click; the promise gives the address to go to.
    async click(adId) {
      if (!collector) throw new Error('load click.js by a script element of its own');
      const way = address(collector + '?ad_id=' + encodeURIComponent(adId), true);
      const options = {keepalive: true, credentials: 'omit', redirect: 'manual'};
      // Without an answer, the same click once more as a navigation.
      const answer = await fetch(way, options).catch(() => ({status: 0}));
      if (answer.status === 200) return (await answer.json()).redirect_url;
      if (answer.status === 400 || answer.status === 404) {
        throw new Error((await answer.json()).detail);
      }
      return way;
    },
  };
})();
