// launcher.cjs -- what every Node launcher needs: one address to listen on, a clean stop, a clear failure.
"use strict";
const net = require("node:net");

const host = process.env.BIND_HOST || "127.0.0.1";

// The services' packages call listen(port), which means every address of the machine.
function listenOnlyOnHost() {
  const listen = net.Server.prototype.listen;
  net.Server.prototype.listen = function (first, ...rest) {
    if (typeof first === "number" && typeof rest[0] !== "string") rest.unshift(host);
    else if (first !== null && typeof first === "object" && first.port !== undefined && !first.host)
      first = { ...first, host };
    return listen.call(this, first, ...rest);
  };
}

function sentence(error) {
  if (error.code === "EADDRINUSE")
    return `port ${error.port} on ${error.address} is taken by another program; give the service another port`;
  if (error.code === "EACCES" && error.syscall === "listen")
    return `not allowed to listen on port ${error.port}; choose one above 1023`;
  return error.message || String(error);
}

function fail(name, error) {
  console.error(`${name}: could not start: ${sentence(error)}`);
  if (!error.code) console.error(error.stack);
  process.exit(1);
}

function stopOnSignal(name, stop) {
  let stopping = false;
  const onSignal = async (signal) => {
    if (stopping) return;
    stopping = true;
    console.log(`${name}: stopping on ${signal}`);
    try {
      await stop();
      process.exit(0);
    } catch (error) {
      console.error(`${name}: did not stop cleanly: ${error.message}`);
      process.exit(1);
    }
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}

// The value of a variable that must be set.
exports.need = (name) => {
  const value = process.env[name];
  if (!value) throw Object.assign(new Error(`${name} is not set`), { code: "UNSET" });
  return value;
};

// Runs `start`, an async function that resolves to the function that stops the service.
exports.run = async (name, start) => {
  listenOnlyOnHost();
  try {
    stopOnSignal(name, await start());
    console.log(`${name}: listening on ${host}`);
  } catch (error) {
    fail(name, error);
  }
};
