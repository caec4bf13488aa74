// Writes down what a bridge tells the server.
#pragma once

#include "tern/bridge.h"

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::test {

inline std::string join(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += part + "; ";
  return all;
}

// Thread: any.
class RecordingSink final : public BridgeSink {
 public:
  void deliver(std::string_view topic, Message message, const Origin& origin,
               std::optional<Position> position) noexcept override {
    add("deliver " + std::string(topic) + " " + std::string(message.text()) +
        (origin.server != 0 ? " from " + std::to_string(origin.server) : "") +
        (position ? " at " + std::to_string(position->offset) : ""));
  }
  void history(std::string_view topic, const BridgeHistory& answer) noexcept override {
    add("history " + std::string(topic) + (answer.known ? " known" : " unknown"));
  }
  void state(BridgeState state, std::string_view why) noexcept override {
    add("state " + std::string(bridge_state_name(state)) + " " + std::string(why));
  }
  void gap(std::string_view topic, GapCause cause) noexcept override {
    add("gap " + std::string(topic) + " " + std::string(gap_cause_name(cause)));
  }
  void refused(std::string_view why) noexcept override { add("refused " + std::string(why)); }
  void log(LogLevel, std::string_view line) noexcept override { add("log " + std::string(line)); }

  std::string take() {
    const std::lock_guard lock(mutex_);
    return join(std::exchange(events_, {}));
  }

 private:
  void add(std::string event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  std::mutex mutex_{};
  std::vector<std::string> events_{};
};

}  // namespace tern::test
