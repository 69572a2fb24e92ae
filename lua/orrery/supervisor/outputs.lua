--- outputs -- what a oneshot publishes: name=value lines in the file that $ORRERY_OUTPUT names.
--
-- The file is new for each run. When the run succeeds its values replace those of the run before,
-- are kept in the state folder, and are fields of the service from then on.
local core = require "orrery.core"

local file, json = core.file, core.json

local M = {}

local MAX_BYTES, MAX_FIELDS, MAX_NAME, MAX_VALUE = 65536, 100, 64, 4096

-- What a service is and where it runs is not the run's to say.
local RESERVED = { name = true, type = true, external = true, id = true, node = true,
  status = true, instance = true }

--- Each copy of a service keeps its own; a service is never called as a copy of another is.
local function kept_path(stack, name, copy)
  local own = (copy or 1) > 1 and ("%s-%d"):format(name, copy) or name
  return ("%s/outputs/%s.json"):format(stack.dirs.state, own)
end

--- Makes the empty file of a run, which only the service's user may write. Its path, or nil and
-- why not.
function M.prepare(stack, id, user)
  local folder = stack.dirs.run .. "/output"
  local path = folder .. "/" .. id
  local ok, err = file.mkdir(folder, 493)
  if ok then ok, err = file.write(path, "", { mode = 384, owner = user, sync = false }) end
  if not ok then return nil, err end
  return path
end

local function refuse(number, reason, ...)
  return nil, ("line %d of its $ORRERY_OUTPUT: "):format(number) .. reason:format(...)
end

local function parse_line(values, number, line)
  local name, value = line:match("^([^=]*)=(.*)$")
  if not name then return refuse(number, "expected name=value") end
  if #name > MAX_NAME or not name:find("^[%a_][%w_]*$") then
    return refuse(number, "'%s' is no name: use letters, digits and '_', at most %d",
      name:sub(1, MAX_NAME):gsub("%c", "?"), MAX_NAME)
  end
  if RESERVED[name] then return refuse(number, "%s cannot be set", name) end
  if #value > MAX_VALUE then
    return refuse(number, "the value of %s has more than %d bytes", name, MAX_VALUE)
  end
  if value:find("[%c\127]") or not utf8.len(value) then
    return refuse(number, "the value of %s is no text of one line", name)
  end
  values[name] = value
  return true
end

--- Reads name=value lines: {name = value} | nil, message. Empty lines are skipped; of a name that
-- comes twice the last counts.
function M.parse(text)
  local values, number, count = {}, 0, 0
  for line in text:gmatch("[^\n]*") do
    number = number + 1
    if line ~= "" then
      count = count + 1
      if count > MAX_FIELDS then return refuse(number, "more than %d lines", MAX_FIELDS) end
      local ok, message = parse_line(values, number, line)
      if not ok then return nil, message end
    end
  end
  return values
end

--- What a run of copy `copy` (1) that succeeded has published, now kept: {name = value} | nil,
-- message.
function M.collect(stack, name, path, copy)
  local text, err = file.read(path, { max = MAX_BYTES })
  if not text then return nil, "its $ORRERY_OUTPUT cannot be read: " .. err end
  local values
  values, err = M.parse(text)
  if not values then return nil, err end
  local kept = kept_path(stack, name, copy)
  local ok
  ok, err = file.mkdir(kept:match("^(.*)/"), 448)
  if ok then ok, err = file.write(kept, json.encode(values), { mode = 384 }) end
  if not ok then return nil, "what it published cannot be kept: " .. err end
  return values
end

--- What the last run of copy `copy` (1) that succeeded has published; nil if there was none.
function M.load(stack, name, copy)
  local text = file.read(kept_path(stack, name, copy), { max = 8 * MAX_BYTES })
  local values = text and json.decode(text)
  if type(values) ~= "table" then return nil end
  for key, value in pairs(values) do
    if type(key) ~= "string" or type(value) ~= "string" then return nil end
  end
  return values
end

return M
