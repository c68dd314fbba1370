-- Many pages at once, with the headers of the answers: usage in the text below.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local hawser = require "hawser"
local command_line = require "command_line"
local http = require "http_client"

local usage = [[
usage: fetch.lua [OPTION...] URL...

Fetches pages over HTTP/1.1 and HTTPS, many at once, each over a connection of its own. For each there are two files,
named by its host and path: NAME.header, the status line and the header fields as they came, and NAME.body. Redirects are
not followed. A body that was cut short stays as NAME.body.part.

  --input FILE       also the URLs in FILE, one on a line; - is the standard input
  --output DIR       where the files go (.)
  --concurrency N    pages in progress at once (32)
  --timeout SECONDS  for a whole page (60)
  --cacert FILE      certificate authorities to trust (PEM) instead of the system's

Exit status: 0 when each page came whole with a status of 2xx, 1 when one did not, 2 for a wrong command line, 130 after
Ctrl-C.
]]

local options, urls = command_line.read(usage, {
  input = {},
  output = { default = "." },
  concurrency = { default = 32, least = 1, most = 10000, whole = true },
  timeout = { default = 60, least = 0.001, most = 1e6 },
  cacert = {},
})
local tls = command_line.prepare(usage, options, urls)

-- The whole of a URL but its scheme, in the characters that any file system takes.
local unique = command_line.unique_names {}
local function file_name(text)
  local rest = text:gsub("^%a+:/+", ""):gsub("[?#].*", ""):gsub("/+$", "")
  return unique((rest:gsub("[^%w._-]", "_"):gsub("^%.", "_"):sub(1, 200)))
end

local function write_file(name, text)
  local file, message = io.open(name, "wb")
  if not file then return nil, message end
  local ok
  ok, message = file:write(text)
  file:close()
  return ok, message
end

local fetched, failed, bytes = 0, 0, 0

local function fetch(page)
  local base = options.output .. "/" .. page.name
  local partial = base .. ".body.part"
  local file
  local answer, why = http.get(page.url, {
    tls = tls,
    timeout = options.timeout,
    begin = function(answer)
      local ok, message = write_file(base .. ".header", answer.head)
      if not ok then return nil, message end
      file, message = io.open(partial, "wb")
      if not file then return nil, message end
      return function(piece)
        bytes = bytes + #piece
        return file:write(piece)
      end
    end,
  })
  if file then
    local closed, message = file:close()
    if answer and closed then closed, message = os.rename(partial, base .. ".body") end
    if not closed then answer, why = nil, message end
  end
  if answer and (answer.status < 200 or answer.status >= 300) then answer, why = nil, http.describe(answer) end
  if answer then
    fetched = fetched + 1
  elseif not hawser.current():is_stopped() then
    failed = failed + 1
    io.stderr:write(("fetch: %s: %s\n"):format(page.url, why))
  end
end

local pages = {}
for i, text in ipairs(urls) do pages[i] = { url = text, name = file_name(text) } end

local start = hawser.now()
local interrupted = command_line.run(function() command_line.each(pages, options.concurrency, fetch) end)
io.stderr:write(("fetched %d pages, %d bytes, %.2f s, %d failed\n"):format(fetched, bytes, hawser.now() - start, failed))
if interrupted then io.stderr:write(("interrupted with %d to go\n"):format(#pages - fetched - failed)) end
os.exit(interrupted and 130 or failed > 0 and 1 or 0, true)
