--- style -- the looks of the HTML manual.
return [[
:root { --ink: #1c2024; --paper: #fdfdfc; --faint: #60646c; --line: #e2e4e8; --box: #f4f5f7;
  --link: #0b62c4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6ea; --paper: #16181c; --faint: #9aa0a9; --line: #2c3036; --box: #1f2227;
    --link: #7db4ff; }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.2rem;
  border-right: 1px solid var(--line); font-size: .88rem; }
nav .title { font-size: 1.15rem; font-weight: 600; margin: 0 0 .6rem; }
nav p { font-weight: 600; margin: 1rem 0 .2rem; }
nav ul { list-style: none; margin: 0; padding-left: .6rem; }
nav li { overflow-wrap: anywhere; }
nav details > summary { cursor: pointer; }
nav a { color: inherit; }
main { padding: 1.5rem 2.5rem 4rem; max-width: 58rem; min-width: 0; }
h1 { font-size: 1.9rem; margin: 0 0 1rem; }
h2 { font-size: 1.55rem; margin: 3rem 0 1rem; padding-bottom: .3rem;
  border-bottom: 2px solid var(--line); }
h3 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; }
h4, h5 { font-size: 1.02rem; margin: 2rem 0 .4rem; overflow-wrap: anywhere; }
h4 code, h5 code { background: none; padding: 0; font-weight: 600; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: .87em; }
code { background: var(--box); border-radius: 4px; padding: .1em .3em; }
pre { background: var(--box); border: 1px solid var(--line); border-radius: 6px;
  padding: .8rem 1rem; overflow-x: auto; line-height: 1.45; }
pre code { background: none; padding: 0; }
p { margin: .6rem 0; }
dl { margin: .6rem 0; }
dt { margin-top: .55rem; overflow-wrap: anywhere; }
dd { margin: .05rem 0 .3rem 1.4rem; }
dd p { margin: 0 0 .3rem; }
.note { color: var(--faint); font-weight: 400; font-size: .85rem; }
.anchor { color: var(--faint); visibility: hidden; font-weight: 400; }
h3:hover .anchor, h4:hover .anchor, h5:hover .anchor, .anchor:focus { visibility: visible; }
:target { background: color-mix(in srgb, var(--link) 14%, transparent); }
@media (max-width: 56rem) {
  body { display: block; }
  nav { position: static; height: auto; max-height: 45vh; border-right: 0;
    border-bottom: 1px solid var(--line); }
  main { padding: 1rem; }
}
@media print { nav, .anchor { display: none; } body { display: block; } }
]]
