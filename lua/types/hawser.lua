---@meta hawser
-- What hawser has, for the Lua language server. docs/lua.md is the reference.

--- The module
---@class hawser
---@field errno table<string, integer> numbers of errors by name
---@field tcp hawser.tcp
---@field tls hawser.tls
---@field dns hawser.dns
---@field url hawser.url_module
---@field coroutine coroutinelib create, resume, wrap and the others, for coroutines that wait
local hawser = {}

--- Runs the loop until f and what it spawned have ended. Raises the first error.
---@param f fun(...): ...
---@param ... any
---@return ...
function hawser.run(f, ...) end

--- A task in the group of the task that calls it.
---@param f fun(...): ...
---@param ... any
---@return hawser.task task
function hawser.spawn(f, ...) end

---@param detached? boolean not stopped with the task that makes it
---@return hawser.group group
function hawser.group(detached) end

--- Calls f and waits for the tasks of its group. Raises the first error.
---@param f fun(group: hawser.group, ...): ...
---@param ... any
---@return ...
function hawser.scope(f, ...) end

--- Calls f under a deadline; nil, "timed out", ETIMEDOUT and what f gave where that cut something short.
---@param seconds number
---@param f fun(...): ...
---@param ... any
---@return ...
function hawser.with_timeout(seconds, f, ...) end

---@param seconds number
---@return true? slept, string? err, integer? errno
function hawser.sleep(seconds) end

---@return true? yielded, string? err, integer? errno
function hawser.yield() end

---Waits for a signal of the process.
---@param name "INT"|"TERM"|"HUP"|"QUIT"|"USR1"|"USR2"
---@return boolean? done, string? err, integer? errno
function hawser.signal(name) end

---@return number seconds
function hawser.now() end

---@return hawser.task? task
function hawser.current() end

---@param handler? fun(error: any, traceback: string)
function hawser.on_error(handler) end

---@param capacity? integer
---@return hawser.channel channel
function hawser.channel(capacity) end

--- As coroutine.wrap, for generators that wait.
---@param f fun(...): ...
---@return fun(...): ... generator
function hawser.wrap(f) end

---@param text string
---@param port? integer
---@return hawser.address? address, string? err, integer? errno
function hawser.address(text, port) end

--- A coroutine that the loop resumes
---@class hawser.task
local task = {}

---@return true? ok
---@return any ... the results; or the error and its traceback
function task:join() end

function task:cancel() end

---@return "queued"|"running"|"waiting"|"parked"|"done"|"failed"|"cancelled" status
function task:status() end

---@return boolean stopped
function task:is_stopped() end

---@return thread coroutine
function task:thread() end

--- Tasks that end together
---@class hawser.group
---@operator len: integer
local group = {}

---@param f fun(...): ...
---@param ... any
---@return hawser.task task
function group:spawn(f, ...) end

function group:cancel() end

---@param seconds? number
---@return true? ok, any error, string|integer|nil traceback
function group:join(seconds) end

--- A queue between tasks
---@class hawser.channel
---@operator len: integer
local channel = {}

---@param value any
---@return true? ok, string? err, integer? errno
function channel:send(value) end

---@return any value, string? err, integer? errno
function channel:receive() end

---@param value any
---@return boolean sent
function channel:try_send(value) end

---@return any value
function channel:try_receive() end

function channel:close() end

---@return boolean closed
function channel:is_closed() end

--- An IP address with a port
---@class hawser.address
---@field addr string
---@field port integer
---@field family "ip"|"ip6"
---@field bytes string
local address = {}

---@param default_port? integer
---@return string text
function address:display(default_port) end

--- Names
---@class hawser.dns
local dns = {}

---@param host string
---@param service? string|integer
---@param family? "any"|"ip"|"ip6"
---@param seconds? number
---@return hawser.address[]? addresses, string? err, integer? errno
function dns.resolve(host, service, family, seconds) end

