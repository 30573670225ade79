#!/bin/bash
# Expected: the patterns of crawler-user-agents (npm), which many use to leave robots out of their
#   counts, match robots: a phone's or an app's own browser that a person holds is none.
# Seen: version 1.60.0 has a pattern that is Android's build number AP3A.240617.008, so every phone
#   with that build (Android 15 of several makers) is a crawler, in Chrome as in each app; and one
#   that is "MetaIAB Facebook", the name of Facebook's in-app browser on Android. isbot 5.2.3 says
#   of the same agents that they are none.
# Why it matters: ads are clicked in just those in-app browsers. Who drops what the list matches
#   drops people's clicks, and loses most where the campaign runs on Facebook or Instagram.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts crawler-user-agents@1.60.0 isbot@5.2.3 >/dev/null 2>&1
cat >look.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { isbot } from 'isbot';
const list = JSON.parse(readFileSync('node_modules/crawler-user-agents/crawler-user-agents.json'));
const webkit = 'AppleWebKit/537.36 (KHTML, like Gecko)';
const agents = {
  // The same phone model and build, without an app, in Instagram's browser, and in a shop's app.
  'phone, Chrome': `Mozilla/5.0 (Linux; Android 15; CPH2557 Build/AP3A.240617.008) ${webkit} Chrome/142.0.0.0 Mobile Safari/537.36`,
  'phone, in an app': `Mozilla/5.0 (Linux; Android 15; CPH2557 Build/AP3A.240617.008; wv) ${webkit} Version/4.0 Chrome/142.0.7444.142 Mobile Safari/537.36`,
  'Facebook on Android': `Mozilla/5.0 (Linux; Android 16; Pixel 9 Build/CP1A.260305.018; wv) ${webkit} Version/4.0 Chrome/146.0.7680.174 Mobile Safari/537.36 MetaIAB Facebook`,
  'the first, another build': `Mozilla/5.0 (Linux; Android 15; CPH2557 Build/AP3A.240905.015) ${webkit} Chrome/142.0.0.0 Mobile Safari/537.36`,
};
const seen = Object.entries(agents).map(([who, agent]) => {
  const pattern = list.find((one) => new RegExp(one.pattern).test(agent))?.pattern ?? 'no';
  console.log(`${who}: crawler-user-agents: ${pattern}; isbot: ${isbot(agent)}`);
  return `${pattern !== 'no'} ${isbot(agent)}`;
});
console.log(`${list.length} patterns`);
const as_seen = ['true false', 'true false', 'true false', 'false false'];
if (JSON.stringify(seen) !== JSON.stringify(as_seen)) { console.log('CHANGED'); process.exit(1); }
JS
node --version
node look.mjs
