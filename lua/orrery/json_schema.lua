--- json_schema -- the stack file's schema as JSON Schema (draft 7), which editors read. Pure.
--
-- It says what a YAML or JSON stack may have: functions and plug-ins' own rules are left out, and
-- what needs more than one key to be judged (a strategy's keys, the graph) is `validate`'s to say.
local schema = require "orrery.schema"
local suggest = require "orrery.suggest"

local M = {}

local DRAFT = "http://json-schema.org/draft-07/schema#"

-- ---- patterns ----

local CLASSES = { a = "A-Za-z", d = "0-9", w = "A-Za-z0-9", l = "a-z", u = "A-Z", s = "\\s",
  c = "\\u0000-\\u001f\\u007f" }
local SPECIAL = "[][{}()*+?.^$|/\\-]"

--- %w and the like, within brackets or not.
local function class_or_literal(char, in_brackets)
  local class = CLASSES[char]
  if class then return in_brackets and class or "[" .. class .. "]" end
  return char:find(SPECIAL) and "\\" .. char or char
end

--- A Lua pattern of the schema (classes, sets, * + ?) as a regular expression.
function M.regex(pattern)
  local result, in_brackets, at = {}, false, 1
  while at <= #pattern do
    local char = pattern:sub(at, at)
    if char == "%" then
      at = at + 1
      char = class_or_literal(pattern:sub(at, at), in_brackets)
    elseif char == "[" then
      in_brackets = true
    elseif char == "]" then
      in_brackets = false
    elseif not in_brackets and char:find("[{}|]") then
      char = "\\" .. char
    end
    result[#result + 1] = char
    at = at + 1
  end
  return table.concat(result)
end

-- ---- nodes ----

local convert, described -- below

local function any_of(list) return #list == 1 and list[1] or { anyOf = list } end

local function rule_of(rule)
  return { type = "string", pattern = rule.pattern and M.regex(rule.pattern) or nil,
    maxLength = rule.max }
end

local kinds = {}

function kinds.string(node)
  local text = { type = "string" }
  if node.enum then text.enum = { table.unpack(node.enum) }
  elseif node.name then text = rule_of(node.name)
  elseif node.pattern then text.pattern = M.regex(node.pattern) end
  if node.scalar then text.type = { "string", "number", "boolean" } end
  return text
end

local function bounded(kind, node)
  return { type = kind, minimum = node.min, maximum = node.max, exclusiveMinimum = node.above }
end

function kinds.number(node) return bounded("number", node) end
function kinds.seconds(node) return bounded("number", node) end
function kinds.integer(node) return bounded("integer", node) end
function kinds.boolean() return { type = "boolean" } end
function kinds.any() return {} end
function kinds.mode() return { type = "string", pattern = "^0?[0-7]{1,3}$" } end

function kinds.list(node, seen)
  return { type = "array", items = convert(node.of, seen), minItems = node.nonempty and 1 or nil,
    maxItems = node.most }
end

function kinds.map(node, seen)
  local of = convert(node.of, seen)
  local map = { type = "object", additionalProperties = of, propertyNames = rule_of(node.keys) }
  if not node.listed_by then return map end
  return any_of { map, { type = "array", items = any_of { { type = "string" }, of } } }
end

function kinds.either(node, seen)
  local list = {}
  for _, branch in ipairs(node.of) do
    if branch.type ~= "function" then
      list[#list + 1] = described(branch, kinds[branch.type](branch, seen))
    end
  end
  return any_of(list)
end

function kinds.object(node, seen)
  local properties = {}
  for _, name in ipairs(suggest.names(node.fields)) do
    local field = node.fields[name]
    if field.type ~= "function" then properties[name] = convert(field, seen) end
  end
  return { type = "object", properties = properties, additionalProperties = false }
end

-- ---- what stands for a value ----

local SCALAR = { string = true, number = true, integer = true, seconds = true, boolean = true,
  mode = true, either = true }

local FROM_ENV = { ["$ref"] = "#/definitions/env" }
local FROM_SECRET = { ["$ref"] = "#/definitions/secret" }

local function stand_ins(node, plain)
  if not SCALAR[node.type] then return plain end
  local list = { plain, FROM_ENV }
  if node.secret then list[3] = FROM_SECRET end
  return { anyOf = list }
end

function described(node, result)
  if node.doc then result.description = node.doc end
  if type(node.default) ~= "table" then result.default = node.default end
  return result
end

-- Tables that many places share, by the names under which they are defined once.
local SHARED = { [schema.service] = "service", [schema.check] = "check",
  [schema.dependency] = "dependency", [schema.variable] = "variable", [schema.config] = "config",
  [schema.discovery] = "discovery", [schema.coordination] = "coordination" }

--- A node as JSON Schema; a shared one is a reference, and defined in `seen`.
function convert(node, seen)
  local name = SHARED[node]
  if not name then return described(node, stand_ins(node, kinds[node.type](node, seen))) end
  if not seen[name] then
    seen[name] = true -- it may be in itself
    seen[name] = described(node, kinds[node.type](node, seen))
  end
  return { ["$ref"] = "#/definitions/" .. name }
end

local function text(doc) return { type = "string", description = doc, minLength = 1 } end

local function stand_in_definitions(definitions)
  definitions.env = { type = "object", required = { "env" }, additionalProperties = false,
    description = "the value of an environment variable",
    properties = { env = text("the variable's name"),
      default = { description = "when it is not set" } } }
  definitions.secret = { type = "object", required = { "secret" }, additionalProperties = false,
    description = "a value that is never shown",
    properties = { secret = { type = "object", minProperties = 1, additionalProperties = false,
      properties = { file = text("the file that has it"), env = text("the variable that has it"),
        command = text("the command that prints it"),
        generate = text("how it is made once: hex:N, base64:N or k256"),
        name = text("under which a generated one is kept") } } } }
end

--- The JSON Schema of a stack file, as a table for json.encode().
function M.stack()
  local definitions = {}
  local result = described(schema.stack, kinds.object(schema.stack, definitions))
  stand_in_definitions(definitions)
  result["$schema"], result.definitions = DRAFT, definitions
  result.title = "Orrery stack"
  return result
end

return M
