// The kinds of panels. Grafana's own plugins for them are part of its application and in no registry; these wrap the
// components of @grafana/ui that those plugins wrap. The state timeline has no component there and is drawn here.
import {
  FieldType, PanelPlugin, cacheFieldDisplayNames, getDisplayValueAlignmentFactors, getFieldDisplayName, getFieldDisplayValues, identityOverrideProcessor,
} from '@grafana/data';
import { BigValue, DataLinksContextMenu, TimeSeries, VizRepeater, useTheme2 } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

function Empty({ fieldConfig }) {
  return <div className="empty" data-empty>{fieldConfig.defaults.noValue ?? 'No data'}</div>;
}

const isEmpty = (series) => !series.some((frame) => frame.length > 0);

function Stat({ data, options, fieldConfig, width, height, replaceVariables, timeZone }) {
  const theme = useTheme2();
  if (isEmpty(data.series)) {
    return <Empty fieldConfig={fieldConfig} />;
  }
  const values = getFieldDisplayValues({ fieldConfig, reduceOptions: options.reduceOptions, replaceVariables, theme, data: data.series, timeZone });
  const render = ({ value, alignmentFactors, width, height, count }) => {
    const big = (menu) => (
      <div data-state={value.display.text} data-colour={value.display.color} data-name={value.display.title} data-links={(value.getLinks?.({}) ?? []).map((link) => link.href).join(' ')}>
        <BigValue
          value={value.display} count={count} width={width} height={height} alignmentFactors={alignmentFactors} theme={theme}
          text={options.text} colorMode={options.colorMode} graphMode="none" justifyMode={options.justifyMode} textMode={options.textMode} wideLayout={options.wideLayout}
          onClick={menu?.openMenu} className={menu?.targetClassName} disableWideLayout={!options.wideLayout}
        />
      </div>
    );
    return value.hasLinks && value.getLinks ? <DataLinksContextMenu links={value.getLinks}>{big}</DataLinksContextMenu> : big();
  };
  return (
    <VizRepeater
      getValues={() => values} getAlignmentFactors={getDisplayValueAlignmentFactors} renderValue={render} width={width} height={height}
      source={data} itemSpacing={3} renderCounter={0} autoGrid orientation={options.orientation}
    />
  );
}

function Table({ data, options, fieldConfig, width, height }) {
  if (isEmpty(data.series)) {
    return <Empty fieldConfig={fieldConfig} />;
  }
  cacheFieldDisplayNames(data.series);
  return (
    <TableNG
      data={data.series[0]} width={width} height={height} fieldConfig={fieldConfig} noHeader={!options.showHeader} cellHeight={options.cellHeight}
      initialSortBy={options.sortBy} enablePagination={options.footer?.enablePagination ?? false}
      noValue={fieldConfig.defaults.noValue} enableVirtualization={false} structureRev={data.structureRev} resizable
    />
  );
}

function Lines({ data, options, fieldConfig, width, height, timeRange, timeZone }) {
  if (isEmpty(data.series)) {
    return <Empty fieldConfig={fieldConfig} />;
  }
  return <TimeSeries frames={data.series} structureRev={data.structureRev} timeRange={timeRange} timeZone={timeZone} width={width} height={height} legend={options.legend} options={options} />;
}

/** Neighbouring samples of one value, as bands; a sample that is missing ends a band. */
function bands(times, values, step) {
  const found = [];
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      return;
    }
    const last = found[found.length - 1];
    if (last && last.value === value && times[index] - last.to <= step) {
      last.to = times[index] + step;
    } else {
      found.push({ value, from: times[index], to: times[index] + step });
    }
  });
  return found;
}

function Timeline({ data, fieldConfig, timeRange }) {
  const theme = useTheme2();
  if (isEmpty(data.series)) {
    return <Empty fieldConfig={fieldConfig} />;
  }
  const begin = timeRange.from.valueOf();
  const span = timeRange.to.valueOf() - begin;
  const percent = (time) => `${Math.max(0, Math.min(100, ((time - begin) / span) * 100))}%`;
  const clock = (time) => new Date(time).toISOString().slice(11, 19);
  return (
    <div className="timeline">
      {data.series.map((frame, row) => {
        const field = frame.fields.find(({ type }) => type === FieldType.number);
        const times = frame.fields.find(({ type }) => type === FieldType.time);
        const name = getFieldDisplayName(field, frame, data.series);
        return (
          <div className="band" key={row} data-band={name}>
            <div className="name" title={name}>{name}</div>
            <div className="track">
              {bands(times.values, field.values, times.config.interval).map(({ value, from, to }) => {
                const shown = field.display(value);
                const text = theme.colors.getContrastText(shown.color);
                const width = ((Math.min(to, begin + span) - Math.max(from, begin)) / span) * 100;
                return (
                  <div className="state" key={from} data-state={shown.text} data-colour={shown.color}
                    style={{ left: percent(from), width: `${width}%`, background: shown.color, color: text }}>
                    {width > 7 ? shown.text : ''}
                  </div>
                );
              })}
            </div>
          </div>
        );
      })}
      <div className="axis"><span>{clock(begin)}</span><span>{clock(begin + span / 2)}</span><span>{clock(begin + span)}</span></div>
    </div>
  );
}

const customs = {
  table: ['align', 'cellOptions', 'inspect', 'width', 'wrapText'],
  timeseries: ['drawStyle', 'lineInterpolation', 'lineWidth', 'fillOpacity', 'showPoints', 'spanNulls', 'axisSoftMin', 'axisPlacement', 'scaleDistribution', 'thresholdsStyle', 'hideFrom'],
  'state-timeline': ['fillOpacity', 'lineWidth', 'spanNulls', 'insertNulls'],
  stat: [],
};

function plugin(id, component) {
  const made = new PanelPlugin(component).useFieldConfig({
    useCustomConfig: (builder) =>
      customs[id].forEach((name) => {
        builder.addCustomEditor({
          id: name, path: name, name, override: identityOverrideProcessor, process: identityOverrideProcessor, shouldApply: () => true, editor: () => null,
          defaultValue: { axisPlacement: 'auto', scaleDistribution: { type: 'linear' }, thresholdsStyle: { mode: 'off' } }[name],
        });
      }),
  });
  made.meta = { id, name: id, type: 'panel', module: '', baseUrl: '', sort: 0, info: { version: '', logos: { small: '', large: '' } } };
  return made;
}

export const plugins = {
  stat: plugin('stat', Stat),
  table: plugin('table', Table),
  timeseries: plugin('timeseries', Lines),
  'state-timeline': plugin('state-timeline', Timeline),
};
