-- template -- how fast templates render, beside Jinja2 and envsubst in the same run.
local core = require "orrery.core"
local compile = require "orrery.template.compile"
local template = require "orrery.template"

local SECONDS = tonumber(os.getenv("BENCH_SECONDS") or 2)
local PYTHON = os.getenv("BENCH_PYTHON") or "/usr/bin/python3" -- Debian's, which has python3-jinja2

local VALUES = {"https://host.example:3000/path", "did:plc:abcdefghijkl", "two words", 'a "b" $c',
  "plain"}

local function env_template(pipe)
  local lines, scope = {}, {}
  for i = 1, 100 do
    lines[i] = ("V%d=${V%d%s}\n"):format(i, i, pipe)
    scope["V" .. i] = VALUES[(i - 1) % #VALUES + 1]
  end
  return table.concat(lines), scope
end

local HAPROXY = [[
frontend fe
  bind :80
backend be
  balance roundrobin
%{ for i in instances ~}
  server ${i.id} ${i.address}:${i.port} check
%{ endfor ~}
]]

local function instances(count)
  local list = {}
  for i = 0, count - 1 do
    list[i + 1] = {id = "pds-" .. i, address = ("10.0.%d.%d"):format(i // 256, i % 256),
      port = 3000 + i % 100}
  end
  return {instances = list}
end

-- Calls fn for SECONDS of `clock`; how often it ran in a second. The default is the processor time
-- of this process, which other programs do not change much.
local function rate(fn, batch, clock)
  clock = clock or os.clock
  local count, began = 0, clock()
  repeat
    for _ = 1, batch do fn() end
    count = count + batch
  until clock() - began >= SECONDS
  return count / (clock() - began)
end

local function row(what, per_second, bytes, more)
  print(("%-52s %12.1f /s %9.1f MB/s  %s"):format(what, per_second, per_second * bytes / 1e6,
    more or ""))
end

local function ours(what, text, scope, options, batch)
  local result, err = template.render(text, scope, options)
  assert(result, err and tostring(err))
  local per_second = rate(function() return template.render(text, scope, options) end, batch)
  row("orrery: " .. what, per_second, #result)
  return per_second
end

local function jinja(what, kind)
  local result = core.process.run {argv = {PYTHON, "spec/bench/template.py", kind,
    tostring(SECONDS)}, env = core.process.environ(), timeout = 60}
  local per_second, bytes, compiled = (result and result.stdout or ""):match("(%S+) (%S+) (%S+)")
  if not per_second then return print("Jinja2: not installed (python3-jinja2)") end
  row("Jinja2: " .. what, tonumber(per_second), tonumber(bytes),
    ("compiled in %.2f ms"):format(tonumber(compiled)))
  return tonumber(per_second)
end

-- A new process for each file, as envsubst is used.
local function envsubst(scope)
  local text, env = env_template(""), core.process.environ()
  for name, value in pairs(scope) do env[name] = value end
  local size
  local per_second = rate(function()
    local result = core.process.run {argv = {"envsubst"}, env = env, input = text, timeout = 10}
    size = result and #result.stdout
  end, 10, core.time.monotonic)
  if size then row("envsubst: 100 lines, nothing quoted", per_second, size) end
end

local function compile_time(what, text)
  local per_second = rate(function() compile.compile {text = text, name = "bench"} end, 10)
  print(("%-52s %12.3f ms"):format("compile: " .. what, 1000 / per_second))
end

local function main()
  local quoted, scope = env_template(" | env")
  local bare = env_template("")
  local mine = ours("100 lines of env, | env", quoted, scope, nil, 100)
  local theirs = jinja("100 lines of env, the same quoting", "env")
  if theirs then print(("%-52s %12.2f"):format("  orrery / Jinja2", mine / theirs)) end
  ours("100 lines of env, | env, format env", quoted, scope, {format = "env"}, 100)
  mine = ours("100 lines, nothing quoted", bare, scope, nil, 100)
  theirs = jinja("100 lines, nothing quoted", "bare")
  if theirs then print(("%-52s %12.2f"):format("  orrery / Jinja2", mine / theirs)) end
  envsubst(scope)
  mine = ours("haproxy.cfg of 10,000 instances", HAPROXY, instances(10000), nil, 1)
  theirs = jinja("haproxy.cfg of 10,000 instances", "haproxy")
  if theirs then print(("%-52s %12.2f"):format("  orrery / Jinja2", mine / theirs)) end
  local plain = "https://pds.example.com/xrpc/_health"
  ours("a string without ${", plain, {}, nil, 1000)
  ours("a string with one ${", "http://127.0.0.1:${V1}/", scope, nil, 1000)
  compile_time("100 lines of env", quoted)
  compile_time("haproxy.cfg", HAPROXY)
  compile_time("one ${", "http://127.0.0.1:${V1}/")
end

main()
