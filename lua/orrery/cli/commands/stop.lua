local change = require "orrery.cli.change"

return {
  name = "stop",
  group = "run",
  summary = "stop services, and those that require them",
  arguments = "SERVICE...",
  options = change.options,
  exits = change.exits,
  example = "orrery -f simple-pds stop pds",
  run = function(ctx) return change.run(ctx, "stop") end,
}
