local browse = require "orrery.cli.browse"

return {
  name = "type",
  group = "prepare",
  summary = "list the service types, or show one",
  arguments = "list|show [NAME]",
  options = browse.options,
  details = "Types are found as types/NAME.lua beside the stack file, in $ORRERY_PATH, in "
    .. "/etc/orrery, and built in; the first wins.",
  exits = browse.exits,
  example = "orrery type show postgresql",
  run = function(ctx) return browse.run(ctx, "type") end,
}
