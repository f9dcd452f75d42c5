/** The one style sheet of all pictures. Everything is inside `.hl`, so that a page's own styles stay its own. */

import { palettes, scaleRules } from "./scales.ts";

const light = `--bg:#f5f6f8;--card:#fff;--ink:#16202c;--soft:#556273;--line:#d8dee6;--accent:#1f63c4;--deep:#123f86;--l0:#1f63c4;--l1:#b3520f;--l2:#5a6675;--l3:#6b3fa0;--plus:#2f74c8;--minus:#cf641c`;
const dark = `--bg:#0f141b;--card:#161d27;--ink:#e8eef5;--soft:#9dabbb;--line:#2c3745;--accent:#82b9f6;--deep:#a9d0ff;--l0:#82b9f6;--l1:#f0a065;--l2:#9dabbb;--l3:#c3a2f2;--plus:#4f93e0;--minus:#d97f3f`;

const base = `
.hl{box-sizing:border-box;color:var(--ink);background:var(--card);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;-webkit-text-size-adjust:100%;padding:12px}
.hl *{box-sizing:border-box}
.hl-page{margin:0;background:var(--bg)}
.hl-page .hl{background:none}
.hl main{max-width:1120px;margin:0 auto;padding:8px 4px 40px}
.hl h1{font-size:26px;line-height:1.25;margin:4px 0 14px;letter-spacing:-.01em;text-wrap:balance}
.hl h2{font-size:18px;margin:0 0 4px}
.hl h3{font-size:15px;margin:20px 0 6px}
.hl p{margin:0 0 10px}
.hl .soft,.hl .how,.hl .mark,.hl small{color:var(--soft)}
.hl .how{max-width:72ch;margin-bottom:14px}
.hl a{color:var(--accent)}
.hl section,.hl .card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin:0 0 16px}
.hl .top{display:flex;flex-wrap:wrap;gap:4px 16px;justify-content:space-between;font-size:13px;color:var(--soft)}
.hl nav{display:flex;flex-wrap:wrap;gap:6px 18px;margin:0 0 16px;font-size:14px}
.hl nav a{padding:4px 0}
.hl :focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.hl .word,.hl .tokens,.hl .strip,.hl th,.hl .lens td,.hl .prompt{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:13px}
.hl i{font-style:normal;opacity:.55}
.hl .prompt{display:flex;flex-wrap:wrap;gap:4px 2px;margin:0 0 16px}
.hl .prompt span,.hl .word{background:var(--card);border:1px solid var(--line);border-radius:5px;padding:1px 4px;white-space:nowrap;max-width:100%;overflow:hidden;text-overflow:ellipsis}
.hl .prompt .answer{background:var(--accent);border-color:var(--accent);color:var(--card);font-weight:600;padding:1px 8px;margin-left:4px}
.hl .facts{list-style:none;display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:12px;margin:0 0 16px;padding:0}
.hl .facts li{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:12px 16px;font-size:14px;color:var(--soft)}
.hl .facts b{display:block;font-size:21px;line-height:1.3;color:var(--ink);font-weight:650;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.hl .pair{display:flex;flex-wrap:wrap;gap:0 16px;align-items:flex-start}
.hl .pair>*{flex:1 1 380px;min-width:0}
.hl .pair>:last-child{flex:1.5 1 520px}
.hl .scroll{overflow-x:auto;overscroll-behavior-x:contain;padding:3px;margin:-3px}
.hl table{border-collapse:separate;border-spacing:2px;font-variant-numeric:tabular-nums;font-size:13px}
.hl th{font-weight:500;text-align:left;white-space:nowrap}
.hl th b{font-weight:400;color:var(--soft);font-size:11px}
.hl thead th,.hl thead td{color:var(--soft);font-weight:500;vertical-align:bottom;padding:2px 4px}
.hl tbody th{position:sticky;left:-3px;z-index:1;background:var(--card);box-shadow:0 0 0 2px var(--card);padding:2px 8px 2px 3px;max-width:13em;overflow:hidden;text-overflow:ellipsis}
.hl .corner{position:sticky;left:-3px;z-index:2;background:var(--card)}
.hl hl-grid{display:block}
.hl hl-grid td{text-align:center;border-radius:4px;padding:4px 8px;min-width:3.4em;white-space:nowrap;font-variant-numeric:tabular-nums}
.hl hl-grid thead th{text-align:center}
.hl hl-grid td small{display:block;font-size:10.5px;color:inherit;opacity:.85;line-height:1.2}
.hl hl-grid[data-live] td{cursor:default}
.hl td[data-head]{cursor:pointer}
.hl hl-grid td.on{box-shadow:inset 0 0 0 2px var(--ink)}
.hl .hot{color:var(--ink)!important;font-weight:700!important;text-decoration:underline 2px;text-underline-offset:3px}
.hl .nan{background:repeating-linear-gradient(45deg,#8884 0 3px,#0000 3px 7px)}
.hl .readout,.hl .said{min-height:1.5em;margin:8px 0 0;font-size:13px;color:var(--soft);font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.hl .legend{display:flex;flex-wrap:wrap;align-items:center;gap:4px 8px;font-size:12px;color:var(--soft);margin:0 0 10px}
.hl .swatches{display:inline-flex}
.hl .swatches i{width:16px;height:12px;opacity:1}
.hl .bars{width:100%;border-spacing:0 3px}
.hl .bars th,.hl .bars td{padding:1px 10px 1px 0}
.hl .bars tbody th{position:static;max-width:11em}
.hl .bars thead th:not(:first-child){text-align:right}
.hl .num{text-align:right;white-space:nowrap;width:1%}
.hl .fill{width:99%;padding-right:0!important}
.hl .bar{display:block;height:14px;width:max(2px,var(--w));background:var(--plus);border-radius:0 3px 3px 0}
.hl .two{background:linear-gradient(var(--line),var(--line)) 50% 0/1px 100% no-repeat}
.hl .two .bar{width:max(1.5px,calc(var(--w)/2))}
.hl .two .plus{margin-left:50%}
.hl .two .minus{margin-left:auto;margin-right:50%;background:var(--minus);border-radius:3px 0 0 3px}
.hl .on>th{font-weight:700}
.hl .tokens{list-style:none;display:flex;flex-wrap:wrap;gap:4px 2px;padding:0;margin:0 0 8px}
.hl .tokens li{border-radius:5px;padding:3px 6px;white-space:pre;max-width:100%;overflow:hidden;text-overflow:ellipsis}
.hl .tokens small{display:block;font:10.5px/1.2 system-ui,sans-serif;color:inherit;opacity:.85;font-variant-numeric:tabular-nums}
.hl .lens td{text-align:left;min-width:5.2em;padding:3px 7px}
.hl .lens thead th{text-align:left;padding-left:7px}
.hl .guesses td{padding:2px 10px 2px 4px;white-space:nowrap;border-radius:0}
.hl .guesses tbody td{border-top:1px solid var(--line)}
.hl .guesses{border-spacing:0;width:100%}
.hl .guesses tbody th{border-top:1px solid var(--line);font-family:inherit}
.hl .guesses .on{font-weight:700}
.hl .guesses .meter{min-width:70px;width:30%}
.hl .plain{border-spacing:0}
.hl .plain td,.hl .plain th{padding:2px 14px 2px 2px;border-bottom:1px solid var(--line)}
.hl .plain tbody th{position:static;max-width:none}
.hl pre{margin:0;white-space:pre-wrap}
.hl .chart{display:block;width:100%;min-width:440px;max-width:720px;height:auto;font:12px system-ui,sans-serif}
.hl .chart text{fill:var(--soft)}
.hl .chart .tick{stroke:var(--line)}
.hl .line path,.hl .keys path{fill:none;stroke-width:2.2}
.hl .keys{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;margin:0 0 6px;padding:0;font-size:13px}
.hl .keys li{display:flex;align-items:center;gap:7px;color:var(--c)}
.hl .keys svg{width:34px;height:8px}
.hl .l0{--c:var(--l0)}.hl .l1{--c:var(--l1)}.hl .l2{--c:var(--l2)}.hl .l3{--c:var(--l3)}
.hl .line path,.hl .keys path{stroke:var(--c)}.hl .line circle{fill:var(--c)}
.hl .l1 path{stroke-dasharray:7 4}.hl .l2 path{stroke-dasharray:2 4}.hl .l3 path{stroke-dasharray:9 3 2 3}
`;

