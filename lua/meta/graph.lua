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
--- ```lua
--- local plan = assert(orrery.graph.solve {
---   nodes = { "database", "pds" },
---   edges = { { from = "pds", to = "database" } },
--- })
--- print(plan.order[1], plan.order[2], #plan.waves) --> database pds 2
--- ```
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
---@param types? orrery.graph.type[] edges to follow; default { "required", "circular" }
---@return string[]? names
---@return string? message
---@return string? code "not_found": a name that is not in the graph
function graph.needs(spec, names, types) end

--- The names given and all that need them, over required and circular edges, sorted by name.
---
---     orrery.graph.dependents(spec, { "database" }) --> { "database", "pds" }
---
---@param spec orrery.graph.spec
---@param names string[]
---@param types? orrery.graph.type[] edges to follow; default { "required", "circular" }
---@return string[]? names
---@return string? message
---@return string? code "not_found": a name that is not in the graph
function graph.dependents(spec, names, types) end

---@class orrery.graph.chain
---@field path string[] each waits for the one before; the first needs nothing
---@field count integer of names in it
---@field seconds? number of all of them, if seconds were given

--- The critical path: the longest chain of nodes that wait for each other, over required and
--- optional edges (without dropped ones). Longest by number of nodes; with `seconds` by time,
--- where a name that is not in the table takes none. Of equally long chains the one whose last
--- name comes first.
---
---     orrery.graph.critical(spec, { database = 2, plc = 0.5, pds = 1 })
---       --> { path = { "database", "pds" }, count = 2, seconds = 3 }
---
--- Codes "cycle" and "not_found" as graph.solve.
---@param spec orrery.graph.spec
---@param seconds? table<string, number> how long each takes to start
---@return orrery.graph.chain? chain
---@return string? message
---@return string? code
---@return {cycles: orrery.graph.cycle[]}? details with code "cycle"
function graph.critical(spec, seconds) end

--- A graph to build and to change call by call, from `spec` or empty.
---
--- ```lua
--- local g = assert(orrery.graph.new())
--- g:add_node("database")
--- g:add_node("pds")
--- assert(g:add_edge("pds", "database"))
--- print(table.concat(assert(g:solve()).order, " ")) --> database pds
--- ```
---
---@param spec? orrery.graph.spec
---@return orrery.graph.Graph? graph
---@return string? message
---@return string? code "not_found": an edge names what is not in `nodes`
function graph.new(spec) end

--- Reads a graph as tsort(1) does: words in pairs, where `a b` means that b depends on a
--- (required), and `a a` only names a. The file is read beside the loop, in pieces.
---
---     local g = assert(orrery.graph.read "pairs.txt")
---     io.write(g:lines())
---
---@async
---@param path string a file or a pipe; "-": standard input
---@param options? {max: integer} max: bytes, up to 4 GiB; default 1 GiB
---@return orrery.graph.Graph? graph
---@return string? message names the file, and the line if its content is wrong
---@return string? code "invalid": an odd number of words, a NUL byte, a name of more than 4096
---bytes, too long; else why the file cannot be read ("not_found", "denied", "io")
function graph.read(path, options) end

--- A graph. `#g` is the number of its nodes. A node is named by its name, or by the number that
--- add_node gave, which saves looking it up. Using a closed graph raises; a forgotten one closes
--- itself.
---@class orrery.graph.Graph
local Graph = {}

---@alias orrery.graph.node string|integer

--- Adds a node, unless it is there.
---@param name string 1 to 4096 bytes, no NUL
---@return integer number of the node, until it is removed
function Graph:add_node(name) end

--- Adds an edge. One that is there already changes nothing.
---@param from orrery.graph.node the dependent
---@param to orrery.graph.node its dependency
---@param type? orrery.graph.type default "required"
---@return true?
---@return string? message
---@return string? code "not_found": an end is not in the graph
function Graph:add_edge(from, to, type) end

--- Adds edges of one type, and their ends where they are missing: many times as fast as one by one.
---
--- ```lua
--- local g = assert(orrery.graph.new())
--- g:add_edges { "pds", "database", "appview", "pds" } -- both wait for what follows them
--- ```
---
--- A bad name raises; what is before it may have been added by then.
---@param names string[] dependent, dependency, dependent, dependency ...
---@param type? orrery.graph.type default "required"
---@return true
function Graph:add_edges(names, type) end

--- Takes away a node and all its edges. Takes longer the more edges the graph has.
---@param node orrery.graph.node
---@return true?
---@return string? message
---@return string? code "not_found"
function Graph:remove_node(node) end

--- Takes away the edges between two nodes, or those of one type.
---@param from orrery.graph.node
---@param to orrery.graph.node
---@param type? orrery.graph.type default: all
---@return true?
---@return string? message
---@return string? code "not_found": there is no such edge
function Graph:remove_edge(from, to, type) end

--- As graph.solve.
---@return orrery.graph.plan? plan
---@return string? message
---@return string? code
---@return {cycles: orrery.graph.cycle[]}? details
function Graph:solve() end

--- The start order as text, a name and a line end each: for graphs too big for tables.
---@return string? text
---@return string? message
---@return string? code "cycle"
---@return {cycles: orrery.graph.cycle[]}? details
function Graph:lines() end

--- As graph.critical.
---@param seconds? table<string, number>
---@return orrery.graph.chain? chain
---@return string? message
---@return string? code
---@return {cycles: orrery.graph.cycle[]}? details
function Graph:critical(seconds) end

--- As graph.needs.
---@param names string[]
---@param types? orrery.graph.type[]
---@return string[]? names
---@return string? message
---@return string? code "not_found"
function Graph:needs(names, types) end

--- As graph.dependents.
---@param names string[]
---@param types? orrery.graph.type[]
---@return string[]? names
---@return string? message
---@return string? code "not_found"
function Graph:dependents(names, types) end

--- All names, sorted.
---@return string[]
function Graph:nodes() end

--- The edges, each once, sorted by name: all, or those from and to one node (its direct
--- dependencies and dependents).
---@param node? orrery.graph.node
---@return orrery.graph.edge[]? edges
---@return string? message
---@return string? code "not_found"
function Graph:edges(node) end

--- Frees the memory now. More than once is fine.
function Graph:close() end

return graph
