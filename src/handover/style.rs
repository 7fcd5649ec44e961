//! How a pack looks in a browser and on paper.

/// Values are selected whole by one click (`user-select: all`), and broken anywhere on
/// screen without a character that would be copied.
pub(super) const STYLE: &str = "
:root { color-scheme: light dark; --line: #767676; --shade: #f2f4f7; --alarm: #a30000; }
@media (prefers-color-scheme: dark) {
  :root { --line: #9a9a9a; --shade: #23272e; --alarm: #ff9c8f; }
}
* { box-sizing: border-box; }
body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.25; break-after: avoid; }
h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
h3 { margin-top: 2rem; }
li { margin: .4rem 0; }
code { font: .92em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(8rem, 16rem) 1fr; gap: .3rem 1rem; break-inside: avoid; }
dt { font-weight: 600; }
dd { margin: 0; min-width: 0; }
dd code, pre code { user-select: all; }
figure { margin: 1rem 0; break-inside: avoid; }
pre { margin: .3rem 0 0; padding: .7rem; border: 1px solid var(--line); border-radius: .3rem;
  background: var(--shade); white-space: pre-wrap; overflow-wrap: anywhere; }
.urgent { border-left: .4rem solid var(--alarm); padding-left: .8rem; color: var(--alarm); font-weight: 600; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
@media print {
  :root { color-scheme: light; --line: #767676; --shade: #fff; --alarm: #000; }
  body { font-size: 10pt; color: #000; background: #fff; }
  main { max-width: none; padding: 0; }
}
";
