require "support"
local schema = require "orrery.schema"

local KINDS = { string = true, number = true, integer = true, seconds = true, boolean = true,
  any = true, mode = true, list = true, map = true, object = true, either = true,
  ["function"] = true }

--- Calls visit(node, path) for every node once.
local function walk(node, path, visit, seen)
  if seen[node] then return end
  seen[node] = true
  visit(node, path)
  for key, field in pairs(node.fields or {}) do walk(field, path .. "." .. key, visit, seen) end
  if node.type == "either" then
    for i, branch in ipairs(node.of) do walk(branch, path .. "|" .. i, visit, seen) end
  elseif node.of then
    walk(node.of, path .. "[]", visit, seen)
  end
end

describe("the schema", function()
  it("describes every key: a known kind, and what it means", function()
    walk(schema.stack, "stack", function(node, path)
      assert.is_true(KINDS[node.type], path)
      assert.is_string(node.doc, path)
      assert.is_true(#node.doc > 0, path)
      if node.type == "either" then assert.is_string(node.expects, path) end
      if node.type == "map" then assert.is_table(node.keys, path) end
    end, {})
  end)

  it("has every key of the four objects that a user writes", function()
    local function has(object, names)
      for name in names:gmatch("%S+") do assert.is_table(object.fields[name], name) end
    end
    has(schema.stack, "name profile domain settings nodes discovery coordination stateDir services")
    has(schema.service,
      [[enable type external oneshot package replicas bind address port ports scheme
      hostname url publicUrl did tags meta exec env envFile cwd user group umask limits readyWhen
      logs hooks restart stop dependencies dependencyTimeout onDependencyFailure healthEndpoint
      healthCheck healthChecks variables settings config]])
    has(schema.config, "template source data variables format mode owner check reload")
    has(schema.check, [[strategy role interval timeout rise fall retries startPeriod backoff url
      endpoint method headers body expectedStatus expectBody expectJson tls followRedirects maxBytes
      reuse host port send expect command expectedExit env cwd user path contains maxAge minSize]])
  end)

  it("keeps apart what it reads and what it only knows of", function()
    walk(schema.stack, "stack", function(node, path)
      for key in pairs(node.fields and node.later or {}) do
        assert.is_nil(node.fields[key], path .. "." .. key)
      end
      for _, value in ipairs(node.enum or {}) do
        assert.is_falsy(node.later and node.later[value], path)
      end
    end, {})
  end)

  it("gives each key of a check that has a strategy to one that exists", function()
    for strategy, keys in pairs(schema.check_keys) do
      for key in pairs(keys) do assert.is_table(schema.check.fields[key], strategy .. "." ..
        key) end
    end
  end)
end)
