--- present -- the agent's state and events as lines for people.
local core = require "orrery.core"
local ui = require "orrery.cli.ui"

local M = {}

local HEADER = {"SERVICE", "STATE", "HEALTH", "PORT", "PID", "UPTIME", "URL", "REASON"}

--- Whether an instance is as it was asked to be.
local function is_fine(instance)
  return instance.good and #(instance.flags or {}) == 0
end

local MOMENTS = { at = true, since = true, startedAt = true }

--- What an agent tells, as --json prints it: its moments, which are numbers in Lua, as the log has
-- them, 2026-01-31T08:00:00.000Z.
function M.dated(value)
  if type(value) ~= "table" then return value end
  local copy = setmetatable({}, getmetatable(value)) -- an empty list stays one
  for key, item in pairs(value) do
    local moment = MOMENTS[key] and type(item) == "number"
    copy[key] = moment and core.time.format(item) or M.dated(item)
  end
  return copy
end

function M.json(value) ui.json(M.dated(value)) end
function M.json_line(value) ui.json_line(M.dated(value)) end

--- Why an instance is not as it should be; "" if it is.
function M.reason(instance)
  if is_fine(instance) then return "" end
  local parts = {}
  local flags = table.concat(instance.flags or {}, ", ")
  if flags ~= "" then parts[1] = flags end
  local failing = instance.state == "running" and instance.message ~= "" and instance.message
  local why = failing or not instance.good and instance.reason or instance.lacks
  if why and why ~= "" then parts[#parts + 1] = why end
  return table.concat(parts, ": ")
end

local function uptime(instance)
  if instance.state ~= "running" or not instance.since then return "" end
  return ui.duration(math.max(core.time.now() - instance.since, 0))
end

local function row(service, instance)
  local name = #service.instances > 1 and instance.id or service.name
  local state = service.external and instance.state == "running" and "external" or instance.state
  return {name, state, instance.health, instance.port, instance.pid, uptime(instance),
    instance.url or service.url, M.reason(instance)}
end

local function drop_empty_columns(header, rows)
  local kept, columns = {}, {}
  for column, title in ipairs(header) do
    local used = column <= 3
    for _, cells in ipairs(rows) do
      local cell = cells[column]
      used = used or (cell ~= nil and cell ~= "")
    end
    if used then kept[#kept + 1], columns[#columns + 1] = title, column end
  end
  local result = {}
  for i, cells in ipairs(rows) do
    result[i] = {}
    for n, column in ipairs(columns) do result[i][n] = cells[column] or "" end
  end
  return kept, result
end

--- The lines of the table of services; of those in the set `only`, if given.
function M.table(state, only)
  local rows = {}
  for _, service in ipairs(state.services) do
    if not only or only[service.name] then
      for _, instance in ipairs(service.instances) do rows[#rows + 1] = row(service, instance) end
    end
  end
  local header, cells = drop_empty_columns(HEADER, rows)
  return ui.table(header, cells, function(column, cell)
    return (column == 2 or column == 3) and ui.state_colour(cell) or nil
  end)
end

--- The instances that are not as they should be: {{service =, instance =}, ...}.
function M.troubled(state, only)
  local list = {}
  for _, service in ipairs(state.services) do
    for _, instance in ipairs(service.instances) do
      if (not only or only[service.name]) and not instance.good then
        list[#list + 1] = {service = service, instance = instance}
      end
    end
  end
  return list
end

local function arrow(event)
  local to = ui.paint(ui.state_colour(event.to), event.to, 2)
  return event.from and event.from .. " → " .. to or to
end

local FORMATS = {
  agent = function(event) return "the agent is " .. event.to end,
  state = arrow,
  health = function(event) return "health " .. arrow(event) end,
  file = function(event) return "file " .. event.to end,
  flag = function(event)
    return (event.to == "set" and "" or "no longer ") .. (event.flag or "")
  end,
}

--- One event as one line, without its time.
function M.event(event)
  local who = event.instance or event.service or "stack"
  local format = FORMATS[event.type]
  local text = format and event.to and format(event) or event.type
  if event.message then text = text .. ": " .. ui.clean(event.message) end
  if event.reason and event.reason ~= "" then text = text .. ": " .. ui.clean(event.reason) end
  return ("%-16s %s"):format(ui.clean(who), text)
end

return M
