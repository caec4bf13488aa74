// Reads the trees that hiredis parses. A tree of another form gives nothing, because the server may
// be of any version.
#include "redis/reply.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace tern::redis {
namespace {

// Reads a number up to `stop`, or up to the end if `stop` is NUL.
std::optional<std::uint64_t> parse_number(std::string_view text, std::string_view stop) noexcept {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || std::string_view(rest, end) != stop) return {};
  return number;
}

bool is_array(const redisReply& reply, std::size_t least) noexcept {
  return reply.type == REDIS_REPLY_ARRAY && reply.elements >= least;
}

// An entry of XRANGE: the identifier "offset-0", and the field "m" with its value.
std::optional<Entry> parse_entry(const redisReply& reply) noexcept {
  if (!is_array(reply, 2) || !is_array(*reply.element[1], 2)) return {};
  const redisReply* const* const fields = reply.element[1]->element;
  const auto offset = parse_number(text_of(*reply.element[0]), "-0");
  if (!offset || text_of(*fields[0]) != "m") return {};
  return Entry{*offset, text_of(*fields[1])};
}

}  // namespace

std::string_view text_of(const redisReply& reply) noexcept {
  switch (reply.type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
      return {reply.str, reply.len};
    default:
      return {};
  }
}

Push parse_push(const redisReply& reply) noexcept {
  if (is_error(reply)) return {Push::Kind::error, {}, text_of(reply)};
  if (!is_array(reply, 2)) return {};
  const std::string_view kind = text_of(*reply.element[0]);
  if (kind == "pong") return {Push::Kind::pong, {}, text_of(*reply.element[1])};
  if (reply.elements != 3) return {};
  const std::string_view channel = text_of(*reply.element[1]);
  if (kind == "message") return {Push::Kind::message, channel, text_of(*reply.element[2])};
  if (kind == "subscribe") return {Push::Kind::subscribed, channel, {}};
  if (kind == "unsubscribe") return {Push::Kind::unsubscribed, channel, {}};
  return {};
}

std::optional<Part> parse_part(const redisReply& reply) {
  if (!is_array(reply, 3) || !is_array(*reply.element[2], 0)) return {};
  const auto epoch = parse_number(text_of(*reply.element[0]), "");
  const auto offset = parse_number(text_of(*reply.element[1]), "");
  if (!epoch || *epoch == 0 || !offset) return {};
  Part part{.last = {*epoch, *offset}};
  const redisReply& entries = *reply.element[2];
  part.entries.reserve(entries.elements);
  std::uint64_t next = *offset;
  for (std::size_t i = 0; i < entries.elements; ++i, --next) {
    const auto entry = parse_entry(*entries.element[i]);
    if (!entry) return {};
    if (entry->offset != next) break;
    part.entries.push_back(*entry);
  }
  std::reverse(part.entries.begin(), part.entries.end());
  return part;
}

bool is_replica(const redisReply& role) noexcept {
  return role.type == REDIS_REPLY_ARRAY && role.elements > 0 &&
         text_of(*role.element[0]) == "slave";
}

}  // namespace tern::redis
