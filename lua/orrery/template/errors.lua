--- errors -- what a template reports: where it is, the line, and a caret under the place.
local M = {}

local error_meta = {__name = "orrery.template.error"}
error_meta.__tostring = function(err) return err.message end

local MAX_SHOWN = 100 -- characters of a line that are shown

--- The line and the column (in characters) of byte `at` in `text`, and where that line starts.
function M.place(text, at)
  local line, start = 1, 1
  while true do
    local newline = text:find("\n", start, true)
    if not newline or newline >= at then break end
    line, start = line + 1, newline + 1
  end
  local before = text:sub(start, at - 1)
  return line, (utf8.len(before) or #before) + 1, start
end

-- The line around byte `at` with a caret under it. Control characters are shown as blanks, so
-- that the caret stays in its column and a terminal is left alone.
local function excerpt(text, at, start)
  local stop = text:find("\n", start, true) or #text + 1
  local from = math.max(start, at - MAX_SHOWN // 2)
  while from > start and (text:byte(from) & 0xC0) == 0x80 do from = from - 1 end
  local shown = text:sub(from, math.min(stop - 1, from + MAX_SHOWN)):gsub("[%c\127]", " ")
  local before = text:sub(from, at - 1)
  local width = utf8.len(before) or #before
  return "  " .. shown .. "\n  " .. (" "):rep(width) .. "^"
end

--- An error at byte `at` of `source` ({text, name, hidden}): its `message` has the place and the
--- excerpt, its `summary` only the sentence. `more` adds fields (pending).
function M.new(source, at, summary, more)
  local line, column, start = M.place(source.text, at)
  local message = ("%s:%d:%d: %s"):format(source.name, line, column, summary)
  if not source.hidden then message = message .. "\n" .. excerpt(source.text, at, start) end
  local err = {message = message, summary = summary, file = source.name, line = line,
               column = column, pending = false}
  for key, value in pairs(more or {}) do err[key] = value end
  return setmetatable(err, error_meta)
end

function M.is(value) return getmetatable(value) == error_meta end

--- Raises such an error.
function M.raise(source, at, summary, more) error(M.new(source, at, summary, more), 0) end

return M
