--- catalogue -- the commands. The folder commands/ is the list: there is nowhere else to register.
--
-- A command is one file, a literal table:
--   name, summary      as the command list shows them
--   group              the heading it stands under
--   arguments          "SERVICE", "[SERVICE...]" and the like
--   options            see args.lua
--   own_words          what follows its first argument is not ours to read: `script FILE -x`
--   details, exits, example   lines for its --help
--   run(ctx)           ctx = {command, options, args}; returns the exit code (nothing is 0)
local args = require "orrery.cli.args"
local file = require("orrery.core").file
local suggest = require "orrery.suggest"

local M = {}

local folder = debug.getinfo(1, "S").source:match("^@(.*)catalogue%.lua$") .. "commands"

--- Names of all commands, sorted.
function M.names()
  local names = {}
  for _, name in ipairs(assert(file.list(folder))) do
    names[#names + 1] = name:match("^([%l-]+)%.lua$")
  end
  return names
end

--- A command's table. Misuse, with a suggestion, if there is none.
function M.get(name)
  if name:match("^[%l-]+$") and file.stat(folder .. "/" .. name .. ".lua") then
    return require("orrery.cli.commands." .. name)
  end
  args.misuse("there is no command %q%s (orrery --help lists them)", name,
    suggest.hint(name, M.names()))
end

return M
