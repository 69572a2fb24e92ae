local file = require("orrery.core").file
local runner = require "orrery.runner"
local session = require "orrery.cli.session"

return {
  name = "script",
  group = "lua",
  summary = "run a Lua script with the whole engine in reach",
  arguments = "FILE [ARGUMENT...]",
  own_words = true,
  details = 'The script has all of Lua and `require "orrery"`; every call that waits looks like a '
    .. "plain one. `arg` holds the arguments. It ends with the integer it returns or gives to "
    .. "os.exit(); nil and a message is a failure. Tasks that are left over are cancelled. A first "
    .. "line `#!/usr/bin/env -S orrery script` makes the file a program.",
  exits = {"0    done, or what the script says", "1    it failed", "2    wrong usage"},
  example = "orrery script deploy.lua staging",
  run = function(ctx)
    local path = ctx.args[1]
    if file.stat(path) == nil then
      session.fail(session.USAGE, "there is no file %s", path)
    end
    local words = table.move(ctx.args, 1, #ctx.args, 0, {})
    local code, message = runner.run(words)
    if message then file.write_fd(2, ("orrery: %s\n"):format(message)) end
    return code
  end,
}
