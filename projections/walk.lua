-- Walks several sorted sets at once, merged in one order, and returns the documents that meet all conditions. Ends when
-- it has enough, when nothing is left, or when it has looked at so many that other clients have waited long enough.
-- ARGV[1]: the request as JSON (projections/walk.py). Returns: position reflected ('' when the generation is gone), sort
-- key of the last candidate, 1 when nothing is left, how many matched, how many were looked at, then the documents.
local request = cjson.decode(ARGV[1])
local position = redis.call('HGET', request.checkpoint, 'position')
if not position then
  return {'', '', 0, 0, 0}
end
local down, lexical = request.down, request.lexical
local null = cjson.null

local meets
function meets(document, condition)
  local kind = condition[1]
  if kind == 'any' then
    for _, alternative in ipairs(condition[2]) do
      if meets(document, alternative) then return true end
    end
    return false
  end
  local value = document[condition[2]]
  if kind == 'in' then
    return value ~= null and condition[3][tostring(value)] == true
  elseif kind == 'range' then
    return (condition[3] == null or value >= condition[3]) and (condition[4] == null or value <= condition[4])
  end
  -- Of a text that folding changes, the folded form is stored beside it.
  local folded = document[condition[3]]
  if folded ~= null then value = folded end
  if value == null then return false end
  if kind == 'equal' then return value == condition[4] end
  return string.sub(value, 1, #condition[4]) == condition[4]
end

local function refill(source)
  local found
  local low, high = request.low, request.high
  if source.bound and down then high = source.bound elseif source.bound then low = source.bound end
  local first, last = low, high
  if down then first, last = high, low end
  source.entries, source.at = {}, 1
  if lexical then
    found = redis.call(down and 'ZREVRANGEBYLEX' or 'ZRANGEBYLEX', source.key, first, last, 'LIMIT', 0, source.chunk)
    for _, member in ipairs(found) do
      table.insert(source.entries, {member, tonumber(string.sub(member, -8), 16)})
    end
    source.ended = #found < source.chunk
    if #found > 0 then source.bound = '(' .. found[#found] end
  else
    found = redis.call(
      down and 'ZREVRANGEBYSCORE' or 'ZRANGEBYSCORE', source.key, first, last, 'WITHSCORES', 'LIMIT', 0, source.chunk)
    for i = 1, #found, 2 do
      table.insert(source.entries, {tonumber(found[i + 1]), tonumber(found[i])})
    end
    source.ended = #found < 2 * source.chunk
    if #found > 0 then source.bound = '(' .. found[#found] end
  end
  source.chunk = math.min(source.chunk * 2, request.chunk_max)
end

local sources = {}
for _, key in ipairs(request.sources) do
  local source = {key = key, chunk = request.chunk}
  refill(source)
  if source.entries[1] then table.insert(sources, source) end
end
if request.listed[1] then
  table.insert(sources, {entries = request.listed, at = 1, ended = true})
end

local matched, looked_at, last, ended = 0, 0, nil, 1
local answer = {position, '', 1, 0, 0}
while #sources > 0 do
  if matched >= request.want or looked_at >= request.budget then
    ended = 0
    break
  end
  local best, best_key
  for i, source in ipairs(sources) do
    local key = source.entries[source.at][1]
    if not best or (down and key > best_key) or (not down and key < best_key) then best, best_key = i, key end
  end
  local source = sources[best]
  local entry = source.entries[source.at]
  source.at = source.at + 1
  if not source.entries[source.at] then
    if not source.ended then refill(source) end
    if not source.entries[source.at] then table.remove(sources, best) end
  end
  if best_key ~= last then
    last = best_key
    looked_at = looked_at + 1
    local text = redis.call(
      'HGET', request.documents .. string.format('%d', math.floor(entry[2] / request.per)), string.format('%d', entry[2]))
    local fits = text and true or false
    if fits then
      local document = cjson.decode(text)
      for _, condition in ipairs(request.conditions) do
        if not meets(document, condition) then
          fits = false
          break
        end
      end
    end
    if fits then
      matched = matched + 1
      if not request.counting then table.insert(answer, text) end
    end
  end
end
if last then answer[2] = lexical and last or string.format('%d', last) end
answer[3], answer[4], answer[5] = ended, matched, looked_at
return answer
