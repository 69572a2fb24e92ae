--- guard -- why a rendered file may not replace the one there is: too few instances listed, or too
-- many gone at once; and how changed files are taken up. Pure.
local suggest = require "orrery.suggest"

local M = {}

local function plural(n, word) return ("%d %s%s"):format(n, word, n == 1 and "" or "s") end

--- The services of which the file lists fewer instances than it must.
local function too_few(file)
  for _, name in ipairs(suggest.names(file.listed)) do
    if file.min_instances and file.listed[name] < file.min_instances then
      return ("waits for %s of %s: there %s %d"):format(plural(file.min_instances, "instance"),
        name, file.listed[name] == 1 and "is" or "are", file.listed[name])
    end
  end
end

--- A share (below 1) of those that were listed, or a number of them.
local function allowed(max_drop, before)
  return max_drop < 1 and before * max_drop or max_drop
end

local TAKE_OVER = "`orrery reload` takes it over as it is"

local function too_many_gone(file, before, remedy)
  for _, name in ipairs(suggest.names(before)) do
    local now = file.listed[name] or 0
    local gone = before[name] - now
    if gone > allowed(file.max_drop, before[name]) then
      return ("%d of %s of %s went at once, more than maxDrop = %g allows; %s"):format(gone,
        plural(before[name], "instance"), name, file.max_drop, remedy or TAKE_OVER)
    end
  end
end

--- Why `file` is held back; nil if it may be written. `before` is the `listed` of the last writing
--- (nil: there was none). `remedy` says what would take it over all the same, where that is not
--- `orrery reload`.
function M.reason(file, before, remedy)
  local few = too_few(file)
  if few then return few end
  return file.max_drop and before and too_many_gone(file, before, remedy) or nil
end

--- The distinct ways in which changed files are taken up, each once: {restart = bool, signals = {},
--- commands = {argv}}, in the order of the files. A restart makes the others needless.
function M.take_up(files)
  local result, seen = { restart = false, signals = {}, commands = {} }, {}
  for _, file in ipairs(files) do
    local how = file.reload or "restart"
    if how == "restart" or type(how) == "table" and how.restart then
      result.restart = true
    elseif how ~= "none" then
      local key = how.signal or table.concat(how.command, "\0")
      local list = how.signal and result.signals or result.commands
      if not seen[key] then list[#list + 1] = how.signal or how.command end
      seen[key] = true
    end
  end
  if result.restart then result.signals, result.commands = {}, {} end
  return result
end

--- The paths of the files that the command `argv` takes up.
function M.users(files, argv)
  local paths = {}
  for _, file in ipairs(files) do
    local words = type(file.reload) == "table" and file.reload.command
    if words and table.concat(words, "\0") == table.concat(argv, "\0") then
      paths[#paths + 1] = file.path
    end
  end
  return paths
end

return M
