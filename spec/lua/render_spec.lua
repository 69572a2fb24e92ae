local support = require "support"

local core = require "orrery.core"
local formats = require "orrery.formats"
local render = require "orrery.render"
local secret = require "orrery.secret"
local stacks = require "orrery.stack"

-- A stack of one file in a folder of its own, with its state beside it.
local function load(text, templates)
  local dir = support.tmp()
  core.file.mkdir(dir .. "/templates")
  for name, template in pairs(templates or {}) do support.write(dir .. "/templates/" .. name,
    template) end
  support.write(dir .. "/stack.lua", text)
  local stack, problems = stacks.load(dir)
  assert(stack, problems and stacks.format(problems))
  stack.dirs.state = dir .. "/state"
  for name, service in pairs(stack.services) do
    service.dirs = {data = dir .. "/data/" .. name, config = dir .. "/config/" .. name,
      logs = dir .. "/log", package = dir .. "/package/" .. name}
    service.user = nil
  end
  return stack
end

-- A stack with one service "a" of the given Lua source.
local function one(fields, more, templates)
  return load(("return { profile = 'custom', name = 't', services = { a = { %s }, %s } }")
    :format(fields, more or ""), templates)
end

local function context(fields)
  local all = {lookup = function() return {} end,
    reveal = function(value) return secret.reveal(value) or "S3CRET" end}
  for key, value in pairs(fields or {}) do all[key] = value end
  return all
end

local function service(stack, name, fields)
  local result, problems = render.service(stack, name, context(fields))
  return assert(result, problems and problems[1] and problems[1].message)
end

local function files(stack, name, fields)
  local list, problems = render.files(stack, name, context(fields))
  return assert(list, problems and problems[1] and problems[1].message)
end

