--- TCP and TLS streams for Lua coroutines, on hawser's io_uring loop. docs/lua.md is the guide and the reference.
--
-- Every function that waits suspends the task that calls it and nothing else; outside of a task it runs the loop until it
-- has ended. What fails at run time gives nil, a message and a number (hawser.errno); wrong use raises an error.

local core = require "hawser.core"

local pack = table.pack or function(...) return { n = select("#", ...), ... } end
local unpack = table.unpack or unpack
local create, resume, status, yield = coroutine.create, coroutine.resume, coroutine.status, coroutine.yield
local running, isyieldable = coroutine.running, coroutine.isyieldable
local traceback = core.note

local hawser = {
  run = core.run,
  spawn = core.spawn,
  sleep = core.sleep,
  yield = core.yield,
  signal = core.signal,
  now = core.now,
  current = core.current,
  on_error = core.on_error,
  channel = core.channel,
  address = core.address,
  errno = core.errno,
}

-- Coroutines inside of tasks: an operation in one of them suspends the task, not its resumer. While one runs it is in
-- `inner`, with the coroutine that resumed it.

local inner, tag = core.inner, core.tag

local function pass(co, ok, first, ...)
  while ok and first == tag do
    -- The values with which the loop resumes the task belong to the operation inside.
    return pass(co, resume(co, yield(tag)))
  end
  inner[co] = nil
  if not ok then core.note(first, co) end
  return ok, first, ...
end

local function resume_inner(co, ...)
  if status(co) ~= "suspended" then return resume(co, ...) end
  if inner[co] then return false, "this coroutine waits for an operation: another task uses it" end
  -- What cannot yield itself has nobody to hand an operation on to.
  inner[co] = isyieldable() and running()
  return pass(co, resume(co, ...))
end

local function raise(ok, first, ...)
  if not ok then error(first, 0) end
  return first, ...
end

--- As coroutine.wrap, for generators that use streams.
function hawser.wrap(f)
  local co = create(f)
  return function(...) return raise(resume_inner(co, ...)) end
end

hawser.coroutine = {
  create = create,
  resume = resume_inner,
  wrap = hawser.wrap,
  status = status,
  yield = yield,
  running = coroutine.running,
  isyieldable = coroutine.isyieldable,
  close = coroutine.close,
}

-- Groups and deadlines.

--- A group of tasks, a part of the task that runs. An error of one stops the others.
hawser.group = core.group

core.group_meta.__close = function(self, err)
  if err ~= nil then self:cancel() end
  local ok, first, trace = self:join()
  if not ok and err == nil then error(core.note(first, trace), 0) end
end

-- Leaves a scope with the results of a protected call.
local function left(scope, finish, ok, ...)
  local timed_out, cut = core.leave(scope)
  return finish(timed_out, cut, ok, ...)
end

local function finish_timeout(timed_out, cut, ok, ...)
  if timed_out and cut then
    local first, _, third = ...
    if not ok then return nil, "timed out: " .. tostring(first), core.errno.ETIMEDOUT end
    if first == nil and third == core.errno.ETIMEDOUT then return ... end
    return nil, "timed out", core.errno.ETIMEDOUT, ...
  end
  if not ok then error((...), 0) end
  return ...
end

--- Calls f(...) and gives what it gives. Operations that it has not finished after so many seconds return nil, "timed out",
-- ETIMEDOUT; with_timeout then gives the same, and after it what f returned.
function hawser.with_timeout(seconds, f, ...)
  local arguments, scope = pack(...), core.enter(seconds)
  return left(scope, finish_timeout, xpcall(function() return f(unpack(arguments, 1, arguments.n)) end, traceback))
end

local function finish_scope(g)
  return function(_, cut, ok, first, ...)
    if not ok then g:cancel() end
    local joined, err, trace = g:join()
    if not ok and not (cut and not joined) then error(first, 0) end
    if not joined then error(core.note(err, trace), 0) end
    return first, ...
  end
