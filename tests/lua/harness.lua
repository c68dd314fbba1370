-- What the tests of the Lua layer share. They print TAP: one line for each case, and the plan at the end.

local hawser = require "hawser"

local harness = { jit = rawget(_G, "jit") ~= nil, certificates = os.getenv "HAWSER_CERTS" }
local count, failed = 0, 0

local function show(value)
  return type(value) == "string" and string.format("%q", value) or tostring(value)
end

--- Fails the case unless a and b are the same.
function harness.eq(a, b, what)
  if a ~= b then error((what and what .. ": " or "") .. show(a) .. " is not " .. show(b), 2) end
end

--- Fails the case unless the value is true; gives all values back.
function harness.ok(value, ...)
  if not value then error("not true: " .. show(value) .. " " .. show((...)), 2) end
  return value, ...
end

--- Fails the case unless f raises an error in which the pattern is found; gives the error back.
function harness.raises(pattern, f, ...)
  local fine, message = pcall(f, ...)
  if fine then error("raised nothing", 2) end
  if not tostring(message):find(pattern) then error("raised " .. show(message) .. " and not " .. pattern, 2) end
  return message
end

--- A case on the main thread, without a loop around it.
function harness.test(name, f)
  count = count + 1
  local fine, message = xpcall(f, debug.traceback)
  if fine then
    print(("ok %d - %s"):format(count, name))
  else
    failed = failed + 1
    print(("not ok %d - %s"):format(count, name))
    print("# " .. tostring(message):gsub("\n", "\n# "))
  end
end

--- A case as a task.
function harness.task(name, f)
  harness.test(name, function() hawser.run(f) end)
end

--- Two ends of one TCP connection.
function harness.pair()
  local door = assert(hawser.tcp.listen("127.0.0.1", 0))
  local far
  local task = hawser.spawn(function() far = assert(door:accept()) end)
  local near = assert(hawser.tcp.connecta(door:address()))
  assert(task:join())
  door:close()
  return near, far
end

--- The same over TLS. Needs HAWSER_CERTS.
function harness.tls_pair(client, server)
  local certs = assert(harness.certificates, "HAWSER_CERTS is not set")
  server = server or { cert_file = certs .. "/server.pem", key_file = certs .. "/server.key" }
  local door = assert(hawser.tls.listen("127.0.0.1", 0, server))
  local far, far_error
  local task = hawser.spawn(function() far, far_error = door:accept() end)
  local near, message, number = hawser.tls.connecta(door:address(), "localhost", client or { ca_file = certs .. "/ca.pem" })
  task:join()
  door:close()
  return near, far, message, number, far_error
end

--- Ends the file: the plan and the exit status.
function harness.done()
  print("1.." .. count)
  io.stdout:flush()
  os.exit(failed == 0 and 0 or 1, true)
end

return harness