---@param host string
---@param family? "any"|"ip"|"ip6"
---@param protocol? "tcp"
---@param port? string|integer
---@return hawser.address[]? addresses, string? err, integer? errno
function dns.address(host, family, protocol, port) end

--- Streams without TLS
---@class hawser.tcp
local tcp = {}

---@param host string
---@param service string|integer
---@param seconds? number
---@return hawser.ios? ios, string? err, integer? errno
function tcp.connect(host, service, seconds) end

---@param address hawser.address
---@param seconds? number
---@return hawser.ios? ios, string? err, integer? errno
function tcp.connecta(address, seconds) end

---@param host string|hawser.address
---@param port? string|integer
---@return hawser.listener? listener, string? err, integer? errno
function tcp.listen(host, port) end

---@class hawser.tls.client_options
---@field ca_file? string
---@field ca_path? string
---@field ca_pem? string
---@field crl_file? string
---@field cert_file? string
---@field key_file? string
---@field cert_pem? string
---@field key_pem? string
---@field alpn? string
---@field ciphers? string
---@field curves? string
---@field protocols? string
---@field verify_depth? integer
---@field require_ocsp_stapling? boolean
---@field insecure_no_verify_certificate? boolean
---@field insecure_no_verify_name? boolean
---@field insecure_no_verify_time? boolean

---@class hawser.tls.connect_options: hawser.tls.client_options
---@field timeout? number seconds for all of it
---@field server_name? string asked for and verified instead of the host

---@class hawser.tls.keypair
---@field cert_file? string
---@field key_file? string
---@field cert_pem? string
---@field key_pem? string
---@field ocsp_staple_file? string

---@class hawser.tls.server_options: hawser.tls.keypair
---@field keypairs? hawser.tls.keypair[]
---@field client_ca_file? string
---@field client_ca_pem? string
---@field client_crl_file? string
---@field alpn? string
---@field ciphers? string
---@field curves? string
---@field protocols? string
---@field dhe_params? string
---@field verify_depth? integer
---@field require_client_certificate? boolean
---@field request_client_certificate? boolean
---@field prefer_client_ciphers? boolean

--- Streams with TLS
---@class hawser.tls
local tls = {}

---@param options? hawser.tls.client_options
---@return hawser.tls.config? config, string? err, integer? errno
function tls.config(options) end

---@param options hawser.tls.server_options
---@return hawser.tls.server_config? config, string? err, integer? errno
function tls.server_config(options) end

---@return table<"client"|"server"|"keypair", string[]> names
function tls.options() end

---@param host string
---@param service? string|integer
---@param options? hawser.tls.config|hawser.tls.connect_options
---@return hawser.ios? ios, string? err, integer? errno
function tls.connect(host, service, options) end

---@param address hawser.address
---@param name string
---@param seconds? number
---@param options? hawser.tls.config|hawser.tls.connect_options
---@return hawser.ios? ios, string? err, integer? errno
function tls.connecta(address, name, seconds, options) end

--- Becomes the client of an open stream, which is used up.
---@param ios hawser.ios
---@param name string
---@param options? hawser.tls.config|hawser.tls.connect_options
---@return hawser.ios? ios, string? err, integer? errno
function tls.handshake(ios, name, options) end

--- Becomes its server.
---@param ios hawser.ios
---@param config hawser.tls.server_config
---@param seconds? number
---@return hawser.ios? ios, string? err, integer? errno
function tls.accept(ios, config, seconds) end

---@param host string|hawser.address
---@param port? string|integer
---@param config hawser.tls.server_config|hawser.tls.server_options
---@return hawser.listener? listener, string? err, integer? errno
function tls.listen(host, port, config) end

--- Settings of clients
---@class hawser.tls.config
local config = {}

---@return boolean has
function config:has_certificate() end

--- Settings of servers
---@class hawser.tls.server_config
local server_config = {}

---@class hawser.serve_options
---@field grace? number seconds for busy connections after a stop
---@field max_connections? integer
---@field on_error? fun(error: any, traceback: string?, peer: hawser.address?)

