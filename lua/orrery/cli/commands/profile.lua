local browse = require "orrery.cli.browse"

return {
  name = "profile",
  group = "prepare",
  summary = "list the profiles, or show one",
  arguments = "list|show [NAME]",
  options = browse.options,
  details = "Profiles are found as profiles/NAME.lua beside the stack file, in $ORRERY_PATH, in "
    .. "/etc/orrery, and built in; the first wins.",
  exits = browse.exits,
  example = "orrery profile show simple-pds",
  run = function(ctx) return browse.run(ctx, "profile") end,
}
