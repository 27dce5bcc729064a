// What is held of the pictures: texts and colours a scene must lead to, links that lead somewhere, nothing cut off.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import path from 'node:path';
import { drawn } from './fonts.mjs';

const PASS = '#009E73';
const FAIL = '#D55E00';
const PARTIAL = '#E69F00';
const UNKNOWN = '#F0E442';
const NO_DATA = '#6E6E6E';
const WIDTH = 1600;
/** README pictures must not weigh on a clone. */
const LARGEST = 250_000;

const failures = [];
let held = 0;

/** Only the fonts that come with the tests: with another a text may be cut, or be whole by luck. */
async function fonts(name, page) {
  const families = await drawn(page);
  hold(`${name}: every text has a font of the tests`, families.length > 0 && families.every((family) => family.startsWith('DejaVu ')), families.join(', '));
}

function hold(what, condition, detail = '') {
  held += 1;
  if (!condition) {
    failures.push(`${what}${detail ? `: ${detail}` : ''}`);
  }
}

export function report(began) {
  const seconds = ((Date.now() - began) / 1000).toFixed(0);
  console.log(`browser: ${held} assertions, ${failures.length} failed, ${seconds} s`);
  assert.equal(failures.length, 0, failures.join('\n'));
}

/** Runs in the page: what each panel shows. */
function panelsOfPage() {
  const rgb = (text) => {
    const parts = /rgba?\((\d+), (\d+), (\d+)/.exec(text);
    return parts ? `#${parts.slice(1, 4).map((part) => Number(part).toString(16).padStart(2, '0')).join('')}`.toUpperCase() : '';
  };
  return [...document.querySelectorAll('[data-viz-panel-key]')].map((element) => {
    const title = element.querySelector('h2, h6')?.textContent ?? '';
    const box = element.getBoundingClientRect();
    const cells = [...element.querySelectorAll('[role=gridcell]')];
    const cut = [];
    for (const cell of cells) {
      const inner = [cell, ...cell.querySelectorAll('*')];
      if (inner.some((part) => part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).overflowX !== 'visible' && part.clientWidth > 0)) {
        cut.push(cell.textContent);
      }
    }
    for (const state of element.querySelectorAll('[data-state][data-colour]')) {
      if (state.closest('.track')) {
        continue;
      }
      for (const part of state.querySelectorAll('span, div')) {
        const rectangle = part.getBoundingClientRect();
        const own = [...part.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
        if (own && (rectangle.left < box.left - 1 || rectangle.right > box.right + 1 || rectangle.bottom > box.bottom + 1 || part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).overflow === 'hidden')) {
          cut.push(part.textContent);
        }
      }
    }
    const grid = element.querySelector('[role=grid]');
    return {
      key: element.dataset.vizPanelKey,
      title,
      empty: element.querySelector('[data-empty]')?.textContent,
      states: [...element.querySelectorAll('[data-state][data-colour]')].map(({ dataset }) => ({ text: dataset.state, colour: dataset.colour.toUpperCase(), name: dataset.name, links: (dataset.links ?? '').split(' ').filter(Boolean) })),
      bands: [...element.querySelectorAll('[data-band]')].map((band) => ({ name: band.dataset.band, states: [...band.querySelectorAll('[data-state]')].map(({ dataset }) => dataset.state) })),
      cells: cells.map((cell) => ({ text: cell.textContent.trim(), colour: [cell, ...cell.querySelectorAll('*')].map((part) => rgb(getComputedStyle(part).backgroundColor)).find((colour) => colour && colour !== '#000000' && colour !== '#FFFFFF') ?? '' })),
      anchors: [...element.querySelectorAll('a[href]')].map((anchor) => anchor.getAttribute('href')),
      scrolls: grid ? grid.scrollHeight > grid.clientHeight + 2 : false,
      cut,
      broken: element.textContent.includes('Panel plugin not found') || element.textContent.includes('An error occurred'),
    };
  });
}

