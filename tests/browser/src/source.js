// A data source that asks Prometheus' HTTP API. Grafana's own is a plugin with a part on the server, which no registry has;
// this one makes the same frames: a frame a series, or one table with a column a label.
import { DataSourceApi, FieldType, LoadingState, createDataFrame, dateTime } from '@grafana/data';
import { sceneGraph } from '@grafana/scenes';

const escape = (text) => text.replace(/[\\^$*+?.()|[\]{}/]/g, '\\\\$&');

/** Fills variables in as the Prometheus data source does: values of a multi-value variable become one expression. */
export function fill(scene, text, scopedVars) {
  return sceneGraph.interpolate(scene, text, scopedVars, (value, variable) => {
    const many = variable && (variable.multi || variable.includeAll || variable.state?.isMulti);
    if (Array.isArray(value)) {
      return value.length === 1 ? escape(value[0]) : `(${value.map(escape).join('|')})`;
    }
    return many ? escape(String(value)) : String(value);
  });
}

async function ask(path, parameters) {
  const answer = await fetch(`/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const body = await answer.json();
  if (body.status !== 'success') {
    throw new Error(body.error);
  }
  return body.data;
}

const number = (text) => (text === 'NaN' ? NaN : Number(text));
const labelsOf = (metric) => Object.fromEntries(Object.entries(metric).filter(([name]) => name !== '__name__'));

function legend(target, metric) {
  const format = target.legendFormat;
  if (format && format !== '__auto') {
    return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => metric[name] ?? '');
  }
  const labels = Object.entries(labelsOf(metric)).map(([name, value]) => `${name}="${value}"`);
  return labels.length ? `{${labels.join(', ')}}` : target.expr;
}

function table(target, result, valueName) {
  const names = [...new Set(result.flatMap(({ metric }) => Object.keys(labelsOf(metric))))].sort();
  return createDataFrame({
    refId: target.refId,
    meta: { preferredVisualisationType: 'table' },
    fields: [
      { name: 'Time', type: FieldType.time, values: result.map(({ value }) => value[0] * 1000) },
      ...names.map((name) => ({ name, type: FieldType.string, values: result.map(({ metric }) => metric[name] ?? '') })),
      { name: valueName, type: FieldType.number, values: result.map(({ value }) => number(value[1])) },
    ],
  });
}

function series(target, { metric, values, value }, start, step) {
  const points = values ?? [value];
  let rows = points.map(([time, text]) => [time * 1000, number(text)]);
  if (values) {
    // A step without a sample is a gap, as in Grafana.
    const known = new Map(rows);
    const last = rows[rows.length - 1][0];
    rows = [];
    for (let time = start * 1000; time <= last; time += step * 1000) {
      rows.push([time, known.get(time) ?? null]);
    }
  }
  const name = legend(target, metric);
  return createDataFrame({
    refId: target.refId,
    name,
    fields: [
      { name: 'Time', type: FieldType.time, config: { interval: step * 1000 }, values: rows.map((row) => row[0]) },
      { name: 'Value', type: FieldType.number, labels: labelsOf(metric), config: { displayNameFromDS: name }, values: rows.map((row) => row[1]) },
    ],
  });
}

export class Prometheus extends DataSourceApi {
  async query(request) {
    const scene = request.scopedVars.__sceneObject.value.valueOf();
    const end = Math.floor(request.range.to.valueOf() / 1000);
    const begin = Math.floor(request.range.from.valueOf() / 1000);
    const step = Math.max(1, Math.ceil((end - begin) / 600));
    const start = begin - (begin % step);
    const tables = request.targets.filter((target) => target.format === 'table').length;
    const answers = await Promise.all(
      request.targets.map(async (target) => {
        const query = fill(scene, target.expr.replaceAll('$__rate_interval', '10s').replaceAll('$__range', `${end - begin}s`), request.scopedVars);
        if (target.range) {
          const { result } = await ask('query_range', { query, start, end, step });
          return result.map((one) => series(target, one, start, step));
        }
        const { result } = await ask('query', { query, time: end });
        if (target.format === 'table') {
          return result.length ? [table(target, result, tables > 1 ? `Value #${target.refId}` : 'Value')] : [];
        }
        return result.map((one) => series(target, one, start, step));
      })
    );
    return { data: answers.flat(), state: LoadingState.Done };
  }

  async metricFindQuery(query, { scopedVars, range } = {}) {
    const text = typeof query === 'string' ? query : query.query;
    const [, selector, label] = /^label_values\((.*), (\w+)\)$/.exec(text);
    const filled = fill(scopedVars.__sceneObject.value.valueOf(), selector, scopedVars);
    const from = (range?.from ?? dateTime(Date.now() - 3600e3)).valueOf() / 1000;
    const to = (range?.to ?? dateTime(Date.now())).valueOf() / 1000;
    const values = await ask(`label/${label}/values`, { 'match[]': filled, start: from, end: to });
    return values.map((value) => ({ text: value, value }));
  }

  async testDatasource() {
    return { status: 'success', message: '' };
  }
}
