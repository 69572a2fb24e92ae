--- cli -- the command line: argv in, exit code out.
local args = require "orrery.cli.args"
local catalogue = require "orrery.cli.catalogue"
local file = require("orrery.core").file
local help = require "orrery.cli.help"

local M = {}

--- After the command -f belongs to the command (`logs -f`); the stack is --file there.
local function options_of(command)
  local options = table.move(command.options or {}, 1, #(command.options or {}), 1, {})
  for _, option in ipairs(help.global_options) do
    if option.name == "file" then option = {name = "file", value = "STACK"} end
    options[#options + 1] = option
  end
  return options
end

--- Options from before the command join those after it, which win; lists are joined.
local function merge(before, after)
  local sets = table.move(before.set or {}, 1, #(before.set or {}), 1, {})
  table.move(after.set or {}, 1, #(after.set or {}), #sets + 1, sets)
  for name, value in pairs(before) do
    if after[name] == nil then after[name] = value end
  end
  after.set = #sets > 0 and sets or nil
  return after
end

local function dispatch(words, seen)
  local globals = args.read(words, help.global_options, true)
  local name = globals.version and "version" or words[words.at]
  if not name then return help.overview() end
  local command = catalogue.get(name)
  seen.command = name
  words.at = words.at + 1
  local options = options_of(command)
  local after, rest = args.read(words, options, command.own_words)
  if command.own_words then rest = table.move(words, words.at, #words, 1, {}) end
  local given = merge(globals, after)
  if given.help then return help.command(command) end
  args.count(rest, command.arguments)
  args.defaults(given, options)
  return command.run({program = words[0], command = command, options = given, args = rest})
end

local function explain(err)
  if type(err) == "table" and err.exit then return err end
  if err == "cancelled" then return {cancelled = true} end
  return {exit = 1, message = debug.traceback("internal error: " .. tostring(err), 2)}
end

--- Runs `arg` ([0] is the program) and returns the exit code.
function M.main(arg)
  local words, seen = table.move(arg, 0, #arg, 0, {}), {}
  local ok, result = xpcall(dispatch, explain, words, seen)
  if ok then return result or 0 end
  if result.cancelled then error("cancelled", 0) end
  if result.message then
    local prefix = result.exit == 2 and seen.command and "orrery " .. seen.command or "orrery"
    file.write_fd(2, prefix .. ": " .. result.message .. "\n")
  end
  return result.exit
end

return M
