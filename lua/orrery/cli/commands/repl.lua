local core = require "orrery.core"
local session_of = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local ABOUT = 'orrery (the API), stack (what the file says), plan, s (the stack to handle: s:up())'

--- $XDG_STATE_HOME/orrery/repl_history, its folder made; nil where there can be none.
local function history()
  local state = os.getenv("XDG_STATE_HOME")
  if not state or state:sub(1, 1) ~= "/" then
    local home = os.getenv("HOME")
    if not home or home == "" then return nil end
    state = home .. "/.local/state"
  end
  local ok = core.file.mkdir(state .. "/orrery", "0700")
  return ok and state .. "/orrery/repl_history" or nil
end

--- The function to sleep in until the session ends what called it.
local function exit_of(session)
  return function(code)
    session:finish(code == nil and 0 or code == true and 0 or math.tointeger(code) or 1)
    core.time.sleep(1e8)
  end
end

local function new_session(ctx, prompt, about)
  return require("orrery.repl").new {
    program = ctx.program, options = ctx.options, prompt = prompt, about = about,
    history = not ctx.options.code and history() or nil,
  }
end

local function give_env(session, options)
  options.print = function(text) session:write(text) end
  options.exit = exit_of(session)
  session.env = require("orrery.repl.env").new(options)
end

-- ---- on a stack file ----

--- The stack as a thing to handle, where it can be had.
local function handle_of(ctx)
  local api = require("orrery").stack
  return api and (api.load(session_of.target(ctx), {
    node = ctx.options.node, set = require("orrery.cli.args").settings(ctx.options.set) }))
end

--- Sets stack, plan and s. Returns the stack and the problems it has.
local function read_stack(ctx, env)
  local stack, problems = session_of.try_stack(ctx)
  local plan
  if stack then plan, problems = require("orrery.plan").build(stack) end
  env.stack, env.plan, env.s = stack, plan, stack and handle_of(ctx)
  return stack, not plan and require("orrery.stack").format(problems):gsub("%s+$", "") or nil
end

local function tell_problems(ctx, stack, problems)
  if not problems then return end
  local given = ctx.options.file or os.getenv("ORRERY_STACK")
  if stack or given then
    ui.note("%s", ui.paint("yellow", ("the stack %s has problems, and `%s` is nil:\n%s"):format(
      session_of.target(ctx), stack and "plan" or "stack", problems), 2))
  end
end

local function on_stack(ctx)
  local session = new_session(ctx, "orrery", ABOUT)
  give_env(session, { preset = { orrery = require "orrery" }, may_be_nil = { "stack", "plan", "s",
    "_" } })
  local stack, problems = read_stack(ctx, session.env)
  function session.reread()
    local again, found = read_stack(ctx, session.env)
    tell_problems(ctx, again, found)
  end
  function session.services()
    local known = rawget(session.env, "stack")
    return type(known) == "table" and require("orrery.suggest").names(known.services or {}) or {}
  end
  if not ctx.options.quiet then tell_problems(ctx, stack, problems) end
  return session, ("orrery %s, %s; .help tells what there is"):format(core.version,
    stack and "stack " .. stack.name or "no stack")
end

-- ---- on a running agent ----

local function on_agent(ctx)
  local attach = require "orrery.repl.attach"
  local stack = session_of.stack(ctx)
  local session = new_session(ctx, stack.name,
    ctx.options.write and attach.ABOUT_WRITE or attach.ABOUT)
  local names, message = attach.open(stack, { write = ctx.options.write,
    start_words = session_of.paste(ctx, "up", "-d"),
    tell = function(text) session:write(text) end })
  if not names then session_of.fail(session_of.UNREACHABLE, "%s", message) end
  names.preset.orrery = require "orrery"
  names.may_be_nil = { "_" }
  session.services = names.services
  give_env(session, names)
  return session, ("orrery %s, attached to the agent of stack %s%s; .help tells what there is")
    :format(core.version, stack.name, ctx.options.write and "" or ", read-only")
end

return {
  name = "repl",
  group = "lua",
  summary = "type Lua with the stack, or a running agent, in reach",
  options = {
    {name = "attach", summary = "look at the running agent: its state anew at each reading"},
    {name = "write", summary = "with --attach: may start, stop, restart and reload, too"},
    {name = "code", short = "e", value = "CODE", summary = "run this and end"},
    {name = "quiet", short = "q", summary = "no banner"},
  },
  details = "An expression shows its value, a statement is run; lines that are not complete go on "
    .. "in the next. Waits look like plain calls, and tasks go on while the prompt waits. TAB "
    .. "completes, Ctrl-C stops what runs, Ctrl-D ends; .help lists the dot commands. What is "
    .. "piped in is run line by line without a prompt.",
  exits = {"0    ended", "1    -e CODE or a line of a file failed", "2    wrong usage",
    "3    the stack is invalid (--attach)", "4    no agent is running (--attach)"},
  example = "orrery -f simple-pds repl",
  run = function(ctx)
    if ctx.options.write and not ctx.options.attach then
      require("orrery.cli.args").misuse("--write goes with --attach; without it the session has "
        .. "`s`, the stack to handle")
    end
    local repl = require "orrery.repl"
    local session, banner = (ctx.options.attach and on_agent or on_stack)(ctx)
    if ctx.options.code then return repl.run_code(session, ctx.options.code) end
    local code, message = repl.run(session, not ctx.options.quiet and banner or nil)
    if message then session_of.fail(session_of.UNHEALTHY, "%s", message) end
    return code
  end,
}
