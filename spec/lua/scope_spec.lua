require "support"

local secret = require "orrery.secret"
local scope = require "orrery.scope"
local template = require "orrery.template"

local function service(fields)
  local all = {type = "process", variables = {}, settings = {}, dependencies = {}, tags = {},
    meta = {},
    ports = {}, address = "127.0.0.1", bind = "127.0.0.1", scheme = "http",
    dirs = {data = "/d", config = "/c", logs = "/l"}}
  for key, value in pairs(fields or {}) do all[key] = value end
  return all
end

local function stack(services)
  for name, one in pairs(services) do
    services[name] = service(one)
    services[name].name = name
  end
  return {name = "s", domain = "pds.test", isLocal = true, node = "edge", dir = "/nowhere",
    nodes = {edge = {address = "10.0.0.1"}}, settings = {team = "t"}, services = services}
end

local function new(services, context)
  local all = {stack = stack(services), service = "pds"}
  for key, value in pairs(context or {}) do all[key] = value end
  return scope.new(all)
end

local function render(own, text)
  local result, err = template.render(text, own)
  return assert(result, err and tostring(err))
end

local function problem(own, text)
  local result, err = template.render(text, own)
  assert.is_nil(result)
  return err
end

local function records(map) return function(name) return map[name] or {} end end

describe("scope: names", function()
  it("are the setting, then the service's own field, then the declared default", function()
    local own = new {pds = {port = 3000, hostname = "${stack.domain}", settings = {port = 1,
      a = "x"},
      variables = {a = {default = "y"}, b = {default = "z"}, hostname = {default = "never"}}}}
    assert.are.equal("1 x pds.test z", render(own, "${port} ${a} ${hostname} ${b}"))
  end)

  it("are rendered themselves, and keep their types", function()
    local own = new {pds = {port = 3000, did = "did:web:${hostname}", hostname = "${stack.domain}",
      settings = {next = "${port + 1}", list = {"${name}", "b"}},
      variables = {next = {type = "number"}, list = {type = "array"}}}}
    assert.are.equal("did:web:pds.test 3002 pds", render(own, "${did} ${next + 1} ${list[0]}"))
  end)

  it("have the roots", function()
    local own = new({pds = {}}, {port = 7, instance = "pds@edge"})
    assert.are.equal("s pds.test true t edge 10.0.0.1 /d /c /l 7 pds@edge http://127.0.0.1:7",
      render(own,
        "${stack.name} ${stack.domain} ${stack.isLocal} ${stack.settings.team} ${node.name} " ..
        "${node.address} ${dir.data} ${dir.config} ${dir.logs} ${port} ${instance} ${url}"))
    assert.is_true(problem(own, "${dir.package}").pending)
    assert.matches('no field \'dta\'; did you mean "data"', problem(own, "${dir.dta}").message)
  end)

  it("that nothing declares are errors with a suggestion, never empty", function()
    local own = new {pds = {variables = {inviteRequired = {default = true}}}}
    local err = problem(own, "A=${inviteRequred}")
    assert.matches('\'inviteRequred\' is not declared; did you mean "inviteRequired"', err.message)
    assert.is_false(err.pending)
  end)

  it("that are fields without a value say where to set it", function()
    assert.matches("the service 'pds' has no did; set services.pds.did", problem(new {pds = {}},
      "${did}").message)
  end)

  it("have the domain of the stack as host name, unless they say another", function()
    assert.are.equal("pds.test", render(new {pds = {}}, "${hostname}"))
    assert.are.equal("x.test", render(new {pds = {hostname = "x.test"}}, "${hostname}"))
  end)

  it("that need themselves are found out", function()
    local own = new {pds = {did = "${hostname}", hostname = "x${did}"}}
    assert.matches("needs itself", problem(own, "${did}").message)
    own = new {pds = {url = "${service.b.url}", port = 1}, b = {url = "${service.pds.url}",
      port = 2}}
    assert.matches("needs itself", problem(own, "${url}").message)
    own = new {pds = {settings = {a = "${b}", b = "${a}"}, variables = {a = {}, b = {}}}}
    assert.matches("needs itself: pds.a %-> pds.b %-> pds.a", problem(own, "${a}").message)
  end)

  it("without a value are null: testable, but not text", function()
    local own = new {pds = {variables = {mail = {type = "string"}}}}
    assert.are.equal("none", render(own, '${mail == null ? "none" : mail}'))
    assert.are.equal("", render(own, "%{ if mail }${mail}%{ endif }"))
    assert.matches("has no value", problem(own, "${mail}").message)
  end)
end)

