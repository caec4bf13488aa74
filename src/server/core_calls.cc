// Calls that reach all workers, and the counts of the whole server.
#include "server/core.h"
#include "server/worker.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace tern::server {

Counters Core::counters() const {
  Counters total;
  for (const auto& metrics : metrics_) metrics->add_to(total);
  const topics::TableCounts counts = topics->counts();
  total.topics = counts.topics;
  total.topic_history_bytes = counts.history_bytes;
  total.topic_histories_dropped = counts.histories_dropped;
  total.topic_published = counts.published;
  total.topic_published_full = counts.published_full;
  bridges.add_to(total);
  const std::lock_guard lock(reachable_mutex_);
  for (const Worker* worker : reachable_) total.topic_waiting += worker->waiting_publications();
  return total;
}

std::vector<std::string> Core::addresses() const {
  const std::lock_guard lock(addresses_mutex_);
  return addresses_;
}

// ---- calls to all workers, and topics

void Core::call_worker_started(Loop& loop) noexcept {
  for (auto& function : on_worker_start) loop.core().call_user(function, loop);
}

bool Core::post_all(UniqueFunction<void()> function) noexcept {
  try {
    auto shared = std::make_shared<UniqueFunction<void()>>(std::move(function));
    return post_to_all([&](Worker&) { return [shared] { (*shared)(); }; });
  } catch (const std::bad_alloc&) {
    return false;
  }
}

bool Core::for_each(UniqueFunction<void(Connection&)> function) noexcept {
  try {
    auto shared = std::make_shared<UniqueFunction<void(Connection&)>>(std::move(function));
    return post_to_all(
        [&](Worker& worker) { return [&worker, shared] { worker.for_each(shared); }; });
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// The lock keeps the workers alive. Their loops may end meanwhile, and then they refuse the post.
template <class Make>
bool Core::post_to_all(Make&& make) {
  const std::lock_guard lock(reachable_mutex_);
  bool all = !reachable_.empty();
  for (Worker* worker : reachable_) all = worker->loop().post(make(*worker)) && all;
  return all;
}

// ---- bridges

Result<void> Core::begin_bridges() {
  std::vector<const topics::Inbox*> inboxes;
  for (const auto& worker : workers_) inboxes.push_back(&worker->inbox());
  return bridges.begin(workers_.front()->loop().core(), inboxes);
}

// Publications that wait for a broker may still go out, but they must not delay a stop much.
void Core::end_bridges() noexcept {
  constexpr std::chrono::nanoseconds most = std::chrono::seconds(2);
  const auto left = stop_at() - std::chrono::steady_clock::now();
  bridges.end(std::clamp<std::chrono::nanoseconds>(left, std::chrono::nanoseconds(0), most));
}

// Returns false if memory is out. A loop that ends needs to know nothing.
template <class Make>
bool Core::post_unbounded(Make&& make) noexcept {
  const std::lock_guard lock(reachable_mutex_);
  bool all = true;
  for (Worker* const worker : reachable_) {
    net::Mailbox& mailbox = *worker->loop().core().mailbox();
    all = (mailbox.post(make(*worker), {.bounded = false}) || mailbox.closed()) && all;
  }
  return all;
}

// The bounds of the mailboxes do not count: there is one question for each topic at a time.
bool Core::tell_history(const topics::TopicRef& topic, bool known) noexcept {
  return post_unbounded([&](Worker& worker) {
    return [&worker, topic, known] {
      worker.on_history(topic, known, connection::Fanout::all_subscriptions);
    };
  });
}

bool Core::tell_bridge_gaps() noexcept {
  return post_unbounded([](Worker& worker) { return [&worker] { worker.tell_bridge_gaps(); }; });
}

// ---- topics

// The first worker tells all changes, so that they come one at a time and in order. The bell does
// not use the bounds of the mailbox: there is at most one change for each topic.
void Core::listen_to_topics() {
  if (!on_topic) return;
  topics->listen_to_changes([this, mailbox = workers_.front()->loop().core().mailbox()] {
    post_topic_changes(*mailbox);
  });
}

void Core::post_topic_changes(net::Mailbox& mailbox) noexcept {
  static constexpr std::chrono::milliseconds max_time(1);
  mailbox.post([this] { tell_topic_changes(std::chrono::steady_clock::now() + max_time); },
               {.bounded = false});
}

// Clients on other workers may make changes faster than the application takes them. So the next
// turn goes on at `end`.
void Core::tell_topic_changes(TimePoint end) noexcept {
  if (!on_topic || workers_.empty()) return;
  net::LoopCore& loop = workers_.front()->loop().core();
  while (const topics::Table::Change change = topics->take_change()) {
    loop.call_user(on_topic, change.topic->name(), change.event);
    if (std::chrono::steady_clock::now() >= end) return post_topic_changes(*loop.mailbox());
  }
}

}  // namespace tern::server
