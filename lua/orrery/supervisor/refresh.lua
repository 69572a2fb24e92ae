--- refresh -- what a running process gets without a restart when its stack is reloaded: its checks
-- rendered again, its files written again and taken up. Both wait, and tell a fact.
local core = require "orrery.core"
local problem_of = require "orrery.problem"
local render = require "orrery.render"

local M = {}

local COMMAND_TIMEOUT = 30

--- Runs `work`, which returns a fact; a fault in it is a fact too.
local function told(kind, tell, work)
  local ok, fact = xpcall(work, debug.traceback)
  if not ok then
    if tostring(fact):find("^cancelled") then return end
    fact = { problem = tostring(fact) }
  end
  fact.kind = kind
  tell(fact)
end

--- Tells {kind = "checks", specs | problem}.
function M.checks(driver, i, tell)
  told("checks", tell, function()
    local rendered, problems = render.service(driver.stack, i.service.name, driver.context(i))
    if not rendered then return { problem = problem_of.line(problems) } end
    return { specs = rendered.healthChecks }
  end)
end

local function run_command(i, argv)
  local result, err = core.process.run({ argv = argv, env = i.run.env, user = i.run.user,
    cwd = i.run.rendered.cwd, timeout = COMMAND_TIMEOUT })
  if result and result.code == 0 then return nil end
  return ("its reload command %s failed: %s"):format(argv[1], err
    or result.timedOut and "still running at its deadline" or result.stderr:sub(-500))
end

--- Takes up one changed file; returns whether a restart is needed, and a problem.
local function take_up(i, file)
  local how = file.reload or "restart"
  if how == "restart" or type(how) == "table" and how.restart then return true end
  if how == "none" then return false end
  if how.signal then
    i.run.process:signal(how.signal)
    return false
  end
  return false, how.command and run_command(i, how.command)
end

local function written(i, files)
  local fact = { changed = {}, restart = false }
  local done, problems = render.write(files)
  if not done then return { problem = problem_of.line(problems) } end
  local changed = {}
  for _, path in ipairs(done.changed) do changed[path] = true end
  for _, file in ipairs(files) do
    if changed[file.path] then
      fact.changed[#fact.changed + 1] = file.path
      local restart, problem = take_up(i, file)
      fact.restart = fact.restart or restart
      if problem then return { problem = problem } end
    end
  end
  return fact
end

--- Tells {kind = "files", changed, restart | problem}.
function M.files(driver, i, tell)
  told("files", tell, function()
    local files, problems = render.files(driver.stack, i.service.name, driver.context(i))
    if not files then return { problem = problem_of.line(problems) } end
    return written(i, files)
  end)
end

return M
