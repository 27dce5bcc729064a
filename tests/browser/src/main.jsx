// One dashboard of `dashboards/`, its JSON as it is shipped: /?dashboard=UID&cluster=…&from=now-3m
import { createRoot } from 'react-dom/client';
import { BrowserRouter } from 'react-router-dom';
import { ThemeContext, createTheme } from '@grafana/data';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import {
  DataSourceVariable, QueryVariable, SceneDataTransformer, SceneGridItem, SceneGridLayout, SceneGridRow, SceneQueryRunner, SceneTimeRange,
  SceneVariableSet, TextBoxVariable, VariableValueSelectors, VizPanel, EmbeddedScene, sceneGraph,
} from '@grafana/scenes';
import { start } from './grafana';

const asked = new URLSearchParams(location.search);

function variable(json) {
  const common = { name: json.name, label: json.label };
  switch (json.type) {
    case 'datasource':
      return new DataSourceVariable({ ...common, pluginId: json.query, value: 'prometheus', text: 'Prometheus' });
    case 'query': {
      const wanted = asked.get(json.name);
      return new QueryVariable({
        ...common, datasource: json.datasource, query: json.query, isMulti: json.multi, includeAll: json.includeAll, allValue: json.allValue,
        refresh: json.refresh, sort: json.sort, value: wanted ? [wanted] : json.current.value, text: wanted ? [wanted] : json.current.text,
      });
    }
    case 'textbox':
      return new TextBoxVariable({ ...common, value: asked.get(json.name) ?? json.query });
    default:
      throw new Error(`a variable of type ${json.type}`);
  }
}

function panel(json) {
  return new SceneGridItem({
    key: `item-${json.id}`, x: json.gridPos.x, y: json.gridPos.y, width: json.gridPos.w, height: json.gridPos.h, isResizable: false, isDraggable: false,
    body: new VizPanel({
      key: `panel-${json.id}`, pluginId: json.type, title: json.title, description: json.description, options: json.options, fieldConfig: json.fieldConfig,
      $data: new SceneDataTransformer({
        transformations: json.transformations,
        $data: new SceneQueryRunner({ datasource: json.datasource, queries: json.targets }),
      }),
    }),
  });
}

function layout(panels) {
  const children = [];
  let row = null;
  const shown = asked.get('viewPanel');
  for (const json of panels.filter(({ id }) => !shown || String(id) === shown)) {
    if (json.type === 'row') {
      row = new SceneGridRow({ key: `row-${json.id}`, title: json.title, y: json.gridPos.y, isCollapsed: false, children: [] });
      children.push(row);
    } else if (row) {
      row.setState({ children: [...row.state.children, panel(json)] });
    } else {
      children.push(panel(json));
    }
  }
  return new SceneGridLayout({ children });
}

const json = await (await fetch(`/dashboards/${asked.get('dashboard')}.json`)).json();
await start();
const scene = new EmbeddedScene({
  $timeRange: new SceneTimeRange({ from: asked.get('from') ?? json.time.from, to: 'now' }),
  $variables: new SceneVariableSet({ variables: json.templating.list.map(variable) }),
  controls: [new VariableValueSelectors({})],
  body: layout(json.panels),
});
const bottom = Math.max(...json.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
document.body.dataset.height = String(bottom * 38 + 140);
createRoot(document.getElementById('root')).render(
  <BrowserRouter>
    <ThemeContext.Provider value={createTheme({ colors: { mode: 'light' } })}>
      <GlobalStyles />
      <div className="page">
        <h1>{json.title}</h1>
        <scene.Component model={scene} />
      </div>
      <PortalContainer />
    </ThemeContext.Provider>
  </BrowserRouter>
);
window.settled = () => {
  const runners = sceneGraph.findAllObjects(scene, (object) => object instanceof SceneQueryRunner);
  return runners.length > 0 && runners.every(({ state }) => ['Done', 'Error'].includes(state.data?.state));
};
window.failures = () =>
  sceneGraph.findAllObjects(scene, (object) => object instanceof SceneQueryRunner).flatMap(({ state }) => state.data?.errors ?? (state.data?.error ? [state.data.error] : [])).map(({ message }) => message);
