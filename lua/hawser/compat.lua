--- The names with which programs for lua-conmanorg begin, on hawser's loop:
--
--   local syslog, url, dns, tcp, tls, nfl = require "hawser.compat" ()
--
-- What fails at run time gives nil, a message and a number everywhere (hawser.errno), TLS streams come with their handshake
-- complete and the certificate verified, and nothing older than TLS 1.2 is spoken whatever a configuration asks for.

local hawser = require "hawser"
local core = require "hawser.core"

local errno = core.errno
local unpack = table.unpack or unpack

-- syslog(level, format, ...)

local severities = {
  emerg = 0, emergency = 0, panic = 0, alert = 1, crit = 2, critical = 2, err = 3, error = 3, warn = 4, warning = 4, notice = 5,
  info = 6, debug = 7,
}
local sink, threshold, identity = "stderr", severities.warning, nil

local function severity_of(level, depth)
  return severities[level] or error("no such level of syslog: " .. tostring(level), depth + 1)
end

local function to_stderr(level, message)
  -- What peers have sent must not act on the terminal.
  local shown = message:gsub("[^%C\n\t]", "?")
  io.stderr:write(identity and identity .. ": " or "", level, ": ", shown, "\n")
end

local function log(level, format, ...)
  local severity = severity_of(level, 2)
  local message = string.format(format, ...)
  if severity > threshold or sink == "none" then return end
  if sink ~= "stderr" then
    local ok, err = pcall(sink, level, message, identity)
    if ok then return end
    to_stderr("error", "the sink of syslog failed: " .. tostring(err))
  end
  to_stderr(level, message)
end

local syslog = setmetatable({ log = log }, { __call = function(_, level, format, ...) return log(level, format, ...) end })

--- The name that stands before each message. Facility and flags are those of syslog(3), which is not used.
function syslog.open(ident) identity = ident end

function syslog.close() identity = nil end

--- Where messages go: "stderr" (at first), "none", or a function(level, message, ident); and the least level that gets there,
-- at first "warning" for stderr, else all of them.
function syslog.sink(where, least)
  if where ~= "stderr" and where ~= "none" and type(where) ~= "function" then
    error("the sink of syslog is \"stderr\", \"none\" or a function", 2)
  end
  threshold = severity_of(least or where == "stderr" and "warning" or "debug", 2)
  sink = where
end

-- url:match(text)

local url = {}

--- The parts of a http or https URL, or nil. They stay percent-encoded: no byte of them can end a line of a request.
function url.match(_, text)
  local u, message, number = core.url(text)
  if not u then return nil, message, number end
  local path = u:segments()
  path.root = true
  return {
    scheme = u.scheme, user = u.user, password = u.password, host = u.host, port = u.port, path = path, query = u.query,
    fragment = u.fragment,
  }
end

-- dns.address(host [, family [, protocol [, port]]])

local dns = {}

local function unbracketed(host) return host:match("^%[(.*)%]$") or host end

--- The addresses of a host, at least one. family: "any", "ip", "ip6"; port: a number or the name of a service.
function dns.address(host, family, protocol, port)
  if protocol == 6 then protocol = "tcp" end
  return hawser.dns.address(unbracketed(host), family, protocol, port)
end

-- nfl: coroutines that the event loop resumes.

local nfl = {}
local alive = 0          -- coroutines that have not ended
local tasks, groups = {}, {}  -- by coroutine, those of spawn() alone
local timers = setmetatable({}, { __mode = "k" })
local changed = core.channel(1)

local function ended(co)
  if not tasks[co] then return end
  tasks[co], groups[co] = nil, nil
  alive = alive - 1
  changed:try_send(true)
end

local failure = {}

-- The message handler of protected calls; what it has made stays as it is.
local function keep_traceback(err)
  if getmetatable(err) == failure then return err end
  return setmetatable({ err = err, trace = debug.traceback("", 2) }, failure)
end

local function report(co, err, trace)
  log("error", "%s failed: %s\n%s", tostring(co), tostring(err), (tostring(trace or ""):gsub("^\n", "")))
end

local function stop_timer(co)
  local timer = timers[co]
  if not timer then return end
  timers[co] = nil
  timer.clock:cancel()
  core.leave(timer.scope)
end

