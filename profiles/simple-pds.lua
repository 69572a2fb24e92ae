--- simple-pds -- one PDS with everything it needs. Where the domain is local it has a PLC
-- directory of its own and touches no network; elsewhere it joins the public one.
---@param stack orrery.StackFacts
---@return orrery.Stack
return function(stack)
  local own = stack.isLocal

  local function public(url, did)
    return { enable = not own, external = true, url = url, did = did }
  end

  return {
    discovery = { backend = "file" },
    coordination = { strategy = "hub-spoke", enableHealthChecks = true },
    services = {
      database = { type = "sqlite" },
      plc = own and {} or { external = true, url = "https://plc.directory" },
      appview = public("https://api.bsky.app", "did:web:api.bsky.app"),
      relay = public("https://bsky.network"),
      pds = {
        settings = { inviteRequired = not own },
        dependencies = {
          "database",
          { name = "plc", type = own and "required" or "soft" },
        },
      },
    },
  }
end
