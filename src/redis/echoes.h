#pragma once

#include "tern/bridge.h"
#include "tern/message.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace tern::redis {

/// A map by names.
struct NameHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view name) const noexcept {
    return std::hash<std::string_view>()(name);
  }
};
template <class T>
using ByName = std::unordered_map<std::string, T, NameHash, std::equal_to<>>;

/// Recognises our own publications when they come back without an envelope. The server returns the
/// publications of one connection on a channel in their order, so the first one that has not come
/// back is the only one that a message can be. A message of another program with the same bytes may
/// be taken for it. That changes nothing for a subscriber: it receives the same bytes as often.
class Echoes {
 public:
  /// The publications of this topic come back from now on, or no longer. Throws std::bad_alloc.
  void want(std::string_view topic);
  void unwant(std::string_view topic) noexcept;
  /// The place of a publication that was sent: its topic, and its number in this topic.
  struct Place {
    std::uint64_t topic = 0;  ///< 0: the publication does not come back
    std::uint64_t number = 0;
    explicit operator bool() const noexcept { return topic != 0; }
  };
  /// A publication was sent. Throws std::bad_alloc.
  Place add(std::string_view topic, const SharedMessage& message, const Origin& origin);
  /// The server refused a publication, so it does not come back. It takes the same time however
  /// many topics there are, because a server may refuse all publications.
  void remove(const Place& place) noexcept;
  /// A message came. Returns its publisher; all zeros if it is another program.
  Origin take(std::string_view topic, std::string_view bytes) noexcept;
  /// The bytes of the messages that have not come back.
  std::size_t bytes() const noexcept { return bytes_; }
  void clear() noexcept;

 private:
  struct Sent {
    SharedMessage message;
    Origin origin;
    std::uint64_t number;
  };

  struct Topic {
    std::uint64_t id;
    std::deque<Sent> sent{};  // their numbers ascend
  };

  void forget(const Sent& sent) noexcept;

  ByName<Topic> topics_{};
  std::unordered_map<std::uint64_t, Topic*> by_id_{};  // all of them
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t last_number_ = 0;  // of a publication or a topic
};

}  // namespace tern::redis