class View {
  constructor(page, name, panels) {
    Object.assign(this, { page, name, panels });
  }

  panel(title) {
    const found = this.panels.find((panel) => panel.title === title);
    assert.ok(found, `${this.name}: no panel ${title} among ${this.panels.map((panel) => panel.title).join(', ')}`);
    return found;
  }

  /** A stat shows this text on this colour. */
  stat(title, text, colour) {
    const { states, empty } = this.panel(title);
    hold(`${this.name}: ${title} shows ${text} on ${colour}`, states.some((state) => state.text === text && (!colour || state.colour === colour)), JSON.stringify({ states, empty }));
  }

  /** A table has these words in one of its cells. */
  words(title, ...words) {
    const { cells, empty } = this.panel(title);
    for (const word of words) {
      hold(`${this.name}: ${title} says ${word}`, cells.some((cell) => cell.text.includes(word)), JSON.stringify({ cells: cells.map(({ text }) => text), empty }));
    }
  }

  empty(title, text) {
    hold(`${this.name}: ${title} says ${text}`, this.panel(title).empty === text, JSON.stringify(this.panel(title)));
  }

  /** Nothing is cut, nothing fails, and nothing is empty but what may be. */
  sound(mayBeEmpty) {
    for (const panel of this.panels) {
      hold(`${this.name}: ${panel.title} is whole`, panel.cut.length === 0, panel.cut.join(' | '));
      hold(`${this.name}: ${panel.title} renders`, !panel.broken);
      hold(`${this.name}: ${panel.title} needs no scrolling`, !panel.scrolls);
      if (mayBeEmpty !== undefined) {
        hold(`${this.name}: ${panel.title} has data`, !panel.empty || mayBeEmpty.includes(panel.title), panel.empty);
      }
    }
  }
}