local function only_problem(which, stack, name, fields)
  local result, problems = render[which](stack, name, context(fields))
  assert.is_nil(result)
  assert.are.equal(1, #problems, problems[2] and problems[2].message)
  return problems[1]
end

describe("render.service", function()
  it("renders every string of a service", function()
    local stack = one [[port = 3000, exec = {"./a", "--port", "${port}", "--dir=${dir.data}"},
      cwd = "${dir.data}",
      env = {A = "${address}:${port}", N = 3, B = true}, envFile = "a.env",
      hooks = {beforeStart = {"mk", "${dir.package}"}}, stop = {command = {"stop", "${port}"}},
      tags = {"v-${name}"}, meta = {x = "${instance}"}]]
    local result = service(stack, "a", {instance = "a@n", port = 3001})
    local dirs = stack.services.a.dirs
    assert.are.same({"./a", "--port", "3001", "--dir=" .. dirs.data}, result.exec)
    assert.are.same({A = "127.0.0.1:3001", N = "3", B = "true"}, result.env)
    assert.are.equal(dirs.config .. "/a.env", result.envFile)
    assert.are.same({"mk", dirs.package}, result.hooks.beforeStart)
    assert.are.same({"stop", "3001"}, result.stop.command)
    assert.are.equal("TERM", result.stop.signal)
    assert.are.same({"v-a"}, result.tags)
    assert.are.equal("a@n", result.meta.x)
    assert.are.equal("http://127.0.0.1:3001", result.url)
  end)

  it("tells checks where to look", function()
    local stack = one([[port = 3000, exec = {"a"}, healthEndpoint = "/_health",
      healthChecks = {socket = {strategy = "tcp", role = "report"},
        probe = {strategy = "command", role = "report", command = {"probe", "${port}"}}}]],
      [[b = {external = true, url = "https://api.example/", healthEndpoint = "/xrpc/_health"}]])
    local checks = service(stack, "a", {port = 3001}).healthChecks
    assert.are.same({"http", "127.0.0.1", 3001, "/_health"},
      {checks.ready.scheme, checks.ready.host, checks.ready.port, checks.ready.endpoint})
    assert.are.equal(3001, checks.socket.port)
    assert.are.same({"probe", "3001"}, checks.probe.command)
    assert.are.equal("https://api.example/xrpc/_health", service(stack, "b").healthChecks.ready.url)
  end)

  it("lets checks act as the service's user, unless they name one", function()
    local stack = one [[exec = {"a"}, healthChecks = {
      folder = {strategy = "file", role = "report", path = "/", writable = true},
      probe = {strategy = "command", role = "report", command = "true"},
      own = {strategy = "command", role = "report", command = "true", user = "daemon"}}]]
    stack.services.a.user = "nobody"
    local checks = service(stack, "a").healthChecks
    local nobody = core.process.user().uid == 0 and "nobody" or nil
    assert.are.equal(nobody, checks.folder.user)
    assert.are.equal(nobody, checks.probe.user)
    assert.are.equal("daemon", checks.own.user)
  end)

  it("puts secrets into env, and nowhere near a command line", function()
    local stack = one [[exec = {"a"}, env = {TOKEN = secret{env = "X"}, URL = "u:${pw}@h"},
      variables = {pw = {type = "string", secret = true, generate = "hex:8"}}]]
    local env = service(stack, "a").env
    assert.are.same({"S3CRET", "u:S3CRET@h"}, {env.TOKEN, env.URL})
    stack.services.a.exec = {"a", "${env}", "${url2}"}
    stack.services.a.settings.url2 = "x${pw}"
    stack.services.a.variables.url2 = {type = "string"}
    stack.services.a.tags, stack.services.a.meta = {"t-${pw}"}, {k = "${url2}"}
    local _, problems = render.service(stack, "a", context())
    local text = ""
    for _, problem in ipairs(problems) do
      text = text .. problem.path .. ": " .. problem.message .. "\n"
    end
    assert.matches("services.a.exec: a secret would be in a command line", text)
    for _, key in ipairs {"tags", "meta"} do
      assert.matches(("services.a.%s: a secret would be in the records"):format(key), text)
    end
    assert.is_nil(text:find("S3CRET", 1, true))
  end)

  it("tells all problems at once, sorted by path", function()
    local stack = one [[exec = {"a", "${zzzzzz}"}, env = {A = "${x.y}", B = "${"},
      variables = {x = {type = "string"}}]]
    stack.services.a.variables.x.required = true
    local _, problems = render.service(stack, "a", context())
    local paths = {}
    for i, problem in ipairs(problems) do paths[i] = problem.path end
    assert.are.same({"services.a.env.A", "services.a.env.B", "services.a.exec[2]",
      "services.a.variables.x"}, paths)
    assert.are.equal("Required variable 'x' is missing", problems[4].message)
    assert.matches("^services.a.exec%[2%]:1:3: 'zzzzzz' is not declared\n  %${zzzzzz}\n    ^",
      problems[3].message)
    assert.is_false(render.is_pending(problems))
  end)

  it("is pending while only values are missing that will come", function()
    local stack = one([[exec = {"a", "${service.b.did}"}]], "b = {exec = {'b'}}")
    local problem = only_problem("service", stack, "a")
    assert.is_true(problem.pending)
    assert.is_true(render.is_pending {problem})
    local record = {id = "b@n", did = "did:web:b"}
    local function lookup(name) return name == "b" and {record} or {} end
    assert.are.same({"a", "did:web:b"}, service(stack, "a", {lookup = lookup}).exec)
  end)
end)

describe("render.files", function()
  it("renders templates and data, with the format of the file's name", function()
    local stack = one [[port = 80, exec = {"a"}, config = {
      ["a.env"] = {template = "PORT=${port}\n"},
      ["sub/b.json"] = {data = {port = "${port}", list = {"${name}"}, on = true}},
      ["c.toml"] = {template = "host = ${hostname | toml}\n"},
      ["d.conf"] = {template = "x ${port} \"y\" = {\n"}}, hostname = "a\"b"]]
    local list = files(stack, "a")
    local texts, paths = {}, {}
    for i, file in ipairs(list) do texts[i], paths[i] = file.text,
      file.path:sub(#stack.services.a.dirs.config + 2) end
    assert.are.same({"a.env", "c.toml", "d.conf", "sub/b.json"}, paths)
    assert.are.same({"PORT=80\n", 'host = "a\\"b"\n', 'x 80 "y" = {\n',
      '{\n  "list": [\n    "a"\n  ],\n  "on": true,\n  "port": 80\n}\n'}, texts)
    assert.are.equal(416, list[1].mode)
  end)

  it("finds a source beside the stack file", function()
    local stack = one([[exec = {"a"}, config = {["a.env"] = {source = "own.env"}}]], "",
      {["own.env"] = "A=1\nB=${nope}\n"})
    local problem = only_problem("files", stack, "a")
    assert.are.same({stack.dir .. "/templates/own.env", 2, 5}, {problem.file, problem.line,
      problem.column})
    assert.matches("own.env:2:5: 'nope' is not declared", problem.message)
  end)

  it("tells of every undeclared name in a template", function()
    local stack = one [[exec = {"a"}, variables = {batch = {type = "number", default = 1}},
      config = {["a.env"] = {template = "A=${batsh}\nB=%{ if false }${nope_nope}%{ endif }\n" ..
        "%{ for x in [1] }${x}%{ endfor }"}}]]
    local list, problems = render.files(stack, "a", context())
    assert.is_nil(list)
    assert.are.equal(2, #problems)
    assert.are.same({1, 2}, {problems[1].line, problems[2].line})
    assert.matches("'batsh' is not declared; did you mean \"batch\"", problems[1].message)
  end)

  it("refuses text that is not of its format, with the template's line", function()
    local stack = one [[exec = {"a"},
      config = {["a.env"] = {template =
        "A=1\n%{ for x in [1, 2] ~}\nB${x}=1\n%{ endfor ~}\nnot a line\n"}}]]
    local problem = only_problem("files", stack, "a")
    assert.matches('%["a.env"%].template:5: the rendered text is not valid env: expected NAME=',
      problem.message)
    assert.are.equal(5, problem.line)
  end)

  it("marks files with a secret, which are 0600 whatever is asked for", function()
    local stack = one [[exec = {"a"}, variables = {pw = {type = "string", secret = true,
      generate = "hex:8"}},
      config = {["a.env"] = {template = "PW=${pw}\n", mode = "0644"},
        ["b.json"] = {data = {pw = "${pw}"}},
        ["c.env"] = {template = "A=1\n", mode = "0644"}}]]
    local list = files(stack, "a")
    assert.are.same({384, 384, 420}, {list[1].mode, list[2].mode, list[3].mode})
    assert.are.same({true, true, false}, {list[1].secret, list[2].secret, list[3].secret})
    assert.are.same({pw = "S3CRET"}, core.json.decode(list[2].text))
  end)

  it("shows no secret in an error about a file", function()
    local stack = one [[exec = {"a"}, variables = {pw = {type = "string", secret = true,
      generate = "hex:8"}},
      config = {["a.env"] = {template = "PW=${pw}\n"}}]]
    for _, text in ipairs {"S3CRET hunter", "S3CRET\nhunter", "S3CRET'hunter", "S3CRET;hunter",
      "$S3CRET"} do
      local problem = only_problem("files", stack, "a", {reveal = function() return text end})
      assert.is_nil(problem.message:find("S3CRET", 1, true), problem.message)
      assert.is_nil(problem.message:find("hunter", 1, true), problem.message)
    end
  end)

  it("has variables of one file beside the service's", function()
    local stack = one [[exec = {"a"}, settings = {}, config = {
      ["a.env"] = {template = "N=${n}\n", variables = {n = {type = "number", default = 7}}}}]]
    assert.are.equal("N=7\n", files(stack, "a")[1].text)
  end)

  it("knows the file in its commands", function()
    local stack = one [[exec = {"a"}, config = {["a.conf"] = {template = "x",
      check = {"test", "-s", "${file}"}, reload = {command = {"reload", "${file}", "${name}"}}}}]]
    local file = files(stack, "a")[1]
    assert.are.same({"test", "-s", file.candidate}, file.check)
    assert.are.same({"reload", file.path, "a"}, file.reload.command)
  end)

  it("is pending while a value will come, unless the template says later", function()
    local stack = one([[exec = {"a"}, config = {["a.env"] = {template = "DID=${service.b.did}\n"},
      ["b.env"] = {template = "DID=${service.b.did | later(\"\")}\n"}}]], "b = {exec = {'b'}}")
    assert.is_true(only_problem("files", stack, "a").pending)
    stack.services.a.config["a.env"] = nil
    local file = files(stack, "a")[1]
    assert.are.equal("DID=\n", file.text)
    assert.are.equal(1, #file.later)
  end)

  it("keeps hostile records on their line", function()
    local stack = one([[exec = {"a"}, config = {
      ["a.env"] = {template = "DID=${service.b.did}\nTAG=${service.b.tags | first | env}\n"},
      ["b.json"] = {data = {did = "${service.b.did}", tags = "${service.b.tags}"}}}]],
        "b = {exec = {'b'}}")
    local evil = {"x\nEVIL=1", 'x"', "${name}", "x'\ny", "%{ if x }", "$(id)"}
    for _, text in ipairs(evil) do
      local function lookup() return {{id = "b@n", did = "did:web:b", tags = {text}}} end
      local list = files(stack, "a", {lookup = lookup})
      assert.are.same({DID = "did:web:b", TAG = text}, formats.get("env").read(list[1].text))
      assert.are.same({text}, core.json.decode(list[2].text).tags)
    end
    for _, text in ipairs {"x\nEVIL=1", "x'", "$(id)", "x EVIL=1", "x;id"} do
      local function lookup() return {{id = "b@n", did = text, tags = {"t"}}} end
      local result = render.files(stack, "a", context {lookup = lookup})
      assert.is_nil(result, text)
    end
  end)
end)

describe("render.write", function()
  local function list_of(path, text, fields)
    local file = {path = path, text = text, mode = 416}
    for key, value in pairs(fields or {}) do file[key] = value end
    return {file}
  end

  it("makes the folder, writes with the mode, and only what differs", function()
    local path = support.tmp() .. "/deep/er/a.env"
    assert.are.same({path}, render.write(list_of(path, "A=1\n")).changed)
    assert.are.equal("A=1\n", support.read(path))
    assert.are.equal(416, core.file.stat(path).mode & 511)
    assert.are.same({}, render.write(list_of(path, "A=1\n")).changed)
    assert.are.same({path}, render.write(list_of(path, "A=2\n", {mode = 384})).changed)
    assert.are.equal(384, core.file.stat(path).mode & 511)
    assert.are.same({path}, render.write(list_of(path, "A=2\n")).changed)
    assert.are.same({"a.env"}, core.file.list(path:match("^(.*)/")))
  end)

  it("gives the file to its owner, and takes it back when it was changed", function()
    local nobody = core.process.lookup_user("nobody")
    if core.process.user().uid ~= 0 or not nobody then return pending("needs root") end
    local path = support.tmp() .. "/own/a.env"
    assert(render.write(list_of(path, "A=1\n", {owner = "nobody"})))
    assert.are.equal(nobody.uid, core.file.stat(path).uid)
    assert(core.file.chown(path, "root"))
    assert.are.same({path}, render.write(list_of(path, "A=1\n", {owner = "nobody"})).changed)
    assert.are.equal(nobody.uid, core.file.stat(path).uid)
  end)

  it("keeps the old file when the check refuses the new one", function()
    local path = support.tmp() .. "/a.conf"
    local check = {"grep", "-q", "good", path .. ".new"}
    assert(render.write(list_of(path, "good\n", {check = check, candidate = path .. ".new"})))
    local result, problems = render.write(list_of(path, "bad\n", {check = check,
      candidate = path .. ".new"}))
    assert.is_nil(result)
    assert.matches("its check grep refuses it %(exit code 1%), so the old file stays",
      problems[1].message)
    assert.are.equal("good\n", support.read(path))
    assert.is_false(support.exists(path .. ".new"))
  end)

  it("says where it cannot write, and leaves nothing behind", function()
    local dir = support.tmp()
    support.write(dir .. "/file", "")
    local result, problems = render.write(list_of(dir .. "/file/a.env", "A=1\n"))
    assert.is_nil(result)
    assert.are.equal(dir .. "/file/a.env", problems[1].path)
    assert.are.same({"file"}, core.file.list(dir))
  end)
end)

describe("pds.env", function()
  local function variables(domain)
    local stack = assert(stacks.load("simple-pds", {set = {domain = domain}}))
    local list = files(stack, "pds", {reveal = function() return "a $ecret\"" end})
    assert.are.equal(1, #list)
    return assert(formats.get("env").read(list[1].text)), list[1], stack
  end

  it("is what a local PDS needs", function()
    local env, file, stack = variables("localhost")
    local data = stack.services.pds.dirs.data
    assert.are.same({
      PDS_HOSTNAME = "localhost", PDS_PORT = "3000", PDS_DATA_DIRECTORY = data,
      PDS_BLOBSTORE_DISK_LOCATION = data .. "/blobs", PDS_DEV_MODE = "true",
        PDS_INVITE_REQUIRED = "false",
      PDS_JWT_SECRET = "a $ecret\"", PDS_ADMIN_PASSWORD = "a $ecret\"",
      PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX = "a $ecret\"",
        PDS_DID_PLC_URL = "http://127.0.0.1:2582",
    }, env)
    assert.is_true(file.secret)
    assert.are.equal(384, file.mode)
    assert.is_nil(file.text:find("\n\n\n", 1, true))
  end)

  it("joins the network where the domain is public", function()
    local env = variables("pds.example.com")
    assert.are.same({"pds.example.com", "false", "https://plc.directory", "https://api.bsky.app",
      "did:web:api.bsky.app", "https://bsky.network"}, {env.PDS_HOSTNAME, env.PDS_DEV_MODE,
      env.PDS_DID_PLC_URL, env.PDS_BSKY_APP_VIEW_URL, env.PDS_BSKY_APP_VIEW_DID, env.PDS_CRAWLERS})
  end)
end)
