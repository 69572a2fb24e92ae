--- listed -- how many instances each file of an instance listed when it was written last, kept in
-- the state folder: `maxDrop` holds across a new start of the agent, too.
local core = require "orrery.core"

local file, json = core.file, core.json

local M = {}

local MAX_BYTES = 1024 * 1024

local function path_of(stack, id) return ("%s/listed/%s.json"):format(stack.dirs.state, id) end

local function is_counts(value)
  if type(value) ~= "table" then return false end
  for name, count in pairs(value) do
    if type(name) ~= "string" or not math.tointeger(count) then return false end
  end
  return true
end

--- {path = {service = instances}} of the instance `id`, as save() got it; empty if nothing is kept.
function M.load(stack, id)
  local text = file.read(path_of(stack, id), { max = MAX_BYTES })
  local kept, listed = text and json.decode(text), {}
  for path, counts in pairs(type(kept) == "table" and kept or {}) do
    if is_counts(counts) then listed[path] = counts end
  end
  return listed
end

--- Keeps them. That it cannot is told, and costs no more than the memory.
function M.save(stack, id, listed)
  local path = path_of(stack, id)
  local ok, err = file.mkdir(path:match("^(.*)/"), 448)
  if ok then ok, err = file.write(path, json.encode(listed), { mode = 384 }) end
  if not ok then core.log.warn("what files listed cannot be kept for maxDrop: " .. err) end
end

return M
