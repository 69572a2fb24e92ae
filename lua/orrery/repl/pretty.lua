--- pretty -- values as text for people: sorted, bounded, cycles cut, secrets `***`. Reads the
-- values it is given, and nothing else.
local core = require "orrery.core"
local secret = require "orrery.secret"

local M = {}

local INDENT = 2
local DEPTH = 6     -- tables in tables
local ITEMS = 100   -- of one table
local NODES = 4000  -- values in all
local TEXT = 4000   -- bytes of one string

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
  return then true until while]]):gmatch("%a+") do KEYWORDS[word] = true end

--- Whether `name` can stand behind a dot.
function M.is_name(name)
  return type(name) == "string" and name:find("^[%a_][%w_]*$") ~= nil and not KEYWORDS[name]
end

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"' }

local function escape(c) return ESCAPES[c] or ("\\x%02x"):format(c:byte()) end

--- A string in quotes. Nothing in it can drive a terminal, and UTF-8 stays readable.
function M.quote(text)
  local pattern = utf8.len(text) and "[%c\\\"\127]" or "[%c\\\"\127-\255]"
  local cut = #text > TEXT and text:sub(1, utf8.len(text) and utf8.offset(text, 0, TEXT) - 1
    or TEXT) or text
  local quoted = '"' .. cut:gsub(pattern, escape) .. '"'
  return cut == text and quoted or ("%s ... (%d bytes)"):format(quoted, #text)
end

local function function_text(fn)
  local info = debug.getinfo(fn, "S")
  if info.what == "C" then return "function: built in" end
  return ("function: %s:%d"):format(info.short_src, info.linedefined)
end

local function cleaned(text) return (text:gsub("[%c\127]", escape)) end

local function own_text(value)
  local ok, text = pcall(tostring, value)
  return cleaned(ok and text or "(its __tostring fails)")
end

--- What is no table, as one word and its kind.
local function scalar(value)
  local kind = type(value)
  if kind == "string" then return M.quote(value), "string" end
  if kind == "function" then return function_text(value), "other" end
  if value == core.json.null then return "null", "nil" end
  if kind == "userdata" or kind == "thread" then return own_text(value), "other" end
  return tostring(value), kind
end

local RANK = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local x, y = RANK[type(a)] or 4, RANK[type(b)] or 4
  if x ~= y then return x < y end
  if x <= 2 then return a < b end
  return tostring(a) < tostring(b)
end

--- The keys of a table after its list part, and how long that is.
local function keys_of(value)
  local keys, count = {}, 0
  while count < rawlen(value) and rawget(value, count + 1) ~= nil do count = count + 1 end
  for key in pairs(value) do
    local in_list = math.type(key) == "integer" and key >= 1 and key <= count
    if not in_list then keys[#keys + 1] = key end
  end
  table.sort(keys, before)
  return keys, count
end

local function key_text(p, key)
  if M.is_name(key) then return p.paint("key", key) end
  return "[" .. (scalar(key)) .. "]"
end

local render

--- The fields of a table as texts.
local function fields_of(p, value, depth)
  local keys, count = keys_of(value)
  local fields = {}
  local function full() return #fields >= ITEMS or p.nodes > NODES end
  for i = 1, count do
    if full() then break end
    fields[#fields + 1] = render(p, value[i], depth + 1)
  end
  for _, key in ipairs(keys) do
    if full() then break end
    fields[#fields + 1] = key_text(p, key) .. " = " .. render(p, value[key], depth + 1)
  end
  local left = count + #keys - #fields
  if left > 0 then fields[#fields + 1] = p.paint("dim", ("... %d more"):format(left)) end
  return fields
end

local function plain_length(text)
  text = text:gsub("\27%[[%d;]*m", "")
  return utf8.len(text) or #text
end

local function fits(p, fields, depth)
  local length = depth * INDENT + 4
  for _, field in ipairs(fields) do
    if field:find("\n", 1, true) then return false end
    length = length + plain_length(field) + 2
    if length > p.width then return false end
  end
  return true
end

local function table_text(p, value, depth)
  local fields = fields_of(p, value, depth)
  if #fields == 0 then return "{}" end
  if fits(p, fields, depth) then return "{ " .. table.concat(fields, ", ") .. " }" end
  local pad = (" "):rep((depth + 1) * INDENT)
  return "{\n" .. pad .. table.concat(fields, ",\n" .. pad) .. "\n" .. (" "):rep(depth * INDENT)
    .. "}"
end

--- What stands for a table: its own text, a mark where it is cut; nil if it is to be shown.
local function instead(p, value, depth)
  if secret.is(value) then return "***" end
  if p.inside[value] then return p.paint("dim", "<cycle>") end
  local class = debug.getmetatable(value)
  if class and rawget(class, "__tostring") then return own_text(value) end
  if depth >= DEPTH then return p.paint("dim", next(value) == nil and "{}" or "{ ... }") end
end

function render(p, value, depth)
  p.nodes = p.nodes + 1
  if type(value) ~= "table" then
    local text, kind = scalar(value)
    return p.paint(kind, text)
  end
  local mark = instead(p, value, depth)
  if mark then return mark end
  p.inside[value] = true
  local text = table_text(p, value, depth)
  p.inside[value] = nil
  return text
end

local function unpainted(_, text) return text end

--- `value` as text. options: width (columns, 80), paint(kind, text) for colours.
function M.format(value, options)
  options = options or {}
  return render({ nodes = 0, inside = {}, width = options.width or 80,
    paint = options.paint or unpainted }, value, 0)
end

--- Several values: beside each other where they are short, else below each other.
function M.list(values, options)
  local texts, length = {}, 0
  for i = 1, values.n do
    texts[i] = M.format(values[i], options)
    length = length + plain_length(texts[i]) + 2
    if texts[i]:find("\n", 1, true) then length = math.huge end
  end
  local width = options and options.width or 80
  return table.concat(texts, length <= width and ", " or "\n")
end

return M
