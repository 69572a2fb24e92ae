--- ui -- what people read: tables, colour, progress, durations.
local core = require "orrery.core"

local M = {}

local file, json = core.file, core.json

local CODES = {
  bold = 1, dim = 2, red = 31, green = 32, yellow = 33, blue = 34, magenta = 35, cyan = 36,
}
local BROKEN_PIPE = 141 -- what a shell reports for a program that SIGPIPE ended

local terminal = {}

--- Whether descriptor `fd` (1 or 2) is a terminal.
function M.is_terminal(fd)
  if terminal[fd] == nil then terminal[fd] = file.isatty(fd) and true or false end
  return terminal[fd]
end

local function coloured(fd)
  local no_color = os.getenv("NO_COLOR")
  return M.is_terminal(fd) and (not no_color or no_color == "") and os.getenv("TERM") ~= "dumb"
end

--- The text in a colour, when descriptor `fd` (1) shows colours.
function M.paint(colour, text, fd)
  if not colour or not coloured(fd or 1) then return text end
  return ("\27[%dm%s\27[0m"):format(CODES[colour], text)
end

local patience -- seconds that a write may take; nil: as long as it wants
local missed = 0

--- From now on a terminal that takes nothing (Ctrl-S, a lost connection) delays us by `seconds` at
-- most: what it does not take is left out.
function M.be_impatient(seconds) patience = seconds end

--- What was left out, told once it goes on. False if it does not.
local function catch_up(fd)
  if missed == 0 then return true end
  local text = ("\n(%d lines were left out while nobody took them; see `orrery events`)\n")
    :format(missed)
  local ok, _, code = file.write_fd(fd, text, 0)
  if not ok and code == "timeout" then return false end
  missed = 0
  return true
end

local function put(fd, text)
  if not patience then return file.write_fd(fd, text) end
  local ok, message, code = catch_up(fd), nil, "timeout"
  if ok then ok, message, code = file.write_fd(fd, text, patience) end
  if ok or code ~= "timeout" then return ok, message, code end
  missed = missed + 1
  return true
end

--- Writes text as it is. A reader that went away ends the program quietly.
function M.write(text)
  local ok, message, code = put(1, text)
  if ok then return end
  if code == "closed" then error({exit = BROKEN_PIPE}, 0) end
  error({exit = 1, message = message}, 0)
end

function M.out(text, ...)
  M.write((select("#", ...) > 0 and text:format(...) or text) .. "\n")
end

--- To the person, not to the program that reads the output.
function M.note(text, ...)
  put(2, (select("#", ...) > 0 and text:format(...) or text) .. "\n")
end

function M.json(value)
  M.write(json.encode(value, {indent = 2, lossy = true}) .. "\n")
end

--- One value on one line, for streams.
function M.json_line(value)
  M.write(json.encode(value, {lossy = true}) .. "\n")
end

--- Marks a list, so that an empty one is printed as [].
function M.list(items)
  return json.array(items or {})
end

function M.width(text)
  return utf8.len(text) or #text
end

--- Cuts text to `width` characters.
function M.fit(text, width)
  if M.width(text) <= width then return text end
  if width < 2 then return "" end
  local cut = utf8.len(text) and utf8.offset(text, width) or width
  return text:sub(1, cut - 1) .. "…"
end

local function pad(text, width)
  return text .. (" "):rep(width - M.width(text))
end

local function widths(rows)
  local result = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do result[i] = math.max(result[i] or 0, M.width(cell)) end
  end
  return result
end

--- Control characters from outside must not reach a terminal.
function M.clean(cell)
  return (tostring(cell == nil and "" or cell):gsub("%c", " "))
end

local function row_text(row, width, room, paint)
  local cells, used = {}, 0
  for i, cell in ipairs(row) do
    if room and used >= room then break end
    local last = i == #row
    local text = last and cell or pad(cell, width[i])
    if room then text = M.fit(text, math.max(room - used, 0)) end
    used = used + M.width(text) + 2
    cells[i] = paint and paint(i, cell, text) or text
  end
  return (table.concat(cells, "  "):gsub("%s+$", ""))
end

--- Lines of an aligned table. `paint(column, cell)` may give a cell's colour.
function M.table(header, rows, paint)
  local all = {header}
  for i, row in ipairs(rows) do
    local cells = {}
    for column = 1, #header do cells[column] = M.clean(row[column]) end
    all[i + 1] = cells
  end
  local width = widths(all)
  local room = M.is_terminal(1) and file.columns() or nil
  local lines = {row_text(header, width, room, function(_, _, text)
    return M.paint("bold", text)
  end)}
  for i = 2, #all do
    lines[i] = row_text(all[i], width, room, paint and function(column, cell, text)
      return M.paint(paint(column, cell), text)
    end)
  end
  return lines
end

function M.print_table(header, rows, paint)
  M.write(table.concat(M.table(header, rows, paint), "\n") .. "\n")
end

--- 0.35 -> "350ms", 4.2 -> "4.2s", 185 -> "3m05s", 7500 -> "2h05m", 100000 -> "1d3h"
function M.duration(seconds)
  if not seconds then return "" end
  if seconds < 0.9995 then return ("%dms"):format(math.floor(seconds * 1000 + 0.5)) end
  if seconds < 9.95 then return ("%.1fs"):format(seconds) end
  local s = math.floor(seconds + 0.5)
  if s < 60 then return s .. "s" end
  if s < 3600 then return ("%dm%02ds"):format(s // 60, s % 60) end
  if s < 86400 then return ("%dh%02dm"):format(s // 3600, s % 3600 // 60) end
  return ("%dd%dh"):format(s // 86400, s % 86400 // 3600)
end

local STATE_COLOURS = {
  running = "green", passing = "green", done = "green", healthy = "green",
  failed = "red", failing = "red", blocked = "red", unhealthy = "red",
  backoff = "yellow", flapping = "yellow", waiting = "yellow", starting = "yellow",
  stopping = "yellow", stopped = "dim", unknown = "dim",
}

--- The colour of a state or a health.
function M.state_colour(state)
  return STATE_COLOURS[state]
end

-- ---- progress: lines that stay, and on a terminal one line that changes ----

--- Where progress goes: descriptor 2, so that the output stays clean.
function M.progress()
  return {transient = false}
end

local function erase(p)
  if p.transient then put(2, "\r\27[K") end
  p.transient = false
end

--- A line that stays.
function M.progress_line(p, text)
  erase(p)
  put(2, text .. "\n")
end

--- The line that changes; nothing where that cannot be shown.
function M.progress_status(p, text)
  if not M.is_terminal(2) then return end
  erase(p)
  put(2, M.paint("dim", M.fit(text, math.max(file.columns() or 80, 20) - 1), 2))
  p.transient = true
end

--- What the terminal echoes of a key, such as ^C, makes room for the next line.
function M.progress_key(p)
  p.transient = M.is_terminal(2)
end

function M.progress_end(p)
  erase(p)
end

return M
