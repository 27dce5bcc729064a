// `make test-browser`: the shipped dashboards and the status page in a real browser, on what a real Prometheus scraped from
// real doctors. `--pictures FOLDER` also keeps the pictures that the README shows.
import { spawn } from 'node:child_process';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { check, report } from './checks.mjs';
import { environment } from './fonts.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const state = mkdtempSync(path.join(tmpdir(), 'dashboards-'));
const doctorProgram = path.join(root, 'target/debug/metrics-server-doctor');
const children = [];

function run(program, args, log) {
  const output = openSync(path.join(state, log), 'w');
  const child = spawn(program, args, { stdio: ['ignore', output, output] });
  children.push(child);
  return child;
}

const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

async function until(what, seconds, attempt) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    try {
      const value = await attempt();
      if (value) {
        return value;
      }
    } catch (error) {
      if (Date.now() > end) {
        throw new Error(`waited ${seconds} s for ${what}`, { cause: error });
      }
    }
    if (Date.now() > end) {
      throw new Error(`waited ${seconds} s for ${what}`);
    }
    await sleep(0.2);
  }
}

const freePort = () =>
  new Promise((done) => {
    const server = net.createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

/** A cluster: a doctor on a port of its own, which begins healthy and then sees what `scene` says. */
class Cluster {
  constructor(name, port, later) {
    Object.assign(this, { name, port, later });
  }

  start(args) {
    this.child = run(doctorProgram, [...args, '--listen-address', `127.0.0.1:${this.port}`, '--runbook-url', 'https://example.org/runbooks'], `${this.name}.log`);
  }

  async stop() {
    const ended = new Promise((done) => this.child.once('exit', done));
    this.child.kill('SIGTERM');
    await ended;
  }
}

const scene = (verdict) => ['demo', '--scene', verdict, '--interval', '1'];

async function clusters() {
  const bundle = path.join(state, 'bundle');
  mkdirSync(bundle);
  writeFileSync(path.join(bundle, 'namespace.yaml'), 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n');
  writeFileSync(path.join(bundle, 'observed-at.txt'), `${new Date().toISOString()}\n`);
  const plan = {
    'ap-south': scene('hpa/missing_request'),
    'eu-central': scene('none/healthy'),
    'eu-west': scene('connection_refused/target_port_mismatch'),
    'staging': scene('installed/not_installed'),
    'us-east': ['serve', '--from', bundle],
    'us-west': null,
  };
  const all = {};
  for (const [name, later] of Object.entries(plan)) {
    all[name] = new Cluster(name, await freePort(), later);
    all[name].start(scene('none/healthy'));
  }
  return all;
}

/** The shipped rules, which fire at once here; but not the one about a condition that flaps: every look at the demo has a new time. */
function rules() {
  const folder = path.join(state, 'rules');
  mkdirSync(folder);
  for (const file of readdirSync(path.join(root, 'alerts')).filter((name) => name.endsWith('.yaml'))) {
    const text = readFileSync(path.join(root, 'alerts', file), 'utf8');
    writeFileSync(path.join(folder, file), text.replace(/^( +for): \w+$/gm, '$1: 1s').replace(') > 5\n', ') > 1e9\n'));
  }
  return folder;
}

async function prometheus(all) {
  const targets = Object.values(all).map(({ name, port }) => `      - {targets: ['127.0.0.1:${port}'], labels: {cluster: ${name}}}\n`).join('');
  writeFileSync(path.join(state, 'prometheus.yml'),
    `global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s}\nrule_files: ['${rules()}/*.yaml']\nscrape_configs:\n  - job_name: metrics-server-doctor\n    static_configs:\n${targets}`);
  const port = await freePort();
  const program = process.env.PROMETHEUS ?? path.join(root, '.components/prometheus-3.16.0/prometheus');
  run(program, [`--config.file=${state}/prometheus.yml`, `--storage.tsdb.path=${state}/data`, `--web.listen-address=127.0.0.1:${port}`], 'prometheus.log');
  const ask = async (query) => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?${new URLSearchParams({ query })}`);
    return (await answer.json()).data.result;
  };
  await until('Prometheus to scrape every doctor', 30, async () => (await ask('up == 1')).length === Object.keys(all).length);
  return { port, ask };
}

const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' };

/** The built page, the dashboards as they are shipped, and Prometheus behind one address. */
function site(prometheusPort) {
  const server = http.createServer((request, response) => {
    const { pathname, search } = new URL(request.url, 'http://site');
    if (pathname.startsWith('/api/')) {
      const options = { host: '127.0.0.1', port: prometheusPort, path: pathname + search, method: request.method, headers: { accept: 'application/json' } };
      const forwarded = http.request(options, (answer) => {
        response.writeHead(answer.statusCode, { 'content-type': 'application/json' });
        answer.pipe(response);
      });
      forwarded.on('error', () => response.writeHead(502).end());
      request.pipe(forwarded);
      return;
    }
    const file = pathname.startsWith('/dashboards/') ? path.join(root, pathname) : path.join(root, 'target/browser/site', pathname === '/' ? 'index.html' : pathname);
    if (!existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': types[path.extname(file)] ?? 'application/octet-stream' });
    createReadStream(file).pipe(response);
  });
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

async function main() {
  const began = Date.now();
  const picturesAt = process.argv.indexOf('--pictures');
  const pictures = picturesAt > 0 ? path.resolve(process.argv[picturesAt + 1]) : path.join(state, 'pictures');
  // What the README does not show.
  const aside = path.join(state, 'aside');
  mkdirSync(pictures, { recursive: true });
  mkdirSync(aside);
  const all = await clusters();
  const { port, ask } = await prometheus(all);
  const scraped = Date.now();
  // Half a minute of health before the faults, so that the histories have something to tell.
  await sleep(30);
  for (const cluster of Object.values(all).filter(({ later }) => later === null || later[2] !== 'none/healthy')) {
    await cluster.stop();
    if (cluster.later) {
      cluster.start(cluster.later);
    }
  }
  await until('the faults to be scraped', 30, async () => (await ask('metrics_server_doctor_verdict{cause="healthy"} == 1')).length === 1);
  const alert = { 'ap-south': 'HPATargetsUnknown', 'eu-west': 'MetricsServerConnectionRefused', staging: 'MetricsServerInstallationBroken', 'us-east': 'MetricsServerDoctorUndetermined', 'us-west': 'MetricsServerDoctorDown' };
  await until('the alerts of the faults', 60, async () => {
    const firing = (await ask('ALERTS{alertstate="firing"}')).map(({ metric }) => `${metric.cluster} ${metric.alertname}`);
    return Object.entries(alert).every(([cluster, name]) => firing.includes(`${cluster} ${name}`));
  });
  await sleep(25);
  const server = await site(port);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'], env: environment(state) });
  try {
    await check({ browser, address: `http://127.0.0.1:${server.address().port}`, clusters: all, pictures, aside, began: scraped });
  } finally {
    await browser.close();
    server.close();
  }
  report(began);
}

try {
  await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  children.forEach((child) => child.kill('SIGKILL'));
  if (!process.env.KEEP) {
    rmSync(state, { recursive: true, force: true });
  } else {
    console.log(`kept ${state}`);
  }
}
