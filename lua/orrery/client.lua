--- client -- how the command line and scripts talk to a running agent, over its Unix socket.
local core = require "orrery.core"

local M = {}

local RELOAD_TIMEOUT = 1800 -- seconds: packages may be installed
local BEAT = 1 -- seconds; what passes with time alone is no event

local Client = {}
Client.__index = Client

local function request(client, method, path, body)
  local answer, err, code = core.http.request({ method = method, url = "http://agent" .. path,
    unixSocket = client.socket, body = body,
    timeout = path == "/v1/reload" and RELOAD_TIMEOUT or 30, maxBytes = 64 * 1024 * 1024 })
  if not answer then return nil, ("the agent at %s: %s"):format(client.socket, err), code end
  local value
  value, err = core.json.decode(answer.body)
  if value == nil then
    return nil, ("the agent at %s: %s"):format(client.socket, err), "bad_reply"
  end
  if answer.status >= 300 then
    return nil, value.error or ("the agent answered %d"):format(answer.status),
      answer.status == 404 and "not_found" or answer.status == 409 and "closed" or "invalid"
  end
  return value
end

--- The snapshot of /v1/state; or nil, message, code. Waits.
function Client:state() return request(self, "GET", "/v1/state") end

--- Why a service is as it is (orrery.why). Waits.
function Client:why(service) return request(self, "GET", "/v1/why?service=" .. service) end

--- The records of a service as the agent finds them; of all: {service = records}. Waits.
function Client:lookup(service)
  return request(self, "GET", "/v1/discovery?service=" .. core.text.url_encode(service))
end

function Client:discovery() return request(self, "GET", "/v1/discovery") end

--- How the stack's file differs from what the agent runs (orrery.diff). Waits.
function Client:changes() return request(self, "GET", "/v1/changes") end

--- Posts a command ("up" "start" "stop" "restart" "down" "kill") for `services` (all if nil). Waits
-- until the agent took it, not until it is done.
function Client:post(verb, services)
  local body = services and #services > 0 and { services = services } or {}
  return request(self, "POST", "/v1/" .. verb, next(body) and core.json.encode(body) or "{}")
end

--- The events after options.since. With `follow` the iterator goes on until the agent ends. Returns
-- an object {next = function(self, timeout), close}; next gives an event, or nil, message, code.
function Client:events(options)
  local stream, err, code = core.http.stream({ unixSocket = self.socket, timeout = 30,
    url = ("http://agent/v1/events?since=%d&follow=%d")
      :format(options.since or 0, options.follow and 1 or 0) })
  if not stream then return nil, err, code end
  if stream.status ~= 200 then
    local line = stream:line(5)
    stream:close()
    local value = line and core.json.decode(line)
    return nil, value and value.error or ("the agent answered %d"):format(stream.status),
      "not_found"
  end
  local source = {}
  function source.next(_, timeout)
    while true do
      local line, message, reason = stream:line(timeout)
      if not line then return nil, message, reason end
      if line ~= "" then return core.json.decode(line) end
    end
  end
  function source.close() stream:close() end
  return source
end

local function wait_on(client, source, state, predicate, deadline, timeout)
  while true do
    local result = predicate(state)
    if result then return state, result end
    local left = deadline - core.time.monotonic()
    if left <= 0 then return nil, ("not so within %g s"):format(timeout), "timeout" end
    local event, err, code = source:next(math.min(left, BEAT))
    if not event and code ~= "timeout" then return nil, err, code end
    state, err, code = client:state()
    if not state then return nil, err, code end
  end
end

--- Waits until predicate(state) is true of the state, looking again at each event. Returns the
-- state (and what the predicate gave); or nil, message, "timeout" or why the agent is gone.
function Client:wait(predicate, timeout)
  local deadline = core.time.monotonic() + timeout
  local state, err, code = self:state()
  if not state then return nil, err, code end
  local source
  source, err, code = self:events({ since = state.seq, follow = true })
  if not source then return nil, err, code end
  local found, result, reason = wait_on(self, source, state, predicate, deadline, timeout)
  source.close()
  return found, result, reason
end

--- Whether an agent that does not answer us is another user's: the message that says so, or nil.
local function not_ours(stack, socket)
  local stat, err, code = core.file.stat(socket)
  if code == "denied" then return err .. "; run this as the user who ran `up`" end
  if not stat then return nil end
  local own = core.process.user().uid
  if own == 0 or stat.uid == own then return nil end
  local owner = core.process.lookup_user(("%d"):format(stat.uid))
  return ("the agent of stack '%s' belongs to user '%s' (its socket is %s); run this as that user")
    :format(stack.name, owner.name, socket)
end

local function none_runs(stack, socket, why)
  return nil, ("no agent is running for stack '%s' (looked at %s: %s)")
    :format(stack.name, socket, why), "refused"
end

--- A client of the agent that runs `stack`, and what it says of itself ({agent = {pid ...}} ...).
-- Waits. nil, message, "refused" if none answers, or "denied" if it is another user's.
function M.connect(stack)
  local socket = stack.dirs.run .. "/api.sock"
  local stat, err, code = core.file.stat(socket)
  if not stat and code == "not_found" then return none_runs(stack, socket, err) end
  local client = setmetatable({ socket = socket }, Client)
  local head
  head, err, code = request(client, "GET", "/v1/agent")
  if code == "not_found" then head, err = client:state() end -- an older agent has no such page
  if head then return client, head end
  local denied = not_ours(stack, socket)
  if denied then return nil, denied, "denied" end
  return none_runs(stack, socket, err)
end

return M