end

--- Calls f(group, ...), and returns what it returns when every task that it spawned in the group has ended too. If f or a
-- task raises an error, the others and f are stopped, and the first error is raised here.
function hawser.scope(f, ...)
  local g = core.group()
  local arguments, scope = pack(...), core.enter(g)
  return left(scope, finish_scope(g), xpcall(function() return f(g, unpack(arguments, 1, arguments.n)) end, traceback))
end

-- Streams.

local ios = core.methods["hawser.ios"]

--- Already done: streams are given when their handshake is complete.
function ios:handshake() return self end

function ios.seek() return nil, "a stream cannot seek", core.errno.ESPIPE end

--- As file:lines(): an iterator over read(...), which raises an error where read would return one.
function ios:lines(...)
  local formats = pack(...)
  local function check(first, message, number, ...)
    if first == nil and number then error(message, 2) end
    return first, message, number, ...
  end
  return function() return check(self:read(unpack(formats, 1, formats.n))) end
end

-- Names.

hawser.dns = {}

--- The addresses of a host in the order in which to try them. service: a port or a name; family: "any", "ip", "ip6".
function hawser.dns.resolve(host, service, family, timeout)
  return core.resolve(host, tostring(service or 0), family, timeout)
end

--- As resolve, with the arguments in the order of org.conman.net.
function hawser.dns.address(host, family, proto, port)
  if proto and proto ~= "tcp" then return nil, "only tcp", core.errno.EINVAL end
  return core.resolve(host, tostring(port or 0), family)
end

-- URLs: hawser.url(text), hawser.url.encode, ...

hawser.url = setmetatable({
  parse = function(text, base) return core.url(text, base) end,
  encode = core.percent_encode,
  decode = core.percent_decode,
}, { __call = function(_, text, base) return core.url(text, base) end })

-- Servers.

local listener = core.methods["hawser.listener"]
local accept = listener.accept

--- The next connection, for TLS with its handshake complete. serve() does the handshakes of many at once.
function listener:accept()
  local line, message, number = accept(self)
  if not line or not self:is_tls() then return line, message, number end
  return line:handshake()
end

local function report(handler, err, trace, peer)
  if handler then return handler(err, trace, peer) end
  io.stderr:write("hawser: the handler of ", tostring(peer), " failed: ", tostring(err), "\n", trace or "", "\n")
end

local function keep_traceback(err)
  return { err, (debug.traceback("", 2):gsub("^\n", "")) }  -- LuaJIT gives none for nil
end

-- One connection: nothing that goes wrong in it is of concern to the others.
local function serve_one(lines, guest, handler, options)
  local peer = guest:remote()
  local line = guest
  if guest.handshake ~= ios.handshake then
    local message, number
    line, message, number = guest:handshake()
    if not line then
      if number ~= core.errno.ECANCELED and options.on_error then options.on_error(message, nil, peer) end
      return
    end
  end
  local task = core.current()
  lines[task] = line
  local ok, err = xpcall(handler, keep_traceback, line)
  lines[task] = nil
  if ok then
    line:close()
  else
    line:abort()
    if not task:is_stopped() then report(options.on_error, err[1], err[2], peer) end
  end
end

--- Accepts connections until the task is stopped or the listener closed, and calls handler(ios) for each in a task of its
-- own. The stream is closed when the handler returns; an error in it ends that connection only. options: grace (seconds that
-- busy connections get after a stop, 5), max_connections (10000), on_error(err, traceback, address).
function listener:serve(handler, options)
  options = options or {}
  local connections, lines = core.group(true), setmetatable({}, { __mode = "k" })
  local most = options.max_connections or 10000
  local left_one = core.channel(1)
  local first, message, number
  while true do
    while #connections >= most do
      local ok
      ok, message, number = left_one:receive()
      if not ok then break end
    end
    if number then break end
    first, message, number = accept(self)
    if not first then break end
    connections:spawn(function(guest)
      serve_one(lines, guest, handler, options)
      left_one:try_send(true)
    end, first)
    first = nil
  end
  if number == core.errno.ECANCELED and not self:is_open() or number == core.errno.EBADF then
    -- Closed by somebody: the connections may go on.
    connections:join()
    return nil, message, number
  end
  self:close()
  local deadline = core.now() + (options.grace or 5)
  while #connections > 0 and core.now() < deadline do
    for task, line in pairs(lines) do
      if line:is_idle() then task:cancel() end
    end
    connections:join(0.02)
  end
  connections:cancel()
  connections:join()
  return nil, message, number
