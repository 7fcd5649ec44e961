//! How a letter looks on paper and in a browser.

/// Made for A4: a usual letter takes one page. Values are selected whole by one click.
pub(super) const STYLE: &str = "
@page { size: A4; margin: 12mm 15mm; }
:root { --line: #b8bec7; --ink: #16202c; --soft: #55606e; --shade: #f1f4f8; --alarm: #9c1c12; --warn: #fdf0ee;
  --accent: #1d4e89; }
* { box-sizing: border-box; }
body { margin: 0; font: 10pt/1.4 'Segoe UI', Arial, 'Liberation Sans', 'Noto Sans', sans-serif;
  color: var(--ink); background: #fff; }
main { max-width: 190mm; margin: 0 auto; padding: 10mm 8mm; overflow-wrap: anywhere; }
h1 { font-size: 15pt; line-height: 1.2; margin: 0 0 .4rem; color: var(--accent); }
h2 { font-size: 11.5pt; line-height: 1.2; margin: .8rem 0 .25rem; padding-bottom: .15rem;
  border-bottom: 1.5pt solid var(--accent); break-after: avoid; }
p { margin: .3rem 0; }
ul { margin: .3rem 0; padding-left: 1.1rem; }
li { margin: .25rem 0; break-inside: avoid; }
code { font: .93em ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; }
dl { margin: 0 0 .4rem; }
dt, dd { display: inline; margin: 0; }
dt { color: var(--soft); }
dt::after { content: ': '; }
dd:not(:last-child)::after { content: ' \\b7  '; }
figure { margin: .2rem 0 .5rem; break-inside: avoid; }
figcaption { color: var(--soft); font-size: .93em; }
pre { margin: .15rem 0 0; padding: .35rem .6rem; border-left: 2.5pt solid var(--accent);
  background: var(--shade); white-space: pre-wrap; }
pre code { user-select: all; }
table { width: 100%; border-collapse: collapse; margin: .35rem 0; font-variant-numeric: tabular-nums; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
th, td { padding: .1rem 0 .1rem .8rem; border-bottom: .5pt solid var(--line); text-align: right;
  font-weight: normal; vertical-align: top; }
th:first-child { padding-left: 0; text-align: left; width: 100%; }
td, thead th { white-space: nowrap; min-width: 5.2em; }
thead th { color: var(--soft); font-size: .93em; }
.urgent { margin: .45rem 0; padding: .3rem .6rem; border-left: 2.5pt solid var(--alarm);
  background: var(--warn); break-inside: avoid; }
.urgent strong { color: var(--alarm); }
@media print {
  body { font-size: 8.8pt; line-height: 1.33; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; }
}
";
