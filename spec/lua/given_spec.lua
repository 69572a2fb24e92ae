require "support"

local core = require "orrery.core"
local given = require "orrery.scope.given"
local scope = require "orrery.scope"
local template = require "orrery.template"

local DECLARED = {
  host = {type = "string"}, port = {type = "number"}, debug = {type = "boolean"},
  tags = {type = "array"}, key = {type = "number", secret = true},
  web = {type = "object", properties = {port = {type = "number"}, name = {type = "string"}}},
}

describe("given: values from outside the stack", function()
  it("are read from the command line, of the declared types", function()
    assert.are.same({host = "a=b", port = 3000, debug = false, tags = {"a", "b"},
      web = {port = 80, name = "x y"}}, given.from_options({"host=a=b", "port=3000", "debug=false",
      "tags=a,b", "web.port=80", "web.name=x y"}, DECLARED))
    assert.are.same({tags = {"a,b", 1}}, given.from_options({'tags=["a,b", 1]'}, DECLARED))
    assert.are.same({tags = {}}, given.from_options({"tags="}, DECLARED))
    assert.are.same({web = {a = 1}}, given.from_options({'web={"a": 1}'}, DECLARED))
    assert.are.same({host = "1", ["any-name"] = "2"}, given.from_options({"host=1", "any-name=2"}))
    assert.are.same({host = "second"}, given.from_options({"host=first", "host=second"}, DECLARED))
  end)

  it("are refused all at once", function()
    local settings, problems = given.from_options({"host", "=x", "a..b=1", "hots=x", "port=x",
      "debug=yes", 'tags=["a"', "web={", "key=hunter2", "port=0x10"}, DECLARED)
    assert.is_nil(settings)
    assert.are.same({
      "--var host: expected NAME=VALUE",
      "--var : a name is letters, digits and '_', its parts joined by dots",
      "--var a..b: a name is letters, digits and '_', its parts joined by dots",
      "'hots' is not a variable of this service; did you mean \"host\"?",
      'port: "x" is not a number', 'debug: "yes" is not true or false',
      'tags: "[\\"a\\"" is not a list in JSON, or items with commas between',
      'web: "{" is not an object in JSON', "key: its value is not a number",
      'port: "0x10" is not a number',
    }, problems)
  end)

  it("are read from the environment", function()
    assert.are.same({port = 1, web = {port = 2}}, given.from_environment({ORRERY_VAR_port = "1",
      ORRERY_VAR_web__port = "2", ORRERY_VAR_other = "x", PATH = "/bin", port = "9"}, DECLARED))
    assert.are.same({"ORRERY_VAR_port: \"x\" is not a number"},
      select(2, given.from_environment({ORRERY_VAR_port = "x"}, DECLARED)))
  end)

  it("are read from a file of any format", function()
    local expected = {host = "h", port = 3, web = {port = 4}}
    assert.are.same(expected, given.from_file('{"host": "h", "port": 3, "web": {"port": 4}}',
      "json",
      DECLARED))
    assert.are.same(expected, given.from_file("host: h\nport: 3\nweb: {port: 4}\n", "yaml",
      DECLARED))
    assert.are.same(expected, given.from_file('host = "h"\nport = 3\nweb.port = 4\n', "toml",
      DECLARED))
    assert.are.same(expected, given.from_file("host = h\nport = 3\n[web]\nport = 4\n", "ini",
      DECLARED))
    assert.are.same({host = "h", port = 3}, given.from_file("host=h\nport=3\n", "env", DECLARED))
    assert.matches("^line 2: ", select(2, given.from_file("host=h\nport\n", "env", DECLARED))[1])
    assert.are.same({"'hst' is not a variable of this service; did you mean \"host\"?"},
      select(2, given.from_file("hst: x", "yaml", DECLARED)))
  end)

  it("lie over each other, maps deep, lists whole", function()
    assert.are.same({a = 3, l = {3}, m = {x = 1, y = 2, z = {q = 1}}}, given.merge(
      {a = 1, l = {1, 2}, m = {x = 1, y = 1}}, {a = 2, m = {y = 2}}, {a = 3, l = {3},
        m = {z = {q = 1}}}))
  end)

  it("are values, never templates", function()
    local evil = "${port} $${x} %{ if true }y%{ endif } $$${z}"
    local settings = assert(given.from_options({"host=" .. evil}, DECLARED))
    local own = scope.new {service = "s", stack = {name = "n", node = "n", domain = "d",
      services = {s = {variables = DECLARED, settings = settings}}}}
    assert.are.equal(evil, template.render("${host}", own))
    local file = assert(given.from_file(core.json.encode({host = evil}), "json", DECLARED))
    assert.are.equal(settings.host, file.host)
  end)
end)

describe("given: declared variables", function()
  local function problems(variables, settings)
    local found = {}
    local own = scope.new {service = "s", stack = {name = "n", node = "n", domain = "d",
      services = {s = {variables = variables, settings = settings}}}}
    for _, one in ipairs(own:check()) do found[#found + 1] = one.message end
    table.sort(found)
    return found, own
  end

  it("are checked against their pattern", function()
    local declared = {did = {type = "string", pattern = "did:(plc|web):.+"},
      key = {type = "string", secret = true, pattern = "[0-9a-f]+"}}
    assert.are.same({}, (problems(declared, {did = "did:web:x", key = "ff"})))
    assert.are.same({'did: "x" does not match the pattern did:(plc|web):.+',
      "key: its value does not match the pattern [0-9a-f]+"},
      (problems(declared, {did = "x", key = "hunter2"})))
    assert.matches("its pattern cannot be used: a '%(' without '%)'",
      problems({a = {type = "string", pattern = "(x"}}, {a = "x"})[1])
  end)

  it("tell every problem of their properties", function()
    assert.are.same({"Required variable 'web.tls.key' is missing",
      "web has no property 'prot'; did you mean \"port\"?",
        "web.name must be a string, not a number",
      "web.port must be at least 1",
      "web.tls.mode: \"b\" is not one of a; did you mean \"a\"?"},
      (problems({web = {type = "object", properties = {
        port = {type = "number", min = 1}, name = {type = "string"},
        tls = {type = "object", properties = {key = {required = true}, mode = {enum = {"a"}}}},
      }}}, {web = {port = 0, name = 3, prot = 1, tls = {mode = "b"}}})))
  end)

  it("have defaults and secrets in their properties", function()
    local _, own = problems({web = {type = "object", properties = {
      port = {type = "number", default = 80}, password = {type = "string", secret = true},
      tls = {type = "object", default = {}, properties = {mode = {default = "on"}}}}}},
      {web = {password = "hunter2"}})
    assert.are.equal("80 on", template.render("${web.port} ${web.tls.mode}", own))
    local text, is_secret = template.render("${web.password}", own)
    assert.are.same({"hunter2", true}, {text, is_secret})
  end)

  it("must have a default that fits", function()
    assert.are.same({"the default of port must be a number, not a string; write it without quotes"},
      (problems({port = {type = "number", default = "80"}}, {})))
  end)

  it("are true and false as booleans in every format", function()
    local _, own = problems({on = {type = "boolean"}, off = {type = "boolean", default = false}},
      {on = true})
    for _, filter in ipairs {"json", "yaml", "toml", "env", "ini", "quote"} do
      local quote = filter == "quote" and '"' or ""
      assert.are.equal(("%strue%s %sfalse%s"):format(quote, quote, quote, quote),
        template.render(("${on | %s} ${off | %s}"):format(filter, filter), own))
    end
    assert.are.equal("true false", template.render("${on} ${off}", own))
  end)
end)
