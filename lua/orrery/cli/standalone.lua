--- standalone -- one template without a stack: `orrery render nginx.conf.tmpl --backend consul`.
--
-- The template is rendered as the one file of a made-up service, so that all that is true of a
-- stack's files (checks, backups, guards, quiet) is true of it.
local alone = require "orrery.render.alone"
local backend = require "orrery.cli.backend"
local changes = require "orrery.render.changes"
local command = require "orrery.render.command"
local core = require "orrery.core"
local formats = require "orrery.formats"
local given = require "orrery.scope.given"
local output = require "orrery.render.output"
local rendering = require "orrery.cli.rendering"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local M = {}

local NEW_MODE = 420 -- 0644

local function absolute(path)
  if path:sub(1, 1) == "/" then return path end
  return assert(core.file.realpath(".")) .. "/" .. path
end

--- The file itself where `path` is a link to it: a link stays one. Follows only what was named on
-- the command line.
local function behind_link(path)
  local link = core.file.stat(path, { follow = false })
  return link and link.type == "link" and core.file.realpath(path) or path
end

--- Where it is written: a file, or one in the folder that was named.
local function target(options, source, problems)
  if not options.out then return nil end
  local path = absolute(options.out)
  local stat = core.file.stat(path)
  if stat and stat.type == "directory" then
    path = path:gsub("/+$", "") .. "/" .. source:match("[^/]*$"):gsub("%.tmpl$", "")
    stat = core.file.stat(path)
  end
  if stat and stat.type ~= "file" then
    problems[#problems + 1] = ("--out %s: is no regular file; without --out the text is printed")
      :format(options.out)
  end
  path = behind_link(path)
  if stat and core.file.realpath(path) == core.file.realpath(source) then
    problems[#problems + 1] = ("--out %s: is the template itself"):format(options.out)
  end
  return path
end

--- {5} and {5, 20} of "5" and "5,20".
local function read_wait(text, problems)
  local list = {}
  for word in (text or ""):gmatch("[^,]+") do
    local number = tonumber(word)
    if not number or number < 0 or number > 3600 then
      problems[#problems + 1] = ("--wait %s: expected seconds, such as 5 or 5,20"):format(text)
      return nil
    end
    list[#list + 1] = number
  end
  if #list == 0 and text or #list > 2 then
    problems[#problems + 1] = ("--wait %s: expected one or two numbers, such as 5 or 5,20")
      :format(text)
  elseif list[2] and list[2] < list[1] then
    problems[#problems + 1] = ("--wait %s: the second is the most, and less than the first")
      :format(text)
  end
  return #list > 0 and list or nil
end

--- Whether there is a format of this name, which may have a style behind a colon.
local function check_format(name, problems)
  if not name or name == "text" then return end
  local format, message = formats.get(name, core.file.realpath("."))
  if not format then problems[#problems + 1] = "--format: " .. message end
end

--- What the options say about the file, as `config` of a stack has it.
local function config_of(options, source, out, problems)
  local mode = options.mode and tonumber(options.mode, 8)
  if options.mode and (not mode or mode > 511) then
    problems[#problems + 1] = ("--mode %s: expected octal digits, such as 0640")
      :format(options.mode)
  end
  check_format(options.format, problems)
  local check = options["check-command"]
  return { source = source, format = options.format, owner = options.owner,
    mode = mode or (out and not core.file.stat(out) and NEW_MODE) or nil,
    wait = read_wait(options.wait, problems), backups = options.backups,
    minInstances = options["min-instances"], maxDrop = options["max-drop"],
    check = check and { "sh", "-c", check } or nil, reload = "none" }
end

--- What discovery knows. That it could not be asked is noted in job.failed.
local function lookup_in(job)
  return function(name)
    if not job.discovery then return nil, "no backend is named: add --backend" end
    local records, message, code = job.discovery:known(name)
    if not records then job.failed = { message = message, code = code } end
    return records, message
  end
end

-- The keys of a stack's file by which its problems are told, and the options that give them here.
local OPTION_OF = { check = "--check-command: ", format = "--format: " }

-- The stack is made up: so is the path in it.
local function without_path(problem)
  local path, message = problem.path or "", problem.message
  if path == "" or message:sub(1, #path) ~= path then return message end
  return (message:sub(#path + 1):gsub("^:%d+:%d+: ", ""))
end

--- The problems as text. A template's own begins with its place.
local function text_of(problems, source)
  local lines = {}
  for i, problem in ipairs(problems) do
    local place = problem.file or problem.message:find(source, 1, true)
    local option = OPTION_OF[(problem.path or ""):match("%]%.(%l+)$")]
    lines[i] = (option or place and "" or source .. ": ") .. without_path(problem)
  end
  return table.concat(lines, "\n")
end

--- Renders once: the file | nil, message, pending.
local function render_once(job)
  job.failed = nil
  local files, message, code, uses = alone.render(job.stack, { lookup = lookup_in(job),
    chosen = job.chosen }, job.listed, function(problems) return text_of(problems, job.source) end)
  job.uses = files and files[1].uses or uses or job.uses
  return files and files[1], message, code == "pending"
end

--- Runs --reload; job.failures counts how often in a row it has failed.
local function reload(job)
  if not job.reload then return true end
  local ok, message = command.run(job.reload, { env = core.process.environ() })
  job.failures = ok and 0 or job.failures + 1
  if ok then return true end
  return nil, ("%s is written, but --reload `%s` failed%s: %s"):format(job.out, job.reload,
    job.watched and "; it is run again until it succeeds"
      or "; it is not run again before the file changes", message)
end

--- Takes over a rendering: prints it, or writes it and reloads. nil, message if it cannot.
local function put(job, file)
  job.listed = { [file.path] = file.listed }
  if not job.out then
    if file.text ~= job.shown then ui.write(file.text) end
    job.shown = file.text
    return true
  end
  local changed, message = output.write(file)
  if changed == nil then
    return nil, message:find(file.path, 1, true) and message or file.path .. ": " .. message
  end
  if job.as_json then ui.json { path = file.path, changed = changed } end
  if not changed and job.failures == 0 then return true end
  local failed_before = job.failures > 0
  local ok, failed = reload(job)
  if not ok then return nil, failed end
  if changed and not job.as_json then ui.note("%s is written", file.path) end
  if failed_before and job.reload then ui.note("--reload `%s` has succeeded", job.reload) end
  return true
end

--- Says `message`, unless it was the last thing said.
local function tell(job, message)
  if message and message ~= job.told then ui.note("%s", message) end
  job.told = message
end

--- Renders at every change, until somebody ends it, or nothing is left that can change. What fails
-- changes nothing, and is told once; a command that failed is run again.
local function watch(job)
  local changed = changes.new(job.discovery)
  while true do
    local file, message = render_once(job)
    job.wait = file and file.wait or job.wait
    if file then message = select(2, put(job, file)) end
    tell(job, message)
    changes.follow(changed, job.uses)
    if job.failures == 0 and not next(job.uses or {}) then
      ui.note("%s asks discovery for nothing: there is nothing to watch", job.source)
      return message and session.UNHEALTHY or session.OK
    end
    changes.next(changed, job.wait, job.failures > 0 and command.pause(job.failures) or nil)
  end
end

local function compare(file, options)
  return rendering.compare({ { file = file } }, options)
end

--- Why nothing was rendered: the end of the command.
local function fail(job, message, pending)
  if job.failed then backend.fail(job.plan, job.failed.message, job.failed.code) end
  session.fail(pending and session.UNHEALTHY or session.INVALID, "%s", message)
end

--- The problems of a combination of options.
local function check_options(options, out, problems)
  for _, name in ipairs { "reload", "check-command", "backups", "owner", "mode", "diff",
    "check" } do
    if options[name] and not out then
      problems[#problems + 1] = ("--%s needs --out FILE"):format(name)
    end
  end
  if options.watch and (options.diff or options.check or options.json) then
    problems[#problems + 1] = "--watch does not go with --diff, --check or --json"
  end
end

--- The variables of --var, of the environment (ORRERY_VAR_name) and of --var-file; the first wins.
-- Nothing of them is a template.
local function variables_of(options, problems)
  local file = {}
  if options["var-file"] then
    local text, message = core.file.read(options["var-file"])
    local format = formats.of_path(options["var-file"]) or "json"
    local found, wrong = {}, { message }
    if text then found, wrong = given.from_file(text, format, {}) end
    for _, problem in ipairs(not found and wrong or not text and wrong or {}) do
      problems[#problems + 1] = ("--var-file %s: %s"):format(options["var-file"], problem)
    end
    file = found or {}
  end
  local environ = core.process.environ()
  local named = given.from_environment(environ, given.guess({}, environ))
  local vars, wrong = given.from_options(options.var or {}, given.guess(options.var or {}))
  for _, problem in ipairs(wrong or {}) do problems[#problems + 1] = problem end
  return given.merge(file, named or {}, vars or {})
end

--- While it is watched: tells when what is written may be out of date, and when it no longer is. As
-- long as nothing was written, the rendering itself tells what it lacks.
local function notice_for(job)
  return function(name, stale, message)
    if not job.listed then return end
    ui.note(stale and "what is known of %s may be out of date: %s"
      or "what is known of %s is up to date again", name, message)
  end
end

--- The discovery that the flags name; nil if they name none.
local function open_discovery(ctx, job)
  if not backend.is_named(ctx) then return nil end
  if ctx.options.watch then job.plan.how.notice = notice_for(job) end
  return backend.open_plan(job.plan)
end

local function new_job(ctx, source)
  local problems, options = {}, ctx.options
  local plan = backend.read(ctx, problems, "alone")
  local out = target(options, source, problems)
  check_options(options, out, problems)
  local config = config_of(options, absolute(source), out, problems)
  local vars = variables_of(options, problems)
  backend.refuse(problems)
  local key = out or absolute(source:match("[^/]*$"):gsub("%.tmpl$", ""))
  local stack = alone.stack({ [key] = config }, { settings = vars, node = plan.node,
    remedy = "; give it with --var %s=VALUE" })
  local job = { stack = stack, out = out, reload = options.reload, plan = plan,
    source = config.source, as_json = options.json, chosen = {}, wait = { 0.1, 1 }, failures = 0,
    watched = options.watch }
  job.discovery = open_discovery(ctx, job)
  return job
end

--- Runs `orrery render TEMPLATE`.
function M.run(ctx, source)
  local job = new_job(ctx, source)
  if ctx.options.watch then return watch(job) end
  local file, message, pending = render_once(job)
  if not file then fail(job, message, pending) end
  if ctx.options.diff or ctx.options.check then return compare(file, ctx.options) end
  if ctx.options.json and not job.out then
    ui.json { path = file.path, text = file.text, uses = ui.list(require("orrery.suggest")
      .names(file.uses)) }
    return session.OK
  end
  local ok
  ok, message = put(job, file)
  if not ok then session.fail(session.UNHEALTHY, "%s", message) end
  return session.OK
end

return M
