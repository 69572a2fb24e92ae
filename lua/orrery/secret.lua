--- secret -- values that must not be seen: opaque while a stack is read, resolved by the agent.
--
-- A secret is an empty table with a locked metatable; what it stands for lies in a side table, so
-- that printing, walking or encoding it shows nothing.
local core = require "orrery.core"
local outcome = require "orrery.outcome"

local M = {}

local MAX_BYTES = 1024 * 1024
local LOCK_SECONDS = 30
local SOURCES = { "file", "env", "command", "generate" }
local KEYS = { file = true, env = true, command = true, generate = true, name = true }

local hidden = setmetatable({}, { __mode = "k" }) -- secret -> {text} | {spec} | {parts}

local class = { __metatable = "secret", __name = "secret" }

local function make(content)
  local value = setmetatable({}, class)
  hidden[value] = content
  return value
end

function M.is(value) return type(value) == "table" and hidden[value] ~= nil end

--- A secret whose text is already known.
function M.of(text)
  if M.is(text) then return text end
  return make({ text = tostring(text) })
end

local function same(a, b)
  if a.text or b.text then return a.text == b.text end
  if a.parts or b.parts then
    if not (a.parts and b.parts) or #a.parts ~= #b.parts then return false end
    for i, part in ipairs(a.parts) do
      if not same(hidden[part], hidden[b.parts[i]]) then return false end
    end
    return true
  end
  for key in pairs(KEYS) do if a.spec[key] ~= b.spec[key] then return false end end
  return true
end

class.__tostring = function() return "***" end
class.__concat = function(a, b)
  a, b = M.of(a), M.of(b)
  local left, right = hidden[a], hidden[b]
  if left.text and right.text then return make({ text = left.text .. right.text }) end
  return make({ parts = { a, b } })
end
class.__eq = function(a, b) return M.is(a) and M.is(b) and same(hidden[a], hidden[b]) end

local function is_kind(kind)
  if kind == "k256" then return true end
  local size = math.tointeger(kind:match("^hex:(%d+)$") or kind:match("^base64:(%d+)$"))
  return size ~= nil and size >= 1 and size <= 1024
end

local function is_file_name(name)
  return #name <= 200 and name:match("^[%w][%w._-]*$") ~= nil
end

--- What is wrong with {file | env | command | generate, name}, or nil.
function M.complaint(spec)
  if type(spec) ~= "table" then return "expected a table such as {file = ...}" end
  local given = 0
  for _, source in ipairs(SOURCES) do if spec[source] ~= nil then given = given + 1 end end
  if given ~= 1 then return "give exactly one of file, env, command, generate" end
  for key, value in pairs(spec) do
    if not KEYS[key] then
      return ('unknown key "%s"; a secret has file, env, command or generate, and name'):format(key)
    end
    if type(value) ~= "string" or value == "" then return key .. ": expected a string" end
  end
  if spec.name and not is_file_name(spec.name) then
    return "name: use letters, digits, \".\", \"_\" and \"-\""
  end
  if not spec.generate then return nil end
  if not is_kind(spec.generate) then
    return ('generate: "%s" is not one of hex:N, base64:N, k256 (N from 1 to 1024 bytes)')
      :format(spec.generate)
  end
  if not spec.name then return "generate needs a name, under which the value is kept" end
  return nil
end

--- secret{file = "/run/x"} in a stack file; also {env =}, {command =}, {generate =, name =}.
function M.new(spec)
  local complaint = M.complaint(spec)
  if complaint then error("secret: " .. complaint, 2) end
  local copy = {}
  for key, value in pairs(spec) do copy[key] = value end
  return make({ spec = copy })
end

local function coerced(text, default)
  if type(default) == "number" then return tonumber(text) end
  if type(default) ~= "boolean" then return text end
  if text == "true" then return true elseif text == "false" then return false end
  return nil
end

--- env(name, default) in a stack file: the environment variable, of the default's kind. Unset and
-- without a default it raises, since a value must not be silently missing.
function M.env(name, default)
  if type(name) ~= "string" then error("env(name, default): the name must be a string", 2) end
  local text = os.getenv(name)
  if text == nil and default == nil then
    error(("the environment variable %s is not set; set it, or give env() a default"):format(name),
      2)
  end
  if text == nil then return default end
  local value = coerced(text, default)
  if value == nil then
    error(("the environment variable %s is not a %s"):format(name, type(default)), 2)
  end
  return value
end

--- The text of a secret that is known, else nil and a message. Only what writes it where it belongs
-- may call this.
function M.reveal(value)
  if not M.is(value) then return value end
  local content = hidden[value]
  if content.text then return content.text end
  return nil, "this secret has not been resolved", "pending"
end

--- What a secret is made from, without its value: {source = "file" | "env" | "command" |
-- "generate", from = "/run/x", name = where it is kept}; nil for one that is made of others.
function M.describe(value)
  local spec = hidden[value].spec
  for _, source in ipairs(SOURCES) do
    if spec and spec[source] then
      return { source = source, from = spec[source], name = spec.name }
    end
  end
end

--- A copy in which every secret is "***", for printing.
function M.redact(value)
  if M.is(value) then return "***" end
  if type(value) ~= "table" then return value end
  local copy = setmetatable({}, getmetatable(value))
  for key, field in pairs(value) do copy[key] = M.redact(field) end
  return copy
end

