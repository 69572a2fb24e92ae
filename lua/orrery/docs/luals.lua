--- luals -- the schema of a stack as annotations that editors read (lua/meta/stacktypes.lua). Pure.
local nodes = require "orrery.docs.node"
local schema = require "orrery.schema"
local suggest = require "orrery.suggest"

local M = {}

local HEAD = [[
---@meta
error("a meta file cannot be required")

---What a stack file, a profile and a type hold: `make docs` writes this file from the schema
---(lua/orrery/schema.lua). With it an editor completes and checks a stack that says what it is.
---
---    ---@type orrery.Stack
---    local stack = { services = { web = { port = 8080, healthEndpoint = "/" } } }
---    return stack
]]

local hooks = schema.service.fields.hooks.fields

-- Tables that have a name of their own; others are called after the field that holds them.
local NAMES = { [schema.stack] = "Stack", [schema.service] = "Service", [schema.check] = "Check",
  [schema.dependency] = "Dependency", [schema.variable] = "Variable", [schema.config] = "Config",
  [schema.discovery] = "Discovery", [schema.coordination] = "Coordination",
  [hooks.beforeStart.of[3]] = "Hook" }

local ITEMS = { nodes = "Node" } -- of maps, where no schema names them

local LONG = 5 -- words
local LISTS = { ["orrery.Service.Stop.signal"] = "orrery.Signal",
  ["orrery.Check.expectedState"] = "orrery.UnitState",
  ["orrery.Service.Restart.forceExit"] = "orrery.EndSignal",
  ["orrery.Variable.type"] = "orrery.VariableType" }

local FUNCTIONS = { ["orrery.Check.run"] = "orrery.CheckFunction" }

local types = {}

-- `state` is {seen, queue, aliases, lines}: classes by node, those in the order they are written,
-- and lists of words with their lines. `where` is class.field.
local function type_of(node, where, state) return types[node.type](node, where, state) end

local function bracketed(text)
  return (text:find("|", 1, true) or text:find("^fun")) and "(" .. text .. ")" or text
end

local function with_secret(node, text)
  return node.secret and text .. "|orrery.Secret" or text
end

-- "orrery.Check.tls" as "orrery.Check.Tls".
local function capitalised(where)
  return (where:gsub("[^.]+$", function(field) return (field:gsub("^%l", string.upper)) end))
end

local function literals(values)
  local list = {}
  for i, value in ipairs(values) do list[i] = ('"%s"'):format(value) end
  return table.concat(list, "|")
end

-- A long list of words is written once, under a name.
local function words(values, where, state)
  local text = literals(values)
  if #values <= LONG then return text end
  local name = state.aliases[text]
  if not name then
    name = LISTS[where] or capitalised(where)
    state.aliases[text] = name
    table.insert(state.lines, ("---@alias %s %s"):format(name, text))
  end
  return name
end

function types.string(node, where, state)
  if node.enum then return with_secret(node, words(node.enum, where, state)) end
  if node.known then return literals(node.known) .. "|string" end
  return with_secret(node, node.scalar and "string|number|boolean" or "string")
end

function types.number() return "number" end
function types.seconds() return "number" end
function types.integer() return "integer" end
function types.boolean() return "boolean" end
function types.any() return "any" end
function types.mode() return "string" end
types["function"] = function(_, where) return FUNCTIONS[where] or "orrery.HookFunction" end

function types.list(node, where, state)
  return bracketed(type_of(node.of, where, state)) .. "[]"
end

function types.map(node, where, state)
  local item = ITEMS[where:match("[^.]+$")]
  local of = type_of(node.of, item and where:gsub("[^.]+$", item) or where, state)
  local map = ("table<string, %s>"):format(of)
  return node.listed_by and ("%s|(string|%s)[]"):format(map, of) or map
end

function types.either(node, where, state)
  local list, seen = {}, {}
  for _, branch in ipairs(node.of) do
    local text = type_of(branch, where, state)
    if not seen[text] then list[#list + 1] = text end
    seen[text] = true
  end
  return table.concat(list, "|")
end

local function name_of(node, where)
  return NAMES[node] and "orrery." .. NAMES[node] or capitalised(where)
end

function types.object(node, where, state)
  if not state.seen[node] then
    state.seen[node] = name_of(node, where)
    state.queue[#state.queue + 1] = node
  end
  return state.seen[node]
end

local function sentence(doc)
  return doc:find("^[%l, ]+:") and doc or (doc:gsub("^%l", string.upper))
end

local function class(node, name, state)
  local lines = { ("---%s."):format(sentence(node.doc)), "---@class " .. name }
  for _, key in ipairs(suggest.names(node.fields)) do
    local field = node.fields[key]
    lines[#lines + 1] = ("---@field %s? %s %s"):format(key,
      type_of(field, name .. "." .. key, state), nodes.meaning(field))
  end
  return table.concat(lines, "\n")
end

local function classes()
  local state, texts = { seen = {}, queue = {}, aliases = {}, lines = {} }, {}
  types.object(schema.stack, "", state)
  local at = 1
  while state.queue[at] do
    local node = state.queue[at]
    texts[at] = class(node, state.seen[node], state)
    at = at + 1
  end
  for _, line in ipairs(state.lines) do texts[#texts + 1] = line end
  return texts
end

--- The text of lua/meta/stacktypes.lua.
function M.stack()
  return HEAD .. "\n" .. table.concat(classes(), "\n\n") .. "\n"
end

return M
