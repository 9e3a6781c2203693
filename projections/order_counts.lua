-- Sums counters by status. ARGV: the pointer to the live generation, the prefix of generations, the counters' names.
-- Returns the position ('' without one), statuses and counts in turn.
local generation = redis.call('GET', ARGV[1])
if not generation then return { '', 'unbuilt' } end
local prefix = ARGV[2] .. generation .. ':'
local position, building_to = unpack(redis.call('HMGET', prefix .. 'checkpoint', 'position', 'building_to'))
if not position then return { '', 'gone' } end
if building_to and tonumber(position) < tonumber(building_to) then return { '', 'unbuilt' } end
local counts, found = {}, { position }
for i = 3, #ARGV do
  local counter = redis.call('HGETALL', prefix .. ARGV[i])
  for j = 1, #counter, 2 do counts[counter[j]] = (counts[counter[j]] or 0) + counter[j + 1] end
end
for status, count in pairs(counts) do
  found[#found + 1] = status
  found[#found + 1] = count
end
return found
