// Reads and writes envelopes and notifications. Bytes that are neither count as a text of another
// program.
#include "redis/envelope.h"

#include "base/endian.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <span>

namespace tern::redis {
namespace {

constexpr std::size_t envelope_bytes = 20;
constexpr char mark = '\xFE';
constexpr char kind_envelope = 1;
constexpr char kind_notification = 2;

// Takes a number and the character behind it from the front.
std::optional<std::uint64_t> take_number(std::string_view& text, char stop) noexcept {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest == end || *rest != stop) return {};
  text.remove_prefix(static_cast<std::size_t>(rest + 1 - text.data()));
  return number;
}

}  // namespace

void append_envelope(std::string& to, Message message, const Origin& origin) {
  std::array<std::byte, envelope_bytes> head{};
  head[0] = std::byte{0xFE};
  head[1] = std::byte{kind_envelope};
  head[2] = static_cast<std::byte>(message.type());
  base::store_be64(&head[4], origin.server);
  base::store_be64(&head[12], origin.connection);
  to.append(reinterpret_cast<const char*>(head.data()), head.size()).append(message.text());
}

Opened open_envelope(std::string_view bytes) noexcept {
  const bool has_envelope = bytes.size() >= envelope_bytes && bytes[0] == mark &&
                            bytes[1] == kind_envelope && (bytes[2] == 1 || bytes[2] == 2) &&
                            bytes[3] == 0;
  if (!has_envelope) return {Message(MessageType::text, bytes), {}};
  const auto head = std::as_bytes(std::span(bytes));
  return {Message(static_cast<MessageType>(bytes[2]), bytes.substr(envelope_bytes)),
          {base::load_be64(&head[4]), base::load_be64(&head[12])}};
}

std::optional<Notification> parse_notification(std::string_view payload) noexcept {
  if (payload.size() < 2 || payload[0] != mark || payload[1] != kind_notification) return {};
  payload.remove_prefix(2);
  const auto epoch = take_number(payload, ':');
  if (!epoch) return {};
  const auto offset = take_number(payload, '\n');
  if (!offset || *epoch == 0 || *offset == 0) return {};
  return Notification{{*epoch, *offset}, payload};
}

}  // namespace tern::redis
