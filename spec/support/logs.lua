--- logs -- the last lines of what the servers of a failed test wrote. They write below $TMPDIR,
--- into files named log or *.log; a test that fails is told of before its folders are removed.
local lfs = require "lfs"

local M = {}

local FILES = 8     -- files that are shown
local LINES = 12    -- lines of each
local BYTES = 4096  -- that are read of each
local DEPTH = 8     -- of folders below $TMPDIR

local function is_log(name, about, since)
  return about.mode == "file" and about.size > 0 and about.modification >= since
    and (name == "log" or name:find "%.log$")
end

local function collect(folder, since, depth, found)
  local ok, iterate, state = pcall(lfs.dir, folder)
  if not ok then return found end
  for name in iterate, state do
    local path = folder .. "/" .. name
    local about = name:find "^%.%.?$" and {} or lfs.symlinkattributes(path) or {}
    if about.mode == "directory" and depth > 0 then
      collect(path, since, depth - 1, found)
    elseif is_log(name, about, since) then
      found[#found + 1] = { path = path, modification = about.modification }
    end
  end
  return found
end

local function last_lines(path)
  local file <close> = io.open(path, "rb")
  if not file then return {} end
  file:seek("set", math.max(0, file:seek "end" - BYTES))
  local lines = {}
  for line in file:read("a"):gmatch "[^\n]+" do
    lines[#lines + 1] = line:gsub("[\0-\8\11-\31\127]", "?"):sub(1, 300)
  end
  return table.move(lines, math.max(1, #lines - LINES + 1), #lines, 1, {})
end

--- The tails of the logs that were written to since then, as text to print; "" if none was. What
--- `said` already ends with is left out.
function M.tails(since, said)
  local parts, root = {}, os.getenv "TMPDIR"
  local found = root and collect(root, since, DEPTH, {}) or {} -- elsewhere it would be others' logs
  table.sort(found, function(a, b) return a.modification > b.modification end)
  for i = 1, math.min(FILES, #found) do
    local lines = last_lines(found[i].path)
    if #lines > 0 and not said:find(lines[#lines], 1, true) then
      parts[#parts + 1] = ("  -- the end of %s:\n  %s\n"):format(found[i].path,
        table.concat(lines, "\n  "))
    end
  end
  return table.concat(parts)
end

return M
