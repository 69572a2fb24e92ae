-- services, discover, env, register, deregister: the program over the backends that need no server.
local core = require "orrery.core"
local support = require "support"

local orrery, json = support.orrery, core.json

local function with(flags, words)
  return table.move(flags, 1, #flags, #words + 1, words)
end

--- Runs a command over a backend; demands exit code 0 unless `expected` says another.
local function ok(words, expected)
  local code, out, err = orrery(words)
  assert.equal(expected or 0, code, out .. err)
  return out, err
end

local started = {}

--- Starts `orrery` with these words and leaves it running; its output is in `log`. What still runs
--- at the end of the test is killed.
local function start(words)
  local argv = { support.binary(), table.unpack(words) }
  local log = support.tmp() .. "/log"
  local running = assert(core.process.spawn { argv = argv, env = support.env(),
    log = { path = log } })
  started[#started + 1] = running
  return running, log
end

local function end_all()
  for _, running in ipairs(started) do
    running:kill()
    running:wait(30)
  end
  started = {}
end

local PDS = { "register", "pds", "--address", "127.0.0.1", "--port", "3000", "--scheme", "http",
  "--tag", "atproto", "--tag", "pds", "--did", "did:web:x", "--meta", "k=v" }

local function pds(flags, more)
  local words = table.move(PDS, 1, #PDS, 1, {})
  return with(flags, table.move(more or {}, 1, #(more or {}), #words + 1, words))
end

local function discover(flags, expected)
  return json.decode((ok(with(flags, { "discover", "pds", "--json" }), expected)))
end

local function wait_for(flags, count)
  return support.wait_until(function()
    local _, out = orrery(with(flags, { "discover", "pds", "--json" }))
    local list = json.decode(out)
    return list and #list == count and list
  end, 30, count .. " instances")
end

-- ---- what every backend does: {name, a function that gives its flags} ----

local backends = {
  file = function() return { "--backend", "file", "--file-path", support.tmp() .. "/d" } end,
  env = function() return { "--backend", "env", "--env-file", support.tmp() .. "/s.env" } end,
}

for name, make in pairs(backends) do
  describe("over the backend " .. name, function()
    local flags
    before_each(function() flags = make() end)
    after_each(end_all)

    it("what is registered is found, listed, printed and taken away", function()
      local _, err = ok(pds(flags, { "--node", "edge" }))
      assert.equal("registered pds@edge with discovery backend " .. name .. "\n", err)
      ok(with(flags, { "register", "pds", "--address", "::1", "--id", "second" }))
      ok(with(flags, { "register", "plc", "--address", "plc.example", "--node", "edge" }))
      local found = discover(flags)
      assert.equal(2, #found)
      found[1].revision = nil
      assert.same({ service = "pds", id = "pds@edge", node = "edge", address = "127.0.0.1",
        port = 3000, scheme = "http", did = "did:web:x", tags = { "atproto", "pds" },
        meta = { k = "v" }, status = "passing", source = name }, found[1])
      local listed = ok(with(flags, { "services" }))
      assert.truthy(listed:find("pds      pds@edge  127.0.0.1:3000  http", 1, true), listed)
      assert.equal(3, #json.decode((ok(with(flags, { "services", "--json" })))))
      ok(with(flags, { "deregister", "pds", "--id", "second" }))
      assert.equal(1, #discover(flags))
      ok(with(flags, { "deregister", "pds", "--node", "edge" }))
      assert.same({}, discover(flags, 1))
      _, err = ok(with(flags, { "deregister", "pds", "--node", "edge" }), 1)
      assert.equal("orrery: no instance 'pds@edge' of pds was registered\n", err)
    end)

    it("env prints lines that sh reads back", function()
      ok(pds(flags, { "--node", "edge", "--meta", "odd=a'b\"$c\n`d`" }))
      local lines = ok(with(flags, { "env", "pds" }))
      local script = 'eval "$1"; printf "%s|" "$ATPROTO_SERVICE_PDS_URL" '
        .. '"$ATPROTO_SERVICE_PDS_TAGS" "$ATPROTO_SERVICE_PDS_META_ODD"'
      local _, out = support.run { "sh", "-euc", script, "sh", lines }
      assert.equal("http://127.0.0.1:3000|atproto,pds|a'b\"$c\n`d`|", out)
      local all = json.decode((ok(with(flags, { "env", "--json" }))))
      assert.equal("3000", all.ATPROTO_SERVICE_PDS_PORT)
      assert.equal("", (ok(with(flags, { "env", "plc" }), 1)))
    end)

    it("--ttl ends a record that nobody renews", function()
      ok(pds(flags, { "--ttl", "1" }))
      wait_for(flags, 0)
    end)

    it("--hold renews until a signal comes, and deregisters", function()
      local running = start(pds(flags, { "--ttl", "4", "--hold" }))
      wait_for(flags, 1)
      core.time.sleep(5) -- more than its ttl
      assert.equal(1, #discover(flags))
      running:signal("TERM")
      assert.same({ code = 0 }, running:wait(30))
      assert.same({}, discover(flags, 1))
    end)

    it("a command gets its address, our signals and our streams; its exit code is ours", function()
      local script = 'printf "%s %s" "$ATPROTO_SERVICE_PDS_URL" "$(cat)"; exit 7'
      local words = with({ "--", "sh", "-c", script }, pds(flags))
      words.input = "stdin"
      local code, out, err = orrery(words)
      assert.same({ 7, "http://127.0.0.1:3000 stdin", "" }, { code, out, err })
      assert.same({}, discover(flags, 1))
    end)

    it("a command that ends by a signal, ours or not, is told as a shell does", function()
      local flag = support.tmp() .. "/trapped"
      local script = 'trap "echo hup >\'' .. flag .. '\'; exit 3" HUP; '
        .. 'while :; do sleep 0.05; done'
      local running = start(with({ "--", "sh", "-c", script }, pds(flags)))
      wait_for(flags, 1)
      running:signal("HUP")
      assert.same({ code = 3 }, running:wait(30))
      assert.equal("hup\n", support.read(flag))
      assert.same({}, discover(flags, 1))
      ok(with({ "--", "sh", "-c", "kill -TERM $$" }, pds(flags)), 143)
    end)

    it("a command that cannot be started is 127, and nothing stays registered", function()
      local _, err = ok(with({ "--", "no-such-program" }, pds(flags)), 127)
      assert.truthy(err:find("no-such-program", 1, true))
      assert.same({}, discover(flags, 1))
    end)

    it("what is killed goes by its ttl, and its command with it", function()
      local pid_file = support.tmp() .. "/pid"
      local script = "echo $$ >" .. pid_file .. "; exec sleep 600"
      local running = start(with({ "--", "sh", "-c", script }, pds(flags, { "--ttl", "3" })))
      wait_for(flags, 1)
      support.wait_until(function() return support.exists(pid_file) end)
      local child = tonumber((support.read(pid_file)))
      support.run { "kill", "-KILL", tostring(running.pid) }
      assert.same({ signal = "KILL" }, running:wait(30))
      wait_for(flags, 0)
      support.wait_gone(child, 20)
    end)

    it("discover --watch shows each change", function()
      local running, log = start(with(flags, { "discover", "pds", "--watch", "--json" }))
      local function lines()
        local list = {}
        local text = support.exists(log) and support.read(log) or ""
        for line in text:gmatch(" out (%[.-%])\n") do
          list[#list + 1] = json.decode(line)
        end
        return list
      end
      support.wait_until(function() return #lines() == 1 end, 30,
        "the first answer: " .. tostring(support.exists(log) and support.read(log)))
      ok(pds(flags))
      support.wait_until(function() return #lines() == 2 end, 30, "the second answer")
      ok(with(flags, { "deregister", "pds" }))
      support.wait_until(function() return #lines() == 3 end, 30, "the third answer")
      assert.equal(3000, lines()[2][1].port)
      assert.same({ {}, {} }, { lines()[1], lines()[3] })
      running:signal("TERM")
      running:wait(30)
    end)
  end)
end

describe("the file backend's own tools", function()
  after_each(end_all)

  it("are cat, and an editor", function()
    local flags = backends.file()
    ok(pds(flags, { "--node", "edge" }))
    local path = flags[4] .. "/pds.json"
    local _, text = support.run { "cat", path }
    assert.equal("did:web:x", json.decode(text)[1].did)
    support.write(path, '{"pds": {"address": "10.0.0.1", "port": 1, "tags": ["hand"]}}')
    assert.equal("hand", discover(flags)[1].tags[1])
  end)

  it("a killed holder's record is gone at once, whatever its ttl", function()
    local flags = backends.file()
    local running = start(pds(flags, { "--ttl", "600", "--hold" }))
    wait_for(flags, 1)
    support.run { "kill", "-KILL", tostring(running.pid) }
    running:wait(30)
    assert.same({}, discover(flags, 1))
  end)
end)

describe("what is registered for good", function()
  -- The files and folders that a command had on the disk before it ended.
  local function synced(words)
    local dir = support.tmp()
    local preload = (os.getenv "LD_PRELOAD" or "") .. " "
      .. support.preloadable("note_syncs", dir)
    words.env = { LD_PRELOAD = preload, SYNCS = dir .. "/syncs" }
    ok(words)
    local names = {}
    local notes = io.open(dir .. "/syncs")
    for name in notes and notes:lines() or function() end do names[name] = true end
    if notes then notes:close() end
    return names
  end

  local folders = { file = function(flags) return flags[4] end,
    env = function(flags) return flags[4]:match "^(.*)/" end }

  for name, make in pairs(backends) do
    it("outlives a crash of the machine, and so does its end: " .. name, function()
      local flags = make()
      local folder = folders[name](flags)
      assert.is_true(synced(pds(flags))[folder])
      assert.is_true(synced(with(flags, { "deregister", "pds" }))[folder])
      assert.is_nil(synced(pds(flags, { "--ttl", "60" }))[folder]) -- nobody would renew it then
    end)
  end
end)

describe("the env backend's own tools", function()
  it("are env and a shell", function()
    local flags = backends.env()
    ok(pds(flags, { "--node", "edge" }))
    local _, out = support.run { "sh", "-euc", 'set -a; . "$1"; env', "sh", flags[4] }
    assert.truthy(out:find("ATPROTO_SERVICE_PDS_URL=http://127.0.0.1:3000\n", 1, true), out)
    local code, found = orrery { "discover", "pds", "--backend", "env", "--json",
      env = { ATPROTO_SERVICE_PDS_URL = "https://pds.example.com" } }
    assert.equal(0, code)
    assert.equal(443, json.decode(found)[1].port)
  end)

  it("without a file registers for a command only", function()
    local _, err = ok({ "register", "web", "--address", "a", "--backend", "env" }, 2)
    assert.truthy(err:find("give --env-file", 1, true), err)
    local out = ok { "register", "web", "--address", "a", "--backend", "env", "--", "sh", "-c",
      '"$0" discover web --backend env --json', support.binary() }
    assert.equal("a", json.decode(out)[1].address)
  end)
end)

describe("a stack", function()
  it("names the backend, and flags go before it", function()
    local dir = support.tmp()
    support.write(dir .. "/stack.lua", ([[return { name = "s", stateDir = %q, discovery = {
      filePath = "records" }, services = { web = { exec = { "sleep", "1" } } } }]])
      :format(dir .. "/state"))
    ok(with({}, { "-f", dir, "register", "pds", "--address", "::1", "--node", "edge" }))
    assert.truthy(support.exists(dir .. "/records/pds.json"))
    assert.equal(1, #json.decode((ok { "-f", dir, "services", "--json" })))
    local other = { "-f", dir, "services", "--json", "--file-path", "elsewhere", cwd = dir }
    assert.same({}, json.decode((ok(other))))
    assert.truthy(support.exists(dir .. "/elsewhere"))
    ok { "-f", dir, "register", "plc", "--address", "::1", "--node", "edge", "--backend", "env" }
    local env = { "-f", dir, "services", "--json", "--backend", "env" }
    assert.equal("plc@edge", json.decode((ok(env)))[1].id)
    assert.truthy(support.exists(dir .. "/state/services.env"))
    assert.equal(1, #json.decode((ok { "services", "--json", cwd = dir })))
  end)
end)

describe("up with the env backend", function()
  it("exports what runs: to a file, and to what depends on it", function()
    local dir, user, first = support.tmp(), core.process.user().name, support.free_port(2)
    local second = tostring(first + 1)
    support.write(dir .. "/stack.lua", ([[
      local shell = function(script) return { "sh", "-c", script .. "; exec sleep 600" } end
      return { name = "s", stateDir = "state", discovery = { backend = "env" }, services = {
        web = { exec = shell ":", user = %q, port = %d, replicas = 2, readyWhen = "started",
          tags = { "a", "b" }, meta = { zone = "eu" } },
        app = { exec = shell "env >DIR/env.tmp; mv DIR/env.tmp DIR/env", user = %q, cwd = "DIR",
          dependencies = { "web" }, readyWhen = "started" },
      } }]]):format(user, first, user):gsub("DIR", dir))
    local code, out, err = orrery { "-f", dir, "up", "-d", timeout = 120 }
    local fine, problem = pcall(function()
      assert.equal(0, code, out .. err)
      support.wait_until(function() return support.exists(dir .. "/env") end, 30, "app to run")
      local child = support.read(dir .. "/env")
      local port = child:match("ATPROTO_SERVICE_WEB_PORT=(%d+)")
      for _, line in ipairs { "ATPROTO_SERVICE_WEB_URL=http://127.0.0.1:" .. port,
        "ATPROTO_SERVICE_WEB_TAGS=a,b", "ATPROTO_SERVICE_WEB_META_ZONE=eu",
        "ATPROTO_SERVICE_WEB_2_PORT=" .. (port == second and first or second) } do
        assert.truthy(child:find(line .. "\n", 1, true), line .. " is not in " .. child)
      end
      support.wait_until(function()
        local _, found = orrery { "-f", dir, "discover", "web", "--json" }
        return #json.decode(found) == 2
      end, 30, "two instances of web")
      local lines = ok { "-f", dir, "env", "web" }
      assert.truthy(lines:find("ATPROTO_SERVICE_WEB_2_URL=http://127.0.0.1:", 1, true), lines)
    end)
    orrery { "-f", dir, "down", timeout = 60 }
    assert(fine, problem)
    assert.equal("", support.read(dir .. "/state/services.env"))
  end)
end)

describe("bad words", function()
  it("are told all at once, and nothing is done", function()
    local dir = support.tmp() .. "/d"
    local _, err = ok({ "register", "p/s", "x", "--address", "a b", "--port", "z", "--meta", "q",
      "--ttl", "0", "--did", "web:x", "--backend", "consl", "--etcd-endpoints", "a:1",
      "--file-path", dir }, 2)
    for _, part in ipairs { "there are 10 problems", '"x" (a command comes after --)',
      'did you mean "consul"?', "--etcd-endpoints is for the backend etcd",
      "--file-path is for the backend file", '--port: expected a whole number from 1, not "z"',
      "--meta q: expected KEY=VALUE", "SERVICE: must be", "--address: must be a host name",
      "--did: must be a DID", "--ttl: expected" } do
      assert.truthy(err:find(part, 1, true), ("%q is not in %q"):format(part, err))
    end
    assert.falsy(support.exists(dir))
  end)

  it("are each explained", function()
    local cases = {
      ["--address is missing"] = { "register", "pds", "--backend", "env", "--", "true" },
      ["there is no command after --"] = { "register", "pds", "--address", "a", "--" },
      ["an argument is missing"] = { "register", "--address", "a", "--", "true" },
      ["put it into a file, and give --consul-token-file"] = { "services", "--consul-token", "x" },
      ['"a/b" is no service\'s name'] = { "discover", "a/b" },
      ["--id: must be up to 128"] = { "deregister", "pds", "--id", "a b", "--backend", "env" },
      ["envPrefix"] = { "env", "--backend", "env", "--env-prefix", "A-" },
    }
    for part, words in pairs(cases) do
      local _, err = ok(words, 2)
      assert.truthy(err:find(part, 1, true) or err:find("--env-prefix", 1, true),
        ("%q is not in %q"):format(part, err))
    end
  end)

  it("a place that cannot be used is exit 4, with what to do", function()
    local dir = support.tmp()
    support.write(dir .. "/file", "")
    local _, err = ok(pds({ "--backend", "file", "--file-path", dir .. "/file" }), 4)
    assert.truthy(err:find("Cannot register with discovery backend file: cannot make the folder "
      .. dir .. "/file", 1, true), err)
    assert.truthy(err:find("give another place with --file-path", 1, true), err)
  end)
end)
