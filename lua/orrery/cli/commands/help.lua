local catalogue = require "orrery.cli.catalogue"

return {
  name = "help",
  group = "other",
  summary = "show the command list, or how one command is used",
  arguments = "[COMMAND]",
  example = "orrery help up",
  run = function(ctx)
    local help = require "orrery.cli.help"
    if not ctx.args[1] then return help.overview() end
    return help.command(catalogue.get(ctx.args[1]))
  end,
}