describe("scope: other services", function()
  local services = {pds = {}, plc = {port = 2582}, ozone = {},
    appview = {external = true, url = "https://api.example", did = "did:web:api.example"},
    database = {port = 5432, scheme = "postgresql",
      variables = {password = {secret = true}, user = {default = "u"}},
      url = "postgresql://${user}:${password | url_encode}@${address}:${port}/d",
      settings = {password = secret.of("p w")}}}

  it("are known as declared, before they are discovered", function()
    local own = new(services)
    assert.are.equal("http://127.0.0.1:2582 2582", render(own,
      "${service.plc.url} ${service.plc.port}"))
    assert.are.equal("https://api.example did:web:api.example",
      render(own, "${service.appview.url} ${service.appview.did}"))
  end)

  it("are what their record says, with the url of the stack", function()
    local own = new(services, {lookup = records {plc = {{id = "plc@b", node = "b",
      address = "10.0.0.2", port = 9}}}})
    assert.are.equal("http://10.0.0.2:9 plc@b b", render(own,
      "${service.plc.url} ${service.plc.id} ${service.plc.node}"))
  end)

  it("bring their secrets into their url, which is a secret then", function()
    local text, is_secret = template.render("${service.database.url}", new(services))
    assert.are.equal("postgresql://u:p%20w@127.0.0.1:5432/d", text)
    assert.is_true(is_secret)
  end)

  it("prefer this node, then the lowest id, and stay chosen until gone", function()
    local found = {plc = {{id = "plc-2@edge", node = "edge", address = "a2", port = 1},
      {id = "plc@edge", node = "edge", address = "a1", port = 1}, {id = "plc@aaa", node = "aaa",
        address = "a0", port = 1}}}
    local chosen = {}
    local function address() return render(new(services, {lookup = records(found),
      chosen = chosen}), "${service.plc.address}") end
    assert.are.equal("a2", address())
    table.insert(found.plc, {id = "plc-0@edge", node = "edge", address = "a3", port = 1})
    assert.are.equal("a2", address())
    table.remove(found.plc, 1)
    assert.are.equal("a3", address())
  end)

  it("that are declared but not known yet make it pending", function()
    local err = problem(new(services), "${service.ozone.did}")
    assert.is_true(err.pending)
    assert.matches("ozone", err.message)
    assert.are.equal("soon", render(new(services), '${service.ozone.did | later("soon")}'))
    local auto = {pds = {}, plc = {port = "auto"}}
    assert.is_true(problem(new(auto), "${service.plc.url}").pending)
  end)

  it("that nobody declares are errors, never empty", function()
    local err = problem(new(services), "${service.ozon.did}")
    assert.is_false(err.pending)
    assert.matches('no service \'ozon\' in this stack; did you mean "ozone"', err.message)
    assert.matches('no field \'ulr\'; did you mean "url"', problem(new(services),
      "${service.plc.ulr}").message)
  end)

  it("outside of the stack are what is discovered", function()
    local own = new({pds = {dependencies = {labeler = {}}}},
      {lookup = records {feed = {{id = "f", address = "10.1.1.1", port = 80,
        url = "http://f.example", tags = {"a"}}}}})
    assert.are.equal("http://f.example 10.1.1.1 a", render(own,
      "${service.feed.url} ${service.feed.address} ${service.feed.tags | join}"))
    assert.is_true(problem(own, "${service.labeler.url}").pending)
  end)

  it("come as a list of all instances, sorted", function()
    local own = new(services, {lookup = records {plc = {{id = "b", address = "b", port = 2},
      {id = "a", address = "a", port = 1}}}})
    assert.are.equal("a:1 b:2 ", render(own,
      "%{ for i in services.plc }${i.address}:${i.port} %{ endfor }"))
    assert.are.equal("http://127.0.0.1:2582", render(new(services), "${services.plc[0].url}"))
    assert.are.equal("0", render(new(services), "${services.ozone | length}"))
  end)

  it("stay services behind a filter of lists, and only what is asked for is worked out", function()
    local asked, found = {}, {}
    for n = 1, 3 do
      local record = {id = "plc@" .. n, address = "10.0.0." .. n, port = n, node = "n" .. n,
        tags = {n == 2 and "us" or "eu"}}
      found[n] = setmetatable({}, {__index = function(_, field)
        asked[field] = true
        return record[field]
      end})
    end
    local own = new(services, {lookup = records {plc = found}})
    assert.are.equal("http://10.0.0.1:1 http://10.0.0.3:3 ", render(own,
      '%{ for i in services.plc | where("tags", "eu") }${i.url} %{ endfor }'))
    assert.are.equal("3,2,1", render(own, '${services.plc | map("port") | sort | last},'
      .. '${services.plc | where("node", "n2") | map("port") | join},'
      .. '${(services.plc | first).port}'))
    assert.is_nil(asked.meta)
    assert.are.equal("2", render(own, '${services.plc | where("tags", "eu") | length}'))
  end)

  it("keep their secrets behind a filter of lists", function()
    local own = new(services, {lookup = records {database = {{id = "d", address = "d", port = 1}}}})
    local text, is_secret = template.render('${services.database | where("url") | length}'
      .. '${services.database | map("url", "none") | join}', own)
    assert.are.equal("0none", text)
    assert.is_false(is_secret)
    text, is_secret = template.render('%{ for d in services.database | where("port", 1) }${d.url}'
      .. "%{ endfor }", own)
    assert.are.equal("postgresql://u:p%20w@d:1/d", text)
    assert.is_true(is_secret)
  end)

  it("with control characters in what was discovered are refused", function()
    local own = new(services, {lookup = records {ozone = {{id = "x", address = "10.0.0.3",
      port = 1, did = "did:plc:x\nEVIL=1"}}}})
    assert.matches("the discovered did of 'ozone' has a control character", problem(own,
      "DID=${service.ozone.did}").message)
  end)

  it("never have what they say evaluated", function()
    local own = new(services, {lookup = records {ozone = {{id = "x",
      did = "${stack.name}%{ if x }"}}}})
    assert.are.equal("${stack.name}%{ if x }", render(own, "${service.ozone.did}"))
  end)
end)

