local args = require "orrery.cli.args"
local core = require "orrery.core"
local present = require "orrery.cli.present"
local secret = require "orrery.secret"
local secret_list = require "orrery.secret_list"
local session = require "orrery.cli.session"
local suggest = require "orrery.suggest"
local ui = require "orrery.cli.ui"

local MAX_BYTES = 1024 * 1024

local function store_of(stack) return secret.open(stack.dirs.state .. "/secrets") end

--- That a secret was never made can only be told by who may look for it.
local function refuse_hidden(stack)
  local folder = stack.dirs.state .. "/secrets"
  local _, message, code = core.file.list(folder)
  if code ~= "denied" then return end
  session.fail(session.UNHEALTHY, "%s; run this as the user whose secrets they are", message)
end

local function state_of(store, item)
  if item.source ~= "generate" then return nil end
  local kept, since = store:kept(item.name)
  return kept, kept and since or nil
end

local function list(ctx, stack)
  refuse_hidden(stack)
  local store, shown = store_of(stack), {}
  for i, item in ipairs(secret_list.of(stack)) do
    local kept, since = state_of(store, item)
    shown[i] = { name = item.name, source = item.source, from = item.from, kept = kept,
      since = since, rotate = item.rotate,
      services = ui.list(item.services), paths = ui.list(item.paths) }
  end
  if ctx.options.json then return present.json(ui.list(shown)) end
  local rows = {}
  for i, item in ipairs(shown) do
    local since = item.since and core.time.format(item.since):sub(1, 10)
    rows[i] = { item.name, item.source .. " " .. (item.from or ""),
      since or (item.source == "generate" and "not made yet" or ""),
      table.concat(item.services, ", ") }
  end
  ui.print_table({ "NAME", "FROM", "SINCE", "USED BY" }, rows)
end

--- The generated secret of this name, whose value is Orrery's to keep.
local function find(stack, name)
  local names = {}
  for _, item in ipairs(secret_list.of(stack)) do
    if item.name == name and item.source == "generate" then return item end
    if item.name == name then
      args.misuse("%s comes from %s %s: change it there", name, item.source, item.from or "")
    end
    if item.source == "generate" then names[#names + 1] = item.name end
  end
  args.misuse("stack '%s' has no secret %q%s (it keeps: %s)", stack.name, name,
    suggest.hint(name, names), #names > 0 and table.concat(names, ", ") or "none")
end

local function run_stty(word)
  local running = core.process.spawn { argv = { "stty", word }, inherit = true,
    env = core.process.environ() }
  if running then running:wait(5) end
end

--- One line without its echo from a terminal, all of the input otherwise.
local function read_value(name)
  if not core.file.isatty(0) then return io.read("a") or "" end
  ui.note("the new value of %s (it is not shown), then Enter:", name)
  run_stty("-echo")
  local line = io.read("l")
  run_stty("echo")
  return line or ""
end

local function given_value(name)
  local text = read_value(name):gsub("\r?\n$", "")
  if text == "" then args.misuse("the value is empty; write it to the standard input") end
  if #text > MAX_BYTES then args.misuse("the value is longer than 1 MiB") end
  if text:find("[%z\n]") then args.misuse("the value must be one line of text") end
  return text
end

local function replace(ctx, stack, item, text)
  local store = store_of(stack)
  local was_kept = store:kept(item.name)
  if was_kept and not item.rotate and not ctx.options.force then
    session.fail(session.UNHEALTHY, "others depend on the value of %s (rotate = false): what was "
      .. "made with it is lost with it; add --force if that is meant", item.name)
  end
  local ok, message, code = store:replace(item.name, item.from, text)
  if not ok then
    session.fail(code == "invalid" and session.USAGE or session.UNHEALTHY, "%s: %s", item.name,
      message)
  end
  ui.note("%s has a new value%s", item.name, was_kept and
    ("; the old one is %s/%s.old"):format(store.dir, item.name) or "")
  if #item.services > 0 then
    ui.note("what uses it takes it at its next start: %s", session.paste(ctx, "restart",
      table.unpack(item.services)))
  end
end

local VERBS = {
  list = function(ctx, stack) list(ctx, stack) end,
  set = function(ctx, stack, name) replace(ctx, stack, find(stack, name), given_value(name)) end,
  rotate = function(ctx, stack, name) replace(ctx, stack, find(stack, name), nil) end,
}

return {
  name = "secret",
  group = "prepare",
  summary = "list the secrets of a stack; set or renew one that it keeps",
  arguments = "list|set|rotate [NAME]",
  options = {
    { name = "force", summary = "also where others depend on the value (rotate = false)" },
    { name = "json", summary = "list: print JSON" },
  },
  details = "No value is ever printed. `set` reads the new one from standard input, `rotate` makes "
    .. "one; the one before stays beside it as NAME.old, and both are 0600. A service that keeps "
    .. "its own copy (a database's password, say) must be told as well.",
  exits = { "0    done", "1    it was not changed", "2    wrong usage",
    "3    the stack is invalid" },
  example = "orrery -f simple-pds secret rotate pds.adminPassword",
  run = function(ctx)
    local verb, name = ctx.args[1], ctx.args[2]
    local act = VERBS[verb]
    if not act or #ctx.args > 2 or (verb == "list") ~= (name == nil) then
      args.misuse("expected `secret list`, `secret set NAME` or `secret rotate NAME`")
    end
    act(ctx, session.stack(ctx), name)
  end,
}
