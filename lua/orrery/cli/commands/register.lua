local args = require "orrery.cli.args"
local backend = require "orrery.cli.backend"
local core = require "orrery.core"
local session = require "orrery.cli.session"
local ui = require "orrery.cli.ui"

local FIELDS = { "service", "id", "node", "address", "port", "scheme", "did", "tags", "meta" }
local SHOWN = { service = "SERVICE", tags = "--tag" }

--- key=value words as a map.
local function read_meta(words, problems)
  local meta = {}
  for _, word in ipairs(words or {}) do
    local key, value = word:match("^([^=]+)=(.*)$")
    if not key then
      problems[#problems + 1] = ("--meta %s: expected KEY=VALUE"):format(word)
    elseif meta[key] then
      problems[#problems + 1] = ("--meta %s: %s is given twice"):format(word, key)
    else
      meta[key] = value
    end
  end
  return meta
end

local function read_number(text, option, min, problems)
  if not text then return nil end
  local number = tonumber(text)
  if number and number >= min and number < 1e9 and number == math.floor(number) then
    return math.floor(number)
  end
  problems[#problems + 1] = ("%s: expected a whole number from %d, not %q")
    :format(option, min, text)
end

--- What is wrong with each field by itself, so that all of it is told.
local function check_fields(record, problems)
  for _, field in ipairs(FIELDS) do
    if record[field] ~= nil then
      local probe = { service = "x", address = "x" }
      probe[field] = record[field]
      local ok, message = core.discovery.record(probe)
      if not ok then
        problems[#problems + 1] = (SHOWN[field] or "--" .. field) .. message:gsub("^%w+", "")
      end
    end
  end
end

local function read_record(ctx, node, problems)
  local options = ctx.options
  if not options.address then problems[#problems + 1] = "--address is missing: where is it?" end
  local record = { service = ctx.args[1], id = options.id, node = node, address = options.address,
    port = read_number(options.port, "--port", 1, problems), scheme = options.scheme,
    did = options.did, tags = core.json.array(options.tag or {}),
    meta = read_meta(options.meta, problems), status = "passing" }
  check_fields(record, problems)
  return record
end

--- The words behind "--"; those before it are one SERVICE.
local function split_words(ctx, problems)
  local before = ctx.args.before or #ctx.args
  for i = 2, before do
    problems[#problems + 1] = ("there is an argument too many: %q (a command comes after --)")
      :format(ctx.args[i])
  end
  if before < 1 then args.misuse("an argument is missing: SERVICE") end
  local command = table.move(ctx.args, before + 1, #ctx.args, 1, {})
  if ctx.args.before and #command == 0 then
    problems[#problems + 1] = "there is no command after --"
  end
  return command
end

--- Without a file the env backend's records are this process's own.
local function check_lasting(ctx, plan, command, problems)
  local discovery = plan.discovery
  local file = discovery.envFile or plan.how.env_file
  if discovery.backend ~= "env" or file or #command > 0 then return end
  if #(discovery.fallback or {}) > 0 then return end
  problems[#problems + 1] = "the env backend would know this in this process only; give "
    .. "--env-file, or a command " .. (ctx.options.hold and "instead of --hold" or "after --")
end

local function register_once(discovery, plan, record, ttl)
  local ok, message, code, where = discovery:register(record, ttl, { owner = false })
  local names = require("orrery.cli.holding").names(discovery, where)
  if names ~= "" then
    ui.note("registered %s with discovery backend %s%s", record.id, names,
      ttl and (", for %d s"):format(ttl) or "")
  end
  if not ok then backend.fail(plan, message, code) end
  return session.OK
end

return {
  name = "register",
  group = "run",
  summary = "register a service in discovery",
  arguments = "SERVICE [-- COMMAND...]",
  options = backend.with {
    {name = "address", value = "HOST", summary = "where others reach it (needed)"},
    {name = "port", value = "PORT", summary = "the port it listens on"},
    {name = "scheme", value = "SCHEME", summary = "of its url, such as http"},
    {name = "tag", value = "TAG", many = true, summary = "a tag; may be repeated"},
    {name = "did", value = "DID", summary = "its DID"},
    {name = "meta", value = "KEY=VALUE", many = true, summary = "a field; may be repeated"},
    {name = "id", value = "ID", summary = "the instance's id (SERVICE@NODE)"},
    {name = "ttl", value = "SECONDS", summary = "gone if not renewed for so long (60 while it is "
      .. "held; else it stays until it is deregistered)"},
    {name = "hold", summary = "renew it until this is ended, then deregister it"},
  },
  details = "With a command, or with --hold, the record is renewed until that ends, and then "
    .. "deregistered; if all of it is killed, the record goes when its ttl is over. The command "
    .. "gets its own address as ATPROTO_SERVICE_* variables, and our streams (but it does not read "
    .. "a terminal); signals are passed on to it, and its exit code is ours. With --fallback one "
    .. "backend that takes it is enough to begin.",
  exits = {"0    registered; of a command: its own", "2    wrong usage",
    "3    the stack is invalid", "4    the backend could not be reached",
    "127  the command could not be started"},
  example = "orrery register pds --address 127.0.0.1 --port 3000 --tag atproto -- ./serve",
  run = function(ctx)
    local problems = {}
    local command = split_words(ctx, problems)
    local plan = backend.read(ctx, problems)
    local record = read_record(ctx, plan.node, problems)
    local ttl = read_number(ctx.options.ttl, "--ttl", 1, problems)
    check_lasting(ctx, plan, command, problems)
    backend.refuse(problems)
    record.id = record.id or record.service .. "@" .. record.node
    local holding = require "orrery.cli.holding"
    local discovery <close> = backend.open_plan(plan, "register with")
    if #command > 0 then return holding.run(discovery, plan, record, ttl or plan.ttl, command) end
    if ctx.options.hold then return holding.hold(discovery, plan, record, ttl or plan.ttl) end
    return register_once(discovery, plan, record, ttl)
  end,
}
