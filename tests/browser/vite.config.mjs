import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

export default {
  root: here('.'),
  logLevel: 'warn',
  build: { outDir: here('../../target/browser/site'), emptyOutDir: true, chunkSizeWarningLimit: 20000, minify: false, sourcemap: false },
  resolve: {
    alias: [
      // Grafana's libraries reach for the compatibility package of the router; its newest release is the router itself.
      { find: 'react-router-dom-v5-compat', replacement: here('src/router-compat.js') },
    ],
    dedupe: ['react', 'react-dom', 'rxjs', '@grafana/data', '@grafana/runtime', '@grafana/ui'],
  },
  define: { 'process.env.NODE_ENV': '"production"', 'process.env': '{}' },
};
