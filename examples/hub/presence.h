// The topics on which the hub itself publishes.
#pragma once

#include "tern/server.h"

#include <mutex>
#include <set>
#include <string>
#include <string_view>

namespace hub {

inline constexpr std::string_view presence =
    "presence:";                                      // + a topic: the number of its subscribers
inline constexpr std::string_view ticker = "ticker";  // a price, published by this program

// Whether only the hub publishes on this topic.
inline bool is_own_topic(std::string_view topic) {
  return topic == ticker || topic.starts_with(presence);
}

// Publishes the number of subscribers of a topic on the topic with the prefix `presence`, if that
// one has subscribers. It collects changes for a moment, so that a thousand clients that come at
// once cause few publications.
class Presence {
 public:
  explicit Presence(tern::Server& server) : server_(server) {}

  // Notes that a client has subscribed to a topic or has left it. Thread: any.
  void changed(std::string_view topic) {
    if (topic.starts_with(presence)) topic.remove_prefix(presence.size());
    if (server_.subscribers(std::string(presence).append(topic)) == 0) return;
    const std::lock_guard lock(mutex_);
    changed_.emplace(topic);
  }

  // Thread: one, so that the last number is the right one.
  void publish() {
    std::set<std::string> topics;
    {
      const std::lock_guard lock(mutex_);
      topics.swap(changed_);
    }
    for (const std::string& topic : topics) {
      const std::string count = std::to_string(server_.subscribers(topic));
      server_.publish(std::string(presence) + topic, count);
    }
  }

 private:
  tern::Server& server_;
  std::mutex mutex_{};
  std::set<std::string> changed_{};
};

}  // namespace hub
