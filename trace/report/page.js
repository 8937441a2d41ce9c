'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const text = i => data.strings[i];
const $ = id => document.getElementById(id);

// el makes an element: attributes, then children, which are nodes or texts. Texts stay texts, whatever is in them.
function el(name, attributes, ...children) {
  const svg = ['svg', 'circle', 'line', 'path', 'text', 'title', 'g'].includes(name);
  const node = svg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === 'style') { for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v); } else if (typeof value === 'function') node.addEventListener(key, value); else if (value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.filter(c => c !== undefined && c !== ''));
  return node;
}

// seconds as a person says them, in three to four digits.
function seconds(s) {
  if (s <= 0) return '0 s';
  if (s < 0.9995) return Math.max(1, Math.round(s * 1000)) + ' ms';
  if (s < 9.995) return s.toFixed(2) + ' s';
  if (s < 59.95) return s.toFixed(1) + ' s';
  const two = n => String(n).padStart(2, '0');
  if (s < 3599.5) { const r = Math.round(s); return Math.floor(r / 60) + 'm ' + two(r % 60) + 's'; }
  const m = Math.round(s / 60);
  return Math.floor(m / 60) + 'h ' + two(m % 60) + 'm';
}

const plural = (n, noun) => n + ' ' + noun + (n === 1 ? '' : 's');
const when = ms => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
const groupName = g => g.name || '(no ' + data.by + ')';

// Phases have the same colour in all groups: the longest first.
const colours = new Map();
for (const g of data.groups) for (const p of g.phases) { const sum = colours.get(p.name) || 0; colours.set(p.name, sum + p.seconds.p50 * g.ready); }
[...colours.keys()].sort((a, b) => colours.get(b) - colours.get(a)).forEach((name, i) => colours.set(name, `var(--p${i % 10})`));

function drawGroups() {
  $('groups').replaceChildren(...data.groups.map((g, index) => {
    const sum = g.phases.reduce((n, p) => n + p.share, 0) || 1;
    const shown = g.phases.filter(p => p.share / sum >= 0.004);
    const says = p => `${p.name}: ${seconds(p.seconds.p50)} (${Math.round(100 * p.share)} %), ${seconds(p.seconds.p10)} to ${seconds(p.seconds.p90)}`;
    const varies = p => p.seconds.p90 - p.seconds.p10, varying = g.phases.filter(p => varies(p) > 0).sort((a, b) => varies(b) - varies(a)).slice(0, 3);
    return el('article', { 'data-group': index },
      el('h2', {}, groupName(g)),
      el('p', {}, `${plural(g.starts, 'start')}: ${g.ready} ready`, g.failed ? el('span', { class: 'bad' }, `, ${g.failed} failed (${g.reasons.map(r => r.reason + ' ×' + r.starts).join(', ')})`) : '', g.starting ? el('span', { class: 'going' }, `, ${g.starting} still starting`) : ''),
      g.ready ? el('p', {}, `p50 ${seconds(g.total_seconds.p50)} · p90 ${seconds(g.total_seconds.p90)} · p95 ${seconds(g.total_seconds.p95)}`) : '',
      g.ready ? el('div', { class: 'stack', role: 'img', 'aria-label': shown.map(says).join('; ') }, ...shown.map(p => el('span', { title: says(p), style: { background: colours.get(p.name), flex: `${p.share / sum} 1 0` } }, p.name))) : '',
      g.ready ? el('div', { class: 'legend' }, ...shown.slice(0, 12).map(p => el('span', { title: says(p) }, el('i', { style: { background: colours.get(p.name) } }), `${p.name} ${seconds(p.seconds.p50)} (${Math.round(100 * p.share)} %)`))) : '',
      varying.length ? el('p', { class: 'faint' }, 'varies: ' + varying.map(p => `${p.name} ${seconds(p.seconds.p10)} to ${seconds(p.seconds.p90)}`).join(' · ')) : '',
      adviceOf(g.advice));
  }));
}

