--- records -- what discovery answers, for people.
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local M = {}

--- The records of a service, and the cursor to watch from; ends the command if the backend errs.
function M.lookup(backend, name, cursor, timeout)
  local list, next_cursor = backend:lookup(name, cursor, timeout)
  if list then return list, next_cursor end
  session.fail(session.UNREACHABLE, "%s", next_cursor)
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
