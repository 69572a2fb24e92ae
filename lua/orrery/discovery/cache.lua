--- cache -- the last good answer for each service, on disk: what an agent goes on with when no
-- backend answers. A disk that is full stops nothing; it is told once.
local core = require "orrery.core"

local M = {}

local MODE, FOLDER_MODE = "0640", 488 -- 0750
local REFRESH = 300 -- seconds after which an unchanged answer is written again, for its age
local MAX_BYTES = 16 * 1024 * 1024

local class = {}
class.__index = class

--- `folder` is made at the first put(). Options: keep (false: reads only), tell(message).
function M.open(folder, options)
  return setmetatable({ folder = folder, keep = options.keep, tell = options.tell, written = {} },
    class)
end

local function path_of(self, service) return ("%s/%s.json"):format(self.folder, service) end

--- Not onto the disk itself: that takes milliseconds, and what an answer wakes would wait for it.
-- A file that a loss of power leaves broken is no answer.
local function write(self, service, text)
  local options = { mode = MODE, sync = false }
  local ok, message, code = core.file.write(path_of(self, service), text, options)
  if ok or code ~= "not_found" then return ok, message end
  ok, message = core.file.mkdir(self.folder, FOLDER_MODE)
  if not ok then return nil, message end
  return core.file.write(path_of(self, service), text, options)
end

--- Keeps an answer of `backend`; `text` is its records as JSON.
function class:put(service, backend, text)
  if not self.keep then return end
  local before, now = self.written[service], core.time.monotonic()
  if before and before.text == text and now - before.at < REFRESH then return end
  local head = core.json.encode({ backend = backend, at = core.time.now() })
  local ok, message = write(self, service, head:gsub("}%s*$", "") .. ',"records":' .. text .. "}\n")
  self.written[service] = { text = text, at = now }
  if ok then
    self.told = nil
  elseif not self.told then
    self.told = true
    self.tell(("the last answers of discovery cannot be kept, and it goes on without: %s")
      :format(message))
  end
end

local function checked(list, service)
  local records = core.json.array({})
  for _, found in ipairs(type(list) == "table" and list or {}) do
    local record = type(found) == "table" and core.discovery.record(found)
    if not record or record.service ~= service then return nil end
    record.source = "cache"
    records[#records + 1] = record
  end
  return records
end

--- The last answer of `backend` and when it was given; nil if there is none that can be used.
function class:get(service, backend)
  local text = core.file.read(path_of(self, service), { max = MAX_BYTES })
  local kept = text and core.json.decode(text)
  if type(kept) ~= "table" or kept.backend ~= backend then return nil end
  local records = checked(kept.records, service)
  return records, records and tonumber(kept.at) or 0
end

return M
