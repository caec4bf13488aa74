// A function may be code of the application and may take any time. So the clock is read after each
// call.
#include "server/sweep.h"

#include <chrono>
#include <utility>

namespace tern::server {
namespace {

constexpr std::chrono::milliseconds max_time(1);
constexpr int max_slots = 4096;  // in a turn, most of them may be empty

}  // namespace

void Sweep::add(Function function) {
  rounds_.push_back({std::move(function)});
  core_.again(*this);
}

// A slot that becomes free is used again, so a connection that begins meanwhile may be visited.
void Sweep::on_ready(std::uint32_t) noexcept {
  const auto end = std::chrono::steady_clock::now() + max_time;
  for (int i = 0; i < max_slots && !rounds_.empty(); ++i) {
    Round& round = rounds_.front();
    if (round.next >= registry_.slots()) {
      rounds_.pop_front();
      continue;
    }
    connection::LiveConnection* const connection = registry_.at(round.next++);
    if (connection == nullptr) continue;
    round.function(*connection);
    if (std::chrono::steady_clock::now() >= end) break;
  }
  if (!rounds_.empty()) core_.again(*this);
}

}  // namespace tern::server
