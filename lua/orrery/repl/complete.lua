--- complete -- what may follow the text before the cursor: names, fields of live tables, methods,
-- dot commands. Calls no function; what reads fresh values (a metatable's __index) may wait.
local pretty = require "orrery.repl.pretty"

local M = {}

local MOST = 400 -- candidates
local CLASSES = 5 -- metatables above a value

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
  return then true until while]]):gmatch("%a+") do KEYWORDS[#KEYWORDS + 1] = word end

local function field(value, key)
  if not key then return nil end
  local ok, result = pcall(function() return value[key] end)
  if ok then return result end
end

local STEPS = {
  { "^%.([%a_][%w_]*)()", function(name) return name end },
  { "^:([%a_][%w_]*)()", function(name) return name end },
  { '^%["([^"]*)"%]()', function(name) return name end },
  { "^%['([^']*)'%]()", function(name) return name end },
  { "^%[(%d+)%]()", function(digits) return math.tointeger(digits) end },
}

local function step(path, at)
  for _, form in ipairs(STEPS) do
    local key, after = path:sub(at):match(form[1])
    if key then return form[2](key), at + after - 1 end
  end
end

--- `a.b["c"][1]` as its keys; nil if it is no such path.
local function keys_in(path)
  local name, at = path:match("^([%a_][%w_]*)()")
  if not name then return nil end
  local keys = { name }
  while at <= #path do
    local key
    key, at = step(path, at)
    if key == nil then return nil end
    keys[#keys + 1] = key
  end
  return keys
end

--- The keys of the longest path that the text ends with, or nil.
local function path_at_end(text)
  for before, at in (" " .. text):gmatch("([^%w_%.:])()%f[%a_]") do
    local keys = before and keys_in(text:sub(at - 1))
    if keys then return keys end
  end
end

--- The value that the text ends with, or nil.
local function value_at_end(text, env)
  local value = env
  for _, key in ipairs(path_at_end(text) or { false }) do
    value = field(value, key)
    if value == nil then return nil end
  end
  return value
end

local function add_keys(found, from)
  local ok, iterate, state, first = pcall(pairs, from)
  if not ok then return end
  for key, value in iterate, state, first do
    if type(key) == "string" and found[key] == nil then
      found[key] = type(value) == "function" and "function" or "value"
    end
  end
end

--- {key = "function" | "value"} of a value and its classes.
local function keys_of(value)
  local found = {}
  if type(value) == "table" then add_keys(found, value) end
  for _ = 1, CLASSES do
    local class = debug.getmetatable(value)
    local index = class and rawget(class, "__index")
    if type(index) ~= "table" then break end
    add_keys(found, index)
    value = index
  end
  return found
end

local function is_shown(key, partial)
  if key:sub(1, #partial) ~= partial or key == "" then return false end
  return key:sub(1, 2) ~= "__" or partial:sub(1, 2) == "__"
end

local function candidate(shown, text, instead)
  return { shown = shown, text = text, instead = instead }
end

--- Fields behind `mark` ("." or ":"). One that is no name takes brackets instead of the dot.
local function fields(value, mark, partial)
  local list = {}
  for key, kind in pairs(keys_of(value)) do
    if is_shown(key, partial) and (mark == "." or kind == "function") then
      if pretty.is_name(key) then
        list[#list + 1] = candidate(key, key, utf8.len(partial) or #partial)
      elseif mark == "." then
        list[#list + 1] = candidate(key, "[" .. pretty.quote(key) .. "]",
          (utf8.len(partial) or #partial) + 1)
      end
    end
  end
  return list
end

--- Keys in an open bracket: `services["pd`.
local function strings(value, quote, partial)
  local list = {}
  for key in pairs(keys_of(value)) do
    if is_shown(key, partial) then
      list[#list + 1] = candidate(key, key .. quote .. "]", utf8.len(partial) or #partial)
    end
  end
  return list
end

local function words(names, partial)
  local list, seen = {}, {}
  for _, name in ipairs(names) do
    if is_shown(name, partial) and not seen[name] then
      seen[name] = true
      list[#list + 1] = candidate(name, name, #partial)
    end
  end
  return list
end

local function globals(env, partial)
  local names = table.move(KEYWORDS, 1, #KEYWORDS, 1, {})
  for name in pairs(keys_of(env)) do
    if pretty.is_name(name) then names[#names + 1] = name end
  end
  for name in pairs(_G) do names[#names + 1] = name end
  local class = debug.getmetatable(env)
  for _, name in ipairs(class and class.names or {}) do names[#names + 1] = name end
  return words(names, partial)
end

--- A dot command, or the name of a service behind one.
local function commands(text, options)
  local partial = text:match("^%s*%.(%a*)$")
  if partial then return words(options.commands or {}, partial) end
  partial = text:match("^%s*%.%a+%s.-([^%s]*)$")
  return partial and words(options.services or {}, partial)
end

local function in_code(text, env)
  local before, quote, partial = text:match("^(.-)%[([\"'])([^\"']*)$")
  if before then return strings(value_at_end(before, env), quote, partial) end
  local mark
  before, mark, partial = text:match("^(.-)([%.:])([%w_]*)$")
  if before then return fields(value_at_end(before, env), mark, partial) end
  return globals(env, text:match("[%w_]*$"))
end

local function by_name(a, b) return a.shown < b.shown end

--- The candidates for what stands before the cursor: a sorted list of {shown, text, instead}:
-- `text` is to be inserted in the place of the `instead` characters before the cursor. options:
-- commands, services (lists of names).
function M.candidates(text, env, options)
  local list = commands(text, options or {}) or in_code(text, env)
  table.sort(list, by_name)
  return table.move(list, 1, math.min(#list, MOST), 1, {})
end

--- What all candidates have in common, as one candidate; nil if that is nothing.
function M.common(list)
  local first = list[1]
  if not first then return nil end
  local length = #first.text
  for _, item in ipairs(list) do
    if item.instead ~= first.instead then return nil end
    while item.text:sub(1, length) ~= first.text:sub(1, length) do length = length - 1 end
  end
  return candidate(first.shown, first.text:sub(1, length), first.instead)
end

return M
