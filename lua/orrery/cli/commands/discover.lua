local records = require "orrery.cli.records"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"
local view = require "orrery.cli.view"

local WATCH = 60 -- seconds a lookup waits for a change

local function show(ctx, list, many)
  if ctx.options.json then
    return many and ui.json_line(ui.list(list)) or ui.json(ui.list(list))
  end
  if #list > 0 then return records.print(list) end
  ui.note("no healthy instance of '%s' is registered", ctx.args[1])
end

local function watch(ctx, backend, name, list, cursor)
  while true do
    show(ctx, list, true)
    local before = cursor
    repeat
      list, cursor = records.lookup(backend, name, cursor, WATCH)
    until cursor ~= before
  end
end

return {
  name = "discover",
  group = "look",
  summary = "show where a service is, as discovery has it",
  arguments = "SERVICE",
  options = {
    {name = "watch", short = "w", summary = "show it again at every change"},
    {name = "json", summary = "print JSON (one list a line with --watch)"},
  },
  exits = {"0    found", "1    no instance is registered", "2    wrong usage",
    "3    the stack is invalid", "4    the backend could not be reached"},
  example = "orrery -f simple-pds discover pds --json",
  run = function(ctx)
    local backend = view.backend(session.stack(ctx))
    local list, cursor = records.lookup(backend, ctx.args[1])
    if ctx.options.watch then return watch(ctx, backend, ctx.args[1], list, cursor) end
    backend:close()
    show(ctx, list)
    return #list > 0 and session.OK or session.UNHEALTHY
  end,
}