describe("scope: variables of type service", function()
  local function own(settings, required)
    return new {pds = {settings = settings, variables = {appview = {type = "service",
      required = required}}},
      appview = {port = 1}, other = {port = 2}}
  end

  it("name a service by themselves or by their setting", function()
    assert.are.equal("1", render(own {}, "${appview.port}"))
    assert.are.equal("2", render(own {appview = "other"}, "${appview.port}"))
    assert.are.equal("off", render(own {appview = false}, '${appview ? "on" : "off"}'))
  end)

  it("are false when absent and optional", function()
    local without = new {pds = {variables = {redis = {type = "service"}}}}
    assert.are.equal("off", render(without, '%{ if redis }${redis.url}%{ else }off%{ endif }'))
    assert.matches("absent here", problem(without, "${redis.url}").message)
  end)

  it("are missing when absent and required", function()
    local without = new {pds = {variables = {redis = {type = "service", required = true}}}}
    assert.matches("Required variable 'redis' is missing", problem(without, "${redis.url}").message)
    assert.matches("no service 'othr'.*did you mean \"other\"", problem(own {appview = "othr"},
      "${appview.url}").message)
  end)
end)

describe("scope: check()", function()
  local function check(variables, settings)
    local found = {}
    for _, one in ipairs(new({pds = {variables = variables, settings = settings}}):check()) do
      found[#found + 1] = one.path .. ": " .. one.message
    end
    table.sort(found)
    return found
  end

  it("tells all problems at once, each with its path", function()
    assert.are.same({
      "services.pds.settings.count: count must be a number, not a string; write it without quotes",
      "services.pds.settings.flag: flag must be a boolean, not a string; write it without quotes",
      'services.pds.settings.level: level: "hgih" is not one of low, high; did you mean "high"?',
      "services.pds.settings.nmae: 'nmae' is not a variable of this service; did you mean " ..
        '"name"?',
      "services.pds.settings.small: small must be at least 1",
      "services.pds.settings.text: text must have a length of at most 3",
      "services.pds.settings.web: Required variable 'web.port' is missing",
      "services.pds.settings.web: web has no property 'host'",
      "services.pds.variables.host: Required variable 'host' is missing",
    }, check({
      host = {type = "string", required = true}, count = {type = "number"},
        flag = {type = "boolean"},
      level = {type = "string", enum = {"low", "high"}}, small = {type = "number", min = 1},
      text = {type = "string", max = 3}, name = {default = "x"},
      web = {type = "object", properties = {port = {type = "number", required = true}}},
    }, {count = "3", flag = "yes", level = "hgih", small = 0, text = "four", nmae = "x",
      web = {host = "h"}}))
  end)

  it("names the variable whose default lacks a field", function()
    assert.are.same({"services.pds.variables.o: the default of o: Required variable 'o.k' is "
      .. "missing"}, check {o = {type = "object", default = {}, properties = {
        k = {type = "number", required = true}}}})
  end)

  it("finds nothing wrong with right values", function()
    assert.are.same({}, check({
      a = {type = "array"}, o = {type = "object", properties = {p = {type = "number"}}},
        b = {type = "boolean"},
      n = {type = "number", min = 1, max = 5}, s = {type = "string", enum = {"x"}},
        unset = {type = "string"},
      e = {type = "array"}, f = {type = "object"},
    }, {a = {1}, o = {p = 3}, b = false, n = 5, s = "x", e = {}, f = {}}))
  end)

  it("shows no secrets", function()
    local found = check({
      a = {type = "number", secret = true}, b = {type = "string", enum = {"x"}, secret = true},
      c = {type = "string", secret = true},
    }, {a = "hunter2", b = "hunter2", c = "hunter2 ${nope"})
    assert.are.equal(3, #found)
    assert.is_nil(table.concat(found):find("hunter2", 1, true))
  end)
end)

describe("scope: secrets", function()
  it("are asked for with the service and the variable, once", function()
    local asked = {}
    local function reveal(value, name, variable)
      assert.is_true(secret.is(value))
      asked[#asked + 1] = name .. "." .. variable
      return "k-" .. variable
    end
    local own = new({pds = {variables = {jwt = {secret = true, generate = "hex:32"},
      key = {secret = true}},
      settings = {key = secret.new {env = "X"}}}}, {reveal = reveal})
    local text, is_secret = template.render("${jwt} ${key} ${jwt}", own)
    assert.are.equal("k-jwt k-key k-jwt", text)
    assert.is_true(is_secret)
    assert.are.same({"pds.jwt", "pds.key"}, asked)
  end)

  it("written plainly into a secret variable are secret all the same", function()
    local own = new {pds = {variables = {p = {secret = true}, u = {}}, settings = {p = "hunter2",
      u = "x-${p}"}}}
    assert.is_true(select(2, template.render("${p}", own)))
    local text, is_secret = template.render("${u}", own)
    assert.are.equal("x-hunter2", text)
    assert.is_true(is_secret)
  end)

  it("that cannot be had are an error that says which", function()
    local own = new({pds = {variables = {p = {}}, settings = {p = secret.new {env = "X"}}}},
      {reveal = function(_, name, variable) return nil,
        name .. "." .. variable .. ": X is not set" end})
    assert.matches("pds.p: X is not set", problem(own, "${p}").message)
  end)
end)
