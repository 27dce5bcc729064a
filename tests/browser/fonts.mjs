// The fonts of the pictures come with the tests, and those of the machine are not looked at: the same text is as wide everywhere.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('node_modules/dejavu-fonts-ttf/ttf', import.meta.url));

/** What pages ask for, Grafana's own families among it, and what they get. */
const FAMILIES = {
  'DejaVu Sans': ['sans-serif', 'system-ui', 'Inter', 'Helvetica', 'Arial', 'Roboto'],
  'DejaVu Sans Mono': ['monospace', 'Roboto Mono', 'Courier New'],
  'DejaVu Serif': ['serif', 'Times New Roman'],
};

/** Writes fontconfig's configuration into a folder; gives the environment of a browser that reads it. */
export function environment(state) {
  const alias = ([font, names]) => names.map((name) => `  <alias binding="same"><family>${name}</family><prefer><family>${font}</family></prefer></alias>\n`).join('');
  const file = path.join(state, 'fonts.conf');
  writeFileSync(file, `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${folder}</dir>
  <selectfont><rejectfont><glob>*/DejaVuMath*</glob></rejectfont></selectfont>
  <cachedir>${path.join(state, 'fonts')}</cachedir>
${Object.entries(FAMILIES).map(alias).join('')}  <match target="font">
    <edit name="antialias"><bool>true</bool></edit>
    <edit name="hintstyle"><const>hintslight</const></edit>
    <edit name="rgba"><const>none</const></edit>
  </match>
</fontconfig>
`);
  return { ...process.env, FONTCONFIG_FILE: file };
}

/** The families that the texts of a page are drawn with. */
export async function drawn(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('DOM.enable');
  await session.send('CSS.enable');
  const { root } = await session.send('DOM.getDocument');
  // One element a kind of text: there may be thousands.
  await page.evaluate(() => {
    const seen = new Set();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const element = texts.currentNode.parentElement;
      const { fontFamily, fontWeight, fontStyle } = getComputedStyle(element);
      const kind = [element.tagName, fontFamily, fontWeight, fontStyle].join();
      if (texts.currentNode.textContent.trim() && element.checkVisibility() && !seen.has(kind)) {
        seen.add(kind);
        element.dataset.font = '';
      }
    }
  });
  const { nodeIds } = await session.send('DOM.querySelectorAll', { nodeId: root.nodeId, selector: '[data-font]' });
  const families = new Set();
  for (const nodeId of nodeIds) {
    const { fonts } = await session.send('CSS.getPlatformFontsForNode', { nodeId });
    fonts.forEach(({ familyName }) => families.add(familyName));
  }
  await session.detach();
  return [...families].sort();
}
