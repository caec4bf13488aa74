// A Handle never uses the connection directly, because the Handle may be on another thread. It
// posts to the loop. There, slot and generation find the connection, or nothing if it has ended.
#include "tern/connection.h"

#include "connection/live_connection.h"
#include "engine/encoded_message.h"

#include <new>

namespace tern {

using connection::LiveConnection;
using connection::Registry;

namespace {

// Connection::close cuts the reason at 123 bytes. It needs the next byte to find where the last
// character ends.
constexpr std::size_t max_reason_bytes = 124;

// Runs `function(LiveConnection&)` on the loop if the connection still has a session then.
template <class F>
bool post_to(const std::shared_ptr<Registry>& registry, std::uint32_t slot,
             std::uint32_t generation, net::Mailbox::Load load, F function) noexcept {
  if (!registry) return false;
  try {
    return registry->mailbox().post(
        [registry = registry.get(), slot, generation, function = std::move(function)]() mutable {
          LiveConnection* const connection = registry->find(slot, generation);
          if (connection != nullptr && connection->session()) function(*connection);
        },
        load);
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace

// The text is checked in the caller's thread, so that the result reaches the caller.
bool Handle::send(SharedMessage message, SendOptions options) const noexcept {
  if (options.check_text && !engine::is_sendable(message)) return false;
  const net::Mailbox::Load load{.bytes = message.message().size(), .shared = message.encoded()};
  return post_to(registry_, slot_, generation_, load,
                 [message = std::move(message), options](LiveConnection& connection) {
                   connection.send(message, options);
                 });
}

bool Handle::send(Message message, SendOptions options) const noexcept {
  try {
    return send(SharedMessage(message), options);
  } catch (const std::bad_alloc&) {
    return false;
  }
}

bool Handle::close(CloseCode code, std::string_view reason) const noexcept {
  try {
    reason = reason.substr(0, max_reason_bytes);
    return post_to(registry_, slot_, generation_, {.bytes = reason.size()},
                   [code, reason = std::string(reason)](LiveConnection& connection) {
                     connection.close(code, reason);
                   });
  } catch (const std::bad_alloc&) {
    return false;
  }
}

bool Handle::post(UniqueFunction<void(Connection&)> function) const noexcept {
  return post_to(registry_, slot_, generation_, {},
                 [function = std::move(function)](LiveConnection& connection) mutable {
                   connection.call(function);
                 });
}

std::strong_ordering Handle::operator<=>(const Handle& other) const noexcept {
  if (const auto order = registry_.get() <=> other.registry_.get(); order != 0) return order;
  if (const auto order = slot_ <=> other.slot_; order != 0) return order;
  return generation_ <=> other.generation_;
}

std::size_t Handle::hash() const noexcept {
  return std::hash<const void*>()(registry_.get()) ^
         std::hash<std::uint64_t>()(std::uint64_t{generation_} << 32 | slot_);
}

}  // namespace tern
