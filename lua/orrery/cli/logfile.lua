--- logfile -- the log files of services: the last lines, and every new line, through rotation.
--
-- A line is "<time> <out|err> <text>". A full file is renamed to path.1, path.1 to path.2 and so
-- on; a file is known again by how it begins, which holds a time and so is never the same twice.
local file = require("orrery.core").file

local M = {}

local TAIL = 1024 * 1024 -- bytes looked at for the last lines
local HEAD = 80          -- bytes that identify a file
local KEPT = 20          -- rotated files looked for

function M.path(stack, id)
  return stack.dirs.logs .. "/" .. id .. ".log"
end

--- {at, stream, text} of a line; a line of another form is all text.
function M.parse(line)
  local at, stream, text = line:match("^(%d%d%d%d%-%S+) (%l%l%l) (.*)$")
  if at then return {at = at, stream = stream, text = text} end
  return {at = "", stream = "out", text = line}
end

local function head_of(handle)
  handle:seek("set", 0)
  return handle:read(HEAD) or ""
end

local function parse_all(text, whole)
  local lines = {}
  if not whole then text = text:gsub("^[^\n]*\n", "", 1) end
  for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = M.parse(line) end
  return lines
end

--- The lines at the end of an open file, and leaves it there.
local function read_end(handle)
  local size = handle:seek("end")
  local from = math.max(size - TAIL, 0)
  handle:seek("set", from)
  local text = handle:read("a") or ""
  local rest = text:match("[^\n]*$")
  handle:seek("set", from + #text - #rest)
  return parse_all(text, from == 0)
end

local function keep_last(lines, count)
  return table.move(lines, math.max(#lines - count + 1, 1), #lines, 1, {})
end

--- The last `count` lines of an instance, also from before the last rotation.
function M.last(stack, id, count)
  local path = M.path(stack, id)
  local lines, generation = {}, 0
  while #lines < count and generation <= KEPT do
    local handle = io.open(generation == 0 and path or path .. "." .. generation, "rb")
    if not handle then break end
    local older = read_end(handle)
    handle:close()
    lines = table.move(lines, 1, #lines, #older + 1, older)
    generation = generation + 1
  end
  return keep_last(lines, count)
end

local function generation_path(reader, n)
  return n == 0 and reader.path or reader.path .. "." .. n
end

--- A reader that starts at the end of what is there now.
function M.follow(stack, id)
  local reader = {id = id, path = M.path(stack, id)}
  local handle = io.open(reader.path, "rb") or io.open(generation_path(reader, 1), "rb")
  if handle then
    reader.head = head_of(handle)
    read_end(handle)
    reader.handle = handle
  end
  return reader
end

--- Whole new lines of the open file.
local function read_new(reader, lines)
  local handle = reader.handle
  local start = handle:seek("cur")
  if #reader.head < HEAD then
    reader.head = head_of(handle)
    handle:seek("set", start)
  end
  local text = handle:read("a") or ""
  local rest = text:match("[^\n]*$")
  for line in text:sub(1, #text - #rest):gmatch("([^\n]*)\n") do
    lines[#lines + 1] = M.parse(line)
  end
  handle:seek("set", start + #text - #rest)
end

local function begins_like(path, head)
  local handle = io.open(path, "rb")
  if not handle then return false end
  local found = head_of(handle)
  handle:close()
  return found:sub(1, #head) == head
end

--- How many files there are that are newer than the one that is open: 0 if it was not rotated.
local function files_ahead(reader)
  if reader.head == "" then return 0 end
  local n = 0
  while n <= KEPT do
    local path = generation_path(reader, n)
    if reader.handle and begins_like(path, reader.head) then return n end
    if n > 0 and not file.stat(path) then return n end
    n = n + 1
  end
  return n
end

--- Goes on to another file; stays if it is not there (yet).
local function switch(reader, path)
  local handle = io.open(path, "rb")
  if not handle then return false end
  M.close(reader)
  reader.handle, reader.head = handle, head_of(handle)
  handle:seek("set", 0)
  return true
end

--- The lines written since the last call, in order.
function M.read(reader)
  local lines = {}
  if reader.handle then read_new(reader, lines) end
  local ahead = files_ahead(reader)
  if ahead > 0 and reader.handle then read_new(reader, lines) end -- written before it was full
  for n = ahead - 1, 0, -1 do
    if switch(reader, generation_path(reader, n)) then read_new(reader, lines) end
  end
  return lines
end

function M.close(reader)
  if reader.handle then reader.handle:close() end
end

--- The lines of several instances by time: {at, stream, text, id}. Lines without a time follow the
-- one before them.
function M.merge(lists)
  local all, order = {}, 0
  for _, item in ipairs(lists) do
    local at = ""
    for _, line in ipairs(item.lines) do
      at = line.at ~= "" and line.at or at
      order = order + 1
      all[order] = {at = line.at, stream = line.stream, text = line.text, id = item.id, key = at,
        order = order}
    end
  end
  table.sort(all, function(a, b)
    if a.key ~= b.key then return a.key < b.key end
    return a.order < b.order
  end)
  return all
end

--- Whether there is a log of the instance at all.
function M.exists(stack, id)
  return file.stat(M.path(stack, id)) ~= nil
end

--- nil, message if there is a log file that we may not read.
function M.may_read(stack, id)
  local path = M.path(stack, id)
  local handle, message = io.open(path, "rb")
  if handle then return handle:close() end
  local stat, _, code = file.stat(path)
  if not stat and code ~= "denied" then return true end
  return nil, "cannot read " .. message
end

return M
