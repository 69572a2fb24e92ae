/* process.h -- what the files of orrery.process share. */
#pragma once
#include <lua.h>

#include "io/process.h"

/* Reads argv (or shell), env, cwd, user and group from the option table at index 1. Leaves values
 * on the stack that keep the strings alive. Raises on misuse. `store` holds the argv of a shell. */
void bind_process_spec(lua_State *L, const char *store[4], struct process_spec *ret);

int l_process_spawn(lua_State *L);     /* bind/process_spawn.c */
int l_process_leftovers(lua_State *L); /* bind/process_leftovers.c */
int l_process_end_leftovers(lua_State *L);
int l_process_signals(lua_State *L);       /* bind/process_signals.c */
int l_process_notify_socket(lua_State *L); /* bind/process_notify.c */
int l_process_notify(lua_State *L);
int l_process_detach(lua_State *L); /* bind/process_host.c, as all below */
int l_process_env(lua_State *L);
int l_process_environ(lua_State *L);
int l_process_pid(lua_State *L);
int l_process_executable(lua_State *L);
int l_process_user(lua_State *L);
int l_process_lookup_user(lua_State *L);
int l_process_stat(lua_State *L);
int l_process_boot_id(lua_State *L);
int l_process_hostname(lua_State *L);
