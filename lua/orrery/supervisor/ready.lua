--- ready -- how a service itself says that it is ready: sd_notify, or a line of its output.
--
-- readyWhen = "notify": READY=1 on a socket of its own; STATUS= and STOPPING=1 are understood too,
-- everything else of the protocol is ignored. Only what the instance's own processes send counts.
-- readyWhen = "log:<text>": a line with this plain text in it. It is no pattern: a pattern could
-- run away on what a service prints.
local core = require "orrery.core"

local file, process, task = core.file, core.process, core.task

local M = {}

local MAX_STATUS = 200 -- bytes

--- The text that a line of its output has in it once it is ready; nil if it is ready otherwise.
function M.text_of(service) return (service.readyWhen or ""):match("^log:(.+)$") end

--- Whether the service itself says when it is ready.
function M.says(service)
  local has_process = not (service.external or service.embedded)
  return has_process and (service.readyWhen == "notify" or M.text_of(service) ~= nil)
end

--- What it has not done yet, for people.
function M.missing(service)
  local text = M.text_of(service)
  return text and ("it wrote no line with '%s' in it"):format(text) or "it never said READY=1"
end

--- Opens the socket of an instance. Returns it and its path, nothing if it needs none; or nil, nil
-- and why not.
function M.open(stack, service, id, user)
  if service.readyWhen ~= "notify" or not M.says(service) then return nil end
  local folder = stack.dirs.run .. "/notify"
  local ok, err = file.mkdir(folder, 493)
  local path = ("%s/%s"):format(folder, id)
  if ok then ok, err = process.notify_socket(path, user) end
  if not ok then return nil, nil, err end
  return ok, path
end

local function clean(text)
  return (text:sub(1, MAX_STATUS):gsub("[%c\127]", " "))
end

local function tell_lines(text, tell)
  for line in text:gmatch("[^\n]+") do
    if line == "READY=1" then
      tell({ kind = "ready", message = "it said READY=1" })
    elseif line == "STOPPING=1" then
      tell({ kind = "says", status = "stopping" })
    elseif line:sub(1, 7) == "STATUS=" then
      tell({ kind = "says", status = clean(line:sub(8)) })
    end
  end
end

local function listen(socket, pid, mark, tell)
  local warned = false
  while true do
    local message = socket:next()
    if not message then return end
    if message.root == pid or message.instance == mark then
      tell_lines(message.text, tell)
    elseif not warned then
      warned = true
      tell({ kind = "says", refused = ("a message from process %d was ignored: it is none of "
        .. "this service's"):format(message.pid) })
    end
  end
end

local function look(child, text, tell)
  if child:expected() then
    tell({ kind = "ready", message = ("it wrote a line with '%s' in it"):format(text) })
  end
end

--- Begins to listen to a process that has just started; what it says becomes facts for `tell`.
-- Ends by itself when the socket is closed or the process has ended.
function M.follow(service, child, socket, mark, tell)
  if socket then task.spawn(listen, socket, child.pid, mark, tell) end
  local text = M.says(service) and M.text_of(service)
  if text then task.spawn(look, child, text, tell) end
end

return M