local function random(count)
  local device = assert(io.open("/dev/urandom", "rb"))
  device:setvbuf("no")
  local bytes = device:read(count)
  device:close()
  assert(bytes and #bytes == count, "/dev/urandom ended early")
  return bytes
end

local function hex(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local word = a << 16 | (b or 0) << 8 | (c or 0)
    for shift = 18, 0, -6 do
      local at = (word >> shift & 63) + 1
      out[#out + 1] = ALPHABET:sub(at, at)
    end
  end
  local text, missing = table.concat(out), -#bytes % 3
  return text:sub(1, #text - missing) .. ("="):rep(missing)
end

-- The order of secp256k1: a private key is from 1 to one less.
local ORDER = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"

local function k256()
  while true do
    local key = hex(random(32))
    if key < ORDER and key:find("[^0]") then return key end
  end
end

local function generate(kind)
  if kind == "k256" then return k256() end
  local encoding, size = kind:match("^(%w+):(%d+)$")
  local bytes = random(math.tointeger(size))
  return encoding == "hex" and hex(bytes) or base64(bytes)
end

-- Where secrets that Orrery made are kept, one file each.
local store = {}
store.__index = store

--- The secrets of a stack, kept in `dir` (made at first use).
function M.open(dir) return setmetatable({ dir = dir }, store) end

local function read_secret_file(path)
  local text, message, code = core.file.read(path, { max = MAX_BYTES })
  if not text then return nil, message, code end
  text = text:gsub("\r?\n$", "")
  if text == "" then return nil, ("the secret file %s is empty"):format(path), "invalid" end
  return text
end

local function make_once(path, kind)
  local text, message, code = read_secret_file(path)
  if text or code ~= "not_found" then return text, message, code end
  text = generate(kind)
  local ok
  ok, message, code = core.file.write(path, text .. "\n", { mode = 384, sync = true }) -- 0600
  if not ok then return nil, message, code end
  return text
end

--- Two agents that need the same secret at once must agree: the second waits, and reads what the
-- first has made.
local function generated(self, name, kind)
  local path = self.dir .. "/" .. name
  local text, message, code = read_secret_file(path)
  if text or code ~= "not_found" then return text, message, code end
  local ok
  ok, message, code = core.file.mkdir(self.dir, 448) -- 0700
  if not ok then return nil, message, code end
  local lock
  lock, message, code = core.file.lock(self.dir .. "/.lock", { wait = LOCK_SECONDS })
  if not lock then return nil, message, code end
  text, message, code = make_once(path, kind)
  lock:close()
  return text, message, code
end

local function from_command(command)
  local result, message, code = core.process.run({ shell = command, timeout = 30 })
  if not result then return nil, message, code end
  if result.code ~= 0 then
    return nil, ("the command of a secret (%s) failed: %s"):format(command,
      outcome.of(result)), "failed"
  end
  local text = result.stdout:gsub("\r?\n$", "")
  if text ~= "" then return text end
  return nil, ("the command of a secret (%s) gave nothing"):format(command), "invalid"
end

local function from_env(name)
  local text = os.getenv(name)
  if text and text ~= "" then return text end
  return nil, ("the environment variable %s, which a secret is read from, is not set; set it where "
    .. "the agent is started"):format(name), "not_found"
end

local function resolve_spec(self, spec)
  if spec.generate then return generated(self, spec.name, spec.generate) end
  if spec.file then return read_secret_file(spec.file) end
  if spec.env then return from_env(spec.env) end
  return from_command(spec.command)
end

--- Whether a generated secret is kept under `name` already, and since when (seconds since 1970).
function store:kept(name)
  local stat = core.file.stat(self.dir .. "/" .. name)
  return stat ~= nil and stat.type == "file", stat and stat.mtime
end

--- Keeps `text` (nil: a new one is generated) as the secret `name` of this kind. The one before
-- stays beside it as <name>.old. Waits. true | nil, message, code.
function store:replace(name, kind, text)
  if text and kind == "k256" and not (text:find("^%x+$") and #text == 64) then
    return nil, "a k256 key is 64 hexadecimal digits", "invalid"
  end
  local ok, message, code = core.file.mkdir(self.dir, 448) -- 0700
  if not ok then return nil, message, code end
  local lock <close>, why, lock_code = core.file.lock(self.dir .. "/.lock", { wait = LOCK_SECONDS })
  if not lock then return nil, why, lock_code end
  local path, options = self.dir .. "/" .. name, { mode = 384, sync = true }
  local before = core.file.read(path, { max = MAX_BYTES })
  if before then
    ok, message, code = core.file.write(path .. ".old", before, options)
    if not ok then return nil, message, code end
  end
  return core.file.write(path, (text or generate(kind)) .. "\n", options)
end

--- The text of a secret. Waits. nil, message, code if it cannot be had; `service` and `variable`
-- say in the message who needs it.
function store:resolve(value, service, variable)
  if not M.is(value) then return value end
  local content = hidden[value]
  if content.text then return content.text end
  local text, message, code
  if content.parts then
    local left, right
    left, message, code = self:resolve(content.parts[1], service, variable)
    if not left then return nil, message, code end
    right, message, code = self:resolve(content.parts[2], service, variable)
    if not right then return nil, message, code end
    return left .. right
  end
  text, message, code = resolve_spec(self, content.spec)
  if text then return text end
  if not variable then return nil, "its secret cannot be had: " .. message, code end
  return nil, ("services.%s: %s: %s"):format(service or "?", variable, message), code
end

return M
