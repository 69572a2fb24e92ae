--- background -- `up -d`: starts the agent as a process of its own, and waits until it has settled.
local core = require "orrery.core"
local follow = require "orrery.cli.follow"
local present = require "orrery.cli.present"
local report = require "orrery.cli.report"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local M = {}

local file, process = core.file, core.process

local LOG_MAX = 1024 * 1024
local LOG_TAIL = 10     -- lines shown when the agent did not come up
local LOOK_AGAIN = 0.2  -- seconds; also when the folder tells of no change

local function log_path(stack)
  return stack.dirs.logs .. "/agent.log"
end

local function log_size(path)
  local stat = file.stat(path)
  return stat and stat.size or 0
end

local function make_log(stack)
  local path = log_path(stack)
  local ok, message = file.mkdir(stack.dirs.logs, 493)
  if ok and log_size(path) > LOG_MAX then ok, message = file.rename(path, path .. ".1") end
  if not ok then
    session.fail(session.UNHEALTHY, "the log folder cannot be used: %s; give another with stateDir",
      message)
  end
  return path
end

--- A relative stack path stays right, for the agent keeps the folder it was started in.
local function launch(ctx, stack, path)
  local argv = {process.executable()}
  local words = session.stack_words(ctx)
  table.move(words, 1, #words, 2, argv)
  table.move({"up", "--agent"}, 1, 2, #argv + 1, argv)
  table.move(ctx.args, 1, #ctx.args, #argv + 1, argv)
  local pid, message = process.detach({argv = argv, log = path})
  if pid then return pid end
  session.fail(session.UNREACHABLE, "the agent of stack '%s' could not be started: %s", stack.name,
    message)
end

--- What the agent has logged since `from`, as lines.
local function new_lines(path, from)
  local handle <close> = io.open(path, "rb")
  if not handle then return {}, from end
  handle:seek("set", from)
  local text = handle:read(LOG_MAX) or ""
  local lines = {}
  for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  return lines, from + #text - #text:match("[^\n]*$")
end

local function died(path, from)
  local lines = new_lines(path, from)
  local last = table.concat(table.move(lines, math.max(#lines - LOG_TAIL + 1, 1), #lines, 1, {}),
    "\n    ")
  session.fail(session.UNREACHABLE, "the agent ended before it could be reached; its log, %s, ends "
    .. "with:\n    %s", path, last ~= "" and last or "(nothing)")
end

--- The client, once the agent answers. Until then its log is the progress.
local function reach(ctx, stack, pid, path, from, deadline)
  local watch <close> = setmetatable({handle = file.watch(stack.dirs.logs)}, {
    __close = function(self) if self.handle then self.handle:close() end end,
  })
  local start, at = from, from
  while true do
    local client = session.try_client(stack)
    if client then return client end
    local stat = process.stat(pid)
    if not stat or stat.state == "Z" then died(path, start) end
    local lines
    lines, at = new_lines(path, at)
    for _, line in ipairs(lines) do ui.note("%s", line) end
    if core.time.monotonic() >= deadline then
      session.fail(session.TIMED_OUT, "the agent (pid %d) does not answer within %s; its log is %s",
        pid, ui.duration(ctx.options.timeout), path)
    end
    if watch.handle then watch.handle:next(LOOK_AGAIN) else core.time.sleep(LOOK_AGAIN) end
  end
end

function M.up(ctx, stack)
  local deadline = core.time.monotonic() + ctx.options.timeout
  local path = make_log(stack)
  local from = log_size(path)
  local pid = launch(ctx, stack, path)
  ui.note("starting stack '%s' (agent pid %d, log %s)", stack.name, pid, path)
  local client = reach(ctx, stack, pid, path, from, deadline)
  local state = follow.rest(ctx, client, nil, { since = 0, all = ctx.options.timeout,
    timeout = math.max(deadline - core.time.monotonic(), 0) })
  if ctx.options.json then
    present.json(state)
  else
    report.print_table(state)
    report.trouble(ctx, stack, state)
    report.next_lines(ctx, state, session.paste(ctx, "down"))
  end
  return report.code(state)
end

return M
