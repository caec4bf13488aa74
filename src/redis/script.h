// The Lua scripts of the durable mode. Redis runs a script without anything in between.
#pragma once

namespace tern::redis {

/// Gives a publication the next offset of its topic, appends it to the stream of the topic and
/// notifies the subscribers of the channel. So the stream and the notifications cannot disagree.
///   KEYS: the stream, the hash with epoch, offset and run.
///   ARGV: 1 the channel, 2 the publication, 3 the epoch that begins if a new one must, 4 the run
///   of the server, 5 the length of the stream, 6 and 7 the milliseconds that stream and hash stay.
/// The answer is the offset.
///
/// A new epoch begins if the hash is gone, and if another run of the server wrote it: a server that
/// starts from a file may have lost the last publications, and would give their offsets again.
inline constexpr char publish_script[] = R"lua(
local known = redis.call('HMGET', KEYS[2], 'epoch', 'run')
local epoch = known[1]
if not epoch or known[2] ~= ARGV[4] then
  epoch = ARGV[3]
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'run', ARGV[4], 'offset', '0')
end
local offset = string.format('%.0f', redis.call('HINCRBY', KEYS[2], 'offset', 1))
local added = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], offset .. '-0', 'm', ARGV[2])
if type(added) == 'table' then
  epoch = ARGV[3]
  offset = '1'
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'offset', offset)
  redis.call('XADD', KEYS[1], '1-0', 'm', ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
redis.call('PUBLISH', ARGV[1], '\254\2' .. epoch .. ':' .. offset .. '\n' .. ARGV[2])
return offset
)lua";

/// Reads the epoch and the offset of a topic, and the newest part of its stream: what follows a
/// position. A topic that has no epoch gets one.
///   KEYS: as above.
///   ARGV: 1 the epoch that begins if a new one must, 2 the run of the server, 3 the milliseconds
///   that the hash stays, 4 and 5 epoch and offset of the position, 6 the most entries, 7 the bytes
///   after which no entry follows.
/// The answer is epoch, offset, and the entries as XREVRANGE gives them, newest first. If the epoch
/// is another one than that of the position, the position does not bound them. The position may be
/// that of a client, so it never begins an epoch: a client could delete the history of everybody.
inline constexpr char read_script[] = R"lua(
local known = redis.call('HMGET', KEYS[2], 'epoch', 'run', 'offset')
local epoch, offset = known[1], known[3]
if not epoch or not offset or known[2] ~= ARGV[2] then
  epoch, offset = ARGV[1], '0'
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'run', ARGV[2], 'offset', '0')
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
local from, to = '+', ARGV[4] == epoch and '(' .. ARGV[5] or '-'
local count, bytes, found = tonumber(ARGV[6]), tonumber(ARGV[7]), {}
while count > 0 and bytes > 0 do
  local most = math.min(count, 32)
  local part = redis.call('XREVRANGE', KEYS[1], from, to, 'COUNT', most)
  for _, entry in ipairs(part) do
    if bytes <= 0 then break end
    found[#found + 1] = entry
    bytes = bytes - #entry[2][2]
    from = '(' .. entry[1]
  end
  if #part < most then break end
  count = count - most
end
return {epoch, offset, found}
)lua";

}  // namespace tern::redis
