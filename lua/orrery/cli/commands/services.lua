local records = require "orrery.cli.records"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"
local view = require "orrery.cli.view"

local function all(backend)
  local names, message = backend:services()
  if not names then session.fail(session.UNREACHABLE, "%s", message) end
  table.sort(names)
  local list = {}
  for _, name in ipairs(names) do
    local found = records.lookup(backend, name)
    table.move(found, 1, #found, #list + 1, list)
  end
  return list
end

return {
  name = "services",
  group = "look",
  summary = "show everything that is registered in discovery",
  options = {{name = "json", summary = "print JSON"}},
  details = "Reads the stack's discovery backend, so it also shows what other stacks and nodes "
    .. "registered there.",
  exits = {"0    shown", "2    wrong usage", "3    the stack is invalid",
    "4    the backend could not be reached"},
  example = "orrery -f simple-pds services",
  run = function(ctx)
    local backend = view.backend(session.stack(ctx))
    local list = all(backend)
    backend:close()
    if ctx.options.json then return ui.json(ui.list(list)) end
    records.print(list)
  end,
}
