local change = require "orrery.cli.change"

return {
  name = "start",
  group = "run",
  summary = "start services, and what they need",
  arguments = "SERVICE...",
  options = change.options,
  details = "Starts services of a stack that is running, in dependency order. `up` starts a stack.",
  exits = change.exits,
  example = "orrery -f simple-pds start pds",
  run = function(ctx) return change.run(ctx, "start") end,
}