const attention = `
.hl hl-attention{display:flex;flex-wrap:wrap;gap:20px 32px;align-items:flex-start}
.hl hl-attention:not(:defined) .heads,.hl hl-attention:not(:defined) .tokenwise,.hl [data-single] .heads{display:none}
.hl hl-attention button{font:inherit;color:inherit;background:none;border:0;padding:0;margin:0;cursor:pointer}
.hl .heads{display:grid;grid-template-columns:auto repeat(var(--columns),minmax(30px,var(--thumb)));gap:5px;align-items:center;max-width:100%;flex:0 1 auto}
.hl .heads .row{font-size:12px;color:var(--soft);padding-right:6px;white-space:nowrap}
.hl hl-attention .heads button{position:relative;border-radius:5px;background:var(--bg);border:1px solid var(--line);overflow:hidden;line-height:0;padding-bottom:5px}
.hl .heads canvas{color:var(--deep);width:100%;aspect-ratio:1;image-rendering:pixelated;display:block}
.hl .heads button i{position:absolute;left:0;right:0;bottom:0;height:5px;opacity:1}
.hl hl-attention .heads button[aria-checked=true]{border-color:var(--accent);box-shadow:0 0 0 2px var(--accent)}
.hl .one{flex:1 1 440px;min-width:0;container-type:inline-size}
.hl hl-attention:not([data-size=large]) .one{flex-basis:100%}
.hl .which{font-size:16px;margin-bottom:8px}
.hl .which span{color:var(--soft);font-size:14px;margin-left:6px}
.hl .ask{font-size:13px;color:var(--soft);display:flex;flex-wrap:wrap;gap:6px 8px;align-items:center;margin-bottom:6px}
.hl .choice{display:inline-flex;border:1px solid var(--line);border-radius:7px;overflow:hidden}
.hl hl-attention .choice button{padding:3px 10px;color:var(--ink)}
.hl hl-attention .choice button[aria-checked=true]{background:var(--accent);color:var(--card);font-weight:600}
.hl .choice :focus-visible{outline-offset:-3px;outline-color:var(--ink)}
.hl .strip{display:flex;flex-wrap:wrap;gap:3px 2px;margin:0 0 4px}
.hl hl-attention .strip button{border-radius:5px;padding:3px 5px;white-space:pre;border:1px solid transparent;min-height:28px;font:13px ui-monospace,"SF Mono",Menlo,Consolas,monospace}
.hl hl-attention .strip .on{border-color:var(--ink);font-weight:700}
`;

