// What Grafana's application gives its libraries when it starts, as far as these dashboards need it.
import {
  EventBusSrv, LoadingState, booleanOverrideProcessor, createTheme, dataLinksOverrideProcessor, displayNameOverrideProcessor,
  identityOverrideProcessor, locationUtil, numberOverrideProcessor, standardEditorsRegistry,
  standardFieldConfigEditorRegistry, standardTransformers, standardTransformersRegistry, stringOverrideProcessor,
  thresholdsOverrideProcessor, unitOverrideProcessor, valueMappingsOverrideProcessor,
} from '@grafana/data';
import * as runtime from '@grafana/runtime';
import { initPluginTranslations } from '@grafana/i18n';
import { from, map } from 'rxjs';
import { Prometheus } from './source';
import { plugins } from './panels';

export const SOURCE = { name: 'Prometheus', uid: 'prometheus', type: 'prometheus', id: 1, meta: { id: 'prometheus', name: 'Prometheus', info: {} }, jsonData: {}, access: 'proxy', readOnly: true, isDefault: true };

const properties = [
  ['unit', 'unit', unitOverrideProcessor],
  ['decimals', 'decimals', numberOverrideProcessor],
  ['displayName', 'displayName', displayNameOverrideProcessor],
  ['noValue', 'noValue', stringOverrideProcessor],
  ['color', 'color', identityOverrideProcessor],
  ['mappings', 'mappings', valueMappingsOverrideProcessor],
  ['thresholds', 'thresholds', thresholdsOverrideProcessor],
  ['links', 'links', dataLinksOverrideProcessor],
  ['min', 'min', numberOverrideProcessor],
  ['max', 'max', numberOverrideProcessor],
  ['filterable', 'filterable', booleanOverrideProcessor],
];

export async function start() {
  const editor = () => null;
  const property = ([id, path, process]) => ({
    id, path, name: id, description: '', editor, override: process, process, shouldApply: () => true, settings: {}, getItemsCount: undefined,
  });
  standardFieldConfigEditorRegistry.setInit(() => properties.map(property));
  standardEditorsRegistry.setInit(() => []);
  // Some of the library's transformers share an id.
  const transformers = new Map(Object.values(standardTransformers).map((transformation) => [transformation.id, transformation]));
  standardTransformersRegistry.setInit(() =>
    [...transformers.values()].map((transformation) => ({ id: transformation.id, name: transformation.name, transformation: async () => transformation, imageDark: '', imageLight: '' })));
  runtime.config.theme2 = createTheme({ colors: { mode: 'light' } });
  runtime.config.featureToggles = {};
  const source = new Prometheus(SOURCE);
  runtime.setDataSourceSrv({
    get: async () => source,
    getList: () => [SOURCE],
    getInstanceSettings: () => SOURCE,
    registerRuntimeDataSource: () => {},
    reload: () => {},
  });
  runtime.setRunRequest((datasource, request) =>
    from(datasource.query(request)).pipe(map(({ data }) => ({ state: LoadingState.Done, series: data, timeRange: request.range, request }))));
  runtime.setTemplateSrv({ replace: (text) => text ?? '', getVariables: () => [], containsTemplate: () => false, updateTimeRange: () => {} });
  runtime.setPluginImportUtils({
    importPanelPlugin: async (id) => plugins[id],
    getPanelPluginFromCache: (id) => plugins[id],
  });
  runtime.setAppEvents(new EventBusSrv());
  runtime.setEchoSrv({ addEvent: () => {}, addBackend: () => {}, flush: () => {} });
  runtime.setLocationSrv?.({ update: () => {} });
  runtime.setPluginLinksHook?.(() => ({ links: [], isLoading: false }));
  runtime.setPluginComponentsHook?.(() => ({ components: [], isLoading: false }));
  runtime.setPluginFunctionsHook?.(() => ({ functions: [], isLoading: false }));
  runtime.setChromeHeaderHeightHook?.(() => 0);
  locationUtil.initialize({
    config: { appSubUrl: '' },
    getTimeRangeForUrl: () => ({ from: 'now-3m', to: 'now' }),
    getVariablesUrlParams: () => ({}),
  });
  await initPluginTranslations('grafana');
  await initPluginTranslations('grafana-scenes');
}