function adviceOf(advice) {
  if (!advice || !advice.length) return '';
  return el('ul', { class: 'advice' }, ...advice.map(a => el('li', {}, a.saves_seconds > 0 ? el('b', {}, `up to −${seconds(a.saves_seconds)}: `) : '', a.evidence + '. ' + a.change + ' ', el('a', { href: data.page + '#' + a.rule, rel: 'noreferrer' }, a.rule))));
}

let shown = data.starts; // those that the search finds

function ticks(max, n) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];
  const step = steps.find(s => max / s <= n) || max / n;
  const out = [];
  for (let at = 0; at <= max; at += step) out.push(at);
  return out;
}

function dot(s, x, y) {
  const act = { click: () => choose(s), class: 'dot ' + s.ended, 'data-start': s.id };
  const shape = s.ended === 'failed' ? el('path', { d: `M${x - 4} ${y - 4}l8 8m0-8l-8 8`, ...act }) : el('circle', { cx: x, cy: y, r: 4, ...act });
  shape.append(el('title', {}, `${s.pod}: ${s.outcome}, ${seconds(s.total)}, ${when(s.began)}`));
  return shape;
}

// On narrow screens plots are as wide as the screen, in their own units.
const plotWidth = () => Math.max(300, $('distribution').clientWidth);

function drawDistribution() {
  const width = plotWidth(), left = width < 600 ? 8 : 180, max = Math.max(1, ...data.starts.map(s => s.total)), height = 44;
  const groups = data.groups.slice(0, 20), x = s => left + (width - left - 12) * s / max;
  const svg = el('svg', { viewBox: `0 0 ${width} ${groups.length * height + 22}`, role: 'group', 'aria-label': 'distribution of totals by group' });
  for (const at of ticks(max, width / 90)) svg.append(el('line', { x1: x(at), x2: x(at), y1: 0, y2: groups.length * height }), el('text', { x: x(at) + 2, y: groups.length * height + 14 }, seconds(at)));
  groups.forEach((g, row) => {
    const y = row * height + 24;
    svg.append(el('text', { class: 'label', x: left > 100 ? 0 : left, y: left > 100 ? y + 4 : y - 12 }, groupName(g).slice(0, left > 100 ? 26 : 60)));
    shown.filter(s => s.group === row).forEach((s, i) => svg.append(dot(s, x(s.total), y + [0, 7, -6, 12, 4][i % 5])));
    if (g.ready) svg.append(el('line', { class: 'median', x1: x(g.total_seconds.p50), x2: x(g.total_seconds.p50), y1: y - 12, y2: y + 16 }));
  });
  $('distribution').replaceChildren(svg);
}