// After the colours of the scales, which are written for cells of any kind.
const matrix = `
.hl .upright{--cell:clamp(5px,calc((100cqw - 140px)/var(--n) - 1px),30px);border-spacing:1px;margin-top:10px}
.hl [data-size=tiny] .upright{--cell:clamp(4px,calc((100cqw - 12px)/var(--n)),14px)}
.hl .upright thead th{vertical-align:bottom;padding:0 0 4px}
.hl .upright thead span{writing-mode:vertical-rl;transform:rotate(180deg);display:inline-block;max-height:9em;overflow:hidden;text-overflow:ellipsis;line-height:1}
.hl .upright td,.hl .upright thead th{width:var(--cell);min-width:var(--cell);max-width:var(--cell)}
.hl .upright td{height:var(--cell);padding:0!important;font-size:clamp(0px,calc((var(--cell) - 15px)*9),11px);border-radius:calc(var(--cell)*.09)!important}
.hl .upright tbody th{padding:0 6px 0 3px;text-align:right;line-height:1}
.hl .upright tbody th,.hl .upright thead span{font-size:clamp(0px,calc(var(--cell)*.86),12px)}
.hl .upright b{font-size:.9em}
.hl .upright .corner{width:auto;min-width:0;max-width:none}
.hl .upright .x{background:none}
.hl [data-size=tiny] .upright{border-spacing:0}
.hl [data-size=tiny] .upright tbody th,.hl [data-size=tiny] .upright thead span,.hl [data-size=tiny] .upright b{font-size:0;padding:0;line-height:0}
.hl [data-size=tiny] .upright td{border-radius:0!important}
`;

const media = `
@media (max-width:600px){
.hl{padding:6px}
.hl h1{font-size:21px}
.hl section,.hl .card{padding:14px 12px;border-radius:10px}
.hl .facts{grid-template-columns:1fr 1fr;gap:8px}
.hl .facts li{padding:9px 11px;font-size:12.5px}
.hl .facts b{font-size:17px}
.hl .one,.hl .pair>*,.hl .pair>:last-child{flex-basis:100%}
.hl .upright tbody th{max-width:8em}
.hl .upright b{display:none}
.hl .swatches i{width:11px}
.hl hl-grid td{padding:4px 5px;min-width:3em}
.hl tbody th{max-width:7.5em}
.hl .guesses .third,.hl .guesses .second{display:none}
.hl .tokens li{padding:4px 5px}
}
@media (forced-colors:active){.hl td,.hl .swatches i,.hl .bar,.hl canvas,.hl .tokens li,.hl .strip button{forced-color-adjust:none}}
@media print{
.hl{padding:0;background:#fff}.hl-page{background:#fff}
.hl,.hl *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.hl nav,.hl .ask,.hl .readout{display:none}
.hl section,.hl .facts li,.hl tr{break-inside:avoid}
.hl .scroll{overflow:visible}
}
`;

/** Styles of everything, for both schemes. Paper is light. */
export const styles: string = [
  `:where(.hl,.hl-page){${light}}`,
  base,
  attention,
  scaleRules(".hl", palettes.light),
  `@media screen and (prefers-color-scheme:dark){:where(.hl,.hl-page){color-scheme:dark;${dark}}`,
  scaleRules(".hl", palettes.dark),
  "}",
  matrix,
  media,
].join("\n");