--- What accepts connections
---@class hawser.listener
local listener = {}

---@return hawser.ios? ios, string? err, integer? errno
function listener:accept() end

---@param handler fun(ios: hawser.ios)
---@param options? hawser.serve_options
---@return nil, string err, integer errno
function listener:serve(handler, options) end

---@return true closed
function listener:close() end

---@param config hawser.tls.server_config
---@return true? ok, string? err, integer? errno
function listener:reload(config) end

---@return hawser.address address
function listener:address() end

---@return integer fd
function listener:fileno() end

---@return boolean tls
function listener:is_tls() end

---@return boolean open
function listener:is_open() end

---@alias hawser.format "l"|"L"|"a"|"h"|"n"|"b"|"*l"|"*L"|"*a"|"*h"|"*n"|"*b"|integer

--- A stream
---@class hawser.ios
local ios = {}

---@param ... hawser.format
---@return string|number|nil value, string? err, integer? errno, string? partial
function ios:read(...) end

---@param ... hawser.format
---@return fun(): ... iterator
function ios:lines(...) end

---@param ... string|number
---@return hawser.ios? ios, string? err, integer? errno
function ios:write(...) end

---@return hawser.ios? ios, string? err, integer? errno
function ios:flush() end

---@return true? ok, string? err, integer? errno
function ios:shutdown() end

---@return true? ok, string? err, integer? errno
function ios:close() end

function ios:abort() end

---@param mode "no"|"line"|"full"
---@param size? integer
---@return hawser.ios? ios, string? err, integer? errno
function ios:setvbuf(mode, size) end

---@param read? number
---@param write? number
---@return hawser.ios ios
function ios:settimeout(read, write) end

---@param limits {line?: integer, header?: integer, all?: integer, strict?: boolean}
---@return hawser.ios ios
function ios:setlimits(limits) end

---@return hawser.address address
function ios:remote() end

---@return hawser.address address
function ios:localaddr() end

---@return string name
function ios:peer_name() end

---@return integer fd
function ios:fileno() end

---@return integer read, integer written
function ios:counters() end

---@return boolean open
function ios:is_open() end

---@return boolean tls
function ios:is_tls() end

---@return boolean idle
function ios:is_idle() end

---@return hawser.ios ios
function ios:handshake() end

---@param ... any
---@return nil, string err, integer errno
function ios:seek(...) end

---@return {version: string, cipher: string, cipher_strength: integer, alpn: string?, servername: string?, resumed: boolean}? session
function ios:session() end

---@return {provided: boolean, subject: string?, issuer: string?, hash: string?, not_before: integer?, not_after: integer?, chain_pem: string?}? certificate
function ios:peer() end

---@param name string
---@return boolean? contains
function ios:peer_contains_name(name) end

---@return {present: boolean, url: string?, response_status: string?, status: string?, reason: integer?, revocation_time: integer?, this_update: integer?, next_update: integer?, result: string?}? staple
function ios:ocsp() end

--- An absolute URL
---@class hawser.url
---@field scheme string
---@field user string?
---@field password string?
---@field host string
---@field port integer
---@field path string
---@field query string?
---@field fragment string?
---@field target string
---@field host_header string
---@field origin string
local url = {}

---@param reference string
---@return hawser.url? url, string? err, integer? errno
function url:resolve(reference) end

---@return string[] segments
function url:segments() end

--- URLs
---@class hawser.url_module
---@overload fun(text: string, base?: string|hawser.url): hawser.url?, string?, integer?
local url_module = {}

---@param text string
---@param base? string|hawser.url
---@return hawser.url? url, string? err, integer? errno
function url_module.parse(text, base) end

---@param text string
---@param set? "component"|"path"|"query"|"fragment"|"userinfo"
---@return string encoded
function url_module.encode(text, set) end

---@param text string
---@return string decoded
function url_module.decode(text) end

return hawser
