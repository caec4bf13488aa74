// Simulates each client with its waits by the events of a priority queue. The waits come from the
// rules of the library itself.
#include "scale_model/storm.h"

#include "scale_model/random.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

namespace tern::bench {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr nanoseconds syn_again[] = {seconds(1), seconds(3), seconds(7), seconds(15)};
constexpr nanoseconds slot = std::chrono::milliseconds(100);

struct Client {
  explicit Client(const client::BackoffOptions& options) noexcept : backoff(options) {}

  client::Backoff backoff;
  nanoseconds began{};  // the attempt
  std::uint32_t machine = 0;
  std::size_t lost = 0;  // its SYNs
};

class Ride {
 public:
  explicit Ride(const Storm& storm) : storm_(storm), free_at_(storm.machines) {
    clients_.reserve(storm.clients);
    opened_.reserve(storm.clients);
  }

  StormResult run() {
    begin();
    while (!events_.empty()) {
      const auto [now, index] = events_.top();
      events_.pop();
      if (Client& client = clients_[index]; client.lost == 0) {
        start(client, now);
        arrive(client, index, now);
      } else if (client.lost > std::size(syn_again)) {
        fail(client, index, now);
      } else {
        arrive(client, index, now);
      }
    }
    return finish();
  }

 private:
  using Event = std::pair<nanoseconds, std::size_t>;  // the client's next step

  void begin() {
    const double range = static_cast<double>((storm_.last_end - storm_.first_end).count());
    for (std::size_t i = 0; i < storm_.clients; ++i) {
      Client& client = clients_.emplace_back(storm_.retry);
      const nanoseconds end =
          storm_.first_end + nanoseconds(static_cast<nanoseconds::rep>(
                                 range * (static_cast<double>(random_.next() >> 11) * 0x1p-53)));
      nanoseconds wait{};
      if (storm_.jitter) {
        wait = *client.backoff.after_end(client::Verdict::transient, storm_.retry.stable,
                                         random_.next());
      }
      events_.emplace(end + wait, i);
    }
  }

  void start(Client& client, nanoseconds now) {
    client.began = now;
    client.machine = random_.below(storm_.machines);
    ++result_.attempts;
    const auto at = static_cast<std::size_t>(now / slot);
    if (at >= begun_.size()) begun_.resize(at + 1);
    ++begun_[at];
  }

  // A SYN, the first one of the attempt or a later one.
  void arrive(Client& client, std::size_t index, nanoseconds now) {
    nanoseconds& free_at = free_at_[client.machine];
    const nanoseconds begins = std::max(free_at, now);
    if ((begins - now) / storm_.each >= static_cast<nanoseconds::rep>(storm_.waiting)) {
      ++result_.lost_syns;
      const std::size_t nth = client.lost++;
      events_.emplace(
          client.began + (nth < std::size(syn_again) ? syn_again[nth] : storm_.dial_timeout),
          index);
      return;
    }
    free_at = begins + storm_.each;
    result_.longest_queue = std::max(result_.longest_queue, free_at - now);
    opened_.push_back(free_at);
  }

  void fail(Client& client, std::size_t index, nanoseconds now) {
    ++result_.failed;
    client.lost = 0;
    const nanoseconds wait =
        storm_.jitter ? *client.backoff.after_failure(random_.next()) : storm_.retry.first;
    events_.emplace(now + wait, index);
  }

  StormResult finish() {
    std::ranges::sort(opened_);
    result_.back = opened_.size();
    if (!opened_.empty()) {
      result_.half = opened_[(opened_.size() - 1) / 2];
      result_.nearly_all = opened_[(opened_.size() - 1) * 99 / 100];
      result_.all = opened_.back();
      result_.most_in_100_ms = *std::ranges::max_element(begun_);
    }
    return result_;
  }

  const Storm& storm_;
  Random random_{1};
  std::vector<Client> clients_{};
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_{};
  std::vector<nanoseconds> free_at_;  // of each machine
  std::vector<nanoseconds> opened_{};
  std::vector<std::uint64_t> begun_{};  // attempts, by the tenth of a second
  StormResult result_{};
};

}  // namespace

StormResult ride_out(const Storm& storm) { return Ride(storm).run(); }

}  // namespace tern::bench
