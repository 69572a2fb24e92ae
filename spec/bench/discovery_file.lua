-- discovery_file -- the file and env backends: everything is the disk's and ours.
local measure = require "bench.discovery"
local orrery = require "orrery"

local discovery, file, json = orrery.discovery, orrery.file, orrery.json

local TTL = 3600

local function open_file(dir) return assert(discovery.open("file", { filePath = dir })) end

--- As many registrations would leave it, but at once.
local function populate(dir)
  for s = 1, measure.SERVICES do
    local records = json.array({})
    for copy = 1, measure.COPIES do
      local record = measure.record("many-" .. s, copy, copy)
      record.ttl, record.expires = TTL, math.floor(orrery.time.now()) + TTL
      records[copy] = record
    end
    assert(file.write(("%s/many-%d.json"):format(dir, s), json.encode(records, { indent = 2 }),
      { sync = false }))
  end
end

local function bench_file(bench)
  local dir = bench.work .. "/discovery"
  local backend <close> = open_file(dir)
  local writer <close> = open_file(dir)
  measure.wake(bench, "file", backend)
  measure.register(bench, writer)
  populate(dir)
  local cursors = measure.list(bench, backend)
  measure.watch(bench, backend, cursors, function(number)
    assert(writer:register(measure.record("many-" .. number, 1, 20000 + number), TTL))
  end)
end

local function bench_env(bench)
  local options = { envFile = bench.work .. "/services.env" }
  local backend <close> = assert(discovery.open("env", options))
  measure.wake(bench, "env file", backend)
  measure.register(bench, backend)
end

return function(bench)
  bench.say("file and env: waking, registering, listing, watching")
  bench_file(bench)
  bench_env(bench)
end
