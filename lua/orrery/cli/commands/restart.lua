local change = require "orrery.cli.change"

return {
  name = "restart",
  group = "run",
  summary = "stop services and start them again",
  arguments = "SERVICE...",
  options = change.options,
  details = "A planned restart does not count as a failure, and what depends on the service is "
    .. "left alone.",
  exits = change.exits,
  example = "orrery -f simple-pds restart pds",
  run = function(ctx) return change.run(ctx, "restart") end,
}
