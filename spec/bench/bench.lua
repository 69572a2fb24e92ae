-- bench -- the numbers of `make bench`: each table is a file of this folder, which is given
--   bench.row(what, value, wanted), bench.say(text), bench.run(argv, timeout) -> its output,
--   bench.median(numbers), bench.work (a folder), bench.orrery (the program)
local orrery = require "orrery"

local TABLES = { "version", "graph", "executor", "sleeps", "supervise", "waves", "growth", "pds",
  "discovery_dns", "discovery_consul", "discovery_etcd", "discovery_file", "render_live" }

local bench = { orrery = "build/orrery", work = assert(os.getenv "BENCH_WORK") }
local rows = {}

function bench.row(what, value, wanted) rows[#rows + 1] = { what, value, wanted or "" } end

function bench.say(text) io.stderr:write("bench: ", text, "\n") end

function bench.run(argv, timeout, env)
  local full = orrery.process.environ()
  for name, value in pairs(env or {}) do full[name] = value end
  local result = assert(orrery.process.run { argv = argv, env = full, timeout = timeout or 60 })
  if result.code ~= 0 then
    local said = result.stdout .. result.stderr
    error(("%s: exit code %s\n%s"):format(table.concat(argv, " "), result.code, said:sub(-1500)), 0)
  end
  return result.stdout
end

function bench.median(values)
  table.sort(values)
  return values[(#values + 1) // 2]
end

local function print_table()
  for _, line in ipairs(rows) do
    print(("%-52s %18s   %s"):format(line[1], line[2], line[3]))
  end
end

local failed = false
for _, name in ipairs(#arg > 0 and arg or TABLES) do
  local ok, message = pcall(function() require("bench." .. name)(bench) end)
  if not ok then
    failed = true
    bench.say("FAILED: " .. name .. ": " .. tostring(message))
  end
end
print_table()
os.exit(not failed, true)