export async function check({ browser, address, clusters, pictures, aside, began }) {
  const context = await browser.newContext({ viewport: { width: WIDTH, height: 900 }, timezoneId: 'UTC', locale: 'en-US' });

  // Two cores that others share may take their time.
  context.setDefaultTimeout(120_000);

  async function open(dashboard, cluster, more = {}) {
    const name = `${dashboard.replace('metrics-server-doctor-', '')} of ${cluster ?? 'all clusters'}`;
    const page = await context.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(error.message));
    const parameters = new URLSearchParams({ dashboard, doctor_url: 'https://doctor.example.org', from: `now-${Math.ceil((Date.now() - began) / 1000)}s`, runbook_url: 'https://example.org/runbooks', ...(cluster ? { cluster } : {}), ...more });
    await page.goto(`${address}/?${parameters}`);
    await page.waitForFunction(() => document.body.dataset.height);
    const height = more.viewPanel ? 900 : Number(await page.evaluate(() => document.body.dataset.height));
    await page.setViewportSize({ width: WIDTH, height });
    await page.waitForFunction(() => window.settled?.(), undefined, { timeout: 120_000 });
    await page.waitForTimeout(1500);
    const asked = await page.evaluate(() => window.failures());
    hold(`${name}: every query answers`, asked.length === 0, asked.join('; '));
    hold(`${name}: no script fails`, errors.length === 0, errors.join('; '));
    await fonts(name, page);
    return new View(page, name, await page.evaluate(panelsOfPage));
  }

  async function picture(view, file, height) {
    const target = path.join(pictures, file);
    const full = view.page.viewportSize().height;
    await view.page.screenshot({ path: target, clip: { x: 0, y: 0, width: WIDTH, height: Math.min(height ?? full, full) } });
    hold(`${file} is light enough`, statSync(target).size < LARGEST, String(statSync(target).size));
  }

  const overview = 'metrics-server-doctor-overview';
  const detail = 'metrics-server-doctor-detail';
  const hpa = 'metrics-server-doctor-hpa';
  const fleet = 'metrics-server-doctor-fleet';
  const strip = 'The guide, step by step';

  // Healthy.
  let view = await open(overview, 'eu-central');
  view.stat('Verdict', 'Healthy', PASS);
  view.stat('Blind autoscalers', '0', PASS);
  view.words('What it means', 'The metrics pipeline is healthy.');
  view.words('What to do', 'Nothing.');
  hold('healthy: no step fails', view.panel(strip).states.every(({ colour }) => colour !== FAIL));
  hold('the strip has ten steps', view.panel(strip).states.length === 10);
  view.empty('Firing alerts', 'No alert of the shipped rules fires, or they are not loaded');
  view.sound(['Findings', 'Candidates', 'Firing alerts', 'Time with metrics, 30 days']);
  await stripLeads(view, open, 'eu-central');
  await picture(view, 'overview-healthy.png', 1100);
  await view.page.close();

  // Three faults.
  view = await open(overview, 'eu-west');
  view.stat('Verdict', 'target_port_mismatch', FAIL);
  view.stat(strip, 'Fail', FAIL);
  hold('the way of metrics is broken at one hop', view.panel('The way of metrics').states.map(({ text }) => text).join() === 'No fault found,Broken,No fault found,No fault found,No fault found', JSON.stringify(view.panel('The way of metrics').states));
  view.words('What it means', 'not the port that metrics-server listens on');
  view.words('What to do', 'kubectl edit service');
  view.words('Findings', 'target_port_mismatch');
  hold('the history has both verdicts', ['none/healthy', 'connection_refused/target_port_mismatch'].every((name) => view.panel('Verdicts over time').bands.some((band) => band.name === name)));
  hold('runbook of the cause', view.panel('What to do').anchors.includes('https://example.org/runbooks/connection_refused.md#target_port_mismatch'), view.panel('What to do').anchors.join(' '));
  hold('one step names the cause and its symptoms fail too', view.panel(strip).states.filter(({ colour }) => colour === FAIL).length >= 2);
  firing(view, 'MetricsServerConnectionRefused', 'critical', 'connection_refused', 'target_port_mismatch', 'connection_refused.md#target_port_mismatch');
  view.sound(['Candidates', 'Time with metrics, 30 days']);
  await picture(view, 'overview-fault.png');
  await view.page.close();

  view = await open(detail, 'eu-west');
  view.stat('APIService', 'Unavailable', FAIL);
  view.stat('The two calls of kubectl top', 'fails', FAIL);
  view.stat('Hops of the chain', 'does not fit', FAIL);
  view.stat('The chain of ports', '10250');
  view.stat('The chain of ports', '4443');
  view.sound();
  const { height } = view.page.viewportSize();
  await picture(view, 'detail-fault.png', Math.min(height, 1560));
  await view.page.close();

  view = await open(overview, 'staging');
  view.stat('Verdict', 'not_installed', FAIL);
  firing(view, 'MetricsServerInstallationBroken', 'critical', 'installed', 'not_installed', 'installed.md#not_installed');
  view.sound(['Candidates', 'Time with metrics, 30 days']);
  await picture(view, 'overview-not-installed.png', 1100);
  await view.page.close();

  view = await open(hpa, 'ap-south');
  view.stat('Blind through a fault', '1', PARTIAL);
  view.words('Which, why, since when', 'missing_request', 'web', 'minutes ago');
  view.words('What the causes mean and what to do', 'no request for the resource', 'resources.requests');
  view.words('Containers without a request', 'sidecar', 'cpu');
  view.words('Namespaces', 'shop');
  view.sound([]);
  await picture(view, 'autoscalers-fault.png');
  await view.page.close();

  view = await open(overview, 'ap-south');
  view.stat('Verdict', 'missing_request', PARTIAL);
  view.stat('The way of metrics', 'Hurts some', PARTIAL);
  firing(view, 'HPATargetsUnknown', 'warning', 'hpa', 'missing_request', 'hpa.md#missing_request');
  await picture(view, 'overview-missing-request.png', 1100);
  await view.page.close();

  view = await open(hpa, 'eu-central');
  view.stat('Blind through a fault', '0', PASS);
  view.empty('Which, why, since when', 'No autoscaler is seen to be blind');
  await picture(view, 'autoscalers-healthy.png');
  await view.page.close();

  view = await open(detail, 'eu-central');
  view.stat('APIService', 'Available', PASS);
  view.stat('Hops of the chain', 'fits', PASS);
  view.sound(['Class of the error', 'Containers that wait', 'Containers that ended before', 'Lines that tell of a cause', 'Last seen', 'Nodes that are not scraped', 'Which', 'Why', 'Looks that the API server refuses', 'Entries of aws-auth', 'Malformed entries', "The doctor's own dials", 'Time that the dials take', 'Requests to kubelets', 'Which nodes have no sample', "The doctor's own certificate", 'Watches', 'Objects held', 'Requests to the API server']);
  hold('healthy: nothing on the detail dashboard fails', view.panels.every(({ states, cells }) => [...states, ...cells].every(({ colour }) => colour !== FAIL)));
  await picture(view, 'detail-healthy.png', 1560);
  await view.page.close();

  // Could not look.
  view = await open(overview, 'us-east');
  view.stat('Verdict', 'Could not tell', UNKNOWN);
  hold('could not look: no step passes', view.panel(strip).states.every(({ colour }) => colour !== PASS), JSON.stringify(view.panel(strip).states));
  view.stat(strip, 'Could not look', UNKNOWN);
  firing(view, 'MetricsServerDoctorUndetermined', 'warning', 'none', 'undetermined', 'doctor.md#undetermined');
  hold('could not look: autoscalers are not counted as well', view.panel('Blind autoscalers').empty === 'No autoscaler seen');
  await picture(view, 'overview-could-not-look.png', 1100);
  await view.page.close();

  // The doctor is gone: green is only what was true before, in the histories.
  for (const dashboard of [overview, detail, hpa]) {
    view = await open(dashboard, 'us-west');
    const now = view.panels.filter(({ bands }) => bands.length === 0);
    for (const { title, states, cells } of now) {
      hold(`no data: ${dashboard}: ${title} is not green`, [...states, ...cells].every(({ colour }) => colour !== PASS), JSON.stringify(states));
    }
    if (dashboard === overview) {
      view.empty('Verdict', 'No data: the doctor is not seen');
      firing(view, 'MetricsServerDoctorDown', 'warning', 'none', 'unreachable', 'doctor.md#down');
      hold('no data: ten grey steps', view.panel(strip).states.length === 10 && view.panel(strip).states.every(({ text, colour }) => text === 'No data' && colour === NO_DATA), JSON.stringify(view.panel(strip).states));
      await picture(view, 'overview-no-data.png', 1100);
    }
    await view.page.close();
  }

  view = await open(fleet);
  const row = (cluster) => view.panel('Clusters').cells.findIndex(({ text }) => text === cluster);
  for (const [cluster, state, colour] of [['eu-central', 'Healthy', PASS], ['eu-west', 'Outage', FAIL], ['ap-south', 'Hurts some', PARTIAL], ['staging', 'Outage', FAIL], ['us-east', 'Could not tell', UNKNOWN], ['us-west', 'No data', NO_DATA]]) {
    const cells = view.panel('Clusters').cells;
    const cell = cells[row(cluster) + 1];
    hold(`fleet: ${cluster} is ${state}`, row(cluster) >= 0 && cell?.text === state && cell.colour === colour, JSON.stringify(cell));
    hold(`fleet: ${cluster} links to its overview`, view.panel('Clusters').anchors.some((href) => href.startsWith(`/d/${overview}?`) && href.includes(`var-cluster=${cluster}`)), view.panel('Clusters').anchors.join(' '));
  }
  const clusters = ['eu-central', 'eu-west', 'ap-south', 'staging', 'us-east', 'us-west'];
  const order = view.panel('Clusters').cells.flatMap(({ text }, index, cells) => clusters.includes(text) ? [cells[index + 1]?.text] : []);
  hold('fleet: the worst comes first', order.join() === 'Outage,Outage,No data,Could not tell,Hurts some,Healthy', order.join());
  view.stat('All clusters', '6');
  for (const [title, count, colour] of [['Healthy', '1', PASS], ['Outage', '2', FAIL], ['Hurts some', '1', PARTIAL], ['Could not tell', '1', UNKNOWN], ['Not seen', '1', NO_DATA]]) {
    view.stat(title, count, colour);
  }
  view.sound([]);
  await picture(view, 'fleet.png');
  await view.page.close();

  await statusPage(context, clusters, aside);
}

