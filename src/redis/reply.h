// The answers of a server, as hiredis gives them.
#pragma once

#include "tern/topics.h"

#include <cstdint>
#include <hiredis/hiredis.h>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tern::redis {

struct FreeReply {
  void operator()(redisReply* reply) const noexcept { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

/// The characters of a string, a status or an error; else empty. Lifetime: the reply.
std::string_view text_of(const redisReply& reply) noexcept;
inline bool is_error(const redisReply& reply) noexcept { return reply.type == REDIS_REPLY_ERROR; }

/// A message that a connection with subscriptions receives.
struct Push {
  enum class Kind : std::uint8_t {
    message,
    subscribed,
    unsubscribed,
    pong,   ///< `payload` is that of the ping
    error,  ///< `payload` is the text of the server
    other,
  };
  Kind kind = Kind::other;
  std::string_view channel{};
  std::string_view payload{};
};

/// Lifetime of the views: the reply.
Push parse_push(const redisReply& reply) noexcept;

/// A publication of a stream.
struct Entry {
  std::uint64_t offset = 0;
  std::string_view bytes{};
};

/// The newest part of a stream. Lifetime of the views: the reply.
struct Part {
  Position last{};               ///< the last publication of the topic
  std::vector<Entry> entries{};  ///< consecutive, the last one is `last`
};

/// Parses the answer of read_script. Returns nothing if it is not such an answer. Throws
/// std::bad_alloc. Leaves out entries before a hole, which a program made that deleted an entry.
std::optional<Part> parse_part(const redisReply& reply);

/// Whether it is the answer of a replica to ROLE.
bool is_replica(const redisReply& role) noexcept;

}  // namespace tern::redis
