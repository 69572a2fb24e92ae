--- What comes with Orrery: every type and every profile, found as a user finds them.
local support = require "support"
local plugin = require "orrery.plugin"
local stack = require "orrery.stack"
local suggest = require "orrery.suggest"

local EPHEMERAL = 32768

-- What a type needs to be complete: more fields, or another service.
local FIELDS = { process = ', exec: ["true"]' }
local BESIDE = { pds = "  plc: {}\n" }

local function load_type(name)
  local text = ("services:\n  x: {type: %s%s}\n%s")
    :format(name, FIELDS[name] or "", BESIDE[name] or "")
  local loaded, problems = stack.load(support.write(support.tmp() .. "/stack.yaml", text))
  return loaded or error(name .. ": " .. stack.format(problems))
end

local function names(kind)
  local result = {}
  for i, item in ipairs(plugin.list(kind)) do result[i] = item.name end
  return result
end

describe("every type", function()
  it("is complete by itself, and says what it is", function()
    for _, name in ipairs(names "type") do
      local loaded = load_type(name)
      assert.equal(name, loaded.services.x.type)
      local text = support.read((plugin.find("type", name)))
      assert.matches("^%-%-%- " .. name .. " %-%- ", text)
    end
  end)

  it("has its own port, below those that the kernel gives away", function()
    local owner = {}
    for _, name in ipairs(names "type") do
      local service = load_type(name).services.x
      local ports = { service.port }
      for _, port in pairs(service.ports) do ports[#ports + 1] = port end
      for _, port in ipairs(ports) do
        assert.is_nil(owner[port], ("%s and %s both use %d"):format(name, owner[port] or "", port))
        assert.is_true(port < EPHEMERAL, name)
        owner[port] = name
      end
    end
  end)

  it("that listens has a check that decides when it is ready", function()
    for _, name in ipairs(names "type") do
      local service = load_type(name).services.x
      if service.port or service.embedded then
        local ready = service.healthChecks.ready
        assert.is_table(ready, name)
        assert.equal("ready", ready.role)
        assert.not_equal("/health", ready.endpoint, name)
      end
    end
  end)

  it("documents what can be set", function()
    for _, name in ipairs(names "type") do
      for variable, declared in pairs(load_type(name).services.x.variables) do
        local where = name .. "." .. variable
        assert.is_true(declared.doc ~= nil or declared.secret == true, where)
        assert.is_true(not declared.generate or declared.secret == true, where)
      end
    end
  end)
end)

describe("every profile", function()
  it("is valid where the domain is local and where it is public", function()
    for _, name in ipairs(names "profile") do
      for _, domain in ipairs { "localhost", "dev.test", "pds.example.com" } do
        local loaded, problems = stack.load(name, { set = { domain = domain } })
        assert.is_table(loaded, problems and name .. ": " .. stack.format(problems))
        assert.is_true(#suggest.names(loaded.services) > 0)
      end
    end
  end)

  it("needs nothing from outside where the domain is local", function()
    for _, name in ipairs(names "profile") do
      for service_name, service in pairs(assert(stack.load(name)).services) do
        assert.is_false(service.external, name .. ": " .. service_name)
      end
    end
  end)
end)
