---@meta
error("a meta file cannot be required")

--- Start order of things that depend on each other.
---
--- An edge goes `from` a dependent `to` its dependency. The same input in another order gives the
--- same answer: ties go by name.
---@class orrery.graph
local graph = {}

---@alias orrery.graph.type
---| '"required"' # always orders the two
---| '"optional"' # orders them, unless it lies on a cycle
---| '"soft"'     # as optional, and gives way to it
---| '"circular"' # never orders them

---@class orrery.graph.edge
---@field from string the dependent
---@field to string its dependency
---@field type? orrery.graph.type default "required"

---@class orrery.graph.spec
---@field nodes string[] every name, once or more
---@field edges? orrery.graph.edge[]

---@class orrery.graph.plan
---@field order string[] dependencies first; the waves one after the other
---@field waves string[][] wave n needs nothing but the waves before it; each sorted by name
---@field stop string[] `order` backwards
---@field dropped orrery.graph.edge[] optional and soft edges on a cycle, which order nothing

---@class orrery.graph.cycle
---@field members string[] a strongly connected component of required edges, sorted by name
---@field cycle string[] one cycle with the fewest edges, its first name repeated at the end; begins
---at the last name of those on such cycles
---@field shortest boolean false: the component is too big to try every node
---@field cut orrery.graph.edge[] edges to mark `circular`, after which no cycle is left
---@field exact boolean true: no smaller cut exists; false: only none of it can be spared

--- Puts the nodes in order.
---
---     local plan = orrery.graph.solve {
---       nodes = { "database", "pds" },
---       edges = { { from = "pds", to = "database" } },
---     }
---     plan.waves --> { { "database" }, { "pds" } }
---
--- Code "cycle": required edges form a cycle; the message reads `Circular dependency detected:
--- pds -> appview -> pds`. Code "not_found": an edge names what is not in `nodes`. A malformed
--- table raises.
---@param spec orrery.graph.spec
---@return orrery.graph.plan? plan
---@return string? message
---@return string? code
---@return {cycles: orrery.graph.cycle[]}? details with code "cycle"
function graph.solve(spec) end

--- The names given and all they need, over required and circular edges, sorted by name.
---
---     orrery.graph.needs(spec, { "pds" }) --> { "database", "pds" }
---
---@param spec orrery.graph.spec
---@param names string[]
---@return string[]? names
---@return string? message
---@return string? code "not_found": a name that is not in the graph
function graph.needs(spec, names) end

--- The names given and all that need them, over required and circular edges, sorted by name.
---
---     orrery.graph.dependents(spec, { "database" }) --> { "database", "pds" }
---
---@param spec orrery.graph.spec
---@param names string[]
---@return string[]? names
---@return string? message
---@return string? code "not_found": a name that is not in the graph
function graph.dependents(spec, names) end

return graph