function drawTimeline() {
  const width = plotWidth(), height = 220, left = 56, bottom = 24, max = Math.max(1, ...data.starts.map(s => s.total));
  const times = data.starts.map(s => s.began), from = Math.min(...times), to = Math.max(from + 1000, ...times);
  const x = t => left + (width - left - 12) * (t - from) / (to - from), y = s => height - bottom - (height - bottom - 10) * s / max;
  const svg = el('svg', { viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': 'starts over time, by how long they took' });
  for (const at of ticks(max, 5)) svg.append(el('line', { x1: left, x2: width, y1: y(at), y2: y(at) }), el('text', { x: 0, y: y(at) + 4 }, seconds(at)));
  const n = Math.max(1, Math.floor(width / 180));
  for (let i = 0; i <= n; i++) { const at = from + (to - from) * i / n; svg.append(el('text', { x: Math.min(x(at), width - 92), y: height - 6 }, when(at).slice(5, 16))); }
  shown.forEach(s => svg.append(dot(s, x(s.began), y(s.total))));
  $('timeline').replaceChildren(svg);
}

function drawStarts() {
  $('starts').replaceChildren(...shown.map(s => el('tr', { class: 'start', 'data-start': s.id, click: () => choose(s) },
    el('td', {}, el('button', { 'aria-label': 'draw the start of ' + s.pod }, s.pod)), el('td', { 'data-of': data.by }, groupName(data.groups[s.group])), el('td', {}, when(s.began)),
    el('td', { class: 'n' }, seconds(s.total)), el('td', { class: 'wrap' + (s.ended === 'failed' ? ' bad' : s.ended === 'starting' ? ' going' : '') }, (s.ended === 'failed' ? '✗ ' : '') + s.outcome), el('td', {}, s.slowest))));
  $('count').textContent = shown.length === data.starts.length ? plural(data.starts.length, 'start') + (data.left ? `, ${data.left} older ones are in the figures alone` : '') : `${shown.length} of ${data.starts.length} starts`;
}

let chosen;
function choose(s) {
  if (!s) { close(); return; }
  chosen = s;
  const total = s.length || 1;
  const pairs = list => { const out = []; for (let i = 0; i < list.length; i += 2) out.push(el('dt', {}, text(list[i])), el('dd', {}, text(list[i + 1]))); return out; };
  $('start').replaceChildren(
    el('h2', { tabindex: -1 }, s.pod), el('p', { class: s.ended === 'failed' ? 'bad' : '' }, `${s.outcome}, ${seconds(s.total)}`, el('span', { class: 'faint' }, ` · ${when(s.began)} UTC · trace ${s.id} `), el('button', { class: 'act', click: close }, 'Close')),
    ...s.rows.map(([depth, label, kind, from, length, reason, list]) => el('details', {},
      el('summary', { class: 'row ' + text(kind), title: `${text(label)}: ${seconds(length)}, from +${seconds(from)}` + (reason ? '; failed: ' + text(reason) : '') + '\n' + tip(list) },
        el('span', { class: 'name', style: { '--depth': depth } }, (text(kind) === 'failed' ? '✗ ' : '') + text(label) + (reason ? ' failed: ' + text(reason) : '')),
        el('span', { class: 'track', 'aria-hidden': 'true' }, el('span', { class: 'bar', style: { left: 100 * from / total + '%', width: 100 * length / total + '%' } })),
        el('span', { class: 'figure' }, seconds(length))),
      el('dl', {}, el('dt', {}, 'from'), el('dd', {}, '+' + seconds(from)), ...pairs(list)))),
    adviceOf(s.advice),
    el('details', {}, el('summary', {}, 'what all spans say'), el('dl', {}, ...pairs(s.shared))));
  $('start').hidden = false;
  mark();
  history.replaceState(null, '', '#' + s.id);
  $('start').scrollIntoView({ block: 'start' });
  $('start').querySelector('h2').focus({ preventScroll: true });
}
const tip = list => { const out = []; for (let i = 0; i < list.length && out.length < 12; i += 2) out.push(text(list[i]) + ': ' + text(list[i + 1])); return out.join('\n'); };
function close() { chosen = undefined; $('start').hidden = true; history.replaceState(null, '', location.pathname + location.search); mark(); }
function mark() { for (const n of document.querySelectorAll('[data-start]')) n.classList.toggle('chosen', !!chosen && n.dataset.start === chosen.id); }

function search() {
  const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  shown = data.starts.filter(s => { const says = `${s.pod} ${groupName(data.groups[s.group])} ${s.outcome} ${s.slowest} ${s.id}`.toLowerCase(); return words.every(w => says.includes(w)); });
  const groups = new Set(shown.map(s => String(s.group)));
  for (const a of $('groups').children) a.hidden = words.length > 0 && !groups.has(a.dataset.group);
  drawStarts(); drawDistribution(); drawTimeline(); mark();
}

document.addEventListener('keydown', e => {
  const typing = e.target === $('search');
  if (e.key === 'Escape') { if (typing) { $('search').value = ''; search(); $('search').blur(); } else close(); return; }
  if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
  const step = { j: 1, k: -1 }[e.key];
  const at = shown.indexOf(chosen);
  if (step && shown.length) choose(shown[at < 0 ? 0 : (at + step + shown.length) % shown.length]);
});
// On the way up, so that the key itself is not in what is searched for.
document.addEventListener('keyup', e => { if (e.key === '/' && e.target !== $('search')) $('search').focus(); });
$('search').addEventListener('input', search);
let resized;
addEventListener('resize', () => { clearTimeout(resized); resized = setTimeout(() => { drawDistribution(); drawTimeline(); mark(); }, 100); });
drawGroups();
search();
if (location.hash) choose(data.starts.find(s => s.id === location.hash.slice(1)));
