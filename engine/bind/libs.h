/* libs.h -- every Lua namespace of orrery.core, one line each: LIB(name) binds bind_<name>[]. */
#ifndef LIB
#include <lauxlib.h>
#define LIB(name) extern const luaL_Reg bind_##name[];
#endif
LIB(check)
LIB(discovery)
LIB(dns)
LIB(file)
LIB(graph)
LIB(http)
LIB(json)
LIB(log)
LIB(net)
LIB(process)
LIB(script)
LIB(task)
LIB(terminal)
LIB(text)
LIB(time)
LIB(yaml)
#undef LIB
