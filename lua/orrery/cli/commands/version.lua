local core = require "orrery.core"
local ui = require "orrery.cli.ui"

return {
  name = "version",
  group = "other",
  summary = "show the version",
  options = {{name = "json", summary = "print JSON"}},
  example = "orrery version --json",
  run = function(ctx)
    if ctx.options.json then
      return ui.json({version = core.version, lua = _VERSION})
    end
    ui.out("orrery %s", core.version)
  end,
}
