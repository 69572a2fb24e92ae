--- refresh -- what a running process gets without a restart: its checks rendered again, its files
-- written again and taken up. Both wait, and tell a fact.
local command = require "orrery.render.command"
local core = require "orrery.core"
local guard = require "orrery.render.guard"
local listed_of = require "orrery.render.listed"
local problem_of = require "orrery.problem"
local render = require "orrery.render"
local values = require "orrery.template.values"

local M = {}

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

--- Why a reload command failed; nil if it did not.
local function run_command(i, argv)
  local ok, message = command.run(argv, { env = i.run.env, user = i.run.user,
    cwd = i.run.rendered.cwd })
  return not ok and ("its reload command %s failed: %s"):format(argv[1], message) or nil
end

--- Has the process take up changed files, once for all that want the same; returns whether a
-- restart is needed, a problem, and the paths (a set) of which it has not been told.
local function take_up(i, files)
  local wanted = guard.take_up(files)
  for _, signal in ipairs(wanted.signals) do i.run.process:signal(signal) end
  local problem, untold = nil, {}
  for _, argv in ipairs(wanted.commands) do
    local why = run_command(i, argv)
    problem = problem or why
    for _, path in ipairs(why and guard.users(files, argv) or {}) do untold[path] = true end
  end
  return wanted.restart, problem, next(untold) and untold
end

--- What is known of a file from now on. `listed` is that of its last writing.
local function note(file, known, is_admitted)
  known = known or {}
  return { uses = file.uses, listed = is_admitted and file.listed or known.listed,
    wait = file.wait, later = file.later, bad = known.bad, held = known.held,
    drops = file.max_drop ~= nil, lists = file.listed }
end

--- What the files listed in an earlier life; nil where none has a `maxDrop`.
local function kept_of(driver, i, files)
  for _, file in ipairs(files) do
    if file.max_drop then return listed_of.load(driver.stack, i.id) end
  end
end

--- What is known of a file: of this agent's life, or else what an earlier one has listed in it. It
-- is no reason to hold back a file that is not there.
local function known_of(i, file, kept)
  local known = i.files[file.path]
  if known or not kept or not core.file.stat(file.path) then return known or {} end
  return { listed = kept[file.path] }
end

--- Keeps what the files with a `maxDrop` listed, if that is not what is kept already.
local function keep_listed(driver, i, files, kept)
  if not kept then return end
  local listed, differs = {}, false
  for _, all in ipairs { i.files, files } do
    for path, known in pairs(all) do listed[path] = known.drops and known.listed or nil end
  end
  for path, counts in pairs(listed) do
    differs = differs or not values.equal(counts, kept[path])
  end
  if differs then listed_of.save(driver.stack, i.id, listed) end
end

--- The files that may be written, and why the others may not: {path = reason}. Text that was rolled
-- back gives way to the text before it, as long as it is the same.
local function admit(i, files, explicit, kept)
  local admitted, held = {}, {}
  for _, file in ipairs(files) do
    local known = known_of(i, file, kept)
    local bad = known.bad
    if bad and bad.text == file.text then
      file.text, held[file.path] = bad.previous, bad.why
      admitted[#admitted + 1] = file
    else
      if bad then known.bad = nil end
      local why = guard.reason(file, not explicit and known.listed or nil)
      held[file.path] = why
      if not why then admitted[#admitted + 1] = file end
    end
  end
  return admitted, held
end

--- Writes what may be written: a fact's fields `changed`, `held`, `files`, `written` (the texts
-- before and after of each changed file), `taken` (what the process must be told of: also what it
-- could not be told of before) | nil, problems.
local function write(driver, i, files, explicit)
  local kept = kept_of(driver, i, files)
  local admitted, held = admit(i, files, explicit, kept)
  local done, problems = render.write(admitted)
  if not done then return nil, problems end
  local fact, changed = { changed = done.changed, held = held, files = {}, written = {} }, {}
  for _, path in ipairs(done.changed) do changed[path] = true end
  for _, file in ipairs(files) do
    fact.files[file.path] = note(file, known_of(i, file, kept), false)
  end
  for _, file in ipairs(admitted) do
    fact.files[file.path] = note(file, i.files[file.path], true)
    if changed[file.path] or (i.untold and i.untold.paths[file.path]) then
      fact.taken = fact.taken or {}
      table.insert(fact.taken, file)
    end
    if changed[file.path] then
      fact.written[file.path] = { text = file.text, before = done.before[file.path] }
    end
  end
  keep_listed(driver, i, fact.files, kept)
  return fact
end

--- Writes the files of an instance that starts: a fact as of files(), nothing taken up | nil,
-- problems. One that a guard holds back keeps the service waiting if it is not there yet.
function M.first(driver, i, files)
  local fact, problems = write(driver, i, files)
  if not fact then return nil, problems end
  problems = {}
  for _, file in ipairs(files) do
    local why = fact.held[file.path]
    if why and not core.file.stat(file.path) then
      problems[#problems + 1] = { path = file.path, message = why, pending = true }
    end
  end
  if #problems > 0 then return nil, problems end
  fact.taken = nil
  return fact
end

local function written(driver, i, files, explicit)
  local fact, problems = write(driver, i, files, explicit)
  if not fact then return { problem = problem_of.line(problems) } end
  fact.restart, fact.problem, fact.untold = take_up(i, fact.taken or {})
  fact.taken = nil
  return fact
end

--- Renders the files again (all, or the set of paths `only`), writes those that differ and has them
-- taken up. `explicit`: somebody asked for it, so a guard on what went at once does not hold. Tells
-- {kind = "files", changed, restart, held, files, written, untold, problem}.
function M.files(driver, i, tell, only, explicit)
  told("files", tell, function()
    local context = driver.context(i)
    local files, problems, uses = render.files(driver.stack, i.service.name, context, only)
    if files then return written(driver, i, files, explicit) end
    return { changed = {}, held = {}, uses = uses, problem = problem_of.line(problems),
      pending = render.is_pending(problems) }
  end)
end

return M