/** The panel of firing alerts has this row, and its links lead to the rule and to the runbook. */
function firing(view, alert, severity, step, cause, runbook) {
  const { cells, anchors, empty } = view.panel('Firing alerts');
  const at = cells.findIndex(({ text }) => text === alert);
  const row = cells.slice(at, at + 5).map(({ text }) => text);
  hold(`${view.name}: ${alert} fires`, at >= 0 && row.join() === [alert, severity, step, cause, runbook].join(), JSON.stringify({ cells: cells.map(({ text }) => text), empty }));
  hold(`${view.name}: ${alert} links to its runbook`, anchors.includes(`https://example.org/runbooks/${runbook}`), anchors.join(' '));
  hold(`${view.name}: ${alert} links to its rule`, anchors.includes(`/alerting/list?search=${alert}`), anchors.join(' '));
}

/** Each cell of the strip opens the panel with the checks of its step. */
async function stripLeads(view, open, cluster) {
  const { states } = view.panel('The guide, step by step');
  for (const [index, { links, name }] of states.entries()) {
    const [details, runbook] = links;
    hold(`${name} has two links`, links.length === 2, links.join(' '));
    const url = new URL(details ?? '/', 'http://grafana');
    hold(`${name} opens the detail dashboard`, url.pathname === '/d/metrics-server-doctor-detail' && url.searchParams.get('var-cluster') === cluster && url.searchParams.get('var-datasource') === 'prometheus', details);
    hold(`${name} opens a runbook`, /^https:\/\/example\.org\/runbooks\/\w+\.md$/.test(runbook ?? ''), runbook);
    if (index % 3 === 0) {
      const opened = await open('metrics-server-doctor-detail', cluster, { viewPanel: url.searchParams.get('viewPanel') });
      hold(`${name} leads to its own row`, opened.panels.length === 1 && opened.panels[0].title.startsWith(`${index + 1}. `), opened.panels.map(({ title }) => title).join());
      await opened.page.close();
    }
  }
}

async function statusPage(context, clusters, pictures) {
  for (const [cluster, file, heading] of [['eu-west', 'status-page-fault.png', 'target_port_mismatch'], ['eu-central', 'status-page-healthy.png', 'Healthy'], ['us-east', 'status-page-could-not-look.png', 'Could not tell']]) {
    const page = await context.newPage();
    await page.setViewportSize({ width: 1100, height: 1000 });
    await page.goto(`http://127.0.0.1:${clusters[cluster].port}/`);
    const text = await page.locator('h1').textContent();
    hold(`status page of ${cluster} says ${heading}`, text.includes(heading), text);
    await fonts(`status page of ${cluster}`, page);
    for (const width of [1100, 380]) {
      await page.setViewportSize({ width, height: 1000 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      hold(`status page of ${cluster} fits into ${width} pixels`, wide <= 0, `${wide} too wide`);
    }
    await page.setViewportSize({ width: 1100, height: 1000 });
    await page.screenshot({ path: path.join(pictures, file), clip: { x: 0, y: 0, width: 1100, height: 900 } });
    hold(`${file} is light enough`, statSync(path.join(pictures, file)).size < LARGEST);
    await page.close();
  }
}
