--- generateStackConfigs -- the files of many services: <outputDir>/<service>.<format>. Documented
--- in lua/meta/seed_templates.lua.
local templating = require "orrery.templating"

local KNOWN = { services = true, templates = true, discoveredServices = true, outputDir = true,
  write = true }

local function in_order(jobs, problems)
  local list = {}
  for _, job in ipairs(jobs) do list[#list + 1] = problems[job] end
  return list
end

local function write(jobs, files)
  for _, job in ipairs(jobs) do
    local changed, message = templating.write(files[job])
    if changed == nil then return nil, ("%s: %s"):format(job.path, message), "io" end
  end
  return true
end

return function(arguments)
  templating.check_arguments(arguments, KNOWN)
  if type(arguments.services) ~= "table" then error("services: expected a table", 2) end
  local jobs = templating.plan(arguments, templating.lookup_in(arguments.discoveredServices))
  local files, problems, worst = templating.render_all(jobs)
  if next(problems) then return nil, table.concat(in_order(jobs, problems), "\n"), worst end
  if arguments.write then
    local ok, problem, kind = write(jobs, files)
    if not ok then return nil, problem, kind end
  end
  local result = {}
  for _, job in ipairs(jobs) do
    result[job.path] = templating.described(files[job], job.service)
  end
  return result
end
