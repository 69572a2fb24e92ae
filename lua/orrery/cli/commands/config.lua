local core = require "orrery.core"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local MAX_DEPTH = 32
local LISTS = {tags = true, instances = true} -- shown as [] when empty

--- A copy fit for showing: secrets are ***, functions are named as such.
local function shown(value, depth)
  if require("orrery.secret").is(value) then return "***" end
  if type(value) == "function" then return "<function>" end
  if type(value) ~= "table" then return value end
  if depth > MAX_DEPTH then return "..." end
  local copy = {}
  for key, item in pairs(value) do
    copy[key] = shown(item, depth + 1)
    if LISTS[key] and type(item) == "table" and #item == 0 then copy[key] = ui.list() end
  end
  return setmetatable(copy, getmetatable(value))
end

local function visible(stack)
  local copy = {}
  for key, value in pairs(stack) do
    if key ~= "origin" then copy[key] = shown(value, 1) end
  end
  return copy
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return keys
end

--- Adds a row {path, value, origin} for every value below. A value that no layer wrote itself has
-- the origin of the table it came in.
local function flatten(rows, origin, path, value, inherited)
  local from = origin[path] or inherited
  if type(value) ~= "table" or next(value) == nil then
    local text = type(value) == "table" and "{}" or tostring(value)
    rows[#rows + 1] = {path = path, value = text, origin = from}
    return
  end
  for _, key in ipairs(sorted_keys(value)) do
    local below = path == "" and tostring(key) or path .. "." .. tostring(key)
    flatten(rows, origin, below, value[key], from)
  end
end

local function report_origin(ctx, stack)
  local rows = {}
  flatten(rows, stack.origin or {}, "", visible(stack), nil)
  if ctx.options.json then return ui.json(ui.list(rows)) end
  local cells = {}
  for i, row in ipairs(rows) do cells[i] = {row.path, row.value, row.origin or "default"} end
  ui.print_table({"KEY", "VALUE", "FROM"}, cells)
end

return {
  name = "config",
  group = "prepare",
  summary = "show the stack after merging type, profile, file and --set",
  options = {
    {name = "origin", summary = "one line per value, with the place it comes from"},
    {name = "json", summary = "print JSON"},
  },
  details = "Prints the whole stack as YAML, with every default filled in. Secrets are shown "
    .. "as ***; strings are shown before they are rendered.",
  exits = {"0    shown", "2    wrong usage", "3    the stack is invalid"},
  example = "orrery -f simple-pds config --origin",
  run = function(ctx)
    local stack = session.stack(ctx)
    if ctx.options.origin then return report_origin(ctx, stack) end
    if ctx.options.json then return ui.json(visible(stack)) end
    ui.write((core.yaml.encode(visible(stack)):gsub("\n*$", "\n")))
  end,
}
