--- files -- the configuration files of running instances: written again when what they were made of
-- changes, and taken back when the instance does not bear it. It runs in the supervisor's task.
--
-- i.files[path] is what is known of a file: {uses, listed, lists, wait, later, bad, problem}:
-- what it listed when it was written last, and what it would list now. `bad` is a
-- text that was taken back, the one before it, and why; it is not written again while it is the
-- same. `problem` is why it could not be rendered or written when it was last tried.
-- i.untold is {paths, why, failures, at}: the files that it has not been told of since a reload
-- command failed so many times in a row, and when that is run again.
local command = require "orrery.render.command"
local core = require "orrery.core"
local writer = require "orrery.supervisor.writer"

local M = {}

local TRIAL = 60 -- seconds after a change in which a failure is blamed on it

local function emit(sup, i, to, path, reason)
  writer.emit(sup, i, "file", { to = to, message = path, reason = reason })
end

--- Why a file is not as it should be, for `status` and `why`; nil if all are.
local function waiting_for(i)
  if not next(i.files) then return i.file_problem end
  local paths = {}
  for path in pairs(i.files) do paths[#paths + 1] = path end
  table.sort(paths)
  for _, path in ipairs(paths) do
    local known = i.files[path]
    if known.problem then return known.problem end
    local why = known.held or (known.later and known.later[1])
    if why then return ("%s: %s"):format(path, why) end
  end
  return i.file_problem or (i.untold and i.untold.why)
end

--- Sets or clears the flag `pending` of a running instance.
function M.update_flag(sup, i) writer.set_flag(sup, i, "pending", waiting_for(i)) end

local function can_refresh(i)
  return i.spawned and not i.exit and not i.refreshing and i.state ~= "stopping" and not i.again
end

--- Starts what was asked for with stale(), once it can be done.
local function pump(sup, i)
  if not i.stale or not can_refresh(i) then return end
  local only, explicit = i.stale.paths, i.stale.explicit
  i.stale, i.refreshing, i.refreshed, i.asked = nil, true, only, explicit
  sup.driver.files(i, writer.teller(sup, i), only, explicit)
end

local function merged(before, paths)
  if not paths or (before and not before.paths) then return nil end
  local all = {}
  for _, set in ipairs({ before and before.paths or {}, paths }) do
    for path in pairs(set) do all[path] = true end
  end
  return all
end

--- Asks for files of an instance to be rendered again: a set of paths, or nil for all. `explicit`:
-- a person asked, so what was taken back may be tried again.
function M.stale(sup, i, paths, explicit)
  if not next(i.service.config or {}) then
    i.files, i.file_problem, i.untold = {}, nil, nil -- a reload may have taken the last one
    return
  end
  if explicit then
    for _, known in pairs(i.files) do known.bad = nil end
  end
  i.stale = { paths = merged(i.stale, paths),
    explicit = explicit or (i.stale and i.stale.explicit) }
  pump(sup, i)
end

local function note_held(sup, i, held)
  for path, why in pairs(held) do
    local known = i.files[path] or {}
    if known.held ~= why or i.asked then emit(sup, i, "held", path, why) end
    known.held, i.files[path] = why, known
  end
end

--- Why the files that were asked for (all, unless i.refreshed is a set) are as they were. Of each
-- that is written later it is forgotten. Who asked (i.asked) is told though it is known.
local function note_problem(sup, i, fact)
  if fact.problem and (fact.problem ~= i.told_problem or i.asked) then
    writer.emit(sup, i, "file", { to = fact.pending and "pending" or "failed",
      reason = fact.problem })
  end
  local problem = not fact.written and fact.problem or nil
  i.told_problem, i.file_problem = fact.problem, not next(i.files) and problem or nil
  for path in pairs(problem and (i.refreshed or i.files) or {}) do
    i.files[path] = i.files[path] or {}
    i.files[path].problem = problem
  end
end

--- What has just been written is on trial, if the instance served until then.
local function put_on_trial(i, written)
  local serves = i.state == "running" and (i.unchecked or i.health == "passing")
  if not serves or not next(written) then return end
  i.trial = { from = core.time.monotonic(), written = written }
end

--- Takes over what is known of files: after a start, or after a refresh.
function M.took(sup, i, fact)
  for path, known in pairs(fact.files or {}) do i.files[path] = known end
  note_held(sup, i, fact.held or {})
  for path, known in pairs(i.files) do
    if fact.uses then
      known.uses = known.uses or {}
      for name in pairs(fact.uses) do known.uses[name] = true end
    end
    local why = fact.held and fact.held[path]
    if fact.files and fact.files[path] and not why then known.held = nil end
  end
  for _, path in ipairs(fact.changed or {}) do emit(sup, i, "written", path) end
  if sup.on_files then sup.on_files(i) end
end

--- All its files were looked at: what is known of others is of files that it had once.
local function forget_others(i, files)
  for path in pairs(i.files) do if not files[path] then i.files[path] = nil end end
end

--- It has started, with files just written.
function M.started(sup, i, fact)
  i.file_problem, i.told_problem, i.untold = nil, nil, nil
  forget_others(i, fact.files)
  M.took(sup, i, fact)
  if i.trial then i.trial.from = core.time.monotonic() end
  pump(sup, i)
end

--- A file that was not looked at this time is as untold as before.
local function note_untold(sup, i, fact)
  local before, paths = i.untold, {}
  for path in pairs(fact.untold or {}) do paths[path] = true end
  for path in pairs(before and before.paths or {}) do
    local is_looked_at = fact.files and fact.files[path]
    if is_looked_at and not paths[path] then emit(sup, i, "taken up", path) end
    if not is_looked_at and i.files[path] then paths[path] = true end
  end
  i.untold = nil
  if not next(paths) then return end
  local failures = (before and before.failures or 0) + 1
  local pause = command.pause(failures)
  i.untold = { paths = paths, failures = failures, at = core.time.monotonic() + pause,
    why = fact.untold and fact.problem or before.why }
end

--- Tries the reload command that failed again, once its time has come.
function M.untold_due(sup, i, now)
  if i.untold and now >= i.untold.at and can_refresh(i) then M.stale(sup, i, i.untold.paths) end
end

--- A refresh ended.
function M.refreshed(sup, i, fact)
  i.refreshing = nil
  note_problem(sup, i, fact)
  if fact.written and not i.refreshed then forget_others(i, fact.files) end
  M.took(sup, i, fact)
  note_untold(sup, i, fact)
  put_on_trial(i, fact.written or {})
  i.restart_due = (fact.restart and not i.exit) or i.restart_due
  sup.touched[i] = true
  pump(sup, i)
end

--- Asks for the restart that takes up a file; not while what the service requires is down, for then
-- it could not start again.
function M.restart_due(i, world)
  if not i.restart_due or not i.spawned or i.exit or world.gate.impaired then return end
  i.restart_due, i.again, i.planned = nil, true, true
end

--- The instance serves no more, for the reason `why`: what was written shortly before is taken
-- back.
function M.blame(sup, i, why)
  local trial = i.trial
  i.trial = nil
  if not trial or core.time.monotonic() - trial.from > TRIAL then return end
  local paths = {}
  for path, texts in pairs(trial.written) do
    local known = i.files[path]
    if known and texts.before and not known.bad then
      local reason = ("taken back, for '%s' failed after it was written: %s"):format(i.id, why)
      known.bad = { text = texts.text, previous = texts.before, why = reason }
      paths[path] = true
      emit(sup, i, "rolled back", path, reason)
    end
  end
  if next(paths) then M.stale(sup, i, paths) end
end

return M
