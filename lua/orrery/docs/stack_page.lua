--- stack_page -- the page orrery-stack(5), from the schema and the heads of what is built in. Pure.
local nodes = require "orrery.docs.node"
local pages = require "orrery.docs.pages"
local schema = require "orrery.schema"
local suggest = require "orrery.suggest"

local M = {}

local SECTIONS = {
  { "stack", schema.stack, "The stack" },
  { "service", schema.service, "A service", "The values of `services`. Each service is of a type, "
    .. "which fills in what it leaves out; its strings are templates: `${port}`." },
  { "dependency", schema.dependency, "A dependency", "The values of `dependencies`, by the name "
    .. "of what is needed. As a list they carry their `name`; a plain string is a name alone." },
  { "check", schema.check, "A health check", "`healthCheck`, and the values of `healthChecks`. "
    .. "`healthEndpoint = \"/x\"` is short for an http check of that path." },
  { "variable", schema.variable, "A variable", "The values of `variables`: what `settings` may "
    .. "set, and `${name}` reads." },
  { "config", schema.config, "A file", "The values of `config`, by the path of the file in the "
    .. "service's configuration folder. One of `template`, `source` and `data` says its content." },
  { "discovery", schema.discovery, "Discovery", "A key that begins with the name of a backend is "
    .. "for that one only." },
  { "coordination", schema.coordination, "Coordination" },
}

local TITLES = {}
for _, section in ipairs(SECTIONS) do TITLES[section[2]] = section end

-- Tables without a section of their own: their keys stand below the key that holds them.
local function inner(node)
  if node.type == "object" then return not TITLES[node] and node or nil end
  if node.type == "map" or node.type == "list" then return inner(node.of) end
  for _, branch in ipairs(node.type == "either" and node.of or {}) do
    if inner(branch) then return inner(branch) end
  end
end

local function refers_to(node)
  if node.type == "map" or node.type == "list" then node = node.of end
  return TITLES[node] and TITLES[node][3]
end

local function note_of(node)
  local limits = nodes.limits(node)
  return nodes.kind(node) .. (limits and "; " .. limits or "")
    .. (node.secret and "; may be a secret" or "")
end

local function meaning_of(node)
  local section = refers_to(node)
  return section and ('%s: see "%s"'):format(node.doc, section) or node.doc
end

local function key_of(node, key) return node.type == "map" and key .. ".NAME" or key end

-- `seen` guards against a table that is in itself.
local function add_keys(page, section, object, prefix, seen)
  for _, key in ipairs(suggest.names(object.fields)) do
    local node = object.fields[key]
    local path = prefix .. key
    page:entry(path, meaning_of(node), { id = pages.id(section .. ".", path),
      note = note_of(node) })
    local below = inner(node)
    if below and not seen[below] then
      seen[below] = true
      add_keys(page, section, below, key_of(node, path) .. ".", seen)
    end
  end
end

local function add_section(page, section)
  local name, node, title, intro = table.unpack(section)
  page:heading(1, "stack-" .. name, title)
  if intro then page:para(intro) end
  add_keys(page, name, node, "", {})
end

local function add_strategies(page)
  page:heading(1, "stack-strategies", "Keys of each check strategy")
  page:para("All other keys of a check belong to every strategy.")
  for _, name in ipairs(schema.check_strategies) do
    page:entry(name, table.concat(suggest.names(schema.check_keys[name]), ", "),
      { id = "strategy-" .. name })
  end
end

local KINDS = { { "types", "Service types" }, { "profiles", "Profiles" },
  { "filters", "Template filters" }, { "formats", "File formats" } }

--- The head of a plug-in's file: "--- name -- what it is." up to the first line that is no comment.
function M.head(source)
  local lines = {}
  for line in (source .. "\n"):gmatch("(.-)\n") do
    local words = line:match("^%-%-%-? ?(.*)$")
    if not words or words == "" then break end
    lines[#lines + 1] = words
  end
  return (table.concat(lines, " "):gsub("^[%w_-]+ %-%- ", ""))
end

local function add_plugins(page, plugins)
  for _, kind in ipairs(KINDS) do
    page:heading(1, "stack-" .. kind[1], kind[2])
    for _, name in ipairs(suggest.names(plugins[kind[1]] or {})) do
      page:entry(name, M.head(plugins[kind[1]][name]), { id = pages.id(kind[1] .. "-", name) })
    end
  end
end

local LUA = [[
---@type orrery.Stack
local stack = {
  profile = "simple-pds",
  domain = "pds.localhost",
  services = {
    hello = { exec = { "./hello", "--port", "${port}" }, port = 8081,
      healthEndpoint = "/", dependencies = { "pds" } },
  },
}
return stack]]

local YAML = [[
profile: simple-pds
domain: pds.localhost
services:
  hello:
    exec: [./hello, --port, "${port}"]
    port: 8081
    healthEndpoint: /
    dependencies: [pds] ]]

local function add_intro(page)
  page:heading(1, "stack-description", "Description")
  page:para("A stack file is Lua, YAML or JSON with the same keys: `stack.lua`, `stack.yaml` or "
    .. "`stack.json`. All that is wrong with it is told at once by `orrery validate`; `orrery "
    .. "schema` prints a JSON Schema for editors, and in Lua the annotations in `lua/meta` do as "
    .. "much: name the type, as below.")
  page:code(LUA)
  page:para("The same in YAML:")
  page:code((YAML:gsub(" $", "")))
  page:para("What a type says is overridden by the profile, that by the stack file, and that by "
    .. "`--set`. Maps are merged, lists are replaced; `enable = false` removes. Numbers of time "
    .. "are seconds.")
  page:para("Where a key may be a secret, `secret { file = ... }` stands for the value (in YAML "
    .. "`{secret: {file: ...}}`; also `env`, `command`, or `generate` with `name`). `env(\"NAME\", "
    .. "default)`, in YAML `{env: NAME, default: ...}`, stands for the value of an environment "
    .. "variable anywhere.")
end

--- The page of orrery-stack(5). plugins = {types = {<name> = <text of its file>}, profiles =, ...}
function M.page(plugins)
  local page = pages.new("orrery-stack", 5, "the stack file of Orrery")
  add_intro(page)
  for _, section in ipairs(SECTIONS) do
    add_section(page, section)
    if section[1] == "check" then add_strategies(page) end
  end
  add_plugins(page, plugins)
  return page
end

return M
