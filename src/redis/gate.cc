// A counter of subscriptions and a queue of commands: a command leaves when the subscriptions
// before it are confirmed.
#include "redis/gate.h"

namespace tern::redis {

void Gate::pass(std::string_view command, std::string& output) {
  if (confirmed_ >= sent_) {
    output.append(command);
    return;
  }
  if (waiting_.empty() || waiting_.back().subscriptions != sent_) waiting_.push_back({sent_, {}});
  waiting_.back().commands.append(command);
  bytes_ += command.size();
}

void Gate::confirm(std::string& output) {
  ++confirmed_;
  while (!waiting_.empty() && waiting_.front().subscriptions <= confirmed_) {
    output.append(waiting_.front().commands);
    bytes_ -= waiting_.front().commands.size();
    waiting_.pop_front();
  }
}

void Gate::clear() noexcept {
  waiting_.clear();
  sent_ = confirmed_ = 0;
  bytes_ = 0;
}

}  // namespace tern::redis
