local backend = require "orrery.cli.backend"
local records = require "orrery.cli.records"
local ui = require "orrery.cli.ui"

return {
  name = "services",
  group = "look",
  summary = "show everything that is registered in discovery",
  options = backend.with {{name = "json", summary = "print JSON"}},
  details = "Reads the stack's discovery backend, so it also shows what other stacks and nodes "
    .. "registered there. With flags that name a backend no stack is needed.",
  exits = {"0    shown", "2    wrong usage", "3    the stack is invalid",
    "4    the backend could not be reached"},
  example = "orrery services --backend consul --consul-address 127.0.0.1:8500",
  run = function(ctx)
    local discovery <close>, plan = backend.open(ctx)
    local list = records.all(discovery, plan)
    if ctx.options.json then return ui.json(ui.list(list)) end
    records.print(list)
  end,
}