-- What was begun by hawser.spawn in a coroutine ends before that counts as ended, and its error is told too.
local function await_others(co, group)
  core.group(true):spawn(function()
    local ok, err, trace = group:join()
    ended(co)
    if not ok and trace ~= errno.ECANCELED then report(co, err, trace) end
  end)
end

local function body(f, ...)
  local co, task = coroutine.running(), core.current()
  local ok, err = xpcall(f, keep_traceback, ...)
  stop_timer(co)
  local group = groups[co]
  if group and (#group > 1 or task:is_stopped()) then
    await_others(co, group)
  else
    ended(co)
  end
  if not ok and not task:is_stopped() then report(co, err.err, err.trace) end
end

--- Queues f(...) as a coroutine, and gives that. Its error is logged and harms no other. coroutine.yield() in it waits for
-- schedule() or timeout().
function nfl.spawn(f, ...)
  if type(f) ~= "function" then error("nfl.spawn needs a function", 2) end
  -- In a group of its own, and below nobody: how it ends concerns no other.
  local group = core.group(true)
  local task = core.spawn_parking(group, body, f, ...)
  local co = task:thread()
  tasks[co], groups[co] = task, group
  alive = alive + 1
  return co
end

--- Gives the values to a coroutine that waits in coroutine.yield(). False: it does not; then nothing happens, also to what
-- it reads or writes.
function nfl.schedule(co, ...)
  if type(co) ~= "thread" then error("nfl.schedule needs a coroutine of nfl.spawn", 2) end
  local task = tasks[co]
  if not task then return false end
  if coroutine.status(co) == "dead" then  -- by coroutine.close()
    ended(co)
    return false
  end
  return core.schedule(task, ...)
end

--- After so many seconds the coroutine that runs is resumed with the values, if it waits in coroutine.yield(). If it waits
-- in an operation instead, that gives nil, "cancelled", ECANCELED, and so do all others until the next call of timeout().
-- timeout(0): no longer.
function nfl.timeout(seconds, ...)
  local task = core.current()
  if not task then error("nfl.timeout outside of a coroutine", 2) end
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then error("nfl.timeout needs a number of seconds", 2) end
  local co = task:thread()
  stop_timer(co)
  if seconds == 0 then return end
  local cut = core.group()
  local count, values = select("#", ...), { ... }
  local timer = { scope = core.enter(cut) }
  timer.clock = core.group(true):spawn(function()
    if not core.sleep(seconds) then return end
    if core.schedule(task, unpack(values, 1, count)) then return end
    if task:status() == "waiting" then cut:cancel() end
  end)
  timers[co] = timer
end

-- Ends all coroutines, and gives those that wait for others a moment for it.
local function stop_all()
  local waiting = {}
  for co, task in pairs(tasks) do waiting[task] = groups[co] end
  for task, group in pairs(waiting) do
    task:cancel()
    core.schedule(task, nil, "cancelled", errno.ECANCELED)
    group:join(1)
  end
end

local function wait_until(is_over)
  while not is_over() do
    local ok, message, number = changed:receive()
    if not ok then
      stop_all()
      return nil, message, number
    end
  end
  changed:try_send(true)  -- for another task that waits here
  return true
end

local function after(clock, ok, ...)
  clock:cancel()
  if not ok then error((...), 0) end
  return ...
end

local function loop(is_over, done)
  local task = core.current()
  if task and tasks[task:thread()] then error("an event loop of nfl inside one of its coroutines would wait for itself", 3) end
  if not done then return wait_until(is_over) end
  -- What it looks at may be changed by anybody, such as the handler of a signal.
  local clock = core.group(true):spawn(function()
    while core.sleep(0.05) do changed:try_send(true) end
  end)
  return after(clock, pcall(wait_until, is_over))
end

--- Runs until no coroutine is left or done() is true; that is asked whenever a coroutine has ended, and 20 times a second.
function nfl.client_eventloop(done)
  return loop(function() return alive == 0 or done ~= nil and done() end, done)
end

--- Runs until done() is true, if need be for ever.
function nfl.server_eventloop(done)
  return loop(function() return done ~= nil and done() end, done)
end

-- Servers: a coroutine for each connection.

local function attend(line, mainf)
  local ok, err = xpcall(mainf, keep_traceback, line)
  if ok then return end
  line:abort()
  error(err, 0)
end

local function attend_tls(line, mainf, config)
  local peer = line:remote()
  local secured, message = hawser.tls.accept(line, config)
  if not secured then return log("notice", "TLS handshake of %s: %s", tostring(peer), message) end
  return attend(secured, mainf)
end

local function serve(door, attend_one, mainf, config)
  if type(mainf) ~= "function" then error("a server needs a function for its connections", 3) end
  core.group(true):spawn(function()
    while true do
      local line, message, number = door:accept()
      if not line then
        if door:is_open() and number ~= errno.ECANCELED then log("error", "accept on %s: %s", tostring(door), message) end
        return
      end
      nfl.spawn(attend_one, line, mainf, config)
    end
  end)
  return door
end

-- tcp

local tcp = {}

local function no_address() return nil, "no address", errno.EINVAL end

function tcp.connecta(address, timeout)
  if address == nil then return no_address() end
  return hawser.tcp.connecta(address, timeout)
end

--- Tries each address of the host.
function tcp.connect(host, port, timeout) return hawser.tcp.connect(unbracketed(host), port, timeout) end

--- Calls mainf(ios) in a coroutine for each connection to a listener of hawser.tcp.listen, until that is closed; gives the
-- listener. mainf closes its stream; if it raises an error, that is done for it.
function tcp.listens(door, mainf) return serve(door, attend, mainf) end

function tcp.listen(host, port, mainf)
  local door, message, number = hawser.tcp.listen(host, port)
  if not door then return nil, message, number end
  return serve(door, attend, mainf)
end

function tcp.listena(address, mainf)
  if address == nil then return no_address() end
  return tcp.listen(address, nil, mainf)
end

-- tls

-- The object that a configuration function gets. Each of its methods sets options of hawser.tls.config or server_config;
-- what they say is looked at when the function has returned.
local setters = {}
local config_meta = { __index = setters }

-- A setter of one value each for the options of clients and of servers; "": nothing to do on that side, nil: not possible.
local function setter(name, client, server, given)
  setters[name] = function(self, value)
    local option = server
    if self.is_client then option = client end
    if not option then return self:refuse(name .. " is not supported here") end
    if given ~= nil then value = given end
    if value == nil then return self:refuse(name .. " needs a value") end
    if option ~= "" then self.options[option] = value end
    return true
  end
end

setter("alpn", "alpn", "alpn")
setter("ca_file", "ca_file", "client_ca_file")
setter("ca_mem", "ca_pem", "client_ca_pem")
setter("ca_path", "ca_path", nil)
setter("cert_file", "cert_file", "cert_file")
setter("cert_mem", "cert_pem", "cert_pem")
setter("ciphers", "ciphers", "ciphers")
setter("crl_file", "crl_file", "client_crl_file")
setter("dheparams", "", "dhe_params")
setter("ecdhecurve", "curves", "curves")
setter("ecdhecurves", "curves", "curves")
setter("key_file", "key_file", "key_file")
setter("key_mem", "key_pem", "key_pem")
setter("ocsp_require_stapling", "require_ocsp_stapling", "", true)
setter("ocsp_staple_file", "", "ocsp_staple_file")
setter("prefer_ciphers_client", "", "prefer_client_ciphers", true)
setter("prefer_ciphers_server", "", "prefer_client_ciphers", false)
setter("insecure_no_verify_cert", "insecure_no_verify_certificate", "", true)
setter("insecure_no_verify_name", "insecure_no_verify_name", "", true)
setter("insecure_no_verify_time", "insecure_no_verify_time", "", true)
setter("verify_client", "", "require_client_certificate", true)
setter("verify_client_optional", "", "request_client_certificate", true)
setter("verify_depth", "verify_depth", "verify_depth")
for _, name in ipairs { "add_ticket_key", "crl_mem", "keypair_ocsp_mem", "add_keypair_ocsp_mem", "ocsp_staple_mem", "session_fd", "session_id",
                        "session_lifetime" } do
  setter(name, nil, nil)
end

function setters:refuse(message)
  self.message = self.message or message
  return false
end

--- What was wrong first.
function setters:error() return self.message end

function setters:verify()
  local o = self.options
  o.insecure_no_verify_certificate, o.insecure_no_verify_name, o.insecure_no_verify_time = nil, nil, nil
  return true
end

function setters.clear_keys() return true end

setters.free = setters.clear_keys

--- As tls_config_parse_protocols(3) reads it, but there is nothing older than TLS 1.2.
function setters:protocols(list)
  local wanted, count = {}, 0
  for word in tostring(list):gmatch("[^,:%s]+") do
    word = word:lower()
    if word == "all" or word == "legacy" or word == "secure" or word == "default" then
      self.options.protocols = nil
      return true
    end
    if word ~= "tlsv1.0" and word ~= "tlsv1.1" then
      count = count + 1
      wanted[count] = word
    end
  end
  if count == 0 then return self:refuse("protocols: there is nothing older than TLS 1.2") end
  self.options.protocols = table.concat(wanted, ",")
  return true
end

local function set_pair(self, cert, key, first, second, staple)
  local o = self.options
  o[first], o[second] = cert, key
  if staple and not self.is_client then o.ocsp_staple_file = staple end
  return true
end

local function add_pair(self, cert, key, first, second, staple)
  if self.is_client then return self:refuse("a client has one certificate only") end
  local more = self.options.keypairs or {}
  self.options.keypairs = more
  more[#more + 1] = { [first] = cert, [second] = key, ocsp_staple_file = staple }
  return true
end

function setters:keypair_file(cert, key) return set_pair(self, cert, key, "cert_file", "key_file") end
function setters:keypair_mem(cert, key) return set_pair(self, cert, key, "cert_pem", "key_pem") end
function setters:keypair_ocsp_file(cert, key, staple) return set_pair(self, cert, key, "cert_file", "key_file", staple) end
function setters:add_keypair_file(cert, key) return add_pair(self, cert, key, "cert_file", "key_file") end
function setters:add_keypair_mem(cert, key) return add_pair(self, cert, key, "cert_pem", "key_pem") end
function setters:add_keypair_ocsp_file(cert, key, staple) return add_pair(self, cert, key, "cert_file", "key_file", staple) end

-- The hawser config for what the user gave: a function that sets one up, a table of options, a config, for clients nothing.
local function settings(conf, is_client)
  if type(conf) == "function" then
    local draft = setmetatable({ options = {}, is_client = is_client }, config_meta)
    if not conf(draft) then
      return false, draft.message or "the function that configures TLS did not return true", errno.EINVAL
    end
    conf = draft.options
    if is_client and next(conf) == nil then return nil end
    if not is_client and not conf.cert_file and not conf.cert_pem then return false, "the server has no certificate", errno.EINVAL end
  end
  if type(conf) ~= "table" then return conf end
  local made, message, number = (is_client and core.client_config or core.server_config)(conf)
  if not made then return false, message, number end
  return made
end

local tls = {}

--- A stream with a complete handshake with the peer that has proved to be this host. conf: a function(config) that sets
-- options and returns true, a table of options, or a config of hawser. The timeout is for all of it.
function tls.connecta(address, hostname, timeout, conf)
  if address == nil then return no_address() end
  local config, message, number = settings(conf, true)
  if config == false then return nil, message, number end
  return core.connect_tls(address, nil, timeout, unbracketed(hostname), config)
end

--- Tries each address of the host.
function tls.connect(host, port, timeout, conf)
  local config, message, number = settings(conf, true)
  if config == false then return nil, message, number end
  host = unbracketed(host)
  return core.connect_tls(host, tostring(port or 443), timeout, host, config)
end

--- As tcp.listens, with a handshake in each coroutine before mainf(ios) is called. The listener is one of hawser.tcp.listen.
function tls.listens(door, mainf, conf)
  if conf == nil then error("a TLS server needs a certificate: a function(config) or a table of options", 2) end
  local config, message, number = settings(conf, false)
  if not config then return nil, message, number end
  return serve(door, attend_tls, mainf, config)
end

function tls.listen(host, port, mainf, conf)
  if conf == nil then error("a TLS server needs a certificate: a function(config) or a table of options", 2) end
  local config, message, number = settings(conf, false)
  if not config then return nil, message, number end
  local door
  door, message, number = hawser.tcp.listen(host, port)
  if not door then return nil, message, number end
  return serve(door, attend_tls, mainf, config)
end

function tls.listena(address, mainf, conf)
  if address == nil then return no_address() end
  return tls.listen(address, nil, mainf, conf)
end

return setmetatable({ syslog = syslog, url = url, dns = dns, tcp = tcp, tls = tls, nfl = nfl }, {
  __call = function() return syslog, url, dns, tcp, tls, nfl end,
})
