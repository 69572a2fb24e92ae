--- records -- what discovery answers, for people.
local args = require "orrery.cli.args"
local backend = require "orrery.cli.backend"
local ui = require "orrery.cli.ui"

local M = {}

--- What may be a service's name; misuse otherwise.
function M.check_name(name)
  if #name <= 63 and name:find("^%w[%w._-]*$") then return name end
  args.misuse("%q is no service's name, which has up to 63 letters, digits and . _ - (not first)",
    name)
end

--- The records of a service; ends the command if the backend errs.
function M.lookup(discovery, plan, name)
  local list, message, code = discovery:lookup(name)
  return list or backend.fail(plan, message, code)
end

--- The records of every service.
function M.all(discovery, plan)
  local names, message, code = discovery:services()
  if not names then backend.fail(plan, message, code) end
  table.sort(names)
  local list = {}
  for _, name in ipairs(names) do
    local found = M.lookup(discovery, plan, name)
    table.move(found, 1, #found, #list + 1, list)
  end
  return list
end

function M.print(list)
  local rows = {}
  for i, record in ipairs(list) do
    local address = record.address or ""
    if record.port then
      address = (address:find(":") and "[" .. address .. "]" or address) .. ":" .. record.port
    end
    rows[i] = {record.service, record.id, address, record.scheme, record.status,
      table.concat(record.tags or {}, ","), record.source}
  end
  ui.print_table({"SERVICE", "ID", "ADDRESS", "SCHEME", "STATUS", "TAGS", "SOURCE"}, rows,
    function(column, cell) return column == 5 and ui.state_colour(cell) or nil end)
end

return M