end

-- An address userdata for what the user wrote.
local function bind_address(host, port)
  if type(host) == "userdata" then return host end
  if host == nil or host == "*" then host = "0.0.0.0" end
  local at = core.address(host, tonumber(port) or 0)
  if at then return at end
  local found, message, number = core.resolve(host, tostring(port or 0))
  if not found then return nil, message, number end
  return found[1]
end

local function listen(host, port, config)
  local at, message, number = bind_address(host, port)
  if not at then return nil, message, number end
  return core.listen(at, config)
end

-- TCP and TLS.

hawser.tcp = {}

--- tcp.connect(host, service [, timeout])
function hawser.tcp.connect(host, service, timeout)
  return core.connect_tcp(host, tostring(service or ""), timeout)
end

--- tcp.connecta(address [, timeout])
function hawser.tcp.connecta(address, timeout)
  return core.connect_tcp(address, nil, timeout)
end

--- tcp.listen(host, port) gives a listener. host: an IP address, a name of this machine, "*"; port 0: any.
function hawser.tcp.listen(host, port) return listen(host, port) end

hawser.tls = { config = core.client_config, server_config = core.server_config, options = core.tls_options }

-- A config userdata and the other options of a table such as {ca_file = ..., timeout = 5, server_name = "..."}.
local function settings_of(options)
  if type(options) ~= "table" then return options, nil, nil end
  local made, others, count = {}, {}, 0
  for name, value in pairs(options) do
    if name == "timeout" or name == "server_name" then
      others[name] = value
    else
      made[name], count = value, count + 1
    end
  end
  local config, message, number
  if count > 0 then
    config, message, number = core.client_config(made)
    if not config then return false, message, number end
  end
  return config, others.timeout, others.server_name
end

--- tls.connect(host, service [, options]): options is a config, or a table of a config's options with timeout (seconds for all
-- of it) and server_name (verified instead of the host).
function hawser.tls.connect(host, service, options)
  local config, timeout, name = settings_of(options)
  if config == false then return nil, timeout, name end
  name = name or host
  local bracketed = name:match("^%[(.*)%]$")
  return core.connect_tls(host, tostring(service or 443), timeout, bracketed or name, config)
end

--- tls.connecta(address, name [, timeout [, options]])
function hawser.tls.connecta(address, name, timeout, options)
  if type(timeout) == "table" or type(timeout) == "userdata" then timeout, options = nil, timeout end
  local config, own, other = settings_of(options)
  if config == false then return nil, own, other end
  return core.connect_tls(address, nil, timeout or own, other or name, config)
end

--- tls.handshake(ios, name [, options]): becomes the client of a stream that is open; the ios is used up.
function hawser.tls.handshake(line, name, options)
  local config, timeout, other = settings_of(options)
  if config == false then return nil, timeout, other end
  return core.handshake_tls(line, other or name, config, timeout)
end

--- tls.accept(ios, server_config [, timeout]): becomes its server.
hawser.tls.accept = core.accept_tls

--- tls.listen(host, port, config): config is a server_config, or a table of its options.
function hawser.tls.listen(host, port, config)
  if type(config) == "table" then
    local message, number
    config, message, number = core.server_config(config)
    if not config then return nil, message, number end
  end
  if config == nil then error("tls.listen needs a server_config: a certificate and its key", 2) end
  return listen(host, port, config)
end

return hawser
