--- api -- HTTP over the agent's Unix socket: the state, the events, the commands.
local core = require "orrery.core"
local events = require "orrery.events"
local diff = require "orrery.diff"
local problem_of = require "orrery.problem"
local reload = require "orrery.reload"
local snapshot = require "orrery.snapshot"
local supervisor = require "orrery.supervisor"
local why = require "orrery.why"

local M = {}

local HEARTBEAT = 15
local JSON = { ["Content-Type"] = "application/json" }
local LINES = { ["Content-Type"] = "application/x-ndjson" }

--- One line of JSON. What programs printed may be in it, in whatever character set.
local function line_of(value) return core.json.encode(value, { lossy = true }) .. "\n" end

local function answer(request, status, value) request:respond(status, JSON, line_of(value)) end

local function lines_of(list)
  local lines = {}
  for n, event in ipairs(list) do lines[n] = line_of(event) end
  return table.concat(lines)
end

--- The lines of `event` and of all that have come meanwhile, and whether there will be no more.
local function lines_by_now(queue, event)
  local lines = {}
  while event do
    lines[#lines + 1] = line_of(event)
    if #queue == 0 then return table.concat(lines), false end
    event = queue:pop()
  end
  return table.concat(lines), true
end

--- Streams `list` and then every new event until the client goes away.
local function stream(request, log, list)
  local out = request:stream(200, LINES)
  if not out then return end
  local queue = events.follow(log)
  local alive, ended = list == "" or out:write(list), false
  while alive and not ended do
    local event, text = queue:pop(HEARTBEAT), "\n"
    if event ~= nil then text, ended = lines_by_now(queue, event) end
    alive = text == "" or out:write(text)
  end
  events.unfollow(log, queue)
  out:close()
end

local function get_events(agent, request)
  local since = math.tointeger(tonumber(request.query.since or "0"))
  if not since then return answer(request, 400, { error = "since must be a whole number" }) end
  local list, message = events.since(agent.log, since)
  if not list then return answer(request, 410, { error = message }) end
  if request.query.follow == "1" then return stream(request, agent.log, lines_of(list)) end
  request:respond(200, LINES, lines_of(list))
end

local function get_why(agent, request)
  local name = request.query.service or ""
  local found = why.service(agent.supervisor, name,
    { wall = core.time.now(), monotonic = core.time.monotonic() })
  if found then return answer(request, 200, found) end
  answer(request, 404, { error = ("there is no service '%s'; give one as ?service=NAME")
    :format(name) })
end

--- The records of one service, or {service = records} of all, as this agent finds them.
local function get_discovery(agent, request)
  local name = request.query.service
  local names, message = { name }, nil
  if not name then names, message = agent.discovery:services() end
  local found = {}
  for _, service in ipairs(names or {}) do
    local records
    records, message = agent.discovery:lookup(service)
    if not records then names = nil break end
    found[service] = core.json.array(records)
  end
  if not names then return answer(request, 502, { error = message }) end
  answer(request, 200, name and found[name] or found)
end

--- How the stack's file differs from what runs.
local function get_changes(agent, request)
  local stack, plan, found = reload.look(agent)
  if not stack then return answer(request, 422, { error = problem_of.line(plan) }) end
  answer(request, 200, diff.view(found))
end

local RELOAD_STATUS = { invalid = 422, closed = 409 }

local function post_reload(agent, request)
  local found, done, code = reload.run(agent)
  if not found then return answer(request, RELOAD_STATUS[code] or 500, { error = done }) end
  answer(request, 202, { seq = done.seq, services = done.services, files = done.files,
    changes = diff.view(found) })
end

local function is_list_of_names(value)
  if type(value) ~= "table" then return false end
  local count = 0
  for _, name in pairs(value) do
    count = count + 1
    if type(name) ~= "string" then return false end
  end
  return count == #value
end

--- Whether a body is {} or {"services": [names]}: what is misread as "all" would stop everything.
local function is_command(body)
  if type(body) ~= "table" then return false end
  for key, value in pairs(body) do
    if key ~= "services" or not is_list_of_names(value) then return false end
  end
  return true
end

local function post(agent, request, verb)
  local body, err = core.json.decode(request.body ~= "" and request.body or "{}")
  if not is_command(body) then
    return answer(request, 400, { error = 'the body must be {"services": [names]}: '
      .. (err or "it is not") })
  end
  local names, message, code = supervisor.command(agent.supervisor, verb, body.services)
  if not names then return answer(request, code == "closed" and 409 or 404, { error = message }) end
  answer(request, 202, { seq = agent.log.seq, services = core.json.array(names) })
end

local VERBS = { up = true, start = true, stop = true, restart = true, down = true, kill = true }

local function route(agent, request)
  local path = request.path
  if request.method == "GET" and path == "/v1/state" then
    return answer(request, 200, snapshot.take(agent.supervisor, agent))
  end
  if request.method == "GET" and path == "/v1/agent" then
    return answer(request, 200, snapshot.head(agent.supervisor, agent))
  end
  if request.method == "GET" and path == "/v1/events" then return get_events(agent, request) end
  if request.method == "GET" and path == "/v1/why" then return get_why(agent, request) end
  if request.method == "GET" and path == "/v1/discovery" then
    return get_discovery(agent, request)
  end
  if request.method == "GET" and path == "/v1/changes" then return get_changes(agent, request) end
  if request.method == "POST" and path == "/v1/reload" then return post_reload(agent, request) end
  local verb = path:match("^/v1/(%l+)$")
  if request.method == "POST" and verb and VERBS[verb] then return post(agent, request, verb) end
  answer(request, 404, { error = ("there is no %s %s"):format(request.method, path) })
end

local function handle(agent, request)
  local ok, err = xpcall(route, debug.traceback, agent, request)
  if not ok then
    core.log.error("api: " .. tostring(err))
    pcall(answer, request, 500, { error = "internal error; the agent's log has it" })
  end
end

--- Opens the socket. Returns the server, or nil, message, code.
function M.open(path) return core.http.serve({ path = path, mode = 384 }) end

--- Answers requests until the server closes. Waits.
function M.run(agent, server)
  agent.requests = {}
  while true do
    local request = server:accept()
    if not request then return end
    local running
    running = core.task.spawn(function()
      handle(agent, request)
      agent.requests[running] = nil
    end)
    agent.requests[running] = true
  end
end

--- Lets the requests that are being answered end, for at most `seconds`; the streams end by the
-- closing of the events. Waits.
function M.finish(agent, seconds)
  local deadline = core.time.monotonic() + seconds
  local list = {}
  for running in pairs(agent.requests or {}) do list[#list + 1] = running end
  for _, running in ipairs(list) do
    running:join(math.max(deadline - core.time.monotonic(), 0))
  end
end

return M
